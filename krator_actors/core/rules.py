"""Why an order may be denied, and the rules that need only the order and its market. Pure."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import NamedTuple

from krator_actors.messages.market import QuoteTick
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide, OrderType

_TWO = Decimal(2)
_MAX_PRICE_EXPONENT = 15


class DenialReason(enum.StrEnum):
    """What stands in ``OrderDenied.reason`` when risk says no."""

    RISK_RECOVERING = "RISK_RECOVERING"
    """risk has started and has not heard from the order actor yet"""
    TRADING_HALTED = "TRADING_HALTED"
    """a person has halted trading"""
    DAILY_LOSS = "DAILY_LOSS"
    """the day's loss has halted trading"""
    RECONCILIATION = "RECONCILIATION"
    """the venue's account was not what our record says, and that has halted trading"""
    TRADING_REDUCING = "TRADING_REDUCING"
    """only orders that make a position smaller"""
    LOG_FULL = "LOG_FULL"
    """risk's log is past its bound, or cannot be written"""
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    """not configured, or the venue has not told its trading rules yet"""
    VENUE_UNREACHABLE = "VENUE_UNREACHABLE"
    QUANTITY_INVALID = "QUANTITY_INVALID"
    LOT_SIZE = "LOT_SIZE"
    PRICE_INVALID = "PRICE_INVALID"
    """a limit order without a price, a market order with one, or a price that is none"""
    TICK_SIZE = "TICK_SIZE"
    STALE_PRICE = "STALE_PRICE"
    CROSSED_MARKET = "CROSSED_MARKET"
    PRICE_COLLAR = "PRICE_COLLAR"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    MAX_ORDER_NOTIONAL = "MAX_ORDER_NOTIONAL"
    INSUFFICIENT_POSITION = "INSUFFICIENT_POSITION"
    """a sell of more than is held and not being sold already: spot cannot go short"""
    EQUITY_UNKNOWN = "EQUITY_UNKNOWN"
    """no opening balances yet, or a holding without any price"""
    MAX_POSITION = "MAX_POSITION"
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    ORDER_RATE = "ORDER_RATE"
    RISK_RESTARTED = "RISK_RESTARTED"
    """approved by an earlier incarnation of risk, and never begun"""
    LOST_APPROVAL = "LOST_APPROVAL"
    """approved, and lost on the way to the order actor"""


class Denial(NamedTuple):
    """A no, and the fact with both numbers."""

    reason: DenialReason
    detail: str


class Market:
    """What risk knows of one symbol's market."""

    __slots__ = (
        "ask",
        "bid",
        "instrument",
        "is_fresh",
        "mid",
        "quote_ts_init",
        "quoted_ns",
        "status_reason",
    )

    def __init__(self) -> None:
        # None until the venue's trading rules are known.
        self.instrument: Instrument | None = None
        self.bid = Decimal(0)
        self.ask = Decimal(0)
        self.mid = Decimal(0)
        # Monotonic; when the quote came to risk. None: there is no usable quote.
        self.quoted_ns: int | None = None
        # UTC; when the quote came to the feed. Stays when there is no usable quote any more.
        self.quote_ts_init: int | None = None
        # What the feed said last; None before it has said anything.
        self.is_fresh: bool | None = None
        self.status_reason = "nothing yet"

    def take(self, quote: QuoteTick, now_ns: int) -> bool:
        """Take a quote; True when its mid is a price to value positions at.

        One with an empty side leaves no usable quote. A crossed one is kept, for the denial.
        """
        bid, ask = quote.bid, quote.ask
        if not (bid.is_finite() and ask.is_finite() and bid > 0 and ask > 0):
            self.quoted_ns = None
            return False
        self.bid = bid
        self.ask = ask
        self.mid = (bid + ask) / _TWO
        self.quoted_ns = now_ns
        self.quote_ts_init = quote.ts_init
        return bid < ask

    def reference_price(self, order: SubmitOrder) -> Decimal:
        """Return what a unit of ``order`` costs: its limit, or the touch it would trade against."""
        if order.price is not None:
            return order.price
        return self.ask if order.side is OrderSide.BUY else self.bid


def check_instrument(order: SubmitOrder, instrument: Instrument) -> Denial | None:
    """Quantity and price are numbers, in the venue's steps and bounds."""
    quantity, price = order.quantity, order.price
    if not quantity.is_finite() or quantity <= 0:
        return Denial(DenialReason.QUANTITY_INVALID, f"quantity {quantity} is not positive")
    if quantity < instrument.min_quantity:
        return Denial(
            DenialReason.QUANTITY_INVALID, f"quantity {quantity} below {instrument.min_quantity}"
        )
    if quantity > instrument.max_quantity:
        return Denial(
            DenialReason.QUANTITY_INVALID, f"quantity {quantity} exceeds {instrument.max_quantity}"
        )
    if not _is_multiple(quantity, instrument.lot_size):
        return Denial(
            DenialReason.LOT_SIZE, f"quantity {quantity} not in steps of {instrument.lot_size}"
        )
    if price is None:
        if order.order_type is OrderType.LIMIT:
            return Denial(DenialReason.PRICE_INVALID, "limit order without a price")
        return None
    if order.order_type is OrderType.MARKET:
        return Denial(DenialReason.PRICE_INVALID, f"market order with price {price}")
    if not price.is_finite() or price <= 0:
        return Denial(DenialReason.PRICE_INVALID, f"price {price} is not positive")
    if price.adjusted() > _MAX_PRICE_EXPONENT:
        return Denial(DenialReason.PRICE_INVALID, f"price {price:.3E} is beyond arithmetic")
    if not _is_multiple(price, instrument.tick_size):
        return Denial(
            DenialReason.TICK_SIZE, f"price {price} not in steps of {instrument.tick_size}"
        )
    return None


def check_market(
    order: SubmitOrder, market: Market, *, now_ns: int, stale_ns: int, collar: Decimal
) -> Denial | None:
    """There is a fresh, uncrossed quote, and the order's price is near its mid."""
    if not market.is_fresh:
        return Denial(DenialReason.STALE_PRICE, f"feed says {market.status_reason}")
    if market.quoted_ns is None:
        return Denial(DenialReason.STALE_PRICE, "no quote")
    age_ns = now_ns - market.quoted_ns
    if age_ns > stale_ns:
        age, limit = age_ns / NANOS_PER_SEC, stale_ns / NANOS_PER_SEC
        return Denial(DenialReason.STALE_PRICE, f"quote {age:.3f} s old exceeds {limit:.3f} s")
    if market.bid >= market.ask:
        return Denial(DenialReason.CROSSED_MARKET, f"bid {market.bid} not below ask {market.ask}")
    price, mid = market.reference_price(order), market.mid
    if abs(price - mid) > collar * mid:
        return Denial(
            DenialReason.PRICE_COLLAR, f"price {price} further than {collar} of mid {mid} away"
        )
    return None


def _is_multiple(value: Decimal, step: Decimal) -> bool:
    # A venue says 0 where it has no such rule.
    return not step or not value % step
