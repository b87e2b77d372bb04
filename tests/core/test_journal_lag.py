from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.journal_lag import STEP_NS, JournalLag

SEC = 1_000_000_000


def test_lag_is_the_age_of_the_oldest_record_that_waits() -> None:
    lag = JournalLag()
    for number in range(1, 4):
        lag.read("risk", number, number * SEC)
    lag.read("order:SIM", 1, 2 * SEC)

    lag.committed({"risk": 1})

    assert lag.secs(10 * SEC) == 8.0


def test_nothing_waits_and_the_lag_is_nothing() -> None:
    lag = JournalLag()
    lag.read("risk", 1, SEC)

    lag.committed({"risk": 1})

    assert lag.secs(10 * SEC) == 0.0


@given(st.lists(st.integers(0, 2 * STEP_NS), min_size=1, max_size=60), st.integers(0, 60))
def test_lag_is_exact_to_a_step(gaps: list[int], committed: int) -> None:
    lag, now, times = JournalLag(), SEC, []
    for number, gap in enumerate(gaps, 1):
        now += gap
        times.append(now)
        lag.read("risk", number, now)

    lag.committed({"risk": min(committed, len(gaps))})

    true = 0.0 if committed >= len(gaps) else (now - times[committed]) / SEC
    assert true <= lag.secs(now) <= true + STEP_NS / SEC
