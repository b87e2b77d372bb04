"""The circuit breaker's rules: resilience4j's cases, and a naive model beside it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.policy.breaker import (
    LEGAL,
    BreakerRules,
    BreakerSettings,
    BreakerState,
    IllegalTransitionError,
    Permit,
)
from supervisors.policy.windows import CountWindow, Tally, TimeWindow

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN = BreakerState
SMALL = BreakerSettings(
    window_calls=4, minimum_calls=4, half_open_calls=2, open_secs=10.0, jitter=0.0
)


class Bench:
    """A breaker with a clock that a test sets."""

    def __init__(self, settings: BreakerSettings = SMALL, **changes: Any) -> None:
        values = {name: getattr(settings, name) for name in settings.__struct_fields__}
        self.rules = BreakerRules("venue", BreakerSettings(**(values | changes)), 0.0)
        self.now = 0.0
        self.dice = 0.0

    def enter(self) -> Permit | None:
        return self.rules.acquire(self.now, self.dice)[0]

    def leave(self, permit: Permit | None, *, failed: bool = False) -> None:
        assert permit is not None
        self.rules.record(permit, self.now, self.dice, failed=failed)

    def calls(self, outcomes: str, secs: float = 0.0) -> Bench:
        """One call after the other: ``f`` fails, ``.`` does not."""
        for outcome in outcomes:
            permit = self.enter()
            self.now += secs
            self.leave(permit, failed=outcome == "f")
        return self

    def opened(self) -> Bench:
        return self.calls("ffff")

    def half_opened(self) -> tuple[Bench, Permit]:
        self.opened().now += 10.0
        permit = self.enter()
        assert permit is not None
        return self, permit

    @property
    def state(self) -> BreakerState:
        return self.rules.state


def in_state(state: BreakerState) -> BreakerRules:
    match state:
        case BreakerState.CLOSED:
            return Bench().rules
        case BreakerState.OPEN:
            return Bench().opened().rules
        case BreakerState.HALF_OPEN:
            return Bench().half_opened()[0].rules
        case BreakerState.FORCED_OPEN:
            rules = Bench().rules
            rules.force_open(0.0, by="Ann", reason="drill")
            return rules


@pytest.mark.parametrize("before", BreakerState)
@pytest.mark.parametrize("after", BreakerState)
def test_only_the_listed_transitions_are_made(before: BreakerState, after: BreakerState) -> None:
    rules = in_state(before)

    if (before, after) in LEGAL:
        change = rules.move(after, 20.0, "as told")
        assert (change.before, change.after, rules.state) == (before, after, after)
    else:
        with pytest.raises(IllegalTransitionError, match=f"from {before.value} to {after.value}"):
            rules.move(after, 20.0, "as told")
        assert rules.state is before


def test_nothing_is_tried_while_it_is_closed() -> None:
    assert (CLOSED, HALF_OPEN) not in LEGAL


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("fff", CLOSED),  # fewer than the minimum
        ("f..f", OPEN),  # on the threshold
        ("f...", CLOSED),
        ("f....f..", CLOSED),  # the first failure has left the window
        ("f...ff", OPEN),
    ],
)
def test_opens_at_the_failure_rate_of_the_window(outcomes: str, state: BreakerState) -> None:
    assert Bench().calls(outcomes).state is state


def test_rate_on_a_threshold_that_binary_numbers_cannot_hold_opens() -> None:
    bench = Bench(window_calls=100, minimum_calls=100, failure_rate=0.07)

    assert bench.calls("f" * 7 + "." * 93).state is OPEN


def test_minimum_larger_than_the_window_is_the_window() -> None:
    assert Bench(window_calls=2, minimum_calls=100).calls("ff").state is OPEN


def test_slow_calls_open_it_although_none_failed() -> None:
    bench = Bench(slow_call_rate=0.5, slow_call_secs=2.0)

    bench.calls("..", secs=2.0)  # as long as allowed is not slow
    assert bench.calls("..", secs=2.1).state is OPEN


def test_slow_call_rate_below_its_threshold_keeps_it_closed() -> None:
    assert Bench(slow_call_rate=0.5).calls("...").calls(".", secs=9.0).state is CLOSED


def test_open_one_refuses_and_counts_what_it_refused() -> None:
    bench = Bench().opened()

    bench.now += 9.9
    assert bench.enter() is None
    assert bench.enter() is None
    assert bench.rules.snapshot(bench.now).refused == 2
    assert bench.rules.retry_in_secs(bench.now) == pytest.approx(0.1)


def test_open_time_over_lets_through_as_many_as_the_trial_needs() -> None:
    bench, _ = Bench(half_open_calls=4).half_opened()

    permits = [bench.enter() for _ in range(4)]

    assert bench.state is HALF_OPEN
    assert [permit is not None for permit in permits] == [True, True, True, False]


def test_trial_is_judged_when_all_of_it_has_ended() -> None:
    bench, first = Bench().half_opened()
    second = bench.enter()

    bench.leave(first)
    assert bench.state is HALF_OPEN
    bench.leave(second)

    assert bench.state is CLOSED


def test_failed_trial_opens_again() -> None:
    bench, first = Bench().half_opened()
    second = bench.enter()

    bench.leave(first)
    bench.leave(second, failed=True)

    assert bench.state is OPEN


def test_slow_trial_opens_again() -> None:
    bench, first = Bench(slow_call_secs=1.0).half_opened()
    second = bench.enter()

    bench.now += 1.5
    bench.leave(first)
    bench.leave(second)

    assert bench.state is OPEN


def test_trial_that_is_ignored_gives_its_place_to_another() -> None:
    bench, first = Bench(half_open_calls=1).half_opened()
    assert bench.enter() is None

    bench.rules.release(first)

    assert bench.enter() is not None


def test_trial_that_takes_too_long_opens_again() -> None:
    bench, _ = Bench(half_open_secs=5.0, half_open_calls=1).half_opened()

    bench.now += 4.9
    assert bench.enter() is None
    assert bench.state is HALF_OPEN
    bench.now += 0.1
    assert bench.enter() is None

    assert bench.state is OPEN


def test_open_time_grows_with_each_failed_trial_up_to_its_cap() -> None:
    bench = Bench(half_open_calls=1, max_open_secs=35.0).opened()
    waits = []

    for _ in range(4):
        wait_secs = bench.rules.retry_in_secs(bench.now)
        assert wait_secs is not None
        waits.append(wait_secs)
        bench.now += wait_secs
        bench.leave(bench.enter(), failed=True)

    assert waits == [10.0, 20.0, 35.0, 35.0]


def test_open_time_is_the_first_again_after_a_successful_trial() -> None:
    bench = Bench(half_open_calls=1).opened()
    bench.now += 10.0
    bench.leave(bench.enter(), failed=True)
    bench.now += 20.0
    bench.leave(bench.enter())

    bench.calls("ffff")

    assert bench.rules.retry_in_secs(bench.now) == 10.0


@given(dice=st.floats(0.0, 1.0, exclude_max=True), openings=st.integers(0, 2_000))
def test_jitter_stretches_the_open_time_also_after_any_number_of_openings(
    dice: float, openings: int
) -> None:
    settings = BreakerSettings(open_secs=1.0, max_open_secs=60.0, jitter=0.5)
    rules = BreakerRules("venue", settings, 0.0)
    rules._openings = openings

    change = rules.trip(0.0, dice, "drill")

    assert change.open_secs == pytest.approx(min(60.0, 2.0 ** min(openings, 64)) * (1 + dice / 2))


def test_call_that_was_let_through_before_a_change_is_not_counted_after_it() -> None:
    bench = Bench(half_open_calls=1)
    old = bench.enter()
    bench.opened().now += 10.0
    trial = bench.enter()

    bench.leave(old)
    assert bench.state is HALF_OPEN
    bench.leave(trial)
    bench.leave(old, failed=True)

    assert bench.state is CLOSED
    assert bench.rules.snapshot(bench.now).calls == 0


def test_manual_reset_breaker_never_closes_itself() -> None:
    bench = Bench(manual_reset=True).opened()

    bench.now += 1e9
    assert bench.enter() is None
    assert bench.rules.retry_in_secs(bench.now) is None
    change = bench.rules.reset(bench.now, by="Ann", reason="looked at the fills")

    assert (change.by, change.reason, bench.state) == ("Ann", "looked at the fills", CLOSED)
    assert bench.enter() is not None


def test_forced_open_stays_until_a_person_resets_it() -> None:
    bench = Bench()
    bench.rules.force_open(0.0, by="Ann", reason="venue maintenance")

    bench.now += 1e9
    assert bench.enter() is None
    with pytest.raises(IllegalTransitionError):
        bench.rules.trip(bench.now, 0.0, "drill")
    bench.rules.reset(bench.now, by="Bob", reason="maintenance over")

    assert bench.state is CLOSED


def test_person_who_changes_it_has_a_name() -> None:
    with pytest.raises(ValueError, match="by was empty"):
        Bench().rules.reset(0.0, by=" ", reason="because")


def test_snapshot_says_why_since_when_and_how_many() -> None:
    bench = Bench().calls("f..f")
    bench.now += 4.0

    seen = bench.rules.snapshot(bench.now)

    assert (seen.name, seen.state, seen.reason) == ("venue", OPEN, "2 of 4 calls failed")
    assert (seen.since_secs, seen.retry_in_secs, seen.opened) == (4.0, 6.0, 1)


def test_snapshot_has_no_rates_while_there_is_too_little_to_judge() -> None:
    bench = Bench()
    assert bench.calls("f..").rules.snapshot(0.0).failure_rate is None
    assert bench.calls(".").rules.snapshot(0.0).failure_rate == 0.25
    assert bench.rules.snapshot(0.0).slow_call_rate == 0.0


def test_time_window_forgets_by_the_second() -> None:
    bench = Bench(window_calls=None, window_secs=3, minimum_calls=2)

    bench.calls("f")
    bench.now = 2.9
    assert bench.rules.snapshot(bench.now).calls == 1
    bench.now = 3.0
    assert bench.rules.snapshot(bench.now).calls == 0
    assert bench.calls(".f").state is OPEN


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_rate": 0.0},
        {"failure_rate": 1.1},
        {"failure_rate": math.nan},
        {"slow_call_rate": 0.0},
        {"slow_call_secs": 0.0},
        {"window_calls": None},
        {"window_secs": 10},
        {"window_calls": 0},
        {"minimum_calls": 0},
        {"half_open_calls": 0},
        {"half_open_secs": 0.0},
        {"open_secs": 0.0},
        {"open_factor": 0.5},
        {"max_open_secs": 1.0},
        {"jitter": -0.1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BreakerSettings(**wrong)


class NaiveBreaker:
    """The same rules over plain lists of everything that ever happened."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.state = CLOSED
        self.epoch = 0
        self.since = self.until = 0.0
        self.openings = 0
        self.admitted = 0
        self.done: list[tuple[float, bool, bool]] = []

    def go(self, state: BreakerState, now: float) -> None:
        self.state, self.since, self.admitted, self.done = state, now, 0, []
        self.epoch += 1

    def open(self, now: float) -> None:
        self.go(OPEN, now)
        grown = self.settings.open_secs * self.settings.open_factor**self.openings
        manual = self.settings.manual_reset
        self.until = math.inf if manual else now + min(grown, self.settings.max_open_secs)
        self.openings += 1

    def enter(self, now: float) -> bool:
        if self.state is OPEN and now >= self.until:
            self.go(HALF_OPEN, now)
        limit = self.settings.half_open_secs
        if self.state is HALF_OPEN and limit is not None and now - self.since >= limit:
            self.open(now)
        is_trial = self.state is HALF_OPEN and self.admitted < self.settings.half_open_calls
        self.admitted += is_trial
        return is_trial or self.state is CLOSED

    def leave(self, epoch: int, began: float, now: float, *, failed: bool) -> None:
        if epoch != self.epoch:
            return
        settings = self.settings
        self.done.append((now, failed, now - began > settings.slow_call_secs))
        seen = self.done
        if self.state is HALF_OPEN:
            enough = settings.half_open_calls
        elif settings.window_secs is not None:
            enough = settings.minimum_calls
            seen = [d for d in seen if math.floor(d[0]) > math.floor(now) - settings.window_secs]
        else:
            assert settings.window_calls is not None
            enough = min(settings.minimum_calls, settings.window_calls)
            seen = seen[-settings.window_calls :]
        if len(seen) < enough:
            return
        if (
            sum(d[1] for d in seen) / len(seen) >= settings.failure_rate
            or sum(d[2] for d in seen) / len(seen) >= settings.slow_call_rate
        ):
            self.open(now)
        elif self.state is HALF_OPEN:
            self.go(CLOSED, now)
            self.openings = 0


