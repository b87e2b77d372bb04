"""What holds for every indicator: missing values, warm-up, and streaming as batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.indicators import (
    FloatArray,
    MovingAverage,
    StreamingAtr,
    StreamingBollinger,
    StreamingEma,
    StreamingMacd,
    StreamingRsi,
    StreamingSma,
    atr,
    bollinger,
    ema,
    macd,
    rsi,
    sma,
)
from krator_actors.core.indicators.series import PresentRows

NOT_FINITE = [math.nan, math.inf, -math.inf]
Row = tuple[float, ...]


class Indicator(NamedTuple):
    """Both forms with the same parameters; ``warm_up`` None is the least."""

    batch: Callable[..., Any]
    streaming: Callable[..., Any]
    least_warm_up: int
    series: int = 1


INDICATORS = {
    "sma": Indicator(lambda v, w: sma(v, 4), lambda w: StreamingSma(4), 4),
    "ema": Indicator(lambda v, w: ema(v, 4, warm_up=w), lambda w: StreamingEma(4, warm_up=w), 4),
    "rsi": Indicator(lambda v, w: rsi(v, 4, warm_up=w), lambda w: StreamingRsi(4, warm_up=w), 5),
    "macd": Indicator(
        lambda v, w: macd(v, fast=2, slow=4, signal=3, warm_up=w),
        lambda w: StreamingMacd(fast=2, slow=4, signal=3, warm_up=w),
        6,
    ),
    "atr": Indicator(
        lambda h, lo, c, w: atr(h, lo, c, 4, warm_up=w),
        lambda w: StreamingAtr(4, warm_up=w),
        5,
        series=3,
    ),
    "bollinger": Indicator(
        lambda v, w: bollinger(v, 4, deviations=2.0),
        lambda w: StreamingBollinger(4, deviations=2.0),
        4,
    ),
}
SEEDED = ["ema", "rsi", "macd", "atr"]
"""These have a seed, and so a warm-up that can be made longer."""

all_indicators = pytest.mark.parametrize("name", INDICATORS)
seeded_indicators = pytest.mark.parametrize("name", SEEDED)
values = st.floats(min_value=100, max_value=200) | st.just(150.0)
values_with_holes = values | st.sampled_from(NOT_FINITE)


def rows_of(count: int, cells: st.SearchStrategy[float]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.tuples(*[cells] * count), max_size=40)


def batch_of(name: str, rows: Sequence[Row], warm_up: int | None = None) -> FloatArray:
    """One row of outputs per row of inputs."""
    indicator = INDICATORS[name]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), indicator.series)
    answer = indicator.batch(*columns.T.copy(), warm_up)
    return np.column_stack(answer if isinstance(answer, tuple) else (answer,))


def stream_of(name: str, rows: Sequence[Row], warm_up: int | None = None) -> FloatArray:
    streaming = INDICATORS[name].streaming(warm_up)
    answers = [streaming.update(*row) for row in rows]
    outputs = batch_of(name, []).shape[1]
    return np.array(answers, dtype=np.float64).reshape(len(rows), outputs)


def waves(name: str, count: int) -> list[Row]:
    """Rows that go up and down, the same in every series."""
    prices = [150 + 10 * math.sin(n) for n in range(count)]
    return [(price,) * INDICATORS[name].series for price in prices]


@all_indicators
@given(data=st.data())
def test_missing_values_are_nan_themselves_and_change_no_other_output(
    name: str, data: st.DataObject
) -> None:
    rows = data.draw(rows_of(INDICATORS[name].series, values_with_holes))
    present = [all(math.isfinite(value) for value in row) for row in rows]
    kept = [row for row, is_there in zip(rows, present, strict=True) if is_there]

    for form in (batch_of, stream_of):
        answer = form(name, rows)

        assert answer.shape[0] == len(rows)
        assert np.isnan(answer[~np.array(present, dtype=bool)]).all()
        np.testing.assert_array_equal(answer[np.array(present, dtype=bool)], form(name, kept))


@all_indicators
@given(data=st.data(), longer=st.integers(0, 8))
def test_streaming_answers_what_the_batch_answers(
    name: str, data: st.DataObject, longer: int
) -> None:
    rows = data.draw(rows_of(INDICATORS[name].series, values_with_holes))
    warm_up = INDICATORS[name].least_warm_up + longer

    batch, stream = batch_of(name, rows, warm_up), stream_of(name, rows, warm_up)

    # The batch's running sums of squares leave something behind where prices stand still.
    np.testing.assert_allclose(stream, batch, rtol=1e-9, atol=1e-4 if name == "bollinger" else 1e-9)


@all_indicators
def test_it_is_nan_until_warm_and_a_number_ever_after(name: str) -> None:
    least = INDICATORS[name].least_warm_up
    streaming = INDICATORS[name].streaming(None)

    assert streaming.warm_up == least
    for answer in (batch_of(name, waves(name, 20)), stream_of(name, waves(name, 20))):
        assert np.isnan(answer[: least - 1]).all()
        assert np.isfinite(answer[least - 1 :]).all()


@seeded_indicators
def test_a_longer_warm_up_only_silences_what_is_before_it(name: str) -> None:
    longer = INDICATORS[name].least_warm_up + 4
    assert INDICATORS[name].streaming(longer).warm_up == longer

    for form in (batch_of, stream_of):
        least, late = form(name, waves(name, 20)), form(name, waves(name, 20), longer)

        assert np.isnan(late[: longer - 1]).all()
        np.testing.assert_array_equal(late[longer - 1 :], least[longer - 1 :])


@seeded_indicators
def test_a_warm_up_that_the_seed_does_not_fit_in_is_refused(name: str) -> None:
    least = INDICATORS[name].least_warm_up
    refused = rf"warm_up {least - 1} is below {least}, which the seed takes"

    with pytest.raises(ValueError, match=refused):
        batch_of(name, waves(name, 20), least - 1)
    with pytest.raises(ValueError, match=refused):
        INDICATORS[name].streaming(least - 1)


@all_indicators
@pytest.mark.parametrize("length", range(6))
def test_a_series_shorter_than_the_warm_up_is_all_nan(name: str, length: int) -> None:
    short = min(length, INDICATORS[name].least_warm_up - 1)

    assert np.isnan(batch_of(name, waves(name, short))).all()


@all_indicators
def test_the_input_is_left_as_it_was(name: str) -> None:
    columns = np.array(waves(name, 20)).T.copy()
    before = columns.copy()

    INDICATORS[name].batch(*columns, None)

    np.testing.assert_array_equal(columns, before)


@pytest.mark.parametrize("make", [StreamingSma, lambda p: StreamingBollinger(p, deviations=2.0)])
@given(
    before=st.lists(st.floats(1e-6, 1e7), max_size=20),
    window=st.lists(st.floats(1e-6, 1e7), min_size=5, max_size=5),
)
def test_what_has_a_window_gives_the_same_bits_whatever_came_before_it(
    make: Callable[[int], MovingAverage], before: list[float], window: list[float]
) -> None:
    fresh, seasoned = make(5), make(5)
    for value in before:
        seasoned.update(value)

    answers = [[average.update(v) for v in window][-1] for average in (fresh, seasoned)]

    assert answers[0] == answers[1]


@pytest.mark.parametrize("period", [-1, 0, 1, 100_001])
def test_a_period_that_ta_lib_does_not_take_is_refused(period: int) -> None:
    one = np.array([1.0])
    calls: list[Callable[[], object]] = [
        lambda: sma(one, period),
        lambda: ema(one, period),
        lambda: rsi(one, period),
        lambda: atr(one, one, one, period),
        lambda: bollinger(one, period, deviations=2.0),
        lambda: macd(one, fast=period, slow=5, signal=3),
        lambda: macd(one, fast=2, slow=5, signal=period),
        lambda: StreamingSma(period),
        lambda: StreamingEma(period),
        lambda: StreamingRsi(period),
        lambda: StreamingAtr(period),
        lambda: StreamingBollinger(period, deviations=2.0),
        lambda: StreamingMacd(fast=2, slow=period, signal=3),
    ]

    for call in calls:
        with pytest.raises(ValueError, match=f"period was {period}; TA-Lib takes 2 to 100000"):
            call()


def test_macd_needs_a_fast_average_below_the_slow_one() -> None:
    with pytest.raises(ValueError, match="fast 5 must be below slow 5"):
        macd(np.array([1.0]), fast=5, slow=5, signal=3)
    with pytest.raises(ValueError, match="fast 6 must be below slow 5"):
        StreamingMacd(fast=6, slow=5, signal=3)


def test_other_shapes_and_types_are_refused() -> None:
    with pytest.raises(TypeError, match="int64"):
        sma(np.array([1, 2, 3]), 2)
    with pytest.raises(ValueError, match="2 dimensions"):
        ema(np.ones((2, 2)), 2)
    with pytest.raises(ValueError, match="series of 3 and of 2 values do not belong together"):
        atr(np.ones(3), np.ones(3), np.ones(2), 2)


def test_answers_of_present_rows_come_back_to_their_places() -> None:
    rows = PresentRows(np.array([1.0, math.nan, 3.0, 4.0]), np.array([5.0, 6.0, math.inf, 8.0]))

    spread = rows.spread(np.array([10.0, 20.0]), warm_up=2)

    assert [column.tolist() for column in rows.columns] == [[1.0, 4.0], [5.0, 8.0]]
    np.testing.assert_array_equal(spread, [math.nan, math.nan, math.nan, 20.0])
