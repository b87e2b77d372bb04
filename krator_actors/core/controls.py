"""The controls that an order passes, each a function, in the order in which they are asked. Pure.

The worst case of a symbol is that every open order on the same side trades in full. docs/RISK.md
says every formula again, for whoever checks them.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from krator_actors.core.duplicates import Duplicates
from krator_actors.core.limits import RiskLimits, SymbolLimits
from krator_actors.core.market import Market
from krator_actors.core.positions import Portfolio
from krator_actors.core.reservations import Reservations
from krator_actors.core.rules import Denial, DenialReason, check_instrument
from krator_actors.core.trading_hours import is_open
from krator_actors.core.venue_rules import broken_rule
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import NANOS_PER_SEC, OrderSide

_ZERO = Decimal(0)
_R = DenialReason


class Case:
    """One order, and what it is judged against. ``measure`` comes after the order's form is known.

    ``only_reductions`` is why nothing but a reduction may pass now; None: anything may.
    """

    __slots__ = (
        "duplicates",
        "equity",
        "exposure",
        "held",
        "is_usable",
        "limits",
        "market",
        "notional",
        "now_ns",
        "only_reductions",
        "order",
        "portfolio",
        "price",
        "reduces",
        "reservations",
        "symbol_limits",
        "utc_ns",
    )

    def __init__(
        self,
        order: SubmitOrder,
        *,
        market: Market,
        limits: RiskLimits,
        symbol_limits: SymbolLimits,
        portfolio: Portfolio,
        reservations: Reservations,
        duplicates: Duplicates,
        only_reductions: DenialReason | None,
        now_ns: int,
        utc_ns: int,
    ) -> None:
        self.order = order
        self.market = market
        self.limits = limits
        self.symbol_limits = symbol_limits
        self.portfolio = portfolio
        self.reservations = reservations
        self.duplicates = duplicates
        self.only_reductions = only_reductions
        self.now_ns = now_ns
        self.utc_ns = utc_ns
        self.exposure = reservations.exposure(order.symbol)
        self.held = portfolio.position(order.symbol).quantity
        self.equity = portfolio.equity
        self.price = self.notional = _ZERO
        self.reduces = self.is_usable = False

    def measure(self) -> None:
        """Compute what a well-formed order is worth, and whether it makes the position smaller."""
        order = self.order
        self.price = self.market.reference_price(order)
        self.notional = order.quantity * self.price
        self.reduces = order.quantity <= self.room
        self.is_usable = self.market.is_usable(self.now_ns, self.symbol_limits.quote_stale_ns)

    @property
    def room(self) -> Decimal:
        """How much would reduce, even if every open order on the same side trades before."""
        if self.order.side is OrderSide.SELL:
            return self.held - self.exposure.sell_quantity
        return -self.held - self.exposure.buy_quantity


Control = Callable[[Case], Denial | None]


# -- before the order's numbers are used -----------------------------------------------------------


def _restricted_symbol(case: Case) -> Denial | None:
    symbol = case.order.symbol
    if symbol not in case.limits.restricted:
        return None
    return Denial(_R.RESTRICTED_SYMBOL, f"{symbol} is in risk.restricted_symbols")


def _trading_hours(case: Case) -> Denial | None:
    if is_open(case.symbol_limits.trading_hours, case.utc_ns):
        return None
    return Denial(_R.OUTSIDE_TRADING_HOURS, f"{case.order.symbol} is not traded at this time")


def _form(case: Case) -> Denial | None:
    instrument = case.market.instrument
    assert instrument is not None
    return check_instrument(case.order, instrument)


# -- only reductions -------------------------------------------------------------------------------


def _reductions_only(case: Case) -> Denial | None:
    if case.only_reductions is None or case.reduces:
        return None
    quantity, room = case.order.quantity, case.room
    detail = f"quantity {quantity} exceeds the {room} that would reduce"
    return Denial(case.only_reductions, detail, quantity, room)


def _market_data(case: Case) -> Denial | None:
    """A reduction passes without fresh data."""
    if case.is_usable or case.reduces:
        return None
    market = case.market
    if not market.is_fresh:
        return Denial(_R.STALE_PRICE, f"feed says {market.status_reason}")
    if market.quoted_ns is None:
        return Denial(_R.STALE_PRICE, "no quote")
    age_ns, limit_ns = case.now_ns - market.quoted_ns, case.symbol_limits.quote_stale_ns
    if age_ns > limit_ns:
        age, limit = _secs(age_ns), _secs(limit_ns)
        return Denial(_R.STALE_PRICE, f"quote {age:.3f} s old exceeds {limit} s", age, limit)
    detail = f"bid {market.bid} not below ask {market.ask}"
    return Denial(_R.CROSSED_MARKET, detail, market.bid, market.ask)


# -- the price; a reduction without fresh data has nothing to be measured against ------------------


def _mid_collar(case: Case) -> Denial | None:
    mid, fraction = case.market.mid, case.symbol_limits.price_collar_fraction
    if not case.is_usable or abs(case.price - mid) <= fraction * mid:
        return None
    return _collar(_R.PRICE_COLLAR, case.price, mid, fraction, "mid")


def _last_collar(case: Case) -> Denial | None:
    last, fraction = case.market.last, case.symbol_limits.last_collar_fraction
    if not case.is_usable:
        return None
    if last is None:
        return None if case.reduces else Denial(_R.LAST_PRICE_COLLAR, "no trade is known yet")
    if abs(case.price - last) <= fraction * last:
        return None
    return _collar(_R.LAST_PRICE_COLLAR, case.price, last, fraction, "the last trade")


def _average_collar(case: Case) -> Denial | None:
    if not case.is_usable:
        return None
    total, count = case.market.prices.total
    fraction = case.symbol_limits.average_collar_fraction
    # Both sides times count, because a quotient would be rounded.
    if abs(case.price * count - total) <= fraction * total:
        return None
    return _collar(_R.AVERAGE_PRICE_COLLAR, case.price, total / count, fraction, "the average")


def _collar(
    reason: DenialReason, price: Decimal, center: Decimal, fraction: Decimal, name: str
) -> Denial:
    bound = center * (1 + fraction if price > center else 1 - fraction)
    detail = f"price {price} beyond {bound}, which is {fraction} away from {name} {center}"
    return Denial(reason, detail, price, bound)


# -- the size --------------------------------------------------------------------------------------


def _min_notional(case: Case) -> Denial | None:
    assert case.market.instrument is not None
    lowest = case.market.instrument.min_notional
    # Without a quote nobody knows what a market order is worth; only a reduction comes so far.
    if case.notional >= lowest or not case.price:
        return None
    detail = f"notional {case.notional} below {lowest}"
    return Denial(_R.MIN_NOTIONAL, detail, case.notional, lowest)


def _max_notional(case: Case) -> Denial | None:
    limit = case.symbol_limits.max_order_notional
    return _above(_R.MAX_ORDER_NOTIONAL, "notional", case.notional, limit)


def _max_quantity(case: Case) -> Denial | None:
    limit = case.symbol_limits.max_order_quantity
    return _above(_R.MAX_ORDER_QUANTITY, "quantity", case.order.quantity, limit)


def _max_volume(case: Case) -> Denial | None:
    if case.reduces:
        return None
    limit = case.symbol_limits.max_volume_fraction * case.market.volumes.volume
    return _above(_R.MAX_VOLUME, "quantity", case.order.quantity, limit)


# -- the account -----------------------------------------------------------------------------------


def _equity_known(case: Case) -> Denial | None:
    if case.equity is not None or (case.reduces and case.portfolio.is_opened):
        return None
    return Denial(_R.EQUITY_UNKNOWN, "balances or prices are not known yet")


def _sufficient_position(case: Case) -> Denial | None:
    if case.order.side is OrderSide.BUY or case.reduces:
        return None
    return _above(_R.INSUFFICIENT_POSITION, "quantity", case.order.quantity, case.room)


def _max_position(case: Case) -> Denial | None:
    """A sell is not judged, because it reduces: what is not held cannot be sold."""
    if case.order.side is OrderSide.SELL or case.equity is None:
        return None
    worst = case.held * case.market.mid + case.exposure.buy_notional + case.notional
    limit = case.symbol_limits.max_position_fraction * case.equity
    return _above(_R.MAX_POSITION, "worst case", worst, limit)


def _max_gross(case: Case) -> Denial | None:
    if case.reduces or case.equity is None:
        return None
    worst = case.portfolio.gross_exposure + case.reservations.buy_notional + case.notional
    limit = case.limits.max_gross_fraction * case.equity
    return _above(_R.MAX_GROSS_EXPOSURE, "worst case", worst, limit)


def _max_net(case: Case) -> Denial | None:
    if case.reduces or case.equity is None:
        return None
    worst = case.portfolio.net_exposure + case.reservations.buy_notional + case.notional
    limit = case.limits.max_net_fraction * case.equity
    return _above(_R.MAX_NET_EXPOSURE, "worst case", worst, limit)


def _sufficient_cash(case: Case) -> Denial | None:
    if case.order.side is OrderSide.SELL:
        return None
    free = case.portfolio.cash - case.reservations.buy_notional
    return _above(_R.INSUFFICIENT_CASH, "notional", case.notional, free)


# -- our other orders ------------------------------------------------------------------------------


def _max_open_orders(case: Case) -> Denial | None:
    of_symbol, total = case.exposure.orders + 1, len(case.reservations) + 1
    if of_symbol > case.symbol_limits.max_open_orders:
        limit = case.symbol_limits.max_open_orders
        return _above(_R.MAX_OPEN_ORDERS, "open orders of the symbol", of_symbol, limit)
    return _above(_R.MAX_OPEN_ORDERS, "open orders", total, case.limits.max_open_orders)


def _self_match(case: Case) -> Denial | None:
    order = case.order
    facing = case.exposure.facing(order.side)
    if facing is None:
        return None
    price = order.price
    if price is not None and (price < facing if order.side is OrderSide.BUY else price > facing):
        return None
    detail = f"price {price} would meet our own order at {facing}"
    return Denial(_R.SELF_MATCH, detail, price, facing)


def _duplicate_order(case: Case) -> Denial | None:
    sent_ns = case.duplicates.approved_ns(case.order)
    if sent_ns is None:
        return None
    age_ns, limit_ns = case.now_ns - sent_ns, case.symbol_limits.duplicate_ns
    if age_ns >= limit_ns:
        return None
    age, limit = _secs(age_ns), _secs(limit_ns)
    detail = f"the same order was approved {age:.3f} s ago, less than {limit} s"
    return Denial(_R.DUPLICATE_ORDER, detail, age, limit)


def _reduce_only(case: Case) -> Denial | None:
    if not case.order.reduce_only or case.reduces:
        return None
    quantity, room = case.order.quantity, case.room
    detail = f"quantity {quantity} exceeds the {room} that would reduce"
    return Denial(_R.REDUCE_ONLY, detail, quantity, room)


def _venue_rule(case: Case) -> Denial | None:
    order, instrument = case.order, case.market.instrument
    assert instrument is not None
    stops = 0
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
    return None if broken is None else Denial(_R.VENUE_RULE, broken)


BEFORE: tuple[Control, ...] = (_restricted_symbol, _trading_hours, _form)
CONTROLS: tuple[Control, ...] = (
    _reductions_only,
    _market_data,
    _mid_collar,
    _last_collar,
    _average_collar,
    _min_notional,
    _max_notional,
    _max_quantity,
    _max_volume,
    _equity_known,
    _sufficient_position,
    _max_position,
    _max_gross,
    _max_net,
    _sufficient_cash,
    _max_open_orders,
    _self_match,
    _duplicate_order,
    _reduce_only,
    _venue_rule,
)
"""Asked in this order after ``Case.measure``; the first no that is not overridden stands."""


def _secs(ns: int) -> Decimal:
    return Decimal(ns) / NANOS_PER_SEC


def _above(
    reason: DenialReason, name: str, value: Decimal | int, limit: Decimal | int
) -> Denial | None:
    if value <= limit:
        return None
    return Denial(reason, f"{name} {value} exceeds {limit}", Decimal(value), Decimal(limit))
