"""What leaves for the venue, once, and how its answers come back into the actor's inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from krator_actors.adapters.binance_errors import INVALID_TIMESTAMP
from krator_actors.adapters.trading import OrderAnswer, TradingClient
from krator_actors.clock import utc_ns
from krator_actors.core import order_rules as rules
from krator_actors.core.orders import Order
from krator_actors.messages.orders import (
    OrderEventTold,
    OrderInitialized,
    OrderSubmitted,
    PlaceOrder,
)
from krator_actors.order_ledger import OrderLedger
from krator_actors.reconciliation import VenueSaid
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueRefusedError,
    VenueUnavailableError,
)
from supervisors.messages import Message


class PlaceFailed(Message, frozen=True, kw_only=True):
    """To itself: ``order.place`` was answered with an error, or not at all."""

    client_order_id: str
    refused: bool
    """True: it did not happen. False: nobody knows."""
    reason: str


class CancelFailed(Message, frozen=True, kw_only=True):
    """To itself: ``order.cancel`` was answered with an error, or not at all."""

    client_order_id: str
    reason: str


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
        found: Callable[[VenueSaid | PlaceFailed | CancelFailed], None],
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
        timestamp_ms = self._client.now_ms()
        initialized = OrderInitialized(
            order=order,
            risk_generation=message.risk_generation,
            request_valid_until_ms=timestamp_ms + self._recv_window_ms,
            ts_event=utc_ns(),
        )
        told = [self._ledger.record(initialized)]
        try:
            answer = self._client.place(order, timestamp_ms=timestamp_ms)
        except VenueUnavailableError as error:
            denied = rules.denied(order, "VENUE_UNREACHABLE", str(error), utc_ns())
            return [*told, self._ledger.record(denied)]
        answer.add_done_callback(partial(self._placed, order.client_order_id))
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

    def cancel(self, order: Order) -> list[OrderEventTold]:
        """Log, the first time, and send; return what is to be told.

        Logged first, because the log is the queue from which a cancel goes out after a reconnect.
        """
        told = (
            []
            if order.cancel_requested
            else [self._ledger.record(rules.pending_cancel(order, utc_ns()))]
        )
        self.send_cancel(order)
        return told

    def send_cancel(self, order: Order) -> None:
        """Send a cancel that is logged; without a connection it goes out after the next one."""
        if not self._may_send:
            return
        try:
            answer = self._client.cancel(
                order.symbol,
                venue_order_id=order.venue_order_id,
                client_order_id=order.client_order_id,
            )
        except VenueUnavailableError:
            return
        answer.add_done_callback(partial(self._canceled, order.client_order_id))

    def _placed(self, client_order_id: str, answer: asyncio.Future[OrderAnswer]) -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is None:
            report, fills = answer.result()
            self._found(VenueSaid(report=report, fills=fills))
            return
        if isinstance(error, VenueRefusedError) and error.code == INVALID_TIMESTAMP:
            self._clock_refused()
        refused = not isinstance(error, OutcomeUnknownError)
        self._found(
            PlaceFailed(client_order_id=client_order_id, refused=refused, reason=str(error))
        )

    def _canceled(self, client_order_id: str, answer: asyncio.Future[OrderAnswer]) -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is None:
            report, _ = answer.result()
            self._found(VenueSaid(report=report))
        else:
            self._found(CancelFailed(client_order_id=client_order_id, reason=str(error)))
