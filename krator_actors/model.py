"""The vocabulary: what instruments, prices and orders are called.

Money and quantities are ``Decimal``; times are UTC nanoseconds (``ts_event``: when it happened at
the venue, ``ts_init``: when we first knew of it). A symbol is always ``BASE-QUOTE.VENUE``.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Final

import msgspec

NANOS_PER_SEC = 1_000_000_000
NANOS_PER_MILLI = 1_000_000


class Choice(enum.Enum):
    """An Enum whose members are hashed as objects, because Enum's own hash is a Python function.

    They are keys wherever orders are counted. What is on an order's way has names of its own for
    the members it asks about: until Python 3.12 an Enum takes 0.17 µs to find one.
    """

    __hash__ = object.__hash__


class OrderSide(Choice):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is BUY else -1


BUY: Final = OrderSide.BUY
SELL: Final = OrderSide.SELL


class OrderType(Choice):
    """How an order is priced."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"
    """A market order from the moment at which the last price reaches its stop price."""
    STOP_LIMIT = "STOP_LIMIT"
    """A limit order from that moment on."""

    has_price: bool
    """True when it has a limit price"""
    has_stop: bool
    """True when it waits for its stop price"""

    def __init__(self, value: str) -> None:
        self.has_price = value.endswith("LIMIT")
        self.has_stop = value.startswith("STOP")


class TimeInForce(Choice):
    """How long an order works."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"
    """Until ``SubmitOrder.expires_ns``; Krator cancels it then."""
    DAY = "DAY"
    """Until the end of the UTC day on which it was initialized; Krator cancels it then."""


class OrderStatus(Choice):
    """Where an order is in its life. The transitions are the table in ``core.orders``."""

    INITIALIZED = "INITIALIZED"
    """Logged under its own id; the venue has not heard of it."""
    DENIED = "DENIED"
    """Ours: never sent. Final."""
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    """Sent, and we do not know what became of it. Asked for, never resent."""
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    """The venue's: it did not take it. Final."""
    TRIGGERED = "TRIGGERED"
    """A stop order whose stop price was reached: it works like any other now."""
    PENDING_UPDATE = "PENDING_UPDATE"
    PENDING_CANCEL = "PENDING_CANCEL"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def is_final(self) -> bool:
        """True when nothing but a late fill can happen any more."""
        return self in _FINAL

    @property
    def is_open(self) -> bool:
        """True when it may still change a position: it counts as exposure."""
        return self not in _FINAL


_FINAL = frozenset(
    {
        OrderStatus.DENIED,
        OrderStatus.REJECTED,
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
    }
)


class TradingState(Choice):
    """What risk lets through."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    """Cancels, and orders that make a position smaller."""
    HALTED = "HALTED"
    """Cancels only."""


class PriceBand(msgspec.Struct, frozen=True, kw_only=True):
    """How far a price may be from the venue's average price, as factors of it, for each side."""

    buy_down: Decimal
    buy_up: Decimal
    sell_down: Decimal
    sell_up: Decimal


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """What can be traded and in which steps, from the venue's ``exchangeInfo``.

    None, and 0 for a step, mean that the venue has no such rule.
    """

    symbol: str
    """``BTC-USDT.SIM``"""
    venue_symbol: str
    """``BTCUSDT``"""
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    max_notional: Decimal | None = None
    is_min_notional_for_market: bool = True
    """whether ``min_notional`` holds for market orders as well"""
    is_max_notional_for_market: bool = False
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    price_band: PriceBand | None = None
    market_lot_size: Decimal = Decimal(0)
    market_min_quantity: Decimal = Decimal(0)
    market_max_quantity: Decimal | None = None
    max_open_orders: int | None = None
    max_stop_orders: int | None = None
    """open stop and take-profit orders, of the open ones"""
    max_position: Decimal | None = None
    """of the base asset, open buy orders included"""
    order_types: frozenset[OrderType] | None = None


def symbol_of(base: str, quote: str, venue: str) -> str:
    """Return ``BASE-QUOTE.VENUE``."""
    return f"{base}-{quote}.{venue}"


def venue_symbol_of(symbol: str) -> str:
    """Return what the venue calls it: ``BTC-USDT.SIM`` is ``BTCUSDT``."""
    return symbol.rpartition(".")[0].replace("-", "")


def venue_of(symbol: str) -> str:
    """Return the venue of ``BASE-QUOTE.VENUE``; ValueError when there is none."""
    _, dot, venue = symbol.rpartition(".")
    if not dot or not venue:
        raise ValueError(f"symbol {symbol!r} has no venue; expected BASE-QUOTE.VENUE")
    return venue


def quantize_down(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of ``step`` that is not above ``value`` (both positive)."""
    return (value // step) * step
