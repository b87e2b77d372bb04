"""Every indicator against its formula written out, and against recorded worked examples."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.indicators.averages import SeededAverage, ema, sma
from krator_actors.core.indicators.momentum import StreamingRsi, macd, rsi
from krator_actors.core.indicators.series import FloatArray
from krator_actors.core.indicators.volatility import StreamingBollinger, atr, bollinger

VECTORS = Path(os.environ.get("KRATOR_TEST_DATA", "../shared/data")) / "bars" / "indicators"

prices = st.floats(min_value=100, max_value=200)
series = st.lists(prices, max_size=60)
periods = st.integers(2, 12)
bars = st.lists(st.tuples(prices, prices, prices).map(sorted), max_size=60)
"""low, close, high"""


def plain_sma(values: Sequence[float], period: int) -> list[float]:
    windows = [values[max(0, i + 1 - period) : i + 1] for i in range(len(values))]
    return [math.fsum(w) / period if len(w) == period else math.nan for w in windows]


def plain_average(values: Sequence[float], period: int, alpha: float) -> list[float]:
    """NaN, then the mean of the first ``period``, then the recursion."""
    answer = [math.nan] * len(values)
    if len(values) >= period:
        state = math.fsum(values[:period]) / period
        answer[period - 1] = state
        for i in range(period, len(values)):
            state = alpha * values[i] + (1 - alpha) * state
            answer[i] = state
    return answer


def plain_ema(values: Sequence[float], period: int) -> list[float]:
    return plain_average(values, period, 2 / (period + 1))


def plain_rsi(values: Sequence[float], period: int) -> list[float]:
    changes = [b - a for a, b in pairwise(values)]
    gains = plain_average([max(c, 0.0) for c in changes], period, 1 / period)
    losses = plain_average([max(-c, 0.0) for c in changes], period, 1 / period)
    told = [
        50.0 if gain + loss == 0 else 100 - 100 / (1 + gain / loss) if loss else 100.0
        for gain, loss in zip(gains, losses, strict=True)
    ]
    return [math.nan, *told][: len(values)]


def plain_atr(rows: Sequence[Sequence[float]], period: int) -> list[float]:
    ranges = [
        max(high, before) - min(low, before) for (_, before, _), (low, _, high) in pairwise(rows)
    ]
    return [math.nan, *plain_average(ranges, period, 1 / period)][: len(rows)]


def plain_deviation(values: Sequence[float], period: int) -> list[float]:
    windows = [values[max(0, i + 1 - period) : i + 1] for i in range(len(values))]
    return [float(np.std(w)) if len(w) == period else math.nan for w in windows]


def array(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)


def column(name: str, key: str) -> FloatArray:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"recorded vectors are not at {path}; set KRATOR_TEST_DATA")
    with path.open(encoding="utf-8") as file:
        return array([float(row[key] or "nan") for row in csv.DictReader(file)])


@given(series, periods)
def test_sma_is_the_mean_of_the_window(values: list[float], period: int) -> None:
    np.testing.assert_allclose(sma(array(values), period), plain_sma(values, period), rtol=1e-9)


@given(series, periods)
def test_ema_is_the_recursion_from_the_mean_of_the_first_values(
    values: list[float], period: int
) -> None:
    np.testing.assert_allclose(ema(array(values), period), plain_ema(values, period), rtol=1e-9)


@given(series, periods)
def test_a_seeded_average_is_the_recursion_of_wilder(values: list[float], period: int) -> None:
    average = SeededAverage(period, alpha=1 / period)

    answers = [average.update(value) for value in values]

    np.testing.assert_allclose(answers, plain_average(values, period, 1 / period), rtol=1e-9)


@given(series, periods)
def test_rsi_is_the_share_of_rises_in_all_movement(values: list[float], period: int) -> None:
    expected = plain_rsi(values, period)

    np.testing.assert_allclose(rsi(array(values), period), expected, rtol=1e-6, atol=1e-6)


@given(st.lists(prices, min_size=2, max_size=60, unique=True), periods)
def test_rsi_is_ta_lib_s_where_prices_move(values: list[float], period: int) -> None:
    np.testing.assert_array_equal(rsi(array(values), period), talib.RSI(array(values), period))


def test_rsi_of_prices_that_have_not_moved_is_50_and_then_says_which_way() -> None:
    values = [0.1] * 6 + [0.2] + [0.2] * 6

    answer = rsi(array(values), 3)
    streaming = StreamingRsi(3)

    np.testing.assert_array_equal(answer, [math.nan] * 3 + [50.0] * 3 + [100.0] * 7)
    np.testing.assert_allclose([streaming.update(v) for v in values], answer)


def test_rsi_does_not_depend_on_how_small_a_price_is() -> None:
    values = array([1.0, 3.0, 2.0, 5.0, 4.0, 4.5])

    np.testing.assert_allclose(rsi(values * 1e-9, 3), rsi(values, 3), rtol=1e-9)


@given(series, st.integers(2, 6), st.integers(1, 6), st.integers(2, 6))
def test_macd_is_the_difference_of_averages_and_its_own_average(
    values: list[float], fast: int, more: int, signal: int
) -> None:
    slow = fast + more

    answer = macd(array(values), fast=fast, slow=slow, signal=signal)

    line = array(plain_ema(values, fast)) - array(plain_ema(values, slow))
    signals = [math.nan] * min(slow - 1, len(values)) + plain_ema(list(line[slow - 1 :]), signal)
    expected = np.where(np.isnan(signals), math.nan, line)
    np.testing.assert_allclose(answer.line, expected, atol=1e-9)
    np.testing.assert_allclose(answer.signal, signals, atol=1e-9)
    np.testing.assert_allclose(answer.histogram, expected - array(signals), atol=1e-9)


@given(bars, periods)
def test_atr_is_wilder_s_average_of_the_true_range(rows: list[list[float]], period: int) -> None:
    low, close, high = (array([row[n] for row in rows]) for n in range(3))

    answer = atr(high, low, close, period)

    np.testing.assert_allclose(answer, plain_atr(rows, period), rtol=1e-9, atol=1e-9)


@given(series, periods, st.floats(0.5, 4))
def test_bollinger_bands_are_deviations_away_from_the_mean(
    values: list[float], period: int, deviations: float
) -> None:
    middle = array(plain_sma(values, period))
    width = deviations * array(plain_deviation(values, period))

    answer = bollinger(array(values), period, deviations=deviations)
    streaming = StreamingBollinger(period, deviations=deviations)
    stream = array([value for v in values for value in streaming.update(v)]).reshape(-1, 3)

    for n, expected in enumerate((middle - width, middle, middle + width)):
        np.testing.assert_allclose(answer[n], expected, atol=1e-4)
        np.testing.assert_allclose(stream[:, n], expected, rtol=1e-12)


def test_bollinger_bands_of_a_large_price_that_hardly_moves_are_exact() -> None:
    values = array([60_000.01, 60_000.02] * 30)

    lower, middle, upper = bollinger(values, 20, deviations=2.0)

    np.testing.assert_allclose(middle[19:], 60_000.015, rtol=1e-15)
    np.testing.assert_allclose((upper - lower)[19:], 0.02, rtol=1e-6)


def test_bollinger_bands_are_the_recorded_worked_example() -> None:
    close = column("cs-bbands.csv", "Close")

    answer = bollinger(close, 20, deviations=2.0)

    for band, key in zip(answer, ("LowBand", "MiddleBand", "HighBand"), strict=True):
        np.testing.assert_allclose(band, column("cs-bbands.csv", key), atol=1e-6)


def assert_seed_is_forgotten(left: FloatArray, shrinking: float, *, within: float) -> None:
    """What is ``left`` of another seed shrinks by the same factor at every bar."""
    assert all(b == pytest.approx(a * shrinking, abs=within) for a, b in pairwise(left))


@pytest.mark.parametrize(("period", "key"), [(12, "short_ema"), (26, "long_ema")])
def test_ema_comes_to_the_recorded_worked_example_after_its_seed_is_forgotten(
    period: int, key: str
) -> None:
    close, expected = column("cs-macd.csv", "Close"), column("cs-macd.csv", key)

    difference = np.abs(ema(close, period) - expected)

    # The example is seeded with the first close, ours with the mean of the first closes.
    assert difference[-1] < 0.005
    assert_seed_is_forgotten(difference[period:], (period - 1) / (period + 1), within=2e-7)


def test_macd_comes_to_the_recorded_worked_example_after_its_seeds_are_forgotten() -> None:
    close = column("cs-macd.csv", "Close")

    answer = macd(close, fast=12, slow=26, signal=9)

    for ours, key in zip(answer, ("MACD_line", "MACD_signal", "MACD_diff"), strict=True):
        difference = np.abs(ours - column("cs-macd.csv", key))
        assert difference[60] < 0.02
        assert difference[-1] < 0.0002


def test_atr_comes_to_the_recorded_worked_example_after_its_seed_is_forgotten() -> None:
    high, low, close = (column("cs-atr.csv", key) for key in ("High", "Low", "Close"))

    difference = np.abs(atr(high, low, close, 14) - column("cs-atr.csv", "ATR"))

    # The example's seed counts high - low of the first bar as a true range, ours begins after it.
    assert difference[-1] < 0.01
    assert_seed_is_forgotten(difference[14:], 13 / 14, within=1e-8)


def test_rsi_is_the_recorded_worked_example_from_the_same_seed() -> None:
    close, expected = column("cs-rsi.csv", "Close"), column("cs-rsi.csv", "RSI")
    # The example's averages begin at nought, as after so many closes without a change.
    still = np.full(14, close[0])

    answer = rsi(np.concatenate([still, close]), 14)[14:]

    np.testing.assert_allclose(answer[14:], expected[14:], atol=1e-6)


def test_rsi_stays_near_the_recorded_worked_example_whatever_the_seed() -> None:
    close, expected = column("cs-rsi.csv", "Close"), column("cs-rsi.csv", "RSI")

    difference = np.abs(rsi(close, 14) - expected)

    # Ours is seeded with the first 14 changes, which still weigh a quarter at the end.
    assert np.nanmax(difference) < 4
    assert difference[-1] < 2.5
