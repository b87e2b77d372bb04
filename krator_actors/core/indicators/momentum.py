"""How fast prices move, and which way: RSI and MACD."""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from krator_actors.core.indicators.averages import SeededAverage, StreamingEma, ema
from krator_actors.core.indicators.series import (
    MISSING,
    FloatArray,
    PresentRows,
    checked_period,
    checked_warm_up,
)
from krator_actors.core.indicators.ta_lib import talib

_UNMOVED_RSI = 50.0

_Form = TypeVar("_Form", FloatArray, float)


class Macd(NamedTuple, Generic[_Form]):
    """Arrays from the batch form, numbers from the streaming one; in the currency of the price."""

    line: _Form
    """EMA of ``fast`` minus EMA of ``slow``"""
    signal: _Form
    """EMA of the line"""
    histogram: _Form
    """line minus signal"""


def rsi(values: FloatArray, period: int, *, warm_up: int | None = None) -> FloatArray:
    """Return the relative strength index, 0 to 100, as long as ``values``.

    ``100 * gain / (gain + loss)``, Wilder's averages of the rises and of the falls from one value
    to the next, seeded with the mean of the first ``period`` changes. The first ``warm_up - 1``
    outputs are NaN; ``warm_up`` is ``period + 1`` or more. While no value has differed from the
    first there is no strength either way, which is 50; TA-Lib would say 0, "all falls".
    """
    warm_up = checked_warm_up(warm_up, seeded_after=checked_period(period) + 1)
    rows = PresentRows(values)
    (present,) = rows.columns
    answer = talib.RSI(present, period)
    answer[~np.logical_or.accumulate(present != present[:1])] = _UNMOVED_RSI
    return rows.spread(answer, warm_up=warm_up)


def macd(
    values: FloatArray, *, fast: int, slow: int, signal: int, warm_up: int | None = None
) -> Macd[FloatArray]:
    """Return moving average convergence/divergence, each array as long as ``values``.

    The periods are in values, ``fast`` below ``slow``, else ValueError. The averages are those of
    ``ema``, each seeded at its own beginning; TA-Lib's MACD seeds the fast one only when the slow
    one begins, and comes to the same with time. The first ``warm_up - 1`` outputs of all three are
    NaN; ``warm_up`` is ``slow + signal - 1`` or more.
    """
    warm_up = _macd_warm_up(fast, slow, signal, warm_up)
    rows = PresentRows(values)
    (present,) = rows.columns
    line = ema(present, fast) - ema(present, slow)
    signals = ema(line, signal)
    return Macd(*(rows.spread(a, warm_up=warm_up) for a in (line, signals, line - signals)))


class StreamingRsi:
    """A relative strength index, bar by bar: the same recursion and seed as ``rsi``."""

    def __init__(self, period: int, *, warm_up: int | None = None) -> None:
        """``period`` is at least 2 and ``warm_up`` above it, else ValueError."""
        self.warm_up = checked_warm_up(warm_up, seeded_after=checked_period(period) + 1)
        self._gain = SeededAverage(period, alpha=1.0 / period)
        self._loss = SeededAverage(period, alpha=1.0 / period)
        # The newest finite value; NaN before the first.
        self._before = MISSING
        # Finite values seen.
        self._count = 0

    def update(self, value: float) -> float:
        """Take one value; NaN until ``warm_up`` finite ones are in, and NaN for a missing one."""
        if not math.isfinite(value):
            return MISSING
        change = value - self._before
        self._before = value
        self._count += 1
        if self._count == 1:
            return MISSING
        gain, loss = self._gain.update(max(change, 0.0)), self._loss.update(max(-change, 0.0))
        if self._count < self.warm_up:
            return MISSING
        return 100.0 * gain / (gain + loss) if gain + loss else _UNMOVED_RSI


class StreamingMacd:
    """Moving average convergence/divergence, bar by bar: the same averages as ``macd``."""

    def __init__(self, *, fast: int, slow: int, signal: int, warm_up: int | None = None) -> None:
        """Periods and ``warm_up`` as for ``macd``, else ValueError."""
        self.warm_up = _macd_warm_up(fast, slow, signal, warm_up)
        self._fast = StreamingEma(fast)
        self._slow = StreamingEma(slow)
        self._signal = StreamingEma(signal)
        # Finite values seen.
        self._count = 0

    def update(self, value: float) -> Macd[float]:
        """Take one value; NaN until ``warm_up`` finite ones are in, and NaN for a missing one."""
        self._count += math.isfinite(value)
        line = self._fast.update(value) - self._slow.update(value)
        signal = self._signal.update(line)
        if self._count < self.warm_up:
            return Macd(MISSING, MISSING, MISSING)
        return Macd(line, signal, line - signal)


def _macd_warm_up(fast: int, slow: int, signal: int, warm_up: int | None) -> int:
    for period in (fast, slow, signal):
        checked_period(period)
    if fast >= slow:
        raise ValueError(f"fast {fast} must be below slow {slow}")
    return checked_warm_up(warm_up, seeded_after=slow + signal - 1)
