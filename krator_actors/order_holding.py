"""What the order actor holds because the venue does not: times and brackets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from loguru import logger

from krator_actors.adapters.trading import TradingClient
from krator_actors.clock import utc_ns
from krator_actors.core import brackets, expiry
from krator_actors.core.orders import Order
from krator_actors.messages.orders import SubmitOrder
from krator_actors.order_ledger import OrderLedger
from krator_actors.venue_errors import VenueError
from supervisors.messages import Message

_PERIOD_SECS = 1.0
"""how often times are judged, and the price of a watched take profit is asked for"""


class HoldingDue(Message, frozen=True, kw_only=True):
    """To itself: look at what is held."""


class HeldOrders:
    """Decides nothing: asks ``core`` and carries out.

    Args:
        tell_self: puts a message into the actor's own inbox.
        place: logs and sends an order that needs nobody's approval because it only reduces.
        cancel: asks for the end of an order; the second argument is whose wish it is.
    """

    def __init__(
        self,
        client: TradingClient,
        ledger: OrderLedger,
        *,
        tell_self: Callable[[HoldingDue], None],
        place: Callable[[SubmitOrder], Awaitable[None]],
        cancel: Callable[[Order, str], Awaitable[None]],
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._tell_self = tell_self
        self._place = place
        self._cancel = cancel
        # symbol to best bid when it was asked for last; a symbol that is not in it has none
        self._bids: dict[str, Decimal] = {}
        # entries that have placed a leg since then: one price is not tried twice
        self._tried: set[str] = set()

    async def run(self) -> None:
        """Look at what is held once a second, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_SECS)
            self._bids = await self._ask_bids()
            self._tried.clear()
            self._tell_self(HoldingDue())

    async def look(self, *, can_send: bool) -> None:
        """Take off whose time is over, and do what brackets need next."""
        for order in expiry.due(self._ledger.table.open_orders, utc_ns()):
            await self._cancel(order, expiry.REQUESTER)
        if not can_send:
            return
        for entry, legs in self._ledger.table.brackets():
            is_tried = entry.client_order_id in self._tried
            bid = None if is_tried else self._bids.get(entry.symbol)
            match brackets.decide(entry, legs, bid=bid, now_ns=utc_ns()):
                case brackets.PlaceLeg(leg):
                    self._tried.add(entry.client_order_id)
                    await self._place(leg)
                case brackets.TakeOff(order):
                    await self._cancel(order, brackets.REQUESTER)
                case brackets.Left(reason):
                    self._leave(entry, reason)
                case None:
                    pass

    def _leave(self, entry: Order, reason: str) -> None:
        self._ledger.table.leave_bracket(entry)
        log = logger.bind(event_type="bracket_left", order_id=entry.client_order_id, reason=reason)
        if reason in {"UNPROTECTED", "RELEASED"}:
            log.error("nothing protects what this order bought")
        else:
            log.info("nothing is left to do for this bracket")

    async def _ask_bids(self) -> dict[str, Decimal]:
        symbols = {entry.symbol for entry, _ in self._ledger.table.brackets() if entry.filled}
        if not symbols:
            return {}
        try:
            prices = await self._client.best_prices(sorted(symbols))
        except VenueError as error:
            logger.bind(event_type="price_unknown", reason=str(error)).warning(
                "the venue did not say its best prices"
            )
            return {}
        return {symbol: bid for symbol, (bid, _) in prices.items() if bid}
