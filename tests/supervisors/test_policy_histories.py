"""What holds in every history of a supervisor, however its processes and its users behave."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisors.decisions import (
    Action,
    Answer,
    Boot,
    ChildEnded,
    ChildIgnored,
    ChildReady,
    DeleteChildRequested,
    Event,
    Finish,
    Mode,
    Phase,
    Request,
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
from supervisors.spec import (
    AutoShutdown,
    Budget,
    ChildSpec,
    Instance,
    Restart,
    Strategy,
    SupervisorSpec,
)

NAMES = ("a", "b", "c", "d", "e")
LIVING = {Phase.STARTING, Phase.RUNNING, Phase.STOPPING}


class World:
    """Processes as the policy believes them to be; refuses what cannot be."""

    def __init__(self, spec: SupervisorSpec) -> None:
        self.state: State = initial_state(spec)
        self.now = 100.0
        self.alive: set[str] = set()
        self.told_to_stop: set[str] = set()
        self.timers: list[TimerFired] = []
        self.asked = 0
        self.answers: Counter[str] = Counter()
        self.finished = 0

    def tell(self, event: Event, after_secs: float = 0.0) -> None:
        self.now += after_secs
        if isinstance(event, ChildEnded | ChildIgnored):
            self.alive.discard(event.name)
            self.told_to_stop.discard(event.name)
        self.asked += isinstance(event, Request)
        self.state, actions = decide(self.state, event, self.now, 0.0)
        for action in actions:
            self.carry_out(action)
        self.check()

    def carry_out(self, action: Action) -> None:
        match action:
            case StartChild(name):
                assert name not in self.alive, "two processes of one name"
                assert self.state.child(name) is not None, "a child without a spec"
                self.alive.add(name)
            case StopChild(name):
                assert name in self.alive, "stopped who does not live"
                assert name not in self.told_to_stop, "told to stop twice"
                self.told_to_stop.add(name)
            case SetTimer(name, token, _):
                self.timers.append(TimerFired(name, token))
            case Answer(request):
                self.answers[request] += 1
            case Finish():
                assert not self.alive, "ended before its children"
                self.finished += 1
            case _:
                pass

    def check(self) -> None:
        believed = {child.name for child in self.state.children if child.phase in LIVING}
        assert believed == self.alive
        assert max(self.answers.values(), default=0) <= 1, "answered twice"
        if self.state.mode is Mode.RUNNING and self.state.plan is None:
            assert self.state.deferred == (), "nobody will decide what was kept"

    def possible(self) -> list[Event]:
        key = str(self.asked)
        is_simple = self.state.template is not None
        events: list[Event] = [*self.timers]
        for name in NAMES:
            events += [
                RestartRequested(name),
                StartChildRequested(key, Instance(name=name) if is_simple else worker(name)),
                TerminateChildRequested(key, name),
                RestartChildRequested(key, name),
                DeleteChildRequested(key, name),
            ]
        for name in sorted(self.alive):
            # What takes its course is drawn often: plans are to be carried out, not only begun.
            if name in self.told_to_stop:
                events += [ChildEnded(name, clean=True)] * 12
            events += [ChildReady(name)] * 12
            events += [ChildIgnored(name), *[ChildEnded(name, clean=False)] * 4]
            events += [ChildEnded(name, clean=True)] * 2
        # Stopping is the end of a history, so it must be drawn seldom.
        return [*events, StopRequested()]


def worker(name: str, **fields: Any) -> ChildSpec:
    return ChildSpec(name=name, actor="m:C", **fields)


@st.composite
def specs(draw: st.DrawFn) -> SupervisorSpec:
    strategy = draw(st.sampled_from(Strategy))
    auto_shutdown = draw(st.sampled_from(AutoShutdown))
    is_simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
    children = []
    for name in NAMES[: 1 if is_simple else draw(st.integers(0, 4))]:
        restart = draw(st.sampled_from(Restart))
        may_matter = auto_shutdown is not AutoShutdown.NEVER and restart is not Restart.PERMANENT
        children.append(
            worker(
                name,
                restart=restart,
                significant=may_matter and draw(st.booleans()),
                budget=draw(st.sampled_from([None, Budget(max_restarts=2, period_secs=3.0)])),
            )
        )
    return SupervisorSpec(
        name="root",
        children=tuple(children),
        strategy=strategy,
        auto_shutdown=auto_shutdown,
        intensity=draw(st.integers(0, 5)),
        max_children=draw(st.sampled_from([None, 2])) if is_simple else None,
    )


@settings(max_examples=300)
@given(data=st.data(), spec=specs())
def test_no_history_starts_a_name_twice_or_leaves_a_question_or_a_child(
    data: st.DataObject, spec: SupervisorSpec
) -> None:
    world = World(spec)
    world.tell(Boot())

    for _ in range(data.draw(st.integers(0, 50))):
        event = data.draw(st.sampled_from(world.possible()))
        world.tell(event, data.draw(st.sampled_from([0.0, 0.4, 2.0])))
    world.tell(StopRequested())
    while world.alive:
        assert world.told_to_stop, "nobody was told to stop"
        name = data.draw(st.sampled_from(sorted(world.told_to_stop)))
        world.tell(ChildEnded(name, clean=True))

    assert world.finished == 1
    assert world.state.mode is Mode.ENDED
    assert sum(world.answers.values()) == world.asked
