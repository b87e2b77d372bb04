"""What is done about a crash by the class of its exception; budgets; the backoff."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import HouseBuilder
from hypothesis import given
from hypothesis import strategies as st
from trial_house import supervisor, worker

from supervisors.decisions import (
    Boot,
    ChildEnded,
    ChildReady,
    Finish,
    Outcome,
    Phase,
    Report,
    ReportKind,
    SetTimer,
    StartChild,
    StopChild,
    TimerFired,
)
from supervisors.policy import State, backoff_delay_secs, decide, initial_state
from supervisors.spec import (
    AutoShutdown,
    Backoff,
    Budget,
    ChildSpec,
    Directive,
    Restart,
    SpecError,
    Strategy,
    SupervisorSpec,
)
from supervisors.spec_check import check_spec

STOP, ESCALATE, RESTART = Directive.STOP, Directive.ESCALATE, Directive.RESTART
REFUSED = ("ConnectionRefusedError", "ConnectionError", "OSError", "Exception", "BaseException")


def child(name: str, **fields: Any) -> ChildSpec:
    return ChildSpec(name=name, actor="m:C", **fields)


def running(*children: ChildSpec, **flags: Any) -> State:
    state = initial_state(SupervisorSpec(name="root", children=children, **flags))
    for event in (Boot(), *(ChildReady(each.name) for each in children)):
        state, _ = decide(state, event, 0.0, 0.0)
    return state


def crash(state: State, name: str, *exceptions: str, now: float = 1.0) -> tuple[State, list[Any]]:
    ended = ChildEnded(name, clean=False, exceptions=exceptions)
    state, actions = decide(state, ended, now, 0.0)
    return state, list(actions)


def phase(state: State, name: str) -> Phase:
    return state.by_name[name].phase


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ({}, Phase.STARTING),
        ({"OSError": STOP}, Phase.STOPPED),
        ({"Exception": STOP}, Phase.STOPPED),
        ({"KeyError": STOP}, Phase.STARTING),
        ({"OSError": STOP, "ConnectionRefusedError": RESTART}, Phase.STARTING),
        ({"ConnectionRefusedError": STOP, "OSError": RESTART}, Phase.STOPPED),
    ],
    ids=str,
)
def test_nearest_class_that_has_a_directive_decides(
    directives: dict[str, Directive], expected: Phase
) -> None:
    state, _ = crash(running(child("a", directives=directives)), "a", *REFUSED)

    assert phase(state, "a") is expected


def test_end_without_an_exception_has_no_directive() -> None:
    state, actions = crash(running(child("a", directives={"BaseException": ESCALATE})), "a")

    assert phase(state, "a") is Phase.STARTING
    assert StartChild("a") in actions


def test_stopped_child_leaves_its_siblings_alone_and_keeps_its_spec() -> None:
    state = running(child("a", directives={"OSError": STOP}), child("b"), intensity=0)

    state, actions = crash(state, "a", *REFUSED)

    assert actions == [Report(ReportKind.CHILD_TERMINATED, "a")]
    assert phase(state, "b") is Phase.RUNNING


def test_stop_spends_no_budget() -> None:
    spender = child("a", directives={"OSError": STOP}, budget=Budget(max_restarts=1))

    state, _ = crash(running(spender), "a", *REFUSED)

    assert state.by_name["a"].spent == ()


def test_escalation_stops_all_and_ends_with_the_culprit() -> None:
    state = running(child("a"), child("b", directives={"OSError": ESCALATE}), child("c"))

    state, actions = crash(state, "b", *REFUSED)
    assert actions[-1] == StopChild("c", 5.0)
    state, _ = decide(state, ChildEnded("c", clean=True), 1.0, 0.0)
    _, actions = decide(state, ChildEnded("a", clean=True), 1.0, 0.0)  # type: ignore[assignment]

    assert tuple(actions) == (Finish(Outcome.ESCALATED, "b"),)


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
@pytest.mark.parametrize(
    ("directive", "mode_ends"), [(STOP, False), (ESCALATE, True)], ids=["stop", "escalate"]
)
def test_start_that_fails_in_a_group_restart_has_its_directive_too(
    strategy: Strategy, directive: Directive, *, mode_ends: bool
) -> None:
    state = running(
        child("a"), child("b", directives={"OSError": directive}), child("c"), strategy=strategy
    )
    state, _ = crash(state, "a")
    for name in ("c", "b"):
        state, _ = decide(state, ChildEnded(name, clean=True), 1.0, 0.0)
    state, _ = decide(state, ChildReady("a"), 1.0, 0.0)

    state, actions = crash(state, "b", *REFUSED)

    assert phase(state, "b") is Phase.STOPPED
    assert (StopChild("a", 5.0) in actions) is mode_ends
    assert (StartChild("c") in actions) is not mode_ends


def test_significant_child_that_is_stopped_by_a_directive_ends_its_supervisor() -> None:
    significant = child(
        "a", restart=Restart.TRANSIENT, significant=True, directives={"OSError": STOP}
    )
    state = running(significant, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)

    _, actions = crash(state, "a", *REFUSED)

    assert actions[-1] == Finish(Outcome.AUTO_SHUTDOWN, "a")


@pytest.mark.parametrize(
    "wrong", [{"OSError": "stop"}, {"no name": STOP}, {1: STOP}, [("OSError", STOP)]], ids=str
)
def test_directives_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(SpecError, match="directives was"):
        check_spec(supervisor("root", worker("a", directives=wrong)))


@given(
    dice=st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=8),
    jitter=st.floats(0.0, 1.0),
)
def test_delays_double_up_to_the_cap_with_jitter(dice: list[float], jitter: float) -> None:
    budget = Budget(
        max_restarts=100, backoff=Backoff(initial_secs=0.5, max_secs=3.0, jitter=jitter)
    )
    state = running(child("a", budget=budget))
    state, _ = crash(state, "a")

    for number, each in enumerate(dice):
        state, actions = decide(state, ChildEnded("a", clean=False), 2.0, each)
        [timer] = [action for action in actions if isinstance(action, SetTimer)]
        assert timer.delay_secs == min(3.0, 0.5 * 2**number) * (1 + each * jitter)
        assert state.by_name["a"].starts_at == 2.0 + timer.delay_secs
        state, _ = decide(state, TimerFired("a", timer.token), 2.0, 0.0)
        assert state.by_name["a"].starts_at is None


def test_start_that_takes_long_to_fail_is_no_quiet_time() -> None:
    budget = Budget(max_restarts=100, backoff=Backoff(initial_secs=1.0, jitter=0.0, reset_secs=10))
    state = running(child("a", budget=budget))
    delays, now = [], 0.0

    for _ in range(4):
        now += 20.0
        state, actions = crash(state, "a", now=now)
        timers = [action for action in actions if isinstance(action, SetTimer)]
        delays.append(timers[0].delay_secs if timers else 0.0)
        for timer in timers:
            now += timer.delay_secs
            state, _ = decide(state, TimerFired("a", timer.token), now, 0.0)

    assert delays == [0.0, 1.0, 2.0, 4.0]
    assert backoff_delay_secs(budget, 3, 0.0) == 4.0


def test_running_for_the_quiet_time_makes_the_next_restart_immediate() -> None:
    budget = Budget(max_restarts=100, backoff=Backoff(initial_secs=1.0, jitter=0.0, reset_secs=10))
    state = running(child("a", budget=budget))
    state, _ = crash(state, "a", now=1.0)
    state, _ = decide(state, ChildReady("a"), 2.0, 0.0)

    early, _ = crash(state, "a", now=11.9)
    late, actions = crash(state, "a", now=12.0)

    assert phase(early, "a") is Phase.BACKOFF
    assert phase(late, "a") is Phase.STARTING
    assert StartChild("a") in actions


# -- with real processes --


def test_crash_of_that_class_or_below_stops_the_actor_for_good(house: HouseBuilder) -> None:
    stubborn = worker("a", directives={"Exception": STOP, "LookupError": RESTART})
    system = house(supervisor("root", stubborn, worker("b"))).start()
    sibling = system.pid("b")

    system.tell("a", "raise-lookup")
    system.eventually_runs("a", 2)
    system.tell("a", "raise")
    system.eventually(lambda: system.node("a").state == "stopped")

    assert system.node("a").last_reason == "TrialError: as told"
    assert system.pid("b") == sibling


def test_escalated_crash_ends_the_supervisor_with_the_same_exception(house: HouseBuilder) -> None:
    inner = supervisor("s", worker("a", directives={"TrialError": ESCALATE}), worker("b"))
    system = house(supervisor("root", inner, worker("c"))).start()
    outsider = system.pid("c")

    system.tell("a", "raise")
    system.eventually_runs("b", 2)

    [report] = system.reports("child_terminated", "s")
    assert report["reason"]["exception"] == "TrialError"
    assert system.pid("c") == outsider


def test_supervisor_has_directives_for_what_is_escalated_to_it(house: HouseBuilder) -> None:
    inner = supervisor(
        "s", worker("a", directives={"TrialError": ESCALATE}), directives={"Exception": STOP}
    )
    system = house(supervisor("root", inner, worker("c"))).start()

    system.tell("a", "raise")
    system.eventually(lambda: system.node("s").state == "stopped")

    assert system.node("c").state == "running"
    assert system.node("s").restarts == 0


def test_child_in_backoff_shows_when_it_comes_back(house: HouseBuilder) -> None:
    slow = Budget(max_restarts=9, backoff=Backoff(initial_secs=60.0, max_secs=60.0, jitter=0.0))
    system = house(supervisor("root", worker("a", budget=slow))).start()
    system.kill("a")
    system.eventually_runs("a", 2)

    system.kill("a")
    system.eventually(lambda: system.node("a").state == "backoff")

    waits_secs = system.node("a").restart_in_secs
    assert waits_secs is not None
    assert 0.0 < waits_secs <= 60.0
    assert system.node("a").budget_spent == 2
