"""What a strategy holds: risk's word for it, and the one order that may be changing it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from krator_actors.core.strategies import Intent, Standing, entry_quantity, exit_quantity
from krator_actors.messages.market import Instruments
from krator_actors.messages.orders import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    SubmitOrder,
)
from krator_actors.messages.strategy import StrategyState
from krator_actors.model import BUY, Instrument


@dataclass
class PendingOrder:
    """The order that is under way."""

    client_order_id: str
    quantity: Decimal
    # Filled quantity by trade id, because a fill may be told twice.
    fills: dict[str, Decimal] = field(default_factory=dict)
    # How many events came, to tell silence from news.
    news: int = 0


class Holding:
    """Knows the position only while nothing can be changing it. Not thread-safe.

    The position is never computed from fills here: fees, other orders and a late fill make that
    wrong. When an order is final, or there is doubt, it is unknown until risk has said it.
    """

    def __init__(self, strategy: str, symbol: str) -> None:
        self._strategy = strategy
        self._symbol = symbol
        # None while it is not known.
        self.position: Decimal | None = None
        # None until risk or the feed has told it.
        self.instrument: Instrument | None = None
        self.pending: PendingOrder | None = None

    @property
    def is_settled(self) -> bool:
        """True when all is known and nothing is under way."""
        known = self.position is not None and self.instrument is not None
        return known and self.pending is None

    def described(self) -> dict[str, bool]:
        """Return what is known and under way, without an id or an amount."""
        return {
            "knows_position": self.position is not None,
            "knows_instrument": self.instrument is not None,
            "order_is_under_way": self.pending is not None,
        }

    def standing(self, price: Decimal | None) -> Standing:
        """Return where the strategy stands; ``price`` decides what is too little to be sold."""
        if self.position is None or self.instrument is None or self.pending or price is None:
            return Standing.UNKNOWN
        if exit_quantity(self.position, price, self.instrument):
            return Standing.LONG
        return Standing.FLAT

    def quantity(self, intent: Intent, notional: Decimal) -> Decimal:
        """Return how much ``intent`` trades, in whole lots; 0 for none. Only where it is known.

        ``notional`` (quote currency) is what is bought; what is sold is the whole position.
        """
        assert self.instrument is not None
        assert self.position is not None
        if intent.side is BUY:
            return entry_quantity(notional, intent.price, self.instrument)
        return exit_quantity(self.position, intent.price, self.instrument)

    def begin(self, order: SubmitOrder) -> None:
        """Note that ``order`` is on its way to risk."""
        self.pending = PendingOrder(order.client_order_id, order.quantity)

    def on_instruments(self, message: Instruments) -> None:
        """Take the rules by which the symbol is traded."""
        for instrument in message.instruments:
            if instrument.symbol == self._symbol:
                self.instrument = instrument

    def doubt(self) -> None:
        """Forget the position: ask risk."""
        self.position = None

    def on_order_event(self, event: OrderEvent) -> bool:
        """Take an event of one of the strategy's orders; True when risk must now be asked."""
        mine = self.pending if self._is_pending(event) else None
        if mine is not None:
            mine.news += 1
        match event:
            case OrderFilled():
                # A fill of an order that was taken for final: the position is not what we think.
                final = mine is None or _is_filled(mine, event)
            case OrderRejected() | OrderCanceled() | OrderExpired() | OrderDenied():
                final = mine is not None
            case _:
                final = False
        if final:
            self.position = None
            if mine is not None:
                self.pending = None
        return final

    def on_state(self, state: StrategyState) -> bool:
        """Take risk's word; False when it does not settle the matter: ask again.

        An own order that risk has as open is pending, also when this incarnation never sent it;
        one that it does not have is done.
        """
        self.instrument = state.instrument or self.instrument
        self.position = None
        if not state.recovered:
            return False
        mine = [order for order in state.open_orders if order.strategy == self._strategy]
        if mine:
            known = self.pending and self.pending.client_order_id
            if all(order.client_order_id != known for order in mine):
                self.pending = PendingOrder(mine[0].client_order_id, mine[0].quantity)
            return False
        self.pending = None
        self.position = state.position
        return self.instrument is not None

    def _is_pending(self, event: OrderEvent) -> bool:
        if self.pending is None:
            return False
        return getattr(event, "client_order_id", None) == self.pending.client_order_id


def _is_filled(pending: PendingOrder, fill: OrderFilled) -> bool:
    pending.fills[fill.trade_id] = fill.last_quantity
    return sum(pending.fills.values()) >= pending.quantity
