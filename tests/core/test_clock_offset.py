"""How far the clocks are apart, by numbers alone."""

from __future__ import annotations

import pytest

from krator_actors.core.clock_offset import ClockOffset, ClockSample

SECOND_NS = 1_000_000_000


def sample(at_secs: float, offset_secs: float, *, round_trip_secs: float = 0.2) -> ClockSample:
    sent_ns = int(at_secs * SECOND_NS)
    round_trip_ns = int(round_trip_secs * SECOND_NS)
    venue_ns = sent_ns + round_trip_ns // 2 + int(offset_secs * SECOND_NS)
    return ClockSample(sent_utc_ns=sent_ns, venue_ns=venue_ns, round_trip_ns=round_trip_ns)


def test_offset_is_what_the_middle_of_the_round_trip_says() -> None:
    assert sample(5, 0.3).offset_secs == pytest.approx(0.3)
    assert sample(5, 0.3).error_secs == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("offset_secs", "round_trip_secs", "is_off"),
    [(0.9, 0.2, False), (1.05, 0.2, False), (1.2, 0.2, True), (-1.2, 0.2, True), (3.0, 5.0, False)],
)
def test_clock_is_off_when_even_the_best_case_is(
    offset_secs: float, round_trip_secs: float, *, is_off: bool
) -> None:
    offset = ClockOffset(tolerance_secs=1.0)
    assert not offset.is_off

    offset.on_sample(sample(5, offset_secs, round_trip_secs=round_trip_secs))

    assert offset.is_off is is_off


def test_drift_is_the_slope_of_the_offsets() -> None:
    offset = ClockOffset(tolerance_secs=1.0)
    for minute in range(10):
        offset.on_sample(sample(minute * 60, 0.1 + minute * 60 * 50e-6))

    assert offset.drift_ppm == pytest.approx(50, rel=0.01)


def test_drift_is_not_known_from_few_samples_or_a_clock_that_stands() -> None:
    offset = ClockOffset(tolerance_secs=1.0)
    for _ in range(4):
        offset.on_sample(sample(1, 0.1))
    assert offset.drift_ppm is None

    offset.on_sample(sample(1, 0.1))

    assert offset.drift_ppm is None
