"""What happens while a group is being restarted, step by step, or a supervisor boots."""

from __future__ import annotations

import pytest

from supervisors.decisions import (
    Action,
    AllReady,
    Answer,
    Boot,
    ChildEnded,
    ChildReady,
    DeleteChildRequested,
    Event,
    Finish,
    Mode,
    Outcome,
    Phase,
    Report,
    ReportKind,
    RequestError,
    RestartChildRequested,
    RestartRequested,
    SetTimer,
    StartChild,
    StartChildRequested,
    StopChild,
    StopRequested,
    TerminateChildRequested,
    TimerFired,
)
from supervisors.policy import State, decide, initial_state
from supervisors.spec import Backoff, Budget, ChildSpec, Restart, Strategy, SupervisorSpec

ONE_FOR_ALL, REST_FOR_ONE = Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
TERMINATED, SHUTDOWN_ERROR = ReportKind.CHILD_TERMINATED, ReportKind.SHUTDOWN_ERROR


class Steps:
    """Feeds events to the policy; every action is what the latest event led to."""

    def __init__(self, strategy: Strategy, *children: ChildSpec, intensity: int = 9) -> None:
        spec = SupervisorSpec(
            name="root", strategy=strategy, children=children, intensity=intensity
        )
        self.state: State = initial_state(spec)
        self.actions: tuple[Action, ...] = ()

    def tell(self, event: Event) -> tuple[Action, ...]:
        self.state, self.actions = decide(self.state, event, 1000.0, 0.0)
        return self.actions

    def up(self) -> Steps:
        self.tell(Boot())
        for child in self.state.children:
            self.tell(ChildReady(child.name))
        assert self.state.mode is Mode.RUNNING
        return self

    def crash(self, name: str) -> tuple[Action, ...]:
        return self.tell(ChildEnded(name, clean=False))

    def stopped(self, name: str) -> tuple[Action, ...]:
        return self.tell(ChildEnded(name, clean=True))

    def phase(self, name: str) -> Phase:
        return self.state.by_name[name].phase


def child(
    name: str, restart: Restart = Restart.PERMANENT, budget: Budget | None = None
) -> ChildSpec:
    return ChildSpec(name=name, actor="m:C", restart=restart, budget=budget)


def three(strategy: Strategy, **fields: int) -> Steps:
    return Steps(strategy, child("a"), child("b"), child("c"), **fields).up()


def test_group_goes_down_and_comes_up_one_after_the_other() -> None:
    steps = three(ONE_FOR_ALL)

    assert steps.crash("b") == (Report(TERMINATED, "b", 0.0), StopChild("c", 5.0))
    assert steps.stopped("c") == (StopChild("a", 5.0),)
    assert steps.stopped("a") == (StartChild("a"),)
    assert steps.tell(ChildReady("a")) == (StartChild("b"),)
    assert steps.tell(ChildReady("b")) == (StartChild("c"),)
    assert steps.tell(ChildReady("c")) == ()
    assert len(steps.state.attempts) == 1


def test_sibling_that_dies_before_its_turn_to_stop_is_part_of_the_same_restart() -> None:
    steps = three(ONE_FOR_ALL)
    steps.crash("b")

    assert steps.crash("a") == (Report(SHUTDOWN_ERROR, "a"),)

    assert steps.stopped("c") == (StartChild("a"),)
    assert len(steps.state.attempts) == 1


def test_sibling_that_dies_when_it_was_restarted_already_is_decided_afterwards() -> None:
    steps = three(ONE_FOR_ALL)
    steps.crash("c")
    steps.stopped("b")
    steps.stopped("a")
    steps.tell(ChildReady("a"))

    assert steps.crash("a") == ()
    assert steps.phase("a") is Phase.ENDED
    assert steps.crash("a") == ()
    steps.tell(ChildReady("b"))

    after = steps.tell(ChildReady("c"))
    assert after == (Report(TERMINATED, "a", 0.0), StopChild("c", 5.0))
    assert len(steps.state.attempts) == 2


