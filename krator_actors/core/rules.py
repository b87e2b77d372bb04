"""Why an order may be denied, and the rules that need only the order and its instrument. Pure."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import NamedTuple

from krator_actors.messages.orders import OrderDenied, SubmitOrder
from krator_actors.model import Instrument, OrderType

_MAX_PRICE_EXPONENT = 15
_ZERO = Decimal(0)
_LIMIT, _MARKET = OrderType.LIMIT, OrderType.MARKET


class DenialReason(enum.StrEnum):
    """What stands in ``OrderDenied.reason`` when risk says no. docs/RISK.md has the formulas."""

    RISK_RECOVERING = "RISK_RECOVERING"
    """risk has started and has not heard from the order actor yet"""
    TRADING_HALTED = "TRADING_HALTED"
    """a person has halted trading; of the system, a venue, a symbol or a strategy"""
    DAILY_LOSS = "DAILY_LOSS"
    """the day's loss has halted trading"""
    DRAWDOWN = "DRAWDOWN"
    """the loss since the highest equity has halted trading"""
    RECONCILIATION = "RECONCILIATION"
    """the venue's account was not what our record says, and that has halted trading"""
    EXECUTION_THROTTLE = "EXECUTION_THROTTLE"
    """a strategy has traded so often that it is halted"""
    VOLATILITY = "VOLATILITY"
    """a symbol's price has moved so far in a time that it is halted"""
    PRICE_GAP = "PRICE_GAP"
    """a symbol's price has jumped so far that it is halted"""
    VENUE_UNREACHABLE = "VENUE_UNREACHABLE"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    """not configured, or the venue has not told its trading rules yet"""
    NO_LIMIT = "NO_LIMIT"
    """a symbol without limits is blocked, not free"""
    NO_PERMISSION = "NO_PERMISSION"
    """this strategy may not trade this symbol"""
    RESTRICTED_SYMBOL = "RESTRICTED_SYMBOL"
    OUTSIDE_TRADING_HOURS = "OUTSIDE_TRADING_HOURS"
    QUANTITY_INVALID = "QUANTITY_INVALID"
    LOT_SIZE = "LOT_SIZE"
    PRICE_INVALID = "PRICE_INVALID"
    """a limit order without a price, a market order with one, or a price that is none"""
    TICK_SIZE = "TICK_SIZE"
    TRADING_REDUCING = "TRADING_REDUCING"
    """only orders that make a position smaller"""
    LOG_FULL = "LOG_FULL"
    """risk's log is past its bound, or cannot be written"""
    POSITIONS_STALE = "POSITIONS_STALE"
    """events of the order actor are missing: what is held is not known for sure"""
    STALE_PRICE = "STALE_PRICE"
    CROSSED_MARKET = "CROSSED_MARKET"
    PRICE_COLLAR = "PRICE_COLLAR"
    """too far from the mid"""
    LAST_PRICE_COLLAR = "LAST_PRICE_COLLAR"
    """too far from the last trade"""
    AVERAGE_PRICE_COLLAR = "AVERAGE_PRICE_COLLAR"
    """too far from the average of a time"""
    MIN_NOTIONAL = "MIN_NOTIONAL"
    MAX_ORDER_NOTIONAL = "MAX_ORDER_NOTIONAL"
    MAX_ORDER_QUANTITY = "MAX_ORDER_QUANTITY"
    MAX_VOLUME = "MAX_VOLUME"
    """fat finger: more than the market has traded lately"""
    EQUITY_UNKNOWN = "EQUITY_UNKNOWN"
    """no opening balances yet, or a holding without any price"""
    INSUFFICIENT_POSITION = "INSUFFICIENT_POSITION"
    """a sell of more than is held and not being sold already: spot cannot go short"""
    MAX_POSITION = "MAX_POSITION"
    MAX_GROSS_EXPOSURE = "MAX_GROSS_EXPOSURE"
    MAX_NET_EXPOSURE = "MAX_NET_EXPOSURE"
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    MAX_OPEN_ORDERS = "MAX_OPEN_ORDERS"
    SELF_MATCH = "SELF_MATCH"
    """it could trade against an open order of our own"""
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    """the same order, from another cause, a moment after the first"""
    REDUCE_ONLY = "REDUCE_ONLY"
    """a reduce-only order that would not only reduce"""
    VENUE_RULE = "VENUE_RULE"
    """the venue would refuse it: a filter of its own, or terms that do not fit the order's type"""
    ORDER_RATE = "ORDER_RATE"
    MESSAGE_RATE = "MESSAGE_RATE"
    RISK_RESTARTED = "RISK_RESTARTED"
    """approved by an earlier incarnation of risk, and never begun"""
    LOST_APPROVAL = "LOST_APPROVAL"
    """approved, and lost on the way to the order actor"""


class Denial(NamedTuple):
    """A no, and the fact with both numbers."""

    reason: DenialReason
    detail: str
    value: Decimal | None = None
    """what was compared; None where there is no number"""
    limit: Decimal | None = None
    """what it was compared with"""


def deny(order: SubmitOrder, denial: Denial, utc_ns: int) -> OrderDenied:
    """Return the denial of ``order``."""
    return OrderDenied(
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        reason=denial.reason.value,
        detail=denial.detail,
        value=denial.value,
        limit=denial.limit,
        ts_event=utc_ns,
    )


def check_instrument(order: SubmitOrder, instrument: Instrument) -> Denial | None:
    """Quantity and price are numbers, in the venue's steps and bounds."""
    quantity, price = order.quantity, order.price
    if not quantity.is_finite() or quantity <= _ZERO:
        return Denial(DenialReason.QUANTITY_INVALID, f"quantity {quantity} is not positive")
    lowest, highest, lot = instrument.min_quantity, instrument.max_quantity, instrument.lot_size
    if quantity < lowest:
        detail = f"quantity {quantity} below {lowest}"
        return Denial(DenialReason.QUANTITY_INVALID, detail, quantity, lowest)
    if quantity > highest:
        detail = f"quantity {quantity} exceeds {highest}"
        return Denial(DenialReason.QUANTITY_INVALID, detail, quantity, highest)
    # A venue says 0 where it has no such rule.
    if lot and quantity % lot:
        detail = f"quantity {quantity} not in steps of {lot}"
        return Denial(DenialReason.LOT_SIZE, detail, quantity, lot)
    if price is None:
        if order.order_type is _LIMIT:
            return Denial(DenialReason.PRICE_INVALID, "limit order without a price")
    elif order.order_type is _MARKET:
        return Denial(DenialReason.PRICE_INVALID, f"market order with price {price}")
    denial = None if price is None else _check_price(price, instrument.tick_size)
    if denial is None and order.stop_price is not None:
        denial = _check_price(order.stop_price, instrument.tick_size)
    return denial


def _check_price(price: Decimal, tick: Decimal) -> Denial | None:
    if not price.is_finite() or price <= _ZERO:
        return Denial(DenialReason.PRICE_INVALID, f"price {price} is not positive")
    if price.adjusted() > _MAX_PRICE_EXPONENT:
        return Denial(DenialReason.PRICE_INVALID, f"price {price:.3E} is beyond arithmetic")
    if tick and price % tick:
        detail = f"price {price} not in steps of {tick}"
        return Denial(DenialReason.TICK_SIZE, detail, price, tick)
    return None
