from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.performance import (
    MAX_SAMPLES,
    MIN_RETURNS,
    YEAR_SECS,
    EquitySamples,
    drawdown,
    max_drawdown,
    sharpe,
    sortino,
)

RETURNS = [0.001 * (n % 7 - 2) for n in range(60)]


def test_sharpe_is_mean_by_deviation_of_a_year() -> None:
    by_hand = statistics.mean(RETURNS) / statistics.stdev(RETURNS) * math.sqrt(YEAR_SECS / 60)

    assert sharpe(RETURNS, 60) == pytest.approx(by_hand)


def test_sortino_takes_only_losses_for_risk() -> None:
    losses = [min(r, 0.0) ** 2 for r in RETURNS]
    by_hand = statistics.mean(RETURNS) / math.sqrt(statistics.mean(losses))

    assert sortino(RETURNS, YEAR_SECS) == pytest.approx(by_hand)


def test_too_few_returns_have_no_ratio() -> None:
    assert sharpe(RETURNS[: MIN_RETURNS - 1], 60) is None
    assert sortino(RETURNS[: MIN_RETURNS - 1], 60) is None


def test_returns_that_never_vary_have_no_ratio() -> None:
    assert sharpe([0.01] * 40, 60) is None
    assert sortino([0.01] * 40, 60) is None


def test_first_equity_of_each_period_is_the_sample() -> None:
    samples = EquitySamples(60)

    for now_secs, equity in ((0, 100), (59, 500), (60, 110), (119, 1), (121, 121)):
        samples.take(equity, now_secs)

    assert list(samples.returns) == pytest.approx([0.1, 0.1])


def test_missing_period_makes_no_return_up() -> None:
    samples = EquitySamples(60)

    for now_secs, equity in ((0, 100), (180, 110), (240, 121)):
        samples.take(equity, now_secs)

    assert list(samples.returns) == pytest.approx([0.1])


@given(st.lists(st.floats(), max_size=80))
def test_whatever_equity_is_said_to_be_the_ratios_are_numbers_or_none(
    equities: list[float],
) -> None:
    samples = EquitySamples(1)

    for now_secs, equity in enumerate(equities):
        samples.take(equity, now_secs)

    for ratio in (samples.sharpe, samples.sortino):
        assert ratio is None or math.isfinite(ratio)


def test_samples_are_bounded() -> None:
    samples = EquitySamples(1)

    for now_secs in range(MAX_SAMPLES + 10):
        samples.take(1.0, now_secs)

    assert len(samples.returns) == MAX_SAMPLES


def test_drawdown_is_the_share_of_the_peak_that_is_lost() -> None:
    assert drawdown(90, 100) == pytest.approx(0.1)
    assert drawdown(110, 100) == 0.0
    assert drawdown(90, None) is None
    assert drawdown(90, 0) is None
    assert drawdown(math.nan, 100) is None


def test_worst_drawdown_is_from_the_highest_before() -> None:
    assert max_drawdown([100, 120, 60, 90, 130]) == pytest.approx(0.5)
    assert max_drawdown([]) == 0.0


def test_ratios_are_the_same_after_a_restart() -> None:
    samples, kept = EquitySamples(60), []
    for minute in range(50):
        sample = samples.take(100 + minute % 7, minute * 60 + 5)
        assert sample is not None
        kept.append(sample)
        assert samples.take(1, minute * 60 + 6) is None

    again = EquitySamples(60)
    again.restore(kept)

    assert again.sharpe == samples.sharpe is not None
    assert again.sortino == samples.sortino is not None
    again.take(200, 50 * 60)
    assert len(again.returns) == 50
