"""What leaves for the venue, once, and how its answers come back into the actor's inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TypeVar

from loguru import logger

from krator_actors.adapters.binance_errors import INVALID_TIMESTAMP
from krator_actors.adapters.binance_reports import Replaced
from krator_actors.adapters.trading import OrderAnswer, TradingClient
from krator_actors.clock import utc_ns
from krator_actors.core import order_rules as rules
from krator_actors.core.orders import Order
from krator_actors.core.venue_reports import OrderReport
from krator_actors.messages.orders import (
    OrderEventTold,
    OrderInitialized,
    OrderSubmitted,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.order_ledger import OrderLedger
from krator_actors.reconciliation import VenueSaid
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueRefusedError,
    VenueUnavailableError,
)
from supervisors.messages import Message

_REPLACED = Decimal(0)
"""``OrderPendingUpdate.quantity`` of an order in whose place another is put"""


class PlaceFailed(Message, frozen=True, kw_only=True):
    """To itself: an order was answered with an error, or not at all."""

    client_order_id: str
    refused: bool
    """True: it did not happen. False: nobody knows."""
    reason: str


class CancelFailed(Message, frozen=True, kw_only=True):
    """To itself: ``order.cancel`` was answered with an error, or not at all."""

    client_order_id: str
    reason: str


class ModifyFailed(Message, frozen=True, kw_only=True):
    """To itself: the change of an order was refused, or not answered."""

    client_order_id: str
    refused: bool
    """True: it did not happen. False: nobody knows."""
    reason: str


_Failure = TypeVar("_Failure", PlaceFailed, ModifyFailed)
_Answer = TypeVar("_Answer")


class OrderSender:
    """Writes down, then sends; nothing is ever sent again. Of the actor's event loop.

    Args:
        may_send: False in a dry run: nothing leaves that changes anything.
        found: takes each answer into the actor's inbox.
        clock_refused: called when the venue did not agree with our clock.
    """

    def __init__(
        self,
        client: TradingClient,
        ledger: OrderLedger,
        *,
        recv_window_ms: int,
        may_send: bool,
        found: Callable[[VenueSaid | PlaceFailed | CancelFailed | ModifyFailed], None],
        clock_refused: Callable[[], None],
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._recv_window_ms = recv_window_ms
        self._may_send = may_send
        self._found = found
        self._clock_refused = clock_refused

    async def place(self, message: PlaceOrder) -> list[OrderEventTold]:
        """Log, send, log; return what is to be told. What comes between waits in the inbox."""
        order = message.order
        old = self._ledger.table.orders.get(order.replaces)
        timestamp_ms = self._client.now_ms()
        initialized = OrderInitialized(
            order=order,
            risk_generation=message.risk_generation,
            request_valid_until_ms=timestamp_ms + self._recv_window_ms,
            ts_event=utc_ns(),
        )
        told = [self._ledger.record(initialized)]
        if old is not None:
            told.append(self._begin_change(old, _REPLACED, timestamp_ms))
        try:
            self._hand_over(order, old, timestamp_ms)
        except VenueUnavailableError as error:
            limited = error.retry_after_secs is not None
            reason = "VENUE_RATE_LIMIT" if limited else "VENUE_UNREACHABLE"
            denied = rules.denied(order, reason, str(error), utc_ns())
            told.append(self._ledger.record(denied))
            if old is not None:
                told.append(self._unchanged(old, error))
            return told
        # The bytes leave when the loop turns. Killed here, the next start asks for this order.
        await asyncio.sleep(0)
        submitted = OrderSubmitted(
            client_order_id=order.client_order_id, symbol=order.symbol, ts_event=utc_ns()
        )
        return [*told, self._ledger.record(submitted)]

    def deny(self, message: PlaceOrder, reason: str, detail: str) -> list[OrderEventTold]:
        """Log an order that is not sent, and why; return what is to be told."""
        now_ns = utc_ns()
        initialized = OrderInitialized(
            order=message.order,
            risk_generation=message.risk_generation,
            request_valid_until_ms=rules.NEVER_SENT,
            ts_event=now_ns,
        )
        denied = rules.denied(message.order, reason, detail, now_ns)
        return [self._ledger.record(initialized), self._ledger.record(denied)]

    def reduce(self, order: Order, quantity: Decimal) -> list[OrderEventTold]:
        """Log, then ask the venue to make an order smaller; return what is to be told."""
        timestamp_ms = self._client.now_ms()
        told = [self._begin_change(order, quantity, timestamp_ms)]
        try:
            answer = self._client.amend(order, quantity, timestamp_ms=timestamp_ms)
        except VenueUnavailableError as error:
            return [*told, self._unchanged(order, error)]
        answer.add_done_callback(partial(self._reduced, order.client_order_id))
        return told

    def cancel(self, order: Order, requester: str) -> list[OrderEventTold]:
        """Log, the first time, and send; return what is to be told. Nothing in a dry run.

        Logged first, because the log is the queue from which a cancel goes out after a reconnect.
        """
        if not self._may_send:
            return []
        told = []
        if not order.cancel_requested:
            told.append(self._ledger.record(rules.pending_cancel(order, requester, utc_ns())))
        self.send_cancel(order)
        return told

    def send_cancel(self, order: Order) -> None:
        """Send a cancel that is logged; what cannot leave now is sent again in reconciliation."""
        if not self._may_send:
            return
        try:
            answer = self._client.cancel(
                order.symbol,
                venue_order_id=order.venue_order_id,
                client_order_id=order.client_order_id,
            )
        except VenueUnavailableError as error:
            self._found(CancelFailed(client_order_id=order.client_order_id, reason=str(error)))
            return
        answer.add_done_callback(partial(self._canceled, order.client_order_id))

    def _hand_over(self, order: SubmitOrder, old: Order | None, timestamp_ms: int) -> None:
        if old is None:
            answer = self._client.place(order, timestamp_ms=timestamp_ms)
            answer.add_done_callback(partial(self._placed, order.client_order_id))
        else:
            both = self._client.replace(order, old=old, timestamp_ms=timestamp_ms)
            ids = (old.client_order_id, order.client_order_id)
            both.add_done_callback(partial(self._replaced, *ids))

    def _begin_change(self, order: Order, quantity: Decimal, timestamp_ms: int) -> OrderEventTold:
        valid_until_ms = timestamp_ms + self._recv_window_ms
        return self._ledger.record(rules.pending_update(order, quantity, valid_until_ms, utc_ns()))

    def _unchanged(self, order: Order, error: VenueUnavailableError) -> OrderEventTold:
        return self._ledger.record(rules.modify_rejected(order, str(error), utc_ns()))

    def _placed(self, client_order_id: str, answer: asyncio.Future[OrderAnswer]) -> None:
        error = self._error_of(answer)
        if error is None:
            report, fills = answer.result()
            self._found(VenueSaid(report=report, fills=fills))
        else:
            self._found(_failed(PlaceFailed, client_order_id, error))

    def _replaced(self, old: str, new: str, answer: asyncio.Future[Replaced]) -> None:
        error = self._error_of(answer)
        if error is not None:
            logger.bind(
                event_type="replace_failed", order_id=new, replaces=old, reason=str(error)
            ).warning("an order was not replaced, or nobody knows")
            self._found(_failed(ModifyFailed, old, error))
            self._found(_failed(PlaceFailed, new, error))
            return
        replaced = answer.result()
        self._found(VenueSaid(report=replaced.canceled))
        if replaced.placed is None:
            self._found(PlaceFailed(client_order_id=new, refused=True, reason=replaced.refusal))
        else:
            report, fills = replaced.placed
            self._found(VenueSaid(report=report, fills=fills))

    def _reduced(self, client_order_id: str, answer: asyncio.Future[OrderReport]) -> None:
        error = self._error_of(answer)
        if error is None:
            self._found(VenueSaid(report=answer.result()))
        else:
            self._found(_failed(ModifyFailed, client_order_id, error))

    def _canceled(self, client_order_id: str, answer: asyncio.Future[OrderAnswer]) -> None:
        error = self._error_of(answer)
        if error is None:
            report, _ = answer.result()
            self._found(VenueSaid(report=report))
        else:
            self._found(CancelFailed(client_order_id=client_order_id, reason=str(error)))

    def _error_of(self, answer: asyncio.Future[_Answer]) -> BaseException | None:
        if answer.cancelled():
            return OutcomeUnknownError("the connection was closed")
        error = answer.exception()
        if isinstance(error, VenueRefusedError) and error.code == INVALID_TIMESTAMP:
            self._clock_refused()
        return error


def _failed(kind: type[_Failure], client_order_id: str, error: BaseException) -> _Failure:
    refused = not isinstance(error, OutcomeUnknownError)
    return kind(client_order_id=client_order_id, refused=refused, reason=str(error))
