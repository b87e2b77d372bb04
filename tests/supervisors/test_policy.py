"""The pure policy, with a clock and dice of the test's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.decisions import (
    Action,
    AllReady,
    Boot,
    BudgetReset,
    ChildEnded,
    ChildReady,
    Event,
    Finish,
    Mode,
    Outcome,
    Phase,
    Report,
    ReportKind,
    RestartRequested,
    SetTimer,
    StartChild,
    StopChild,
    StopRequested,
    TimerFired,
)
from supervisors.policy import State, backoff_delay_secs, decide, initial_state
from supervisors.spec import Backoff, Budget, ChildSpec, Restart, SupervisorSpec

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY


class Driver:
    """Feeds events to the policy and keeps the actions of the latest one."""

    def __init__(self, *children: ChildSpec, intensity: int = 3, period_secs: float = 5.0) -> None:
        spec = SupervisorSpec(
            name="root", children=children, intensity=intensity, period_secs=period_secs
        )
        self.state: State = initial_state(spec)
        self.now = 100.0
        self.actions: tuple[Action, ...] = ()

    def tell(self, event: Event, *, after_secs: float = 0.0, dice: float = 0.0) -> Driver:
        self.now += after_secs
        self.state, self.actions = decide(self.state, event, self.now, dice)
        return self

    def up(self) -> Driver:
        """Boot, and let every child start well."""
        self.tell(Boot())
        for child in self.state.children:
            self.tell(ChildReady(child.name))
        return self

    def crash(self, name: str, **when: float) -> Driver:
        return self.tell(ChildEnded(name, clean=False), **when)

    def phase(self, name: str) -> Phase:
        child = self.state.child(name)
        assert child is not None
        return child.phase

    def fire_timer(self) -> Driver:
        [timer] = [action for action in self.actions if isinstance(action, SetTimer)]
        return self.tell(TimerFired(timer.name, timer.token), after_secs=timer.delay_secs)


def child(name: str, restart: Restart = PERMANENT, **fields: Any) -> ChildSpec:
    return ChildSpec(name=name, actor="m:C", restart=restart, **fields)


def starts(driver: Driver) -> list[str]:
    return [action.name for action in driver.actions if isinstance(action, StartChild)]


def reports(driver: Driver) -> list[ReportKind]:
    return [action.kind for action in driver.actions if isinstance(action, Report)]


# -- start --


def test_children_start_one_after_the_other_in_order() -> None:
    driver = Driver(child("a"), child("b")).tell(Boot())
    assert driver.actions == (StartChild("a"),)

    driver.tell(ChildReady("a"))
    assert driver.actions == (StartChild("b"),)

    driver.tell(ChildReady("b"))
    assert driver.actions == (AllReady(),)
    assert driver.state.mode is Mode.RUNNING


def test_supervisor_without_children_is_ready_at_once() -> None:
    assert Driver().tell(Boot()).actions == (AllReady(),)


def test_failed_start_stops_those_before_in_reverse_and_ends() -> None:
    driver = Driver(child("a"), child("b"), child("c")).tell(Boot())
    driver.tell(ChildReady("a")).tell(ChildReady("b"))

    driver.crash("c")
    assert driver.actions == (Report(ReportKind.START_ERROR, "c"), StopChild("b", 5.0))

    driver.tell(ChildEnded("b", clean=True))
    assert driver.actions == (StopChild("a", 5.0),)

    driver.tell(ChildEnded("a", clean=True))
    assert driver.actions == (Finish(Outcome.START_FAILED, "c"),)


def test_child_that_crashes_while_a_later_one_starts_is_restarted() -> None:
    driver = Driver(child("a"), child("b")).tell(Boot()).tell(ChildReady("a"))

    driver.crash("a")
    assert starts(driver) == ["a"]

    driver.tell(ChildReady("b")).tell(ChildReady("a"))
    assert driver.state.mode is Mode.RUNNING


def test_temporary_child_that_fails_at_boot_fails_the_start() -> None:
    driver = Driver(child("a", TEMPORARY)).tell(Boot()).crash("a")

    assert driver.actions[-1] == Finish(Outcome.START_FAILED, "a")


# -- restart types --


@pytest.mark.parametrize(
    ("restart", "clean", "restarted", "kept", "reported"),
    [
        (PERMANENT, True, True, True, True),
        (PERMANENT, False, True, True, True),
        (TRANSIENT, True, False, True, False),
        (TRANSIENT, False, True, True, True),
        (TEMPORARY, True, False, False, False),
        (TEMPORARY, False, False, False, True),
    ],
)
def test_restart_type_decides_as_in_erlang(
    *, restart: Restart, clean: bool, restarted: bool, kept: bool, reported: bool
) -> None:
    driver = Driver(child("a", restart), child("b")).up()

    driver.tell(ChildEnded("a", clean))

    assert starts(driver) == (["a"] if restarted else [])
    assert (driver.state.child("a") is not None) is kept
    assert reports(driver) == ([ReportKind.CHILD_TERMINATED] if reported else [])
    assert driver.phase("b") is Phase.RUNNING


def test_second_notice_of_one_death_changes_nothing() -> None:
    driver = Driver(child("a", TRANSIENT)).up().tell(ChildEnded("a", clean=True))
    before = driver.state

    driver.crash("a").crash("nobody").tell(ChildReady("a")).tell(ChildReady("nobody"))

    assert driver.state == before
    assert driver.actions == ()


# -- intensity --


@pytest.mark.parametrize(("gap_secs", "lives"), [(4.0, False), (5.0, False), (6.0, True)])
def test_edge_of_the_period_is_inclusive(gap_secs: float, *, lives: bool) -> None:
    driver = Driver(child("a"), intensity=1, period_secs=5.0).up()
    driver.crash("a").tell(ChildReady("a"))

    driver.crash("a", after_secs=gap_secs)

    assert (starts(driver) == ["a"]) is lives
    assert (Finish(Outcome.GAVE_UP, "a") in driver.actions) is not lives


def test_crashes_are_counted_in_whole_seconds_as_erlang_does() -> None:
    driver = Driver(child("a"), intensity=1, period_secs=5.0).up()
    driver.crash("a", after_secs=0.1).tell(ChildReady("a"))

    driver.crash("a", after_secs=5.8)  # 100.1 and 105.9: 5.8 s apart, and 5 on Erlang's clock

    assert Finish(Outcome.GAVE_UP, "a") in driver.actions


def test_exactly_as_many_restarts_as_the_intensity_are_allowed() -> None:
    driver = Driver(child("a"), intensity=3).up()

    for _ in range(3):
        assert starts(driver.crash("a")) == ["a"]
        driver.tell(ChildReady("a"))

    assert Finish(Outcome.GAVE_UP, "a") in driver.crash("a").actions


def test_intensity_of_zero_allows_no_restart() -> None:
    assert Driver(child("a"), intensity=0).up().crash("a").actions == (
        Report(ReportKind.CHILD_TERMINATED, "a"),
        Report(ReportKind.SHUTDOWN, "a"),
        Finish(Outcome.GAVE_UP, "a"),
    )


def test_giving_up_stops_the_others_in_reverse_order() -> None:
    driver = Driver(child("a"), child("b"), child("c"), intensity=0).up().crash("b")
    assert driver.actions[-1] == StopChild("c", 5.0)

    driver.tell(ChildEnded("c", clean=True))
    assert driver.actions == (StopChild("a", 5.0),)

    driver.tell(ChildEnded("a", clean=True))
    assert driver.actions == (Finish(Outcome.GAVE_UP, "b"),)


def test_failed_restart_is_asked_for_again_by_timer_and_counted_again() -> None:
    driver = Driver(child("a"), intensity=2).up().crash("a")

    driver.crash("a")
    assert driver.phase("a") is Phase.BACKOFF
    assert reports(driver) == [ReportKind.START_ERROR]
    assert starts(driver.fire_timer()) == ["a"]

    driver.crash("a")
    assert driver.phase("a") is Phase.BACKOFF
    assert driver.fire_timer().actions[-1] == Finish(Outcome.GAVE_UP, "a")


def test_outdated_timer_starts_nothing() -> None:
    driver = Driver(child("a"), intensity=9).up().crash("a").crash("a")
    [timer] = [action for action in driver.actions if isinstance(action, SetTimer)]
    driver.fire_timer().crash("a")

    driver.tell(TimerFired("a", timer.token))

    assert driver.actions == ()
    assert driver.phase("a") is Phase.BACKOFF


def test_temporary_child_whose_restart_by_a_person_fails_is_forgotten() -> None:
    driver = Driver(child("a", TEMPORARY), child("b")).up().tell(RestartRequested("a"))
    driver.tell(ChildEnded("a", clean=True))

    driver.crash("a")

    assert driver.state.child("a") is None
    assert reports(driver) == [ReportKind.START_ERROR]


# -- budget --


def test_child_with_a_budget_does_not_count_towards_the_intensity() -> None:
    driver = Driver(child("a", budget=Budget(max_restarts=9)), child("b"), intensity=0).up()

    assert starts(driver.crash("a")) == ["a"]
    assert driver.state.attempts == ()


def test_first_restart_is_at_once_and_later_ones_wait_longer() -> None:
    budget = Budget(max_restarts=9, backoff=Backoff(initial_secs=0.5, jitter=0.0))
    driver = Driver(child("a", budget=budget)).up()

    delays = [next_delay(driver) for _ in range(4)]

    assert delays == [0.0, 0.5, 1.0, 2.0]


def test_quiet_time_begins_the_backoff_again() -> None:
    budget = Budget(max_restarts=9, backoff=Backoff(initial_secs=0.5, jitter=0.0, reset_secs=10.0))
    driver = Driver(child("a", budget=budget)).up()
    next_delay(driver)
    next_delay(driver)

    driver.now += 10.0

    assert next_delay(driver) == 0.0


def test_used_up_budget_is_quarantine_and_the_others_live() -> None:
    driver = Driver(child("a", budget=Budget(max_restarts=1)), child("b"), intensity=0).up()
    next_delay(driver)

    driver.crash("a")

    assert reports(driver) == [ReportKind.CHILD_TERMINATED, ReportKind.QUARANTINED]
    assert driver.phase("a") is Phase.QUARANTINED
    assert driver.phase("b") is Phase.RUNNING
    assert driver.state.mode is Mode.RUNNING


@pytest.mark.parametrize(("gap_secs", "phase"), [(60.0, "quarantined"), (60.5, "starting")])
def test_budget_is_a_sliding_window_with_an_inclusive_edge(gap_secs: float, phase: str) -> None:
    budget = Budget(max_restarts=1, period_secs=60.0)
    driver = Driver(child("a", budget=budget)).up().crash("a").tell(ChildReady("a"))

    driver.crash("a", after_secs=gap_secs)

    assert driver.phase("a").value == phase


def test_restart_by_a_person_forgives_the_budget() -> None:
    driver = Driver(child("a", budget=Budget(max_restarts=1))).up()
    next_delay(driver)
    driver.crash("a")

    driver.tell(RestartRequested("a"))
    assert driver.actions == (StartChild("a"),)

    driver.tell(ChildReady("a"))
    assert next_delay(driver) == 0.0


def test_reset_of_a_budget_forgives_restarts_and_backoff_and_restarts_nothing() -> None:
    driver = Driver(child("a", budget=Budget(max_restarts=2))).up()
    for _ in range(2):
        next_delay(driver)
        driver.tell(ChildReady("a"))

    driver.tell(BudgetReset("a"))
    assert driver.actions == ()

    assert next_delay(driver) == 0.0


def test_reset_of_a_budget_starts_a_quarantined_child() -> None:
    driver = Driver(child("a", budget=Budget(max_restarts=0))).up().crash("a")
    assert driver.phase("a").value == "quarantined"

    driver.tell(BudgetReset("a"))

    assert driver.actions == (StartChild("a"),)


def test_reset_of_the_budget_of_an_unknown_child_changes_nothing() -> None:
    assert Driver(child("a")).up().tell(BudgetReset("b")).actions == ()


@given(
    backoffs=st.integers(0, 10_000),
    dice=st.floats(0, 1, exclude_max=True),
    jitter=st.floats(0, 2),
)
def test_delay_is_never_longer_than_the_stretched_maximum(
    backoffs: int, dice: float, jitter: float
) -> None:
    budget = Budget(backoff=Backoff(initial_secs=0.1, max_secs=30.0, jitter=jitter))

    delay_secs = backoff_delay_secs(budget, backoffs, dice)

    assert 0.0 <= delay_secs <= 30.0 * (1.0 + jitter)
    assert (delay_secs == 0.0) is (backoffs == 0)


# -- requests --


@pytest.mark.parametrize("booted", [True, False])
def test_restart_by_a_person_stops_and_starts(*, booted: bool) -> None:
    driver = Driver(child("a"), child("b")).up()
    if not booted:
        driver.crash("a")

    driver.tell(RestartRequested("a"))
    assert driver.actions == (StopChild("a", 5.0),)
    assert driver.tell(RestartRequested("a")).actions == ()

    driver.tell(ChildEnded("a", clean=True))
    assert driver.actions == (StartChild("a"),)
    assert driver.state.attempts == (() if booted else (100,))


def test_restart_of_a_child_that_had_to_be_killed_is_reported() -> None:
    driver = Driver(child("a")).up().tell(RestartRequested("a"))

    driver.crash("a")

    assert reports(driver) == [ReportKind.SHUTDOWN_ERROR]
    assert starts(driver) == ["a"]


def test_restart_of_a_child_in_backoff_starts_it_at_once() -> None:
    driver = Driver(child("a"), intensity=9).up().crash("a").crash("a")

    driver.tell(RestartRequested("a"))

    assert driver.actions == (StartChild("a"),)


def test_restart_of_an_unknown_child_changes_nothing() -> None:
    assert Driver(child("a")).up().tell(RestartRequested("b")).actions == ()


def test_stop_goes_through_the_children_in_reverse_order() -> None:
    driver = Driver(child("a"), child("b"), child("c", shutdown_secs=None)).up()

    driver.tell(StopRequested())
    assert driver.actions == (StopChild("c", None),)
    assert driver.tell(StopRequested()).actions == ()

    driver.crash("a")  # by itself, while c is stopping: no restart
    assert reports(driver) == [ReportKind.SHUTDOWN_ERROR]

    driver.tell(ChildEnded("c", clean=True))
    assert driver.actions == (StopChild("b", 5.0),)

    driver.tell(ChildEnded("b", clean=True))
    assert driver.actions == (Finish(Outcome.STOPPED, None),)


def test_stop_while_a_child_waits_to_be_restarted_is_immediate() -> None:
    driver = Driver(child("a"), intensity=9).up().crash("a").crash("a")
    [timer] = [action for action in driver.actions if isinstance(action, SetTimer)]

    driver.tell(StopRequested())
    assert driver.actions == (Finish(Outcome.STOPPED, None),)

    assert driver.tell(TimerFired("a", timer.token)).actions == ()


def test_stop_during_the_start_stops_who_is_starting() -> None:
    driver = Driver(child("a"), child("b"), child("c")).tell(Boot()).tell(ChildReady("a"))

    driver.tell(StopRequested())
    assert driver.actions == (StopChild("b", 5.0),)

    driver.tell(ChildEnded("b", clean=True))
    assert driver.actions == (StopChild("a", 5.0),)


def test_starting_child_that_dies_while_another_stops_is_not_started_again() -> None:
    driver = Driver(child("a"), child("b")).up().crash("a").tell(StopRequested())

    driver.crash("a")

    assert driver.actions == ()
    assert driver.phase("a") is Phase.STOPPED


def test_brutally_killed_child_is_no_shutdown_error() -> None:
    driver = Driver(child("a", shutdown_secs=0)).up().tell(StopRequested())
    assert driver.actions == (StopChild("a", 0),)

    driver.crash("a")

    assert driver.actions == (Finish(Outcome.STOPPED, None),)


def next_delay(driver: Driver) -> float:
    """Crash the child "a", let it come back, and return how long it had to wait."""
    driver.crash("a")
    [report] = [action for action in driver.actions if isinstance(action, Report)]
    assert report.restart_in_secs is not None
    if report.restart_in_secs > 0:
        driver.fire_timer()
    driver.tell(ChildReady("a"))
    return report.restart_in_secs
