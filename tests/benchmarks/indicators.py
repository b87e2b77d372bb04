"""Indicators against numpy's sliding windows on the same input.

The limit speaks of ``pandas.rolling``. pandas is no dependency and not installed, so what is
measured against is what its rolling windows come to without it: every window looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from krator_actors.core.indicators.series import FloatArray
from krator_actors.core.indicators.volatility import bollinger
from tests.benchmarks.measure import Counts, percentile

_PERIOD = 50
_DEVIATIONS = 2.0
_REPEATS = 101
_SEED = 20240809


def run(counts: Counts) -> dict[str, Any]:
    steps = np.random.default_rng(_SEED).normal(0.0, 0.5, counts.indicator_values)
    prices = 60_000.0 + np.cumsum(steps)
    ours = _seconds(lambda: bollinger(prices, _PERIOD, deviations=_DEVIATIONS)[2])
    windows = _seconds(lambda: _upper_band(prices))
    answers = bollinger(prices, _PERIOD, deviations=_DEVIATIONS).upper[_PERIOD - 1 :]
    np.testing.assert_allclose(answers, _upper_band(prices), rtol=1e-6)
    return {
        "indicator_values_per_second": counts.indicator_values / ours,
        "window_values_per_second": counts.indicator_values / windows,
    }


def _upper_band(prices: FloatArray) -> FloatArray:
    windows = sliding_window_view(prices, _PERIOD)
    middle: FloatArray = windows.mean(axis=1)
    width: FloatArray = windows.std(axis=1)
    return middle + _DEVIATIONS * width


def _seconds(work: Callable[[], object]) -> float:
    took = []
    for _ in range(_REPEATS):
        began = time.thread_time()  # of the processor, which others use too
        work()
        took.append(time.thread_time() - began)
    return percentile(took, 0.5)
