from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.schedule import DueJob, JobBook, JobPlan, JobState, Schedule
from krator_actors.model import NANOS_PER_SEC

DAY_NS = 86_400 * NANOS_PER_SEC
CLOSE = JobPlan(name="close", schedule=Schedule(offset_secs=60), catch_up=3)
CLEAN = JobPlan(name="clean", schedule=Schedule(offset_secs=3_600))


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(f"{text}+00:00").timestamp()) * NANOS_PER_SEC


def book(now: str, *, done: str | None = None, plans: tuple[JobPlan, ...] = (CLOSE,)) -> JobBook:
    states = {} if done is None else {plans[0].name: JobState(done_due_ns=at(done))}
    return JobBook(plans, states, now_ns=at(now), retry_first_secs=60, retry_max_secs=600)


def test_unknown_job_begins_with_its_next_due_time() -> None:
    made = book("2026-11-22T12:00:00")

    assert made.due(at("2026-11-22T23:59:59")) is None
    assert made.due(at("2026-11-23T00:00:59")) is None
    assert made.due(at("2026-11-23T00:01:00")) == DueJob(
        name="close", due_ns=at("2026-11-23T00:01:00")
    )


def test_job_that_is_done_is_not_due_until_its_next_time() -> None:
    made = book("2026-11-22T12:00:00")
    now = at("2026-11-23T08:00:00")
    job = made.due(now)
    assert job is not None

    made.succeeded(job)

    assert made.due(now) is None
    assert made.due(at("2026-11-24T00:01:00")) is not None


def test_missed_days_are_caught_up_oldest_first() -> None:
    made = book("2026-11-22T12:00:00", done="2026-11-20T00:01:00")
    due = []

    while (job := made.due(at("2026-11-22T12:00:00"))) is not None:
        due.append(job.due_ns)
        made.succeeded(job)

    assert due == [at("2026-11-21T00:01:00"), at("2026-11-22T00:01:00")]


def test_what_is_too_far_back_is_left_out_and_counted() -> None:
    made = book("2026-11-22T12:00:00", done="2026-11-10T00:01:00")

    job = made.due(at("2026-11-22T12:00:00"))

    assert job == DueJob(name="close", due_ns=at("2026-11-20T00:01:00"))
    assert made.states["close"].left_out == 9


def test_failed_job_waits_longer_each_time_up_to_a_bound() -> None:
    now = at("2026-11-23T00:01:00")
    made = book("2026-11-22T12:00:00")
    job = made.due(now)
    assert job is not None

    waits = [(made.failed(job, "no disk", now).retry_ns - now) // NANOS_PER_SEC for _ in range(6)]

    assert waits == [60, 120, 240, 480, 600, 600]
    assert made.due(now + 599 * NANOS_PER_SEC) is None
    assert made.due(now + 600 * NANOS_PER_SEC) == job
    assert made.states["close"].reason == "no disk"


def test_success_forgets_the_failures() -> None:
    now = at("2026-11-23T00:01:00")
    made = book("2026-11-22T12:00:00")
    job = made.due(now)
    assert job is not None
    made.failed(job, "no disk", now)

    made.succeeded(job)

    assert made.states["close"] == JobState(done_due_ns=job.due_ns)


def test_failing_job_does_not_keep_another_from_running() -> None:
    now = at("2026-11-23T02:00:00")
    made = book("2026-11-22T12:00:00", plans=(CLOSE, CLEAN))
    first = made.due(now)
    assert first is not None

    made.failed(first, "no disk", now)
    second = made.due(now)

    assert second == DueJob(name="clean", due_ns=at("2026-11-23T01:00:00"))


def test_clock_that_was_set_back_only_makes_due_times_come_again() -> None:
    made = book("2026-11-22T12:00:00", done="2027-06-01T00:01:00")

    assert made.due(at("2026-11-22T12:00:00")) is None
    assert made.due(at("2026-11-23T00:01:00")) is not None


def test_wait_that_a_wrong_clock_has_decided_is_not_waited() -> None:
    made = book("2026-11-22T12:00:00")
    now = at("2026-11-23T00:01:00")
    job = made.due(now)
    assert job is not None

    made.failed(job, "no disk", at("2027-06-01T00:00:00"))

    assert made.due(now) == job


def test_report_says_what_runs_and_what_comes_next() -> None:
    now = at("2026-11-23T02:00:00")
    made = book("2026-11-22T12:00:00", plans=(CLOSE, CLEAN))
    job = made.due(now)
    assert job is not None
    made.failed(job, "no disk", now)

    close, clean = made.reports(DueJob(name="clean", due_ns=0), now)

    assert (close.name, close.running, close.failures, close.reason) == (
        "close",
        False,
        1,
        "no disk",
    )
    assert close.next_ns == now + 60 * NANOS_PER_SEC
    assert (clean.running, clean.next_ns) == (True, at("2026-11-23T01:00:00"))


@given(
    period=st.integers(1, 10**6),
    offset=st.integers(0, 10**6),
    now=st.integers(0, 2 * 10**18),
)
def test_last_due_time_is_the_latest_one_that_has_come(period: int, offset: int, now: int) -> None:
    schedule = Schedule(period_secs=period, offset_secs=offset)

    last = schedule.last_due(now)

    assert last <= now < last + schedule.period_ns
    assert (last - offset * NANOS_PER_SEC) % schedule.period_ns == 0


@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(0, 3 * 86_400), st.booleans()), max_size=30),
)
def test_every_due_time_is_done_once_in_order_or_left_out(
    days_away: int, steps: list[tuple[int, bool]]
) -> None:
    start = at("2026-01-01T00:01:00")
    states = {"close": JobState(done_due_ns=start)}
    now = start + days_away * DAY_NS
    made = JobBook((CLOSE,), states, now_ns=now, retry_first_secs=60, retry_max_secs=600)
    done = []

    for secs, succeeds in steps:
        now += secs * NANOS_PER_SEC
        job = made.due(now)
        if job is None:
            continue
        if succeeds:
            made.succeeded(job)
            done.append(job.due_ns)
        else:
            made.failed(job, "odd", now)

    state = made.states["close"]
    assert done == sorted(set(done))
    assert (state.done_due_ns - start) // DAY_NS == len(done) + state.left_out
