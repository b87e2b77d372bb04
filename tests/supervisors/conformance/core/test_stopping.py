"""OTP's group sup_stop: how children are stopped."""

from __future__ import annotations

import itertools

from paper_supervisor import PaperSupervisor, child, paper

from supervisors.decisions import (
    Action,
    Boot,
    ChildEnded,
    ChildReady,
    Event,
    Finish,
    Outcome,
    Phase,
    Report,
    ReportKind,
    StartChildRequested,
    StopChild,
    StopRequested,
)
from supervisors.policy import State, decide, initial_state
from supervisors.spec import ChildSpec, Instance, Restart, Strategy, SupervisorSpec

SIMPLE = Strategy.SIMPLE_ONE_FOR_ONE


class Slow:
    """The pure core, step by step: a stop takes as long as the test wants."""

    def __init__(self, *children: ChildSpec, strategy: Strategy = Strategy.ONE_FOR_ONE) -> None:
        self.state: State = initial_state(
            SupervisorSpec(name="root", children=children, strategy=strategy)
        )
        self.tell(Boot())
        for each in self.state.children:
            self.tell(ChildReady(each.name))

    def tell(self, event: Event) -> tuple[Action, ...]:
        self.state, actions = decide(self.state, event, 1000.0, 0.0)
        return actions

    def add(self, name: str) -> None:
        self.tell(StartChildRequested(name, Instance(name=name)))
        self.tell(ChildReady(name))


def test_sup_stop_infinity() -> None:
    inner = SupervisorSpec(name="s", children=(child("b"),))
    supervisor = paper(child("a", shutdown_secs=None), inner).start_link()

    supervisor.stop()

    assert supervisor.events[-2:] == [["stop", "s", "shutdown"], ["stop", "a", "shutdown"]]
    assert supervisor.outcome is Outcome.STOPPED


def test_sup_stop_timeout() -> None:
    slow = Slow(child("a", shutdown_secs=1.0), child("b", shutdown_secs=1.0))

    assert slow.tell(StopRequested()) == (StopChild("b", 1.0),)
    killed = ChildEnded("b", clean=False)
    assert slow.tell(killed) == (Report(ReportKind.SHUTDOWN_ERROR, "b"), StopChild("a", 1.0))
    assert slow.tell(ChildEnded("a", clean=True)) == (Finish(Outcome.STOPPED, None),)


def test_sup_stop_timeout_dynamic() -> None:
    slow = Slow(child("t", shutdown_secs=1.0), strategy=SIMPLE)
    slow.add("a")
    slow.add("b")

    assert set(slow.tell(StopRequested())) == {StopChild("a", 1.0), StopChild("b", 1.0)}
    assert slow.tell(ChildEnded("a", clean=False)) == (Report(ReportKind.SHUTDOWN_ERROR, "a"),)
    assert slow.tell(ChildEnded("b", clean=True)) == (Finish(Outcome.STOPPED, None),)


def test_sup_stop_brutal_kill() -> None:
    supervisor = paper(child("a"), child("b", shutdown_secs=0), child("c")).start_link()

    supervisor.stop()

    assert supervisor.events[3:] == [["stop", "c", "shutdown"], ["stop", "a", "shutdown"]]
    assert supervisor.reports == []


def test_sup_stop_brutal_kill_dynamic() -> None:
    slow = Slow(child("t", shutdown_secs=0), strategy=SIMPLE)
    slow.add("a")
    slow.add("b")

    assert set(slow.tell(StopRequested())) == {StopChild("a", 0), StopChild("b", 0)}
    assert slow.tell(ChildEnded("a", clean=False)) == ()
    assert slow.tell(ChildEnded("b", clean=False)) == (Finish(Outcome.STOPPED, None),)


def test_sup_stop_race() -> None:
    # Three restart types times four ways to end, all by themselves while the last one stops.
    ends = {"normal": True, "shutdown": True, "boom": False, "kill": False}
    racers = {
        f"{restart.value}_{end}": (restart, clean)
        for restart, (end, clean) in itertools.product(Restart, ends.items())
    }
    slow = Slow(*(child(name, restart) for name, (restart, _) in racers.items()), child("last"))
    slow.tell(StopRequested())

    reported = [
        action
        for name, (_, clean) in racers.items()
        for action in slow.tell(ChildEnded(name, clean))
    ]

    unclean = [name for name, (_, clean) in racers.items() if not clean]
    assert reported == [Report(ReportKind.SHUTDOWN_ERROR, name) for name in unclean]
    assert slow.tell(ChildEnded("last", clean=True)) == (Finish(Outcome.STOPPED, None),)


def test_sup_stop_non_shutdown_exit_dynamic() -> None:
    slow = Slow(child("t"), strategy=SIMPLE)
    for name in "abc":
        slow.add(name)
    slow.tell(StopRequested())

    slow.tell(ChildEnded("b", clean=False))
    slow.tell(ChildEnded("a", clean=True))

    assert slow.tell(ChildEnded("c", clean=False))[-1] == Finish(Outcome.STOPPED, None)


def test_child_unlink() -> None:
    # One that does not hear is killed at its limit, and whoever asked is answered.
    supervisor = paper(child("naughty", shutdown_secs=1.0), child("b")).start_link()
    supervisor.stubborn.add("naughty")

    answer = supervisor.terminate_child("naughty")

    assert answer.error is None
    assert supervisor.reports == [(ReportKind.SHUTDOWN_ERROR, "naughty")]


def test_order_of_children() -> None:
    names = [f"c{number}" for number in range(8)]
    children = [child(name) for name in names]
    supervisor = paper(*children, strategy=Strategy.REST_FOR_ONE).start_link()
    assert supervisor.take_events() == [["start", name] for name in names]

    supervisor.exit("c5", "kill")
    assert supervisor.take_events() == [
        *(["stop", name, "shutdown"] for name in ("c7", "c6")),
        *(["start", name] for name in ("c5", "c6", "c7")),
    ]

    supervisor.stop()
    assert supervisor.take_events() == [["stop", name, "shutdown"] for name in reversed(names)]


def test_simple_one_for_one_shutdown() -> None:
    slow = Slow(child("t", shutdown_secs=2.0), strategy=SIMPLE)
    for number in range(5):
        slow.add(f"c{number}")

    ordered = slow.tell(StopRequested())

    # All five are told at once: together they need as long as the slowest.
    assert set(ordered) == {StopChild(f"c{number}", 2.0) for number in range(5)}
    assert all(each.phase is Phase.STOPPING for each in slow.state.children)


def test_stubborn_paper_child_is_reported_by_its_supervisor_alone() -> None:
    supervisor: PaperSupervisor = paper(child("a"), child("b")).start_link()
    supervisor.stubborn.add("a")

    supervisor.stop()

    assert supervisor.reports == [(ReportKind.SHUTDOWN_ERROR, "a")]
