"""Orders and trades of the account, as the venue keeps them. Amounts are units of 1e-8."""

from __future__ import annotations

from dataclasses import dataclass

from krator_actors.exchange import fixed
from krator_actors.exchange.rules import Rules
from krator_actors.model import OrderSide

STOP_TYPES = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
"""types of orders that wait for their stop price"""
PRICED_TYPES = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
"""types of orders that have a limit price"""


def is_reached(order_type: str, side: OrderSide, stop_price: int, last_price: int) -> bool:
    """Return whether a last price triggers a stop order; False before the first trade."""
    rising = order_type.startswith("STOP_LOSS") == (side is OrderSide.BUY)
    if not last_price:
        return False
    return last_price >= stop_price if rising else last_price <= stop_price


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An ``order.place`` whose parameters are well formed; filters are not checked yet."""

    rules: Rules
    client_order_id: str
    side: OrderSide
    order_type: str
    """one of Binance's, as ``STOP_LOSS_LIMIT``"""
    time_in_force: str
    """``GTC``, ``IOC``, ``FOK``; ``GTC`` for market orders and makers, as Binance prints it"""
    quantity: int
    price: int
    """0 for an order at market"""
    stop_price: int
    """0 for an order that does not wait"""
    received_ns: int

    @property
    def limit(self) -> int | None:
        """The worst price it takes; None for an order at market."""
        return self.price if self.order_type in PRICED_TYPES else None


@dataclass(slots=True, kw_only=True)
class Order:
    """An order that the venue took."""

    order_id: int
    client_order_id: str
    rules: Rules
    side: OrderSide
    order_type: str
    time_in_force: str
    quantity: int
    price: int
    stop_price: int
    time_ms: int
    update_ms: int
    # since when it is in the market; None while it waits for its stop price
    working_ms: int | None
    status: str = "NEW"
    amends: int = 0
    executed: int = 0
    executed_quote: int = 0
    # what of the balance is set aside for it: quote for a buy, base for a sell
    locked: int = 0

    @property
    def symbol(self) -> str:
        """``BTCUSDT``."""
        return self.rules.symbol

    @property
    def remaining(self) -> int:
        """What is not filled."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        """Whether it can still trade."""
        return self.status in {"NEW", "PARTIALLY_FILLED"}

    @property
    def is_waiting(self) -> bool:
        """Whether it is open and waits for its stop price."""
        return self.is_open and self.working_ms is None

    @property
    def limit(self) -> int | None:
        """The worst price it takes; None for an order at market."""
        return self.price if self.order_type in PRICED_TYPES else None

    @property
    def rests(self) -> bool:
        """Whether what does not trade at once stays in the book."""
        return self.order_type in PRICED_TYPES and self.time_in_force == "GTC"

    @property
    def locked_asset(self) -> str:
        """The asset that ``locked`` counts."""
        return self.rules.quote if self.side is OrderSide.BUY else self.rules.base

    def reserve_for(self, remaining: int) -> int:
        """Return what must be locked while ``remaining`` is open.

        Market orders lock nothing; a stop order at market what it costs at its stop price.
        """
        if self.order_type == "MARKET":
            return 0
        if self.side is OrderSide.BUY:
            return fixed.notional(self.price or self.stop_price, remaining)
        return remaining


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One fill of one of the account's orders."""

    trade_id: int
    order_id: int
    symbol: str
    side: OrderSide
    price: int
    quantity: int
    quote: int
    commission: int
    commission_asset: str
    is_maker: bool
    time_ms: int
