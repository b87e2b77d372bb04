"""Indicators on TA-Lib, safe against missing values, each in batch and streaming form.

Decisions:

* A value that is not finite (NaN, +inf, -inf) is *missing*; a bar is missing when one of its values
  is. Its own output is NaN, and every other output is what it would be had the missing one never
  been there. TA-Lib's own functions would answer NaN from the first such value to the end.
* The streaming form answers for one value what the batch form answers for the whole array.
* Warm-up: an indicator answers NaN until it has seen ``warm_up`` values, and never after.
* What averages recursively (EMA, MACD, RSI, ATR) never forgets its seed quite. TA-Lib calls the
  bars until that no longer matters the unstable period, and sets it once for a whole process. That
  setting is left at nought; here ``warm_up`` says it for each call, and whoever must decide the
  same after a restart, on a history that begins elsewhere, asks for a long one.
"""

from __future__ import annotations

from krator_actors.core.indicators.averages import (
    MovingAverage,
    StreamingEma,
    StreamingSma,
    ema,
    sma,
)
from krator_actors.core.indicators.momentum import Macd, StreamingMacd, StreamingRsi, macd, rsi
from krator_actors.core.indicators.series import MISSING, FloatArray
from krator_actors.core.indicators.volatility import (
    Bands,
    StreamingAtr,
    StreamingBollinger,
    atr,
    bollinger,
)

__all__ = [
    "MISSING",
    "Bands",
    "FloatArray",
    "Macd",
    "MovingAverage",
    "StreamingAtr",
    "StreamingBollinger",
    "StreamingEma",
    "StreamingMacd",
    "StreamingRsi",
    "StreamingSma",
    "atr",
    "bollinger",
    "ema",
    "macd",
    "rsi",
    "sma",
]
