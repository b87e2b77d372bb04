"""How far prices swing: average true range and Bollinger bands."""

from __future__ import annotations

import math
from collections import deque
from typing import Generic, NamedTuple, TypeVar

from krator_actors.core.indicators.averages import SeededAverage
from krator_actors.core.indicators.series import (
    MISSING,
    FloatArray,
    PresentRows,
    checked_period,
    checked_warm_up,
)
from krator_actors.core.indicators.ta_lib import talib

_Form = TypeVar("_Form", FloatArray, float)


class Bands(NamedTuple, Generic[_Form]):
    """Arrays from the batch form, numbers from the streaming one; in the currency of the price."""

    lower: _Form
    middle: _Form
    upper: _Form


def atr(
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    period: int,
    *,
    warm_up: int | None = None,
) -> FloatArray:
    """Return the average true range in the currency of the price, as long as ``close``.

    The true range of a bar is ``max(high - low, |high - before|, |low - before|)``, ``before`` the
    close of the bar before; the first bar has none. Wilder's average of it is seeded with the mean
    of the first ``period``. The first ``warm_up - 1`` outputs are NaN; ``warm_up`` is
    ``period + 1`` or more.
    """
    warm_up = checked_warm_up(warm_up, seeded_after=checked_period(period) + 1)
    rows = PresentRows(high, low, close)
    highs, lows, closes = rows.columns
    return rows.spread(talib.ATR(highs, lows, closes, period), warm_up=warm_up)


def bollinger(values: FloatArray, period: int, *, deviations: float) -> Bands[FloatArray]:
    """Return Bollinger bands, each as long as ``values``; NaN for the first ``period - 1``.

    The middle is the simple average, the bands are ``deviations`` standard deviations (of the
    window as a whole population) away from it. TA-Lib keeps running sums of squares, here of the
    distances from the first value: a band can be wrong by 1e-7 of the largest of those.
    """
    checked_period(period)
    rows = PresentRows(values)
    (present,) = rows.columns
    distance = present - present[:1]
    width = talib.STDDEV(distance, period, deviations)
    middle = talib.SMA(distance, period) + present[:1]
    return Bands(
        *(rows.spread(a, warm_up=period) for a in (middle - width, middle, middle + width))
    )


class StreamingAtr:
    """An average true range, bar by bar: the same recursion and seed as ``atr``."""

    def __init__(self, period: int, *, warm_up: int | None = None) -> None:
        """``period`` is at least 2 and ``warm_up`` above it, else ValueError."""
        self.warm_up = checked_warm_up(warm_up, seeded_after=checked_period(period) + 1)
        self._average = SeededAverage(period, alpha=1.0 / period)
        # The close of the newest bar that was not missing; NaN before the first.
        self._before = MISSING
        # Such bars seen.
        self._count = 0

    def update(self, high: float, low: float, close: float) -> float:
        """Take one bar; NaN until ``warm_up`` are in, and NaN for one that misses a value."""
        if not (math.isfinite(high) and math.isfinite(low) and math.isfinite(close)):
            return MISSING
        before, self._before = self._before, close
        self._count += 1
        if self._count == 1:
            return MISSING
        average = self._average.update(max(high - low, abs(high - before), abs(low - before)))
        return average if self._count >= self.warm_up else MISSING


class StreamingBollinger:
    """Bollinger bands, bar by bar, from exact sums over the last ``period`` values only."""

    def __init__(self, period: int, *, deviations: float) -> None:
        """``period`` is at least 2, else ValueError."""
        self.warm_up = checked_period(period)
        self._deviations = deviations
        # The newest finite values, oldest first.
        self._window: deque[float] = deque(maxlen=period)

    def update(self, value: float) -> Bands[float]:
        """Take one value; NaN until ``period`` finite ones are in, and NaN for a missing one."""
        if not math.isfinite(value):
            return Bands(MISSING, MISSING, MISSING)
        self._window.append(value)
        if len(self._window) < self.warm_up:
            return Bands(MISSING, MISSING, MISSING)
        middle = math.fsum(self._window) / self.warm_up
        variance = math.fsum((each - middle) ** 2 for each in self._window) / self.warm_up
        width = self._deviations * math.sqrt(variance)
        return Bands(middle - width, middle, middle + width)