def test_two_that_died_meanwhile_are_one_restart_of_the_group() -> None:
    steps = three(ONE_FOR_ALL)
    steps.tell(TerminateChildRequested("1", "c"))
    steps.crash("a")
    steps.crash("b")

    after = steps.stopped("c")

    restart = (Report(TERMINATED, "a", 0.0), Report(SHUTDOWN_ERROR, "b"), StartChild("a"))
    assert after == (Answer("1"), *restart)
    assert steps.state.deferred == ()


def test_earlier_child_that_dies_during_a_rest_for_one_restart_restarts_all_after_it() -> None:
    steps = three(REST_FOR_ONE)
    steps.crash("b")
    steps.crash("a")
    steps.stopped("c")
    steps.tell(ChildReady("b"))

    after = steps.tell(ChildReady("c"))

    assert after == (Report(TERMINATED, "a", 0.0), StopChild("c", 5.0))


def test_stop_during_a_group_restart_is_heard_at_once() -> None:
    steps = three(ONE_FOR_ALL)
    steps.crash("c")
    steps.stopped("b")
    steps.stopped("a")
    steps.tell(ChildReady("a"))
    steps.crash("a")  # decided never
    steps.tell(DeleteChildRequested("1", "a"))
    steps.tell(RestartRequested("a"))

    after = steps.tell(StopRequested())

    assert after == (
        Report(SHUTDOWN_ERROR, "a"),
        Answer("1", RequestError.STOPPING),
        StopChild("b", 5.0),
    )
    assert steps.stopped("b") == (Finish(Outcome.STOPPED, None),)


def test_requests_wait_for_the_group() -> None:
    steps = three(ONE_FOR_ALL)
    steps.crash("c")
    steps.stopped("b")
    steps.stopped("a")

    assert steps.tell(TerminateChildRequested("1", "a")) == ()
    assert steps.tell(RestartChildRequested("2", "a")) == ()
    assert steps.tell(RestartRequested("c")) == ()
    steps.tell(ChildReady("a"))
    steps.tell(ChildReady("b"))

    assert steps.tell(ChildReady("c")) == (StopChild("a", 5.0),)
    assert steps.stopped("a") == (Answer("1"), StartChild("a"))
    assert steps.tell(ChildReady("a")) == (Answer("2"), StopChild("c", 5.0))
    assert steps.stopped("c") == (StartChild("c"),)


def test_request_while_the_supervisor_boots_waits() -> None:
    steps = Steps(Strategy.ONE_FOR_ONE, child("a"))
    steps.tell(Boot())

    assert steps.tell(StartChildRequested("1", child("b"))) == ()

    assert steps.tell(ChildReady("a")) == (AllReady(), StartChild("b"))
    assert steps.tell(ChildReady("b")) == (Answer("1"),)


def test_request_to_a_supervisor_that_ends_is_refused() -> None:
    steps = three(ONE_FOR_ALL)
    steps.tell(StopRequested())

    assert steps.tell(TerminateChildRequested("1", "a")) == (Answer("1", RequestError.STOPPING),)


def test_try_that_is_due_waits_for_a_plan() -> None:
    steps = three(REST_FOR_ONE)
    steps.crash("c")
    failed = steps.crash("c")
    assert failed[-1] == SetTimer("c", 1, 0.0)
    steps.tell(TerminateChildRequested("1", "a"))

    assert steps.tell(TimerFired("c", 1)) == ()

    assert steps.stopped("a") == (Answer("1"), StartChild("c"))


def test_timer_of_a_supervisor_that_ends_starts_nothing() -> None:
    steps = three(REST_FOR_ONE)
    steps.crash("c")
    steps.crash("c")
    steps.tell(TerminateChildRequested("1", "a"))
    steps.tell(TimerFired("c", 1))

    steps.tell(StopRequested())

    assert steps.actions == (Answer("1", RequestError.STOPPING), StopChild("b", 5.0))
    assert steps.stopped("b") == ()
    assert steps.stopped("a") == (Finish(Outcome.STOPPED, None),)


def test_quarantine_while_others_still_boot_does_not_disturb_them() -> None:
    budget = Budget(max_restarts=0)
    steps = Steps(Strategy.ONE_FOR_ONE, child("a", budget=budget), child("b"))
    steps.tell(Boot())
    steps.tell(ChildReady("a"))

    assert StartChild("b") not in steps.crash("a")
    assert steps.tell(ChildReady("b")) == (AllReady(),)


