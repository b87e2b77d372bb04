from __future__ import annotations

import csv
import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.indicators import FloatArray, StreamingEma, StreamingSma, ema, sma

VECTORS = Path(os.environ.get("KRATOR_TEST_DATA", "../shared/data")) / "bars" / "indicators"
NOT_FINITE = [math.nan, math.inf, -math.inf]

prices = st.floats(min_value=1e-6, max_value=1e7)
prices_with_holes = st.lists(st.one_of(prices, st.sampled_from(NOT_FINITE)), max_size=60)


def plain_sma(values: list[float], period: int) -> list[float]:
    windows = [values[max(0, i + 1 - period) : i + 1] for i in range(len(values))]
    return [math.fsum(w) / period if len(w) == period else math.nan for w in windows]


def plain_ema(values: list[float], period: int) -> list[float]:
    answer = [math.nan] * len(values)
    if len(values) >= period:
        state = math.fsum(values[:period]) / period
        answer[period - 1] = state
        for i in range(period, len(values)):
            state = values[i] * 2 / (period + 1) + state * (period - 1) / (period + 1)
            answer[i] = state
    return answer


def array(values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)


def column(name: str, key: str) -> FloatArray:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"recorded vectors are not at {path}; set KRATOR_TEST_DATA")
    with path.open(encoding="utf-8") as file:
        return array([float(row[key] or "nan") for row in csv.DictReader(file)])


@given(st.lists(prices, max_size=60), st.integers(2, 12))
def test_sma_is_the_mean_of_the_window(values: list[float], period: int) -> None:
    answer = sma(array(values), period)

    np.testing.assert_allclose(answer, plain_sma(values, period), rtol=1e-9, atol=1e-7)


@given(st.lists(prices, max_size=60), st.integers(2, 12))
def test_ema_is_the_recursion_from_the_mean_of_the_first_values(
    values: list[float], period: int
) -> None:
    answer = ema(array(values), period)

    np.testing.assert_allclose(answer, plain_ema(values, period), rtol=1e-9)


def test_the_warm_up_is_nan_and_what_follows_is_not() -> None:
    values = array([1.0, 2.0, 3.0, 4.0, 5.0])

    np.testing.assert_array_equal(sma(values, 3), [math.nan, math.nan, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(ema(values, 3), [math.nan, math.nan, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(ema(values, 3, warm_up=5), [math.nan] * 4 + [4.0])


@pytest.mark.parametrize("average", [sma, ema])
def test_a_series_shorter_than_the_period_is_all_nan(average: object) -> None:
    assert callable(average)

    assert np.isnan(average(array([1.0, 2.0]), 3)).all()
    assert average(array([]), 3).size == 0


@given(prices_with_holes, st.integers(2, 8))
def test_missing_values_are_nan_themselves_and_change_no_other_output(
    values: list[float], period: int
) -> None:
    finite = [v for v in values if math.isfinite(v)]
    there = np.isfinite(array(values))

    for average in (sma, ema):
        answer = average(array(values), period)

        assert len(answer) == len(values)
        assert np.isnan(answer[~there]).all()
        np.testing.assert_array_equal(answer[there], average(array(finite), period))


@given(prices_with_holes, st.integers(2, 8), st.integers(0, 8))
def test_streaming_answers_what_the_batch_answers(
    values: list[float], period: int, longer: int
) -> None:
    simple, exponential = StreamingSma(period), StreamingEma(period, warm_up=period + longer)

    simple_answers = [simple.update(v) for v in values]
    exponential_answers = [exponential.update(v) for v in values]

    expected_simple = sma(array(values), period)
    expected_exponential = ema(array(values), period, warm_up=period + longer)
    np.testing.assert_allclose(simple_answers, expected_simple, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(exponential_answers, expected_exponential, rtol=1e-12)


@given(st.lists(prices, max_size=20), st.lists(prices, min_size=5, max_size=5))
def test_streaming_sma_has_the_same_bits_whatever_came_before_its_window(
    before: list[float], window: list[float]
) -> None:
    fresh, seasoned = StreamingSma(5), StreamingSma(5)
    for value in before:
        seasoned.update(value)

    answers = [[average.update(v) for v in window][-1] for average in (fresh, seasoned)]

    assert answers[0] == answers[1]


def test_warm_up_says_how_many_values_it_takes() -> None:
    for average in (StreamingSma(4), StreamingEma(4), StreamingEma(4, warm_up=9)):
        answers = [average.update(float(n)) for n in range(average.warm_up)]

        assert [math.isnan(a) for a in answers] == [True] * (average.warm_up - 1) + [False]


@pytest.mark.parametrize("period", [-1, 0, 1, 100_001])
def test_a_period_that_ta_lib_does_not_take_is_refused(period: int) -> None:
    for average in (sma, ema):
        with pytest.raises(ValueError, match=f"period was {period}"):
            average(array([1.0]), period)
    for streaming in (StreamingSma, StreamingEma):
        with pytest.raises(ValueError, match=f"period was {period}"):
            streaming(period)


def test_a_warm_up_below_the_period_is_refused() -> None:
    with pytest.raises(ValueError, match="warm_up 2 is below period 3"):
        StreamingEma(3, warm_up=2)


def test_other_shapes_and_types_are_refused() -> None:
    with pytest.raises(TypeError, match="int64"):
        sma(np.array([1, 2, 3]), 2)
    with pytest.raises(ValueError, match="2 dimensions"):
        ema(np.ones((2, 2)), 2)


def test_sma_is_the_middle_band_of_the_recorded_worked_example() -> None:
    close, middle = column("cs-bbands.csv", "Close"), column("cs-bbands.csv", "MiddleBand")

    answer = sma(close, 20)

    np.testing.assert_allclose(answer, middle, atol=1e-6)


@pytest.mark.parametrize(("period", "key"), [(12, "short_ema"), (26, "long_ema")])
def test_ema_comes_to_the_recorded_worked_example_after_its_seed_is_forgotten(
    period: int, key: str
) -> None:
    close, expected = column("cs-macd.csv", "Close"), column("cs-macd.csv", key)

    difference = np.abs(ema(close, period) - expected)

    # The example is seeded with the first close, ours with the mean of the first closes: what is
    # left of that shrinks by the same factor at every bar.
    assert difference[-1] < 0.005
    left = difference[period:]
    shrinking = (period - 1) / (period + 1)
    assert all(b == pytest.approx(a * shrinking, abs=2e-7) for a, b in pairwise(left))
