"""Moving averages: simple and exponential."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import numpy as np

from krator_actors.core.indicators.series import (
    MISSING,
    FloatArray,
    PresentRows,
    checked_period,
    checked_warm_up,
)
from krator_actors.core.indicators.ta_lib import talib


def sma(values: FloatArray, period: int) -> FloatArray:
    """Return the simple moving average, as long as ``values``; NaN for the first ``period - 1``.

    ``values`` is one-dimensional float64, else TypeError or ValueError; ``period`` is at least 2.
    """
    checked_period(period)
    rows = PresentRows(values)
    (present,) = rows.columns
    return rows.spread(talib.SMA(present, period), warm_up=period)


def ema(values: FloatArray, period: int, *, warm_up: int | None = None) -> FloatArray:
    """Return the exponential moving average, ``alpha = 2 / (period + 1)``, as long as ``values``.

    It is seeded with the simple average of the first ``period`` values (TA-Lib's classic seed),
    so what came before the first value is not in it. The first ``warm_up - 1`` outputs are NaN;
    ``warm_up`` is ``period`` (the seed itself is the first output) or more.
    """
    warm_up = checked_warm_up(warm_up, seeded_after=checked_period(period))
    rows = PresentRows(values)
    (present,) = rows.columns
    return rows.spread(talib.EMA(present, period), warm_up=warm_up)


class MovingAverage(Protocol):
    """The streaming form: one value in, the average of all so far out."""

    @property
    def warm_up(self) -> int:
        """How many finite values it takes until ``update`` answers a number."""
        ...

    def update(self, value: float) -> float:
        """Take one value; NaN until warm, and NaN for a value that is missing."""
        ...


class StreamingSma:
    """A simple moving average, bar by bar.

    It depends on the last ``period`` values only: two instances that have seen the same window
    give the same bits, however they came there, because TA-Lib sums the window anew each time
    instead of keeping a running sum that drifts.
    """

    def __init__(self, period: int) -> None:
        """``period`` is at least 2, else ValueError."""
        self.warm_up = checked_period(period)
        # The newest finite values, oldest first.
        self._window: deque[float] = deque(maxlen=period)

    def update(self, value: float) -> float:
        """Take one value; NaN until ``period`` finite ones are in, and NaN for a missing one."""
        if not math.isfinite(value):
            return MISSING
        self._window.append(value)
        if len(self._window) < self.warm_up:
            return MISSING
        return float(talib.SMA(np.array(self._window), self.warm_up)[-1])


class StreamingEma:
    """An exponential moving average, bar by bar: the same recursion and seed as ``ema``."""

    def __init__(self, period: int, *, warm_up: int | None = None) -> None:
        """``period`` is at least 2 and ``warm_up`` not below it, else ValueError."""
        self.warm_up = checked_warm_up(warm_up, seeded_after=checked_period(period))
        self._average = SeededAverage(period, alpha=2.0 / (period + 1))
        # Finite values seen.
        self._count = 0

    def update(self, value: float) -> float:
        """Take one value; NaN until ``warm_up`` finite ones are in, and NaN for a missing one."""
        if not math.isfinite(value):
            return MISSING
        self._count += 1
        average = self._average.update(value)
        return average if self._count >= self.warm_up else MISSING


class SeededAverage:
    """The recursion behind EMA and Wilder's average: the mean of the first values, then alpha.

    Wilder's average, in RSI and ATR, is the one with ``alpha = 1 / period``.
    """

    def __init__(self, period: int, *, alpha: float) -> None:
        self._period = period
        self._alpha = alpha
        self._count = 0
        # Until the seed is complete the sum of the values, then the average.
        self._state = 0.0

    def update(self, value: float) -> float:
        """Take one finite value; NaN until ``period`` of them are in."""
        self._count += 1
        if self._count > self._period:
            self._state += self._alpha * (value - self._state)
            return self._state
        self._state += value
        if self._count < self._period:
            return MISSING
        self._state /= self._period
        return self._state