def test_child_that_died_before_its_termination_was_heard_is_answered() -> None:
    steps = three(ONE_FOR_ALL)
    steps.tell(TerminateChildRequested("1", "a"))
    steps.tell(TerminateChildRequested("2", "b"))
    steps.crash("b")

    after = steps.stopped("a")

    assert after == (Answer("1"), Report(SHUTDOWN_ERROR, "b"), Answer("2"))
    assert steps.phase("b") is Phase.STOPPED


def test_quarantined_member_of_a_group_leaves_the_others_alone() -> None:
    budget = Budget(max_restarts=1, backoff=Backoff(initial_secs=0.0, max_secs=0.0))
    steps = Steps(REST_FOR_ONE, child("a"), child("b", budget=budget), child("c")).up()
    steps.crash("a")
    steps.stopped("c")
    steps.stopped("b")
    steps.tell(ChildReady("a"))
    [_, timer] = steps.crash("b")
    assert isinstance(timer, SetTimer)
    assert steps.tell(TimerFired("b", timer.token)) == (StartChild("b"),)

    assert steps.crash("b")[-1] == StartChild("c")

    assert steps.phase("b") is Phase.QUARANTINED
    steps.tell(ChildReady("c"))
    assert steps.crash("a") == (Report(TERMINATED, "a", 0.0), StopChild("c", 5.0))
    assert steps.stopped("c") == (StartChild("a"),)
    assert steps.tell(ChildReady("a")) == (StartChild("c"),)


# -- one_for_one: starts and stops of different children do not wait for each other --


def test_slow_start_keeps_no_other_request_waiting() -> None:
    steps = three(Strategy.ONE_FOR_ONE)
    assert steps.tell(StartChildRequested("1", child("d"))) == (StartChild("d"),)

    assert steps.tell(TerminateChildRequested("2", "a")) == (StopChild("a", 5.0),)
    assert steps.crash("b") == (Report(TERMINATED, "b", 0.0), StartChild("b"))


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TEMPORARY])
def test_child_that_is_terminated_before_it_is_ready_tells_both_askers(restart: Restart) -> None:
    steps = three(Strategy.ONE_FOR_ONE)
    steps.tell(StartChildRequested("1", child("d", restart)))

    assert steps.tell(TerminateChildRequested("2", "d")) == (
        Answer("1", RequestError.TERMINATED),
        StopChild("d", 5.0),
    )
    assert steps.tell(TerminateChildRequested("3", "d")) == ()
    assert steps.stopped("d") == (Answer("2"), Answer("3"))
    assert (steps.state.child("d") is None) is (restart is Restart.TEMPORARY)


def test_stop_answers_those_who_wait_for_a_start() -> None:
    steps = three(Strategy.ONE_FOR_ONE)
    steps.tell(StartChildRequested("1", child("d")))

    after = steps.tell(StopRequested())

    assert after == (Answer("1", RequestError.STOPPING), StopChild("d", 5.0))


def test_added_temporary_child_cannot_be_restarted_by_a_person() -> None:
    # Its configuration is not kept: it would come back as another one.
    steps = three(Strategy.ONE_FOR_ONE)
    steps.tell(StartChildRequested("1", child("d", Restart.TEMPORARY)))
    steps.tell(ChildReady("d"))

    assert steps.tell(RestartRequested("d")) == ()


def test_added_supervisor_that_is_temporary_keeps_its_tree() -> None:
    inner = SupervisorSpec(name="d", children=(child("e"),), restart=Restart.TEMPORARY)
    steps = three(Strategy.ONE_FOR_ONE)
    steps.tell(StartChildRequested("1", inner))
    steps.tell(ChildReady("d"))

    assert steps.state.by_name["d"].spec == inner


def test_restart_by_a_person_replaces_a_termination_under_way() -> None:
    steps = three(Strategy.ONE_FOR_ONE)
    steps.tell(TerminateChildRequested("1", "a"))

    assert steps.tell(RestartRequested("a")) == ()

    assert steps.stopped("a") == (Answer("1"), StartChild("a"))
