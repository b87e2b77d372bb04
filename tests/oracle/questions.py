"""The questions of docs/RISK.md, in their order: the first *no* is the reason."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderType, TradingState
from tests.oracle.market import Market
from tests.oracle.oracle import Oracle, key_of
from tests.oracle.venue_rules import is_refused_by_venue

SEC = 1_000_000_000
BUY = OrderSide.BUY
MINUTES_OF_WEEK = 7 * 24 * 60
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
OVERRIDABLE = frozenset(
    {
        "RESTRICTED_SYMBOL",
        "OUTSIDE_TRADING_HOURS",
        "PRICE_COLLAR",
        "LAST_PRICE_COLLAR",
        "AVERAGE_PRICE_COLLAR",
        "MAX_ORDER_NOTIONAL",
        "MAX_ORDER_QUANTITY",
        "MAX_VOLUME",
        "MAX_POSITION",
        "MAX_OPEN_ORDERS",
        "DUPLICATE_ORDER",
    }
)


class No(NamedTuple):
    """A denial."""

    reason: str
    value: Decimal | None = None
    limit: Decimal | None = None


def judge(oracle: Oracle, order: SubmitOrder, now: int, utc: int) -> No | None:
    """Return the first question's no that is not overridden; None: the order may be sent."""
    if order.client_order_id in oracle.known:
        return No("DuplicateRefused")
    for no in questions(oracle, order, now, utc):
        if no.reason in OVERRIDABLE and oracle.states.is_overridden(no.reason, order.symbol, utc):
            continue
        return no
    return None


def price_of(oracle: Oracle, order: SubmitOrder) -> Decimal | None:
    """Return ``P``; None: a market order without a quote."""
    if order.price is not None or order.stop_price is not None:
        return order.stop_price if order.price is None else order.price
    touch = oracle.markets[order.symbol].touch
    if touch is None:
        return None
    return touch[1] if order.side is BUY else touch[0]


def questions(oracle: Oracle, order: SubmitOrder, now: int, utc: int) -> Iterator[No]:
    symbol, quantity = order.symbol, order.quantity
    if not oracle.is_recovered:
        yield No("RISK_RECOVERING")
    state, code = oracle.states.strictest(symbol, order.strategy)
    if state is TradingState.HALTED:
        yield No(code)
    if not oracle.is_reachable:
        yield No("VENUE_UNREACHABLE")
    if symbol not in oracle.symbols:
        yield No("UNKNOWN_SYMBOL")
    limits = oracle.limits.get(symbol)
    if limits is None:
        yield No("NO_LIMIT")
        return
    if symbol not in oracle.permissions.get(order.strategy, ()):
        yield No("NO_PERMISSION")
    if symbol not in oracle.instruments:
        yield No("UNKNOWN_SYMBOL")
        return
    if symbol in oracle.account["restricted_symbols"]:
        yield No("RESTRICTED_SYMBOL")
    if not is_within_hours(limits["trading_hours"], utc):
        yield No("OUTSIDE_TRADING_HOURS")
    for no in form(oracle, order):
        yield no
        return
    reducible = oracle.reducible(symbol, order.side)
    if quantity > reducible:
        if state is TradingState.REDUCING:
            yield No("TRADING_REDUCING", quantity, reducible)
        if oracle.is_log_full:
            yield No("LOG_FULL", quantity, reducible)
        if not oracle.are_positions_current or oracle.unpriced():
            yield No("POSITIONS_STALE", quantity, reducible)
    yield from prices(
        oracle.markets[symbol], order, now, limits, is_reduction=quantity <= reducible
    )
    price = price_of(oracle, order)
    yield from sizes(oracle, order, price, limits, is_reduction=quantity <= reducible)
    yield from exposure(oracle, order, price, limits)
    yield from others(oracle, order, now, limits)


