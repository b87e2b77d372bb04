"""What docs/RISK.md says, in plain arithmetic: a second opinion on every order.

Written from that page, before the rules' code was read. It imports nothing of
``krator_actors.core``, keeps lists and sums, and works out everything anew for each order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from krator_actors.messages.orders import OrderExternal, OrderFilled, SubmitOrder
from krator_actors.model import Instrument, OrderSide, OrderType
from tests.oracle.market import Market
from tests.oracle.states import States

SEC = 1_000_000_000
KNOWN_IDS = 50_000
BUY = OrderSide.BUY


@dataclass
class Tracked:
    """An order that was approved, or is external."""

    symbol: str
    side: OrderSide
    price: Decimal | None
    quantity: Decimal
    reservation: Decimal
    order_type: OrderType = OrderType.LIMIT
    is_in_book: bool = True
    """False: a stop order that has not triggered"""
    filled: Decimal = Decimal(0)
    ended: str = ""
    """how; empty while it is open"""

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled


@dataclass
class Sent:
    """An approved order, or a cancel (``key`` None)."""

    at: int
    sender: str
    symbol: str
    key: tuple[object, ...] | None
    is_saved: bool = False
    """True: a snapshot knows it"""


def key_of(order: SubmitOrder) -> tuple[object, ...]:
    return (
        order.strategy,
        order.symbol,
        order.side,
        order.order_type,
        order.quantity,
        order.price,
        order.stop_price,
        order.time_in_force,
        order.expires_ns,
        order.post_only,
        order.reduce_only,
    )


@dataclass
class Oracle:
    """All that is known when an order comes."""

    symbols: tuple[str, ...]
    limits: Mapping[str, Mapping[str, Any]]
    """of each symbol that has any: all keys of ``[risk]``"""
    account: Mapping[str, Any]
    permissions: Mapping[str, tuple[str, ...]]
    states: States
    markets: dict[str, Market] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    is_recovered: bool = False
    is_reachable: bool = False
    is_log_full: bool = False
    are_positions_current: bool = True
    is_opened: bool = False
    cash: Decimal = Decimal(0)
    held: dict[str, Decimal] = field(default_factory=dict)
    """by base currency"""
    old_marks: dict[str, Decimal] = field(default_factory=dict)
    """before the first quote: the price of the last fill, or what a snapshot said"""
    tracked: dict[str, Tracked] = field(default_factory=dict)
    open: dict[str, Tracked] = field(default_factory=dict)
    known: dict[str, None] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        for symbol in self.symbols:
            self.markets[symbol] = Market(self.limits.get(symbol))

    # What is known.

    def held_of(self, symbol: str) -> Decimal:
        return self.held.get(symbol.partition("-")[0], Decimal(0))

    def mark(self, symbol: str) -> Decimal | None:
        market = self.markets.get(symbol)
        if market is not None and market.mark is not None:
            return market.mark
        return self.old_marks.get(symbol)

    def values(self) -> list[Decimal] | None:
        """Return ``held * mark`` of the configured symbols; None: one of them is not known."""
        found = []
        for symbol in self.symbols:
            held = self.held_of(symbol)
            if held == 0:
                continue
            mark = self.mark(symbol)
            if mark is None:
                return None
            found.append((held * mark).quantize(Decimal("1e-12")))
        return found

    def equity(self) -> Decimal | None:
        values = self.values()
        if not self.is_opened or values is None:
            return None
        return self.cash + sum(values, Decimal(0))

    def open_quantity(self, symbol: str, side: OrderSide) -> Decimal:
        return sum(
            (o.remaining for o in self.open.values() if o.symbol == symbol and o.side is side),
            Decimal(0),
        )

    def reserved(self, symbol: str | None = None) -> Decimal:
        """Return what open buys cost; None: of all symbols."""
        return sum(
            (
                o.remaining * o.reservation
                for o in self.open.values()
                if o.side is BUY and symbol in (None, o.symbol)
            ),
            Decimal(0),
        )

    def reducible(self, symbol: str, side: OrderSide) -> Decimal:
        """Return up to which quantity an order is a reduction."""
        held = self.held_of(symbol)
        return (-held if side is BUY else held) - self.open_quantity(symbol, side)

    # What happens.

    def know(self, order_id: str) -> None:
        self.known[order_id] = None
        if len(self.known) > KNOWN_IDS:
            del self.known[next(iter(self.known))]

    def approve(self, order: SubmitOrder, price: Decimal, now: int) -> None:
        self.know(order.client_order_id)
        order_id = order.client_order_id
        self.tracked[order_id] = self.open[order_id] = Tracked(
            order.symbol,
            order.side,
            order.price,
            order.quantity,
            price,
            order.order_type,
            is_in_book=not order.order_type.has_stop,
        )
        self.forget_sent(now)
        self.sent.append(Sent(now, order.strategy, order.symbol, key_of(order)))
        self.states.approved(order.strategy, now)

    def cancel(self, requester: str, symbol: str, now: int) -> None:
        self.forget_sent(now)
        self.sent.append(Sent(now, requester, symbol, None))

    def forget_sent(self, now: int) -> None:
        """Forget what no question asks for any more (five seconds: above ``duplicate_secs``)."""
        self.sent = [sent for sent in self.sent if now - sent.at <= 5 * SEC]

    def opening(self, balances: Mapping[str, Decimal], quote_currency: str) -> None:
        if not self.is_opened:
            self.is_opened = True
            self.cash = balances.get(quote_currency, Decimal(0))
            self.held = {a: total for a, total in balances.items() if a != quote_currency}

    def external(self, order: OrderExternal) -> None:
        mark = order.price if order.price is not None else self.mark(order.symbol)
        self.know(order.client_order_id)
        self.tracked[order.client_order_id] = self.open[order.client_order_id] = Tracked(
            order.symbol, order.side, order.price, order.quantity, mark or Decimal(0)
        )

    def unpriced(self) -> list[Tracked]:
        """Return the open buys that count as nothing because no price of their symbol is known."""
        return [o for o in self.open.values() if o.side is BUY and o.reservation == 0]

    def price_the_unpriced(self, symbol: str) -> None:
        """A price of ``symbol`` has come: count them at it."""
        for order in self.unpriced():
            if order.symbol == symbol:
                order.reservation = self.mark(symbol) or Decimal(0)

    def ended(self, order_id: str, how: str) -> None:
        self.tracked[order_id].ended = how
        self.open.pop(order_id, None)

    def accepted(self, order_id: str) -> None:
        order = self.tracked[order_id]
        if order.ended in ("REJECTED", "DENIED"):
            order.ended = ""
            self.open[order_id] = order

    def updated(self, order_id: str, quantity: Decimal) -> None:
        order = self.tracked[order_id]
        if not order.ended:
            order.quantity = quantity
            if order.remaining <= 0:
                self.ended(order_id, "FILLED")

    def filled(self, fill: OrderFilled, quote_currency: str) -> None:
        base = fill.symbol.partition("-")[0]
        sign = 1 if fill.side is BUY else -1
        self.held[base] = self.held.get(base, Decimal(0)) + sign * fill.last_quantity
        self.cash -= sign * fill.last_quantity * fill.last_price
        if fill.fee_currency == quote_currency:
            self.cash -= fill.fee
        else:
            charged = fill.fee_currency
            self.held[charged] = self.held.get(charged, Decimal(0)) - fill.fee
        self.old_marks[fill.symbol] = fill.last_price
        order = self.tracked[fill.client_order_id]
        order.filled += fill.last_quantity
        order.is_in_book = True
        self.accepted(fill.client_order_id)
        if order.remaining <= 0:
            self.ended(fill.client_order_id, "FILLED")
        self.price_the_unpriced(fill.symbol)

    def look(self, utc: int) -> None:
        """Let the losses take effect."""
        self.states.look(self.equity() if self.is_recovered else None, utc)

    def saved(self) -> dict[str, Decimal]:
        """A snapshot is taken; return what it says of prices."""
        for sent in self.sent:
            sent.is_saved = True
        marks = {symbol: self.mark(symbol) for symbol in self.symbols}
        return {symbol: mark for symbol, mark in marks.items() if mark is not None}

    def restarted(self, marks: dict[str, Decimal]) -> None:
        """Forget what a restart loses; ``marks``: of the snapshot and of the fills since."""
        self.old_marks = marks
        for symbol in self.symbols:
            self.markets[symbol] = Market(self.limits.get(symbol))
        self.instruments = {}
        self.is_recovered = self.is_reachable = self.is_log_full = False
        self.are_positions_current = True
        self.sent = [s for s in self.sent if s.key is not None or s.is_saved]
