"""Following a trend: long from the cross of two moving averages to the cross back."""

from __future__ import annotations

import math

from krator_actors.core.indicators import MovingAverage, StreamingEma, StreamingSma
from krator_actors.core.strategies import (
    Intent,
    Standing,
    Strategy,
    cause_of,
    readings,
    side_of,
)
from krator_actors.messages.market import Bar
from krator_actors.model import OrderSide

_EMA_WARM_UP_PERIODS = 3
"""After three periods the seed weighs below 2 % in an EMA: ((p - 1) / (p + 1)) ** (2 * p)."""


class CrossStrategy(Strategy):
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

    def on_bar(self, bar: Bar, standing: Standing, /) -> list[Intent]:
        """Compare the averages at the bar's close."""
        close = float(bar.close)
        fast, slow = self._fast.update(close), self._slow.update(close)
        self._bars += math.isfinite(close)
        relation = side_of(fast, slow)
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


def sma_cross(*, fast: int, slow: int) -> CrossStrategy:
    """Return a cold cross of simple averages; periods in bars, ``fast`` below ``slow``."""
    _check_order(fast, slow)
    return CrossStrategy(StreamingSma(fast), StreamingSma(slow))


def ema_cross(*, fast: int, slow: int) -> CrossStrategy:
    """Return a cold cross of exponential averages; periods in bars, ``fast`` below ``slow``."""
    _check_order(fast, slow)
    warm_up = _EMA_WARM_UP_PERIODS * slow
    return CrossStrategy(StreamingEma(fast, warm_up=warm_up), StreamingEma(slow, warm_up=warm_up))


def _check_order(fast: int, slow: int) -> None:
    if fast >= slow:
        raise ValueError(f"fast {fast} must be below slow {slow}")


def _intent(side: OrderSide, bar: Bar, fast: float, slow: float) -> Intent:
    return Intent(
        side=side,
        cause=cause_of(bar),
        price=bar.close,
        readings=readings(fast=fast, slow=slow),
        ts_event=bar.ts_close,
    )