def is_within_hours(windows: list[str], utc: int) -> bool:
    # Thursday, 1970-01-01: the fourth day of a week.
    minute = (utc // (60 * SEC) + 3 * 24 * 60) % MINUTES_OF_WEEK
    for window in windows:
        if window == "always":
            return True
        start, end = (
            DAYS.index(day) * 1440 + int(time[:2]) * 60 + int(time[3:])
            for day, time in (edge.split() for edge in window.split("-"))
        )
        if start <= minute < end:
            return True
    return False


def form(oracle: Oracle, order: SubmitOrder) -> Iterator[No]:
    rules, quantity, price = oracle.instruments[order.symbol], order.quantity, order.price
    if not quantity.is_finite() or quantity <= 0:
        yield No("QUANTITY_INVALID")
    elif quantity < rules.min_quantity:
        yield No("QUANTITY_INVALID", quantity, rules.min_quantity)
    elif quantity > rules.max_quantity:
        yield No("QUANTITY_INVALID", quantity, rules.max_quantity)
    elif rules.lot_size != 0 and quantity % rules.lot_size != 0:
        yield No("LOT_SIZE", quantity, rules.lot_size)
    if order.order_type is (OrderType.LIMIT if price is None else OrderType.MARKET):
        yield No("PRICE_INVALID")
    for price in (order.price, order.stop_price):
        if price is None:
            continue
        if not price.is_finite() or price <= 0 or price >= Decimal("1e16"):
            yield No("PRICE_INVALID")
        elif rules.tick_size != 0 and price % rules.tick_size != 0:
            yield No("TICK_SIZE", price, rules.tick_size)


def prices(
    market: Market, order: SubmitOrder, now: int, limits: Any, *, is_reduction: bool
) -> Iterator[No]:
    if not market.is_usable(now):
        if is_reduction:
            return
        if not market.is_fresh or market.quote is None:
            yield No("STALE_PRICE")
        elif market.is_stale(now):
            age = Decimal(now - market.quote[2]) / SEC
            yield No("STALE_PRICE", age, Decimal(str(limits["quote_stale_secs"])))
        else:
            yield No("CROSSED_MARKET", market.quote[0], market.quote[1])
    assert market.quote is not None
    assert market.mid is not None
    price = order.stop_price if order.price is None else order.price
    if price is None:
        price = market.quote[1] if order.side is BUY else market.quote[0]
    yield from collar("PRICE_COLLAR", price, market.mid, limits["price_collar_fraction"])
    if market.last is not None:
        yield from collar("LAST_PRICE_COLLAR", price, market.last, limits["last_collar_fraction"])
    elif not is_reduction:
        yield No("LAST_PRICE_COLLAR")
    count, total = len(market.mids), sum(market.mids.values(), Decimal(0))
    fraction = Decimal(limits["average_collar_fraction"])
    if abs(price * count - total) > fraction * total:
        sign = 1 if price * count > total else -1
        yield No("AVERAGE_PRICE_COLLAR", price, total / count * (1 + sign * fraction))


def collar(reason: str, price: Decimal, middle: Decimal, share: str) -> Iterator[No]:
    fraction = Decimal(share)
    if abs(price - middle) > fraction * middle:
        sign = 1 if price > middle else -1
        yield No(reason, price, middle * (1 + sign * fraction))


def sizes(
    oracle: Oracle, order: SubmitOrder, price: Decimal | None, limits: Any, *, is_reduction: bool
) -> Iterator[No]:
    rules, quantity = oracle.instruments[order.symbol], order.quantity
    if price is not None:
        notional = quantity * price
        if notional < rules.min_notional:
            yield No("MIN_NOTIONAL", notional, rules.min_notional)
        if notional > Decimal(limits["max_order_notional"]):
            yield No("MAX_ORDER_NOTIONAL", notional, Decimal(limits["max_order_notional"]))
    if quantity > Decimal(limits["max_order_quantity"]):
        yield No("MAX_ORDER_QUANTITY", quantity, Decimal(limits["max_order_quantity"]))
    volume = Decimal(limits["max_volume_fraction"]) * oracle.markets[order.symbol].traded
    if not is_reduction and quantity > volume:
        yield No("MAX_VOLUME", quantity, volume)


def exposure(
    oracle: Oracle, order: SubmitOrder, price: Decimal | None, limits: Any
) -> Iterator[No]:
    symbol, account = order.symbol, oracle.account
    reducible = oracle.reducible(symbol, order.side)
    is_reduction = order.quantity <= reducible
    equity = oracle.equity()
    if equity is None and not (is_reduction and oracle.is_opened):
        yield No("EQUITY_UNKNOWN")
    if order.side is not BUY and not is_reduction:
        yield No("INSUFFICIENT_POSITION", order.quantity, reducible)
    notional = order.quantity * (price or Decimal(0))
    reserved = oracle.reserved()
    if equity is not None:
        mid = oracle.markets[symbol].mid or Decimal(0)
        if order.side is BUY:
            left = oracle.held_of(symbol) * mid + oracle.reserved(symbol) + notional
            if left > Decimal(limits["max_position_fraction"]) * equity:
                yield No("MAX_POSITION", left, Decimal(limits["max_position_fraction"]) * equity)
        values = oracle.values()
        assert values is not None
        gross = sum(map(abs, values), Decimal(0)) + reserved + notional
        if not is_reduction and gross > Decimal(account["max_gross_fraction"]) * equity:
            yield No("MAX_GROSS_EXPOSURE", gross, Decimal(account["max_gross_fraction"]) * equity)
        net = sum(values, Decimal(0)) + reserved + notional
        if not is_reduction and net > Decimal(account["max_net_fraction"]) * equity:
            yield No("MAX_NET_EXPOSURE", net, Decimal(account["max_net_fraction"]) * equity)
    if order.side is BUY and notional > oracle.cash - reserved:
        yield No("INSUFFICIENT_CASH", notional, oracle.cash - reserved)


def others(oracle: Oracle, order: SubmitOrder, now: int, limits: Any) -> Iterator[No]:
    """Ask what depends on our other orders."""
    ours = [o for o in oracle.open.values() if o.symbol == order.symbol]
    for count, most in (
        (len(ours), limits["max_symbol_open_orders"]),
        (len(oracle.open), oracle.account["max_open_orders"]),
    ):
        if count + 1 > most:
            yield No("MAX_OPEN_ORDERS", Decimal(count + 1), Decimal(most))
            break
    yield from self_match(ours, order)
    same = [s.at for s in oracle.sent if s.key == key_of(order)]
    if same and now - max(same) < int(limits["duplicate_secs"] * SEC):
        age = Decimal(now - max(same)) / SEC
        yield No("DUPLICATE_ORDER", age, Decimal(str(limits["duplicate_secs"])))
    reducible = oracle.reducible(order.symbol, order.side)
    if order.reduce_only and order.quantity > reducible:
        yield No("REDUCE_ONLY", order.quantity, reducible)
    if is_refused_by_venue(oracle, order, ours):
        yield No("VENUE_RULE")
    recent = [s for s in oracle.sent if now - s.at < SEC]
    for what, sent in (("ORDER", [s for s in recent if s.key is not None]), ("MESSAGE", recent)):
        word = f"{what.lower()}s_per_sec"
        for count, most in (
            (len(sent), oracle.account[f"max_{word}"]),
            (sum(s.sender == order.strategy for s in sent), oracle.account[f"max_strategy_{word}"]),
            (sum(s.symbol == order.symbol for s in sent), limits[f"max_symbol_{word}"]),
        ):
            if count >= most:
                yield No(f"{what}_RATE", Decimal(most + 1), Decimal(most))


def self_match(ours: list[Any], order: SubmitOrder) -> Iterator[No]:
    against = [o.price for o in ours if o.side is not order.side and o.is_in_book]
    if not against:
        return
    if order.side is BUY:
        first = min(Decimal(0) if price is None else price for price in against)
        meets = order.price is None or first <= order.price
    else:
        first = max(Decimal("Infinity") if price is None else price for price in against)
        meets = order.price is None or first >= order.price
    if meets:
        yield No("SELF_MATCH", order.price, first)
