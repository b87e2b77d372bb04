"""What the order actor holds because the venue does not: changes on their way, times, brackets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from loguru import logger

from krator_actors.adapters.binance_reports import Replaced
from krator_actors.adapters.trading import TradingClient
from krator_actors.clock import utc_ns
from krator_actors.core import brackets, expiry
from krator_actors.core import order_rules as rules
from krator_actors.core.orders import Order
from krator_actors.core.venue_reports import OrderReport
from krator_actors.messages.orders import ModifyOrder, OrderEventTold, SubmitOrder
from krator_actors.order_ledger import OrderLedger
from krator_actors.reconciliation import StillThere, VenueSaid
from krator_actors.venue_errors import OutcomeUnknownError, VenueError, VenueUnavailableError
from supervisors.messages import Message

_PERIOD_SECS = 1.0
"""how often times are judged, and the price of a watched take profit is asked for"""


class HoldingDue(Message, frozen=True, kw_only=True):
    """To itself: look at what is held."""

    bids: dict[str, Decimal]
    """symbol to best bid; a symbol that is not in it has no known price"""


class ModifyFailed(Message, frozen=True, kw_only=True):
    """To itself: the change of an order was refused, or not answered."""

    client_order_id: str
    refused: bool
    """True: it did not happen. False: nobody knows."""
    reason: str


class HeldOrders:
    """Decides nothing: asks ``core`` and carries out.

    Args:
        recv_window_ms: how long a request is valid at the venue.
        tell_self: puts a message into the actor's own inbox.
        publish: tells what was recorded.
        place: logs and sends an order that needs nobody's approval because it only reduces.
        cancel: asks for the end of an order; the second argument is whose wish it is.
        wake: has the venue asked for what is in doubt, now.
    """

    def __init__(
        self,
        client: TradingClient,
        ledger: OrderLedger,
        *,
        recv_window_ms: int,
        tell_self: Callable[[Message], None],
        publish: Callable[[Sequence[OrderEventTold]], Awaitable[None]],
        place: Callable[[SubmitOrder], Awaitable[None]],
        cancel: Callable[[Order, str], Awaitable[None]],
        wake: Callable[[], None],
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._recv_window_ms = recv_window_ms
        self._tell_self = tell_self
        self._publish = publish
        self._place = place
        self._cancel = cancel
        self._wake = wake
        # entries of brackets for which nothing is left to do
        self._left: set[str] = set()

    async def run(self) -> None:
        """Look at what is held once a second, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_SECS)
            self._tell_self(HoldingDue(bids=await self._bids()))

    async def look(self, bids: dict[str, Decimal], *, can_send: bool) -> None:
        """Take off whose time is over, and do what brackets need next."""
        for order in expiry.due(self._ledger.table.open_orders, utc_ns()):
            await self._cancel(order, expiry.REQUESTER)
        if not can_send:
            return
        for entry, legs in self._brackets():
            action = brackets.decide(entry, legs, bid=bids.get(entry.symbol), now_ns=utc_ns())
            match action:
                case brackets.PlaceLeg(leg):
                    await self._place(leg)
                case brackets.TakeOff(order):
                    await self._cancel(order, brackets.REQUESTER)
                case brackets.Left(reason):
                    self._leave(entry, reason)
                case None:
                    pass

    async def modify(self, message: ModifyOrder) -> None:
        """Make an order smaller in its place; what cannot be done is logged and changes nothing."""
        order = self._ledger.table.orders.get(message.client_order_id)
        if order is None or not rules.can_be_reduced(order, message.quantity):
            logger.bind(event_type="modify_ignored", order_id=message.client_order_id).warning(
                "there is nothing to make smaller"
            )
            return
        timestamp_ms = self._client.now_ms()
        told = [self.begin_change(order, message.quantity, timestamp_ms)]
        try:
            answer = self._client.amend(order, message.quantity, timestamp_ms=timestamp_ms)
        except VenueUnavailableError as error:
            told.append(self.change_refused(order, str(error)))
        else:
            answer.add_done_callback(lambda done: self._amend_answered(message, done))
        await self._publish(told)

    def begin_change(self, order: Order, quantity: Decimal, timestamp_ms: int) -> OrderEventTold:
        """Record that a change of ``order`` is on its way; quantity 0: it is replaced."""
        valid_until_ms = timestamp_ms + self._recv_window_ms
        return self._ledger.record(rules.pending_update(order, quantity, valid_until_ms, utc_ns()))

    def change_refused(self, order: Order, reason: str) -> OrderEventTold:
        """Record that ``order`` is as it was."""
        return self._ledger.record(rules.modify_rejected(order, reason, utc_ns()))

    async def modify_failed(self, message: ModifyFailed) -> None:
        """Take that a change was refused, or that nobody knows."""
        order = self._ledger.table.orders[message.client_order_id]
        if not rules.is_being_changed(order):
            return  # the user stream was faster and knows better
        if message.refused:
            await self._publish([self.change_refused(order, message.reason)])
        self._wake()

    async def still_there(self, message: StillThere) -> None:
        """Take that the venue has the order unchanged; final once the request cannot arrive."""
        order = self._ledger.table.orders[message.client_order_id]
        if rules.change_never_arrived(order, asked_at_ms=message.asked_at_ms):
            await self._publish([self.change_refused(order, "NEVER_ARRIVED")])

    def replace_answered(
        self, old: str, new: str, answer: asyncio.Future[Replaced]
    ) -> tuple[Replaced | None, bool, str]:
        """Return what became of a replacement; else whether it was refused, and why.

        What is known of the old order is put into the inbox.
        """
        error = None if answer.cancelled() else answer.exception()
        if error is None:
            replaced = answer.result()
            self._tell_self(VenueSaid(report=replaced.canceled))
            return replaced, False, replaced.refusal
        refused = not isinstance(error, OutcomeUnknownError)
        logger.bind(event_type="replace_failed", order_id=new, replaces=old).warning(str(error))
        self._tell_self(ModifyFailed(client_order_id=old, refused=refused, reason=str(error)))
        return None, refused, str(error)

    def _amend_answered(self, message: ModifyOrder, answer: asyncio.Future[OrderReport]) -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is None:
            self._tell_self(VenueSaid(report=answer.result()))
            return
        self._tell_self(
            ModifyFailed(
                client_order_id=message.client_order_id,
                refused=not isinstance(error, OutcomeUnknownError),
                reason=str(error),
            )
        )

    def _brackets(self) -> list[tuple[Order, tuple[Order, ...]]]:
        held = self._ledger.table.brackets()
        return [(entry, legs) for entry, legs in held if entry.client_order_id not in self._left]

    def _leave(self, entry: Order, reason: str) -> None:
        self._left.add(entry.client_order_id)
        log = logger.bind(event_type="bracket_left", order_id=entry.client_order_id, reason=reason)
        if reason in {"UNPROTECTED", "RELEASED"}:
            log.error("nothing protects what this order bought")
        else:
            log.info("nothing is left to do for this bracket")

    async def _bids(self) -> dict[str, Decimal]:
        bids: dict[str, Decimal] = {}
        for symbol in {entry.symbol for entry, _ in self._brackets() if entry.filled}:
            try:
                bid, _ = await self._client.best_prices(symbol)
            except VenueError as error:
                logger.bind(event_type="price_unknown", symbol=symbol).warning(str(error))
                continue
            if bid:
                bids[symbol] = bid
        return bids
