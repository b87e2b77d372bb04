"""A supervisor on paper: the pure core, with children that start and stop at once.

It is driven as a test of Erlang's would drive a real one: calls are answered, children are told
to exit, and what happens is written down in order.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from supervisors.decisions import (
    Action,
    AllReady,
    Answer,
    Boot,
    ChildEnded,
    ChildIgnored,
    ChildReady,
    DeleteChildRequested,
    Event,
    Finish,
    Outcome,
    Report,
    ReportKind,
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
from supervisors.policy import (
    Counts,
    Presence,
    State,
    count_children,
    decide,
    initial_state,
    which_children,
)
from supervisors.spec import AutoShutdown, ChildSpec, Instance, Restart, Strategy, SupervisorSpec

CLEAN_REASONS = frozenset({"normal", "shutdown", "{shutdown,x}"})
READY, IGNORE, FAIL = "ready", "ignore", "fail"


class PaperSupervisor:
    """``core`` is what decides: the real one, unless a test has put another in its place."""

    def __init__(self, spec: SupervisorSpec, *, now: float = 1000.0, core: Any = None) -> None:
        self._decide: Callable[..., tuple[State, tuple[Action, ...]]] = (
            decide if core is None else core.decide
        )
        self.state: State = (initial_state if core is None else core.initial_state)(spec)
        self.now = now
        self.up: set[str] = set()
        self.starts: Counter[str] = Counter()
        """How often each child has come up."""
        self.next_starts: defaultdict[str, deque[str]] = defaultdict(deque)
        """What the coming starts of a child will be; READY when nothing is said."""
        self.infos: dict[str, Any] = {}
        self.events: list[list[str]] = []
        self.reports: list[tuple[ReportKind, str]] = []
        self.answers: dict[str, Answer] = {}
        self.finish: Finish | None = None
        self.is_ready = False
        self.holds_timers = False
        self.stubborn: set[str] = set()
        """Children that do not stop when they are asked to, and are killed."""
        self.inner: dict[str, PaperSupervisor] = {}
        """The supervisors below that run."""
        self._parent: tuple[PaperSupervisor, str] | None = None
        self._ids = itertools.count()
        self._agenda: deque[Action | Event] = deque()

    # -- what a test does --

    def start_link(self) -> PaperSupervisor:
        self._happen(Boot())
        return self

    def start_child(self, child: ChildSpec | SupervisorSpec | Instance) -> Answer:
        return self._request(lambda key: StartChildRequested(key, child))

    def terminate_child(self, name: str) -> Answer:
        return self._request(lambda key: TerminateChildRequested(key, name))

    def restart_child(self, name: str) -> Answer:
        return self._request(lambda key: RestartChildRequested(key, name))

    def delete_child(self, name: str) -> Answer:
        return self._request(lambda key: DeleteChildRequested(key, name))

    def restart(self, name: str) -> None:
        self._happen(RestartRequested(name))

    def stop(self) -> None:
        self._happen(StopRequested())

    def exit(self, name: str, reason: str = "boom") -> None:
        assert name in self.up, f"{name} is not up"
        self.up.discard(name)
        self.inner.pop(name, None)
        if reason != "kill":
            self.events.append(["stop", name, reason])
        self._happen(ChildEnded(name, reason in CLEAN_REASONS, reason))

    def fail_next_starts(self, name: str, times: int) -> None:
        self.next_starts[name] = deque([FAIL] * times)

    @contextmanager
    def between_two_tries(self) -> Iterator[None]:
        """Let no timer fire within the block: a failed restart waits to be tried again."""
        self.holds_timers = True
        try:
            yield
        finally:
            self.holds_timers = False
        self._settle()

    # -- what a test looks at --

    @property
    def is_alive(self) -> bool:
        return self.finish is None

    @property
    def outcome(self) -> Outcome:
        assert self.finish is not None
        return self.finish.outcome

    def which(self) -> list[tuple[str, Presence]]:
        return list(which_children(self.state))

    def presence(self, name: str) -> Presence | None:
        return dict(self.which()).get(name)

    def counts(self) -> Counts:
        return count_children(self.state)

    def take_events(self) -> list[list[str]]:
        events, self.events = self.events, []
        return events

    # -- the world --

    def _request(self, make: Callable[[str], Event]) -> Answer:
        key = str(next(self._ids))
        self._happen(make(key))
        return self.answers[key]

    def _happen(self, event: Event) -> None:
        self._agenda.append(event)
        self._settle()

    def _settle(self) -> None:
        timers: list[Action | Event] = []
        while self._agenda:
            item = self._agenda.popleft()
            if isinstance(item, SetTimer):
                if self.holds_timers:
                    timers.append(item)
                else:
                    self._agenda.append(TimerFired(item.name, item.token))
            elif isinstance(item, StartChild | StopChild | Report | AllReady | Finish | Answer):
                self._carry_out(item)
            else:
                self.state, actions = self._decide(self.state, item, self.now, 0.0)
                self._agenda.extendleft(reversed(actions))
        self._agenda.extend(timers)

    def _carry_out(self, action: Action) -> None:
        match action:
            case StartChild(name):
                assert name not in self.up, f"{name} is up already"
                self._agenda.appendleft(self._start(name))
            case StopChild(name, shutdown_secs):
                assert name in self.up, f"{name} is not up"
                self._agenda.appendleft(self._stop(name, shutdown_secs))
            case Report(kind, name):
                self.reports.append((kind, name))
            case Answer(request):
                assert request not in self.answers, "answered twice"
                self.answers[request] = action
            case AllReady():
                self.is_ready = True
            case Finish():
                assert not self.up, "ended before its children"
                assert self.finish is None
                self.finish = action
                if self._parent is not None:
                    parent, name = self._parent
                    parent.exit(name, "shutdown")
            case SetTimer():
                raise AssertionError(action)

    def _stop(self, name: str, shutdown_secs: float | None) -> Event:
        self.up.discard(name)
        inner = self.inner.pop(name, None)
        if inner is not None:
            inner._parent = None
            inner.stop()
        if shutdown_secs == 0 or name in self.stubborn:
            return ChildEnded(name, clean=False)
        self.events.append(["stop", name, "shutdown"])
        return ChildEnded(name, clean=True)

    def _start(self, name: str) -> Event:
        script = self.next_starts[name]
        result = script.popleft() if script else READY
        if result == IGNORE:
            return ChildIgnored(name)
        if result == FAIL:
            self.events.append(["fail", name])
            return ChildEnded(name, clean=False, detail="injected")
        spec = self.state.by_name[name].spec
        if isinstance(spec, SupervisorSpec):
            inner = PaperSupervisor(spec, now=self.now)
            if not inner.start_link().is_alive:
                return ChildEnded(name, clean=False, detail=str(inner.finish))
            self.inner[name], inner._parent = inner, (self, name)
        self.starts[name] += 1
        self.up.add(name)
        self.events.append(["start", name])
        return ChildReady(name, self.infos.get(name))


def child(name: str, restart: Restart = Restart.PERMANENT, **fields: Any) -> ChildSpec:
    return ChildSpec(name=name, actor="m:C", restart=restart, **fields)


def paper(
    *children: ChildSpec | SupervisorSpec,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    intensity: int = 3,
    period_secs: float = 5.0,
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
    **fields: Any,
) -> PaperSupervisor:
    """A supervisor that has not been started."""
    return PaperSupervisor(
        SupervisorSpec(
            name="root",
            children=children,
            strategy=strategy,
            intensity=intensity,
            period_secs=period_secs,
            auto_shutdown=auto_shutdown,
            **fields,
        )
    )
