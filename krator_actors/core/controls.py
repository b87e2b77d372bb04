"""The controls that an order passes, in the order in which they are asked. Pure.

Each section is a generator that yields every no it finds; whoever asks goes on only when a no is
overridden. A section is one function because most orders pass all of it: a call for each control
took longer than the controls.

The worst case of a symbol is that every open order on the same side trades in full. docs/RISK.md
says every formula again, for whoever checks them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from krator_actors.core.duplicates import Duplicates
from krator_actors.core.limits import RiskLimits
from krator_actors.core.market import Market
from krator_actors.core.positions import Portfolio
from krator_actors.core.reservations import Exposure, Reservations
from krator_actors.core.rules import Denial, DenialReason, check_instrument
from krator_actors.core.trading_hours import is_open
from krator_actors.core.venue_rules import broken_rule
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import NANOS_PER_SEC, Instrument

_ZERO = Decimal(0)
_R = DenialReason


class Case(msgspec.Struct, kw_only=True):
    """One order, and what it is judged against."""

    order: SubmitOrder
    market: Market
    instrument: Instrument
    limits: RiskLimits
    portfolio: Portfolio
    reservations: Reservations
    duplicates: Duplicates
    only_reductions: DenialReason | None
    """why nothing but a reduction may pass now; None: anything may"""
    exposure: Exposure
    """of the symbol's open orders"""
    held: Decimal
    """of the symbol"""
    equity: Decimal | None
    is_sell: bool
    now_ns: int
    utc_ns: int

    # What measure says, when the order's form is known to be right.
    price: Decimal = _ZERO
    """what a unit of the order costs"""
    notional: Decimal = _ZERO
    room: Decimal = _ZERO
    """how much would reduce, even if every open order on the same side trades before"""
    reduces: bool = False
    is_usable: bool = False
    """whether there is a fresh, uncrossed quote"""

    def measure(self) -> None:
        """Compute what a well-formed order is worth, and whether it makes the position smaller."""
        order, market, exposure = self.order, self.market, self.exposure
        self.price = price = market.reference_price(order)
        self.notional = order.quantity * price
        if self.is_sell:
            self.room = self.held - exposure.sell_quantity
        else:
            self.room = -self.held - exposure.buy_quantity
        self.reduces = order.quantity <= self.room
        self.is_usable = market.is_usable(self.now_ns)


def denials(case: Case) -> Iterator[Denial]:
    """Yield every no to an order, in the order of docs/RISK.md; nothing when it may pass.

    The first that is not overridden stands. A no to the order's form cannot be overridden, and
    nothing after it may be asked.
    """
    yield from _form(case)
    case.measure()
    for section in SECTIONS:
        yield from section(case)


def _form(case: Case) -> Iterator[Denial]:
    """Before the order's numbers are used."""
    order = case.order
    if order.symbol in case.limits.restricted:
        yield Denial(_R.RESTRICTED_SYMBOL, f"{order.symbol} is in risk.restricted_symbols")
    if not is_open(case.market.limits.trading_hours, case.utc_ns):
        yield Denial(_R.OUTSIDE_TRADING_HOURS, f"{order.symbol} is not traded at this time")
    denial = check_instrument(order, case.instrument)
    if denial is not None:
        yield denial


def _reductions(case: Case) -> Iterator[Denial]:
    """What only a reduction passes: restricted times, and a market that nobody knows."""
    if case.reduces:
        return
    if case.only_reductions is not None:
        yield _no_reduction(case.only_reductions, case)
    if not case.is_usable:
        yield _unusable(case)


def _price(case: Case) -> Iterator[Denial]:
    """A reduction without fresh data has nothing to be measured against."""
    if not case.is_usable:
        return
    price, market = case.price, case.market
    limits, mid, last = market.limits, market.mid, market.last
    fraction = limits.price_collar_fraction
    if abs(price - mid) > fraction * mid:
        yield _collar(_R.PRICE_COLLAR, price, mid, fraction, "mid")
    fraction = limits.last_collar_fraction
    if last is None:
        if not case.reduces:
            yield Denial(_R.LAST_PRICE_COLLAR, "no trade is known yet")
    elif abs(price - last) > fraction * last:
        yield _collar(_R.LAST_PRICE_COLLAR, price, last, fraction, "the last trade")
    total, count = market.prices.total
    fraction = limits.average_collar_fraction
    # Both sides times count, because a quotient would be rounded.
    if abs(price * count - total) > fraction * total:
        yield _collar(_R.AVERAGE_PRICE_COLLAR, price, total / count, fraction, "the average")


def _size(case: Case) -> Iterator[Denial]:
    quantity, notional, limits = case.order.quantity, case.notional, case.market.limits
    lowest = case.instrument.min_notional
    # Without a quote nobody knows what a market order is worth; only a reduction comes so far.
    if notional < lowest and case.price:
        yield Denial(_R.MIN_NOTIONAL, f"notional {notional} below {lowest}", notional, lowest)
    if notional > limits.max_order_notional:
        yield _above(_R.MAX_ORDER_NOTIONAL, "notional", notional, limits.max_order_notional)
    if quantity > limits.max_order_quantity:
        yield _above(_R.MAX_ORDER_QUANTITY, "quantity", quantity, limits.max_order_quantity)
    if not case.reduces:
        limit = limits.max_volume_fraction * case.market.volumes.volume
        if quantity > limit:
            yield _above(_R.MAX_VOLUME, "quantity", quantity, limit)


