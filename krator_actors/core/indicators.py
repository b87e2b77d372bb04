"""Moving averages on TA-Lib, safe against missing values.

Decision: a value that is not finite (NaN, +inf, -inf) is *missing*. Its own output is NaN, and
every other output is what it would be had the missing value never been there. TA-Lib's own
functions would answer NaN from the first such value to the end of the array.

The streaming forms answer for one value what the batch forms answer for the whole array.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import talib

FloatArray = npt.NDArray[np.float64]

MISSING = math.nan


def sma(values: FloatArray, period: int) -> FloatArray:
    """Return the simple moving average, as long as ``values``; NaN for the first ``period - 1``.

    ``values`` is one-dimensional float64, else TypeError or ValueError; ``period`` is at least 2.
    """
    return _over_finite(values, period, talib.SMA, period - 1)


def ema(values: FloatArray, period: int, *, warm_up: int | None = None) -> FloatArray:
    """Return the exponential moving average, ``alpha = 2 / (period + 1)``, as long as ``values``.

    It is seeded with the simple average of the first ``period`` values (TA-Lib's classic seed),
    so what came before the first value is not in it. The first ``warm_up - 1`` outputs are NaN;
    ``warm_up`` is ``period`` (the seed itself is the first output) or more.
    """
    return _over_finite(values, period, talib.EMA, _ema_warm_up(period, warm_up) - 1)


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
        self.warm_up = _checked_period(period)
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
        self.warm_up = _ema_warm_up(_checked_period(period), warm_up)
        self._period = period
        self._alpha = 2.0 / (period + 1)
        self._count = 0
        # Until the seed is complete the sum of the values, then the average.
        self._state = 0.0

    def update(self, value: float) -> float:
        """Take one value; NaN until ``warm_up`` finite ones are in, and NaN for a missing one."""
        if not math.isfinite(value):
            return MISSING
        self._count += 1
        if self._count < self._period:
            self._state += value
        elif self._count == self._period:
            self._state = (self._state + value) / self._period
        else:
            self._state += self._alpha * (value - self._state)
        return self._state if self._count >= self.warm_up else MISSING


def _over_finite(
    values: FloatArray, period: int, average: Callable[[FloatArray, int], FloatArray], silent: int
) -> FloatArray:
    _checked_period(period)
    if values.dtype != np.float64:
        raise TypeError(f"values are {values.dtype}; expected float64")
    if values.ndim != 1:
        raise ValueError(f"values have {values.ndim} dimensions; expected 1")
    answer = np.full(values.shape, MISSING)
    finite = np.isfinite(values)
    present = values[finite]
    if present.size > silent:
        averages = average(present, period)
        averages[:silent] = MISSING
        answer[finite] = averages
    return answer


def _checked_period(period: int) -> int:
    # TA-Lib takes 2 to 100 000.
    if not 2 <= period <= 100_000:  # noqa: PLR2004 - TA-Lib's own limits
        raise ValueError(f"period was {period}; TA-Lib takes 2 to 100000")
    return period


def _ema_warm_up(period: int, warm_up: int | None) -> int:
    if warm_up is None:
        return period
    if warm_up < period:
        raise ValueError(f"warm_up {warm_up} is below period {period}")
    return warm_up