some_settings = st.builds(
    lambda window, **fields: BreakerSettings(**window, **fields, jitter=0.0, open_secs=2.0),
    window=st.one_of(
        st.builds(lambda n: {"window_calls": n}, st.integers(1, 6)),
        st.builds(lambda n: {"window_calls": None, "window_secs": n}, st.integers(1, 5)),
    ),
    failure_rate=st.sampled_from([0.2, 0.5, 1.0]),
    slow_call_rate=st.sampled_from([0.3, 1.0]),
    slow_call_secs=st.just(1.0),
    minimum_calls=st.integers(1, 5),
    half_open_calls=st.integers(1, 3),
    half_open_secs=st.sampled_from([None, 3.0]),
    max_open_secs=st.sampled_from([2.0, 9.0]),
    manual_reset=st.booleans(),
)
some_steps = st.lists(
    st.tuples(
        st.sampled_from(["enter", "fail", "succeed", "release", "force_open", "reset"]),
        st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    ),
    max_size=80,
)


@given(settings=some_settings, steps=some_steps)
def test_it_does_what_the_naive_model_does(
    settings: BreakerSettings, steps: list[tuple[str, float]]
) -> None:
    rules, naive = BreakerRules("b", settings, 0.0), NaiveBreaker(settings)
    now = 0.0
    under_way: list[tuple[Permit, int]] = []

    for step, passed in steps:
        now += passed
        if step == "enter":
            permit, _ = rules.acquire(now, 0.0)
            assert naive.enter(now) == (permit is not None)
            if permit is not None:
                under_way.append((permit, naive.epoch))
        elif step in {"fail", "succeed", "release"} and under_way:
            permit, epoch = under_way.pop(0)
            if step == "release":
                rules.release(permit)
                naive.admitted -= epoch == naive.epoch and naive.state is HALF_OPEN
            else:
                rules.record(permit, now, 0.0, failed=step == "fail")
                naive.leave(epoch, permit.began, now, failed=step == "fail")
        elif step == "force_open":
            rules.force_open(now, by="Ann", reason="drill")
            naive.go(FORCED_OPEN, now)
        elif step == "reset":
            rules.reset(now, by="Ann", reason="drill")
            naive.go(CLOSED, now)
            naive.openings = 0
        assert rules.state is naive.state


@given(
    secs=st.integers(1, 5),
    calls=st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans(), st.booleans()), max_size=60),
)
def test_windows_hold_what_a_list_of_all_calls_would(
    secs: int, calls: list[tuple[float, bool, bool]]
) -> None:
    by_time, by_count = TimeWindow(secs), CountWindow(secs)
    all_calls: list[tuple[float, bool, bool]] = []
    times = itertools.accumulate(passed for passed, _, _ in calls)

    for now, (_, failed, slow) in zip(times, calls, strict=True):
        by_time.add(now, failed=failed, slow=slow)
        by_count.add(now, failed=failed, slow=slow)
        all_calls.append((now, failed, slow))
        recent = [call for call in all_calls if math.floor(call[0]) > math.floor(now) - secs]
        assert by_time.tally(now) == tally(recent)
        assert by_count.tally(now) == tally(all_calls[-secs:])


def tally(calls: list[tuple[float, bool, bool]]) -> Tally:
    return Tally(len(calls), sum(c[1] for c in calls), sum(c[2] for c in calls))