def _account(case: Case) -> Iterator[Denial]:
    order, portfolio, equity, notional = case.order, case.portfolio, case.equity, case.notional
    if equity is None and not (case.reduces and portfolio.is_opened):
        yield Denial(_R.EQUITY_UNKNOWN, "balances or prices are not known yet")
    if case.is_sell:
        # What is not held cannot be sold; so every sell that passes is a reduction.
        if not case.reduces:
            yield _above(_R.INSUFFICIENT_POSITION, "quantity", order.quantity, case.room)
        return
    market, reserved = case.market, case.reservations.buy_notional
    if equity is not None:
        worst = case.held * market.mid + case.exposure.buy_notional + notional
        limit = market.limits.max_position_fraction * equity
        if worst > limit:
            yield _above(_R.MAX_POSITION, "worst case", worst, limit)
        if not case.reduces:
            worst, limit = (
                portfolio.gross_exposure + reserved + notional,
                case.limits.max_gross_fraction * equity,
            )
            if worst > limit:
                yield _above(_R.MAX_GROSS_EXPOSURE, "worst case", worst, limit)
            worst, limit = (
                portfolio.net_exposure + reserved + notional,
                case.limits.max_net_fraction * equity,
            )
            if worst > limit:
                yield _above(_R.MAX_NET_EXPOSURE, "worst case", worst, limit)
    free = portfolio.cash - reserved
    if notional > free:
        yield _above(_R.INSUFFICIENT_CASH, "notional", notional, free)


def _other_orders(case: Case) -> Iterator[Denial]:
    """Against our own: those that are open, and those that were approved a moment ago."""
    order, exposure, limits = case.order, case.exposure, case.market.limits
    of_symbol, total = exposure.orders + 1, len(case.reservations) + 1
    if of_symbol > limits.max_open_orders:
        what = "open orders of the symbol"
        yield _above(_R.MAX_OPEN_ORDERS, what, of_symbol, limits.max_open_orders)
    elif total > case.limits.max_open_orders:
        yield _above(_R.MAX_OPEN_ORDERS, "open orders", total, case.limits.max_open_orders)
    facing, price = exposure.facing(order.side), order.price
    if facing is not None and (
        price is None or (price <= facing if case.is_sell else price >= facing)
    ):
        detail = f"price {price} would meet our own order at {facing}"
        yield Denial(_R.SELF_MATCH, detail, price, facing)
    sent_ns = case.duplicates.approved_ns(order)
    if sent_ns is not None and case.now_ns - sent_ns < limits.duplicate_ns:
        age, limit = _secs(case.now_ns - sent_ns), _secs(limits.duplicate_ns)
        detail = f"the same order was approved {age:.3f} s ago, less than {limit} s"
        yield Denial(_R.DUPLICATE_ORDER, detail, age, limit)
    if order.reduce_only and not case.reduces:
        yield _no_reduction(_R.REDUCE_ONLY, case)


def _venue(case: Case) -> Iterator[Denial]:
    order, instrument, stops = case.order, case.instrument, 0
    if order.order_type.has_stop and instrument.max_stop_orders is not None:
        symbols = case.reservations.open_orders(order.symbol)
        stops = sum(one.order_type.has_stop for one in symbols)
    broken = broken_rule(
        order,
        instrument,
        average_price=case.market.mid,
        open_orders=case.exposure.orders,
        stop_orders=stops,
        position=case.held + case.exposure.buy_quantity,
    )
    if broken is not None:
        yield Denial(_R.VENUE_RULE, broken)


Section = Callable[[Case], Iterator[Denial]]
SECTIONS: tuple[Section, ...] = (_reductions, _price, _size, _account, _other_orders, _venue)
"""Asked in this order after ``Case.measure``."""


def _no_reduction(reason: DenialReason, case: Case) -> Denial:
    quantity, room = case.order.quantity, case.room
    return Denial(
        reason, f"quantity {quantity} exceeds the {room} that would reduce", quantity, room
    )


def _unusable(case: Case) -> Denial:
    market = case.market
    if not market.is_fresh:
        return Denial(_R.STALE_PRICE, f"feed says {market.status_reason}")
    if market.quoted_ns is None:
        return Denial(_R.STALE_PRICE, "no quote")
    age_ns, limit_ns = case.now_ns - market.quoted_ns, market.limits.quote_stale_ns
    if age_ns > limit_ns:
        age, limit = _secs(age_ns), _secs(limit_ns)
        return Denial(_R.STALE_PRICE, f"quote {age:.3f} s old exceeds {limit} s", age, limit)
    detail = f"bid {market.bid} not below ask {market.ask}"
    return Denial(_R.CROSSED_MARKET, detail, market.bid, market.ask)


def _collar(
    reason: DenialReason, price: Decimal, center: Decimal, fraction: Decimal, name: str
) -> Denial:
    bound = center * (1 + fraction if price > center else 1 - fraction)
    detail = f"price {price} beyond {bound}, which is {fraction} away from {name} {center}"
    return Denial(reason, detail, price, bound)


def _secs(ns: int) -> Decimal:
    return Decimal(ns) / NANOS_PER_SEC


def _above(reason: DenialReason, name: str, value: Decimal | int, limit: Decimal | int) -> Denial:
    return Denial(reason, f"{name} {value} exceeds {limit}", Decimal(value), Decimal(limit))
