from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisors.times import BUCKETS, Times, TimesTaken


@given(st.lists(st.integers(0, 2**46), min_size=1), st.floats(0.01, 1))
def test_quantile_is_an_upper_bound_at_most_twice_too_high(values: list[int], share: float) -> None:
    times = Times()
    for value in values:
        times.add(value)

    bound_us = times.take().at_most_secs(share) * 1e6

    rank = max(1, -(-len(values) * share // 1))
    true = sorted(values)[int(rank) - 1]
    assert true < bound_us <= max(1, 2 * true)


def test_time_before_the_beginning_is_none_and_a_huge_one_is_the_last() -> None:
    times = Times()

    times.add(-5)
    times.add(2**60)

    taken = times.take()
    assert (taken.counts[0], taken.counts[BUCKETS - 1], taken.count) == (1, 1, 2)


def test_nothing_counted_took_nothing() -> None:
    assert TimesTaken().at_most_secs(0.99) == 0.0


def test_two_are_added_bucket_by_bucket() -> None:
    times = Times()
    times.add(1_000)

    both = times.take() + times.take()

    assert (both.count, both.total_secs) == (2, 0.002)
