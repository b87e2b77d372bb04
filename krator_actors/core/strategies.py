"""What a strategy decides: market data and its standing in, intents out. No order, no size yet.

A strategy has no position of its own: whoever calls it says where it stands. The answer depends
on the bars it was shown and the standing, so the same decision can be taken again after a restart.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from krator_actors.core.indicators import MovingAverage, StreamingEma, StreamingSma
from krator_actors.messages import Bar, OrderEvent, QuoteTick, TradeTick
from krator_actors.model import Instrument, OrderSide, quantize_down

_EMA_WARM_UP_PERIODS = 3
"""After three periods the seed weighs below 2 % in an EMA: ((p - 1) / (p + 1)) ** (2 * p)."""

_SAME_FRACTION = 1e-12
"""Averages closer than this are equal: a sum of 1000 doubles is wrong by up to 1e-13 of itself,
and equal prices must not look like a cross."""


class Standing(enum.Enum):
    """What a strategy holds, as far as it is known."""

    UNKNOWN = "unknown"
    """The position is not known, an order is under way, or the market is not fresh."""
    FLAT = "flat"
    """Nothing that could be sold."""
    LONG = "long"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A decision: go long, or sell everything."""

    side: OrderSide
    cause: str
    """id of the event it was taken on: ``bar:<ts_open>``"""
    price: Decimal
    """the last traded price known when it was taken"""
    fast: float
    slow: float
    ts_event: int
    """event time of the cause, when it was complete"""

    @property
    def leg(self) -> int:
        """0 for an entry, 1 for an exit: two decisions on one cause are two orders."""
        return 0 if self.side is OrderSide.BUY else 1


class Strategy(Protocol):
    """What the strategy actor asks. Each call returns what to do now, usually nothing."""

    @property
    def warm_up_bars(self) -> int:
        """How many bars it must have seen before it can decide on one."""
        ...

    @property
    def is_warm(self) -> bool:
        """True when it has seen them; until then every call returns []."""
        ...

    def on_trade(self, trade: TradeTick, standing: Standing, /) -> list[Intent]:
        """Take one trade."""
        ...

    def on_quote(self, quote: QuoteTick, standing: Standing, /) -> list[Intent]:
        """Take a new best bid and offer."""
        ...

    def on_bar(self, bar: Bar, standing: Standing, /) -> list[Intent]:
        """Take a finished bar; bars come in order of time, each once."""
        ...

    def on_order_event(self, event: OrderEvent, standing: Standing, /) -> list[Intent]:
        """Take what became of an own order; the same event may come twice."""
        ...


class CrossStrategy:
    """Long when the fast average of closes crosses above the slow one, flat when it is below.

    The entry needs the cross itself: a cross that was missed is not bought later. The exit does
    not: while it is long and the fast average is below, it says so on every bar, because a sale
    that was denied, or a cross during an outage, must not leave a position behind.
    """

    def __init__(self, fast: MovingAverage, slow: MovingAverage) -> None:
        self._fast = fast
        self._slow = slow
        # Finite closes seen.
        self._bars = 0
        # 1: fast was above slow at the last bar that could tell; -1: below; 0: never told.
        self._relation = 0

    @property
    def warm_up_bars(self) -> int:
        """Enough for the slow average before the bar that is decided on."""
        return max(self._fast.warm_up, self._slow.warm_up) + 1

    @property
    def is_warm(self) -> bool:
        """True when the averages were known one bar before the newest."""
        return self._bars >= self.warm_up_bars

    def on_trade(self, _trade: TradeTick, _standing: Standing, /) -> list[Intent]:
        """Nothing: it decides on bars."""
        return []

    def on_quote(self, _quote: QuoteTick, _standing: Standing, /) -> list[Intent]:
        """Nothing: it decides on bars."""
        return []

    def on_order_event(self, _event: OrderEvent, _standing: Standing, /) -> list[Intent]:
        """Nothing: its standing tells it all it needs."""
        return []

    def on_bar(self, bar: Bar, standing: Standing, /) -> list[Intent]:
        """Compare the averages at the bar's close."""
        close = float(bar.close)
        fast, slow = self._fast.update(close), self._slow.update(close)
        self._bars += 1
        relation = _relation(fast, slow)
        crossed_above = relation > 0 > self._relation
        # Equal averages (relation 0) keep the side they came from, so touching is not crossing.
        self._relation = relation or self._relation
        if not self.is_warm:
            return []
        if crossed_above and standing is Standing.FLAT:
            return [_intent(OrderSide.BUY, bar, fast, slow)]
        if relation < 0 and standing is Standing.LONG:
            return [_intent(OrderSide.SELL, bar, fast, slow)]
        return []


def make_strategy(kind: Literal["sma_cross", "ema_cross"], *, fast: int, slow: int) -> Strategy:
    """Return a new, cold strategy; ``fast`` and ``slow`` are periods in bars, fast below slow."""
    if fast >= slow:
        raise ValueError(f"fast {fast} must be below slow {slow}")
    if kind == "sma_cross":
        return CrossStrategy(StreamingSma(fast), StreamingSma(slow))
    warm_up = _EMA_WARM_UP_PERIODS * slow
    return CrossStrategy(StreamingEma(fast, warm_up=warm_up), StreamingEma(slow, warm_up=warm_up))


def entry_quantity(notional: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    """Return how much ``notional`` (quote currency) buys at ``price``, in whole lots; 0 for none.

    None is bought when it is below the venue's minimum quantity or minimum value.
    """
    return _tradable(notional / price, price, instrument)


def exit_quantity(position: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    """Return how much of ``position`` (base currency) can be sold at ``price``, in whole lots.

    0 when that is nothing: what a fee left over ("dust") is not a position.
    """
    return _tradable(position, price, instrument) if position > 0 else Decimal(0)


def _tradable(quantity: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    lots = min(quantize_down(quantity, instrument.lot_size), instrument.max_quantity)
    if lots < instrument.min_quantity or lots * price < instrument.min_notional:
        return Decimal(0)
    return lots


def _relation(fast: float, slow: float) -> int:
    difference = fast - slow
    # Also false for a NaN, which is before the warm-up or at a missing close.
    if abs(difference) > _SAME_FRACTION * abs(slow):
        return 1 if difference > 0 else -1
    return 0


def _intent(side: OrderSide, bar: Bar, fast: float, slow: float) -> Intent:
    return Intent(
        side=side,
        cause=f"bar:{bar.ts_open}",
        price=bar.close,
        fast=fast,
        slow=slow,
        ts_event=bar.ts_close,
    )
