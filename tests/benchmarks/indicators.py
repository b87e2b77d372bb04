"""The indicators against the same ones written with pandas' rolling windows, on the same input.

The limit is held against all of them together; ``details`` has each, because the simplest gain
least: there pandas, too, is one loop in C, and what differs is what surrounds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from krator_actors.core import indicators
from tests.benchmarks.measure import Counts, percentile

_PERIOD = 50
_DEVIATIONS = 2.0
_WILDER = 14
_FAST, _SLOW, _SIGNAL = 12, 26, 9
_REPEATS = 201
_SEED = 20240809


def run(counts: Counts) -> dict[str, Any]:
    steps = np.random.default_rng(_SEED).normal(0.0, 0.5, counts.indicator_values)
    close = 60_000.0 + np.cumsum(steps)
    high, low = close + 0.3, close - 0.3
    ours: dict[str, Callable[[], Any]] = {
        "sma": lambda: indicators.sma(close, _PERIOD),
        "bollinger": lambda: indicators.bollinger(close, _PERIOD, deviations=_DEVIATIONS),
        "rsi": lambda: indicators.rsi(close, _WILDER),
        "atr": lambda: indicators.atr(high, low, close, _WILDER),
        "macd": lambda: indicators.macd(close, fast=_FAST, slow=_SLOW, signal=_SIGNAL),
    }
    theirs = _with_pandas(pd.Series(high), pd.Series(low), pd.Series(close))
    # The two that are defined alike; RSI and ATR smooth as Wilder does, which no window does.
    np.testing.assert_allclose(ours["sma"](), theirs["sma"](), rtol=1e-9)
    np.testing.assert_allclose(ours["bollinger"]()[2], theirs["bollinger"]()[2], rtol=1e-6)
    our_secs, their_secs = _seconds(ours), _seconds(theirs)
    values = counts.indicator_values * len(ours)
    return {
        "indicator_values_per_second": values / sum(our_secs.values()),
        "pandas_values_per_second": values / sum(their_secs.values()),
        "details": {"indicators_over_pandas": {n: their_secs[n] / our_secs[n] for n in ours}},
    }


def _with_pandas(
    high: pd.Series[float], low: pd.Series[float], close: pd.Series[float]
) -> dict[str, Callable[[], Any]]:
    def bollinger() -> tuple[pd.Series[float], ...]:
        rolling = close.rolling(_PERIOD)
        middle, width = rolling.mean(), _DEVIATIONS * rolling.std(ddof=0)
        return middle - width, middle, middle + width

    def rsi() -> pd.Series[float]:
        change = close.diff()
        gain = change.clip(lower=0).rolling(_WILDER).mean()
        loss = -change.clip(upper=0).rolling(_WILDER).mean()
        return 100 - 100 / (1 + gain / loss)

    def atr() -> pd.Series[float]:
        before = close.shift()
        ranges = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1)
        return ranges.max(axis=1).rolling(_WILDER).mean()

    def macd() -> tuple[pd.Series[float], ...]:
        fast, slow = (close.ewm(span=n, adjust=False).mean() for n in (_FAST, _SLOW))
        line = fast - slow
        signal = line.ewm(span=_SIGNAL, adjust=False).mean()
        return line, signal, line - signal

    return {
        "sma": lambda: close.rolling(_PERIOD).mean(),
        "bollinger": bollinger,
        "rsi": rsi,
        "atr": atr,
        "macd": macd,
    }


def _seconds(works: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median of each, in seconds of the processor, which others use too."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(_REPEATS):
        for name, work in works.items():
            began = time.thread_time()
            work()
            took[name].append(time.thread_time() - began)
    return {name: percentile(each, 0.5) for name, each in took.items()}
