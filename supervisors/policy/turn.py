"""One decision under way: the state so far, the actions so far, and the single moves."""

from __future__ import annotations

from typing import Any

import msgspec

from supervisors.decisions import (
    Action,
    Answer,
    ChildEnded,
    Event,
    Mode,
    Outcome,
    Phase,
    Report,
    ReportKind,
    RequestError,
    SetTimer,
    StartChild,
    StopChild,
)
from supervisors.policy.state import Child, Plan, State
from supervisors.spec import Restart, Strategy


class Turn:
    """Takes a state apart, is changed move by move, and puts the next state together."""

    def __init__(self, state: State, now: float, dice: float) -> None:
        self.now = now
        self.dice = dice
        self.actions: list[Action] = []
        self.children: dict[str, Child] = dict(state.by_name)
        self.mode = state.mode
        self.plan = state.plan
        self.deferred = state.deferred
        self.attempts = state.attempts
        self.outcome: Outcome = state.outcome
        self.culprit = state.culprit
        # The state before: of it, what is never changed is asked for.
        self.rules = state
        self._tokens = state.tokens

    def state(self) -> State:
        """Return the state after all moves."""
        return msgspec.structs.replace(
            self.rules,
            by_name=self.children,
            mode=self.mode,
            plan=self.plan,
            deferred=self.deferred,
            attempts=self.attempts,
            tokens=self._tokens,
            outcome=self.outcome,
            culprit=self.culprit,
        )

    @property
    def is_group(self) -> bool:
        """True when the end of one child concerns others."""
        return self.rules.strategy in {Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE}

    @property
    def is_simple(self) -> bool:
        """True when all children are of one template and are forgotten when they end."""
        return self.rules.strategy is Strategy.SIMPLE_ONE_FOR_ONE

    def child(self, name: str) -> Child | None:
        """Return the child of that name, or None."""
        return self.children.get(name)

    def change(self, child: Child, **fields: Any) -> Child:
        """Replace what is known of the child; return it as it is now."""
        changed = msgspec.structs.replace(child, **fields)
        self.children[child.name] = changed
        return changed

    def start(self, child: Child) -> None:
        """Order its start."""
        self.change(
            child,
            phase=Phase.STARTING,
            starts=child.starts + 1,
            start_again=False,
            starts_at=None,
        )
        self.actions.append(StartChild(child.name))

    def stop(self, child: Child) -> None:
        """Order its stop."""
        self.change(child, phase=Phase.STOPPING)
        self.actions.append(StopChild(child.name, child.spec.shutdown_secs))

    def back_off(self, child: Child, delay_secs: float) -> None:
        """Have it started again after the delay, by a timer, so that others are heard before."""
        self._tokens += 1
        starts_at = self.now + delay_secs
        self.change(child, phase=Phase.BACKOFF, timer=self._tokens, starts_at=starts_at)
        self.actions.append(SetTimer(child.name, self._tokens, delay_secs))

    def rest(self, child: Child) -> None:
        """Note that it does not run and that nothing is done about it: Erlang's ``del_child``."""
        if child.restart is Restart.TEMPORARY or self.is_simple:
            self.forget(child)
        else:
            self.change(child, phase=Phase.STOPPED, is_new=False, start_again=False, starts_at=None)

    def forget(self, child: Child) -> None:
        """Forget its spec."""
        del self.children[child.name]

    def forgive(self, child: Child) -> Child:
        """Forget how often it was restarted: a person has looked after it."""
        return self.change(child, spent=(), backoffs=0)

    def report(self, kind: ReportKind, child: Child, restart_in_secs: float | None = None) -> None:
        """Order a report."""
        self.actions.append(Report(kind, child.name, restart_in_secs))

    def answer(
        self, child: Child, error: RequestError | None = None, detail: str = "", **told: Any
    ) -> Child:
        """Answer all who wait for the child's start or stop."""
        self.actions += [Answer(request, error, detail, **told) for request in child.waiters]
        return self.change(child, waiters=())

    def end_of(self, child: Child) -> ChildEnded:
        """Return how a child in phase ENDED has ended, and forget that this is to be decided."""
        end = next(
            event
            for event in self.deferred
            if isinstance(event, ChildEnded) and event.name == child.name
        )
        self.deferred = tuple(event for event in self.deferred if event is not end)
        return end

    def defer(self, event: Event) -> None:
        """Keep the event until the plan is carried out."""
        self.deferred = (*self.deferred, event)

    def step_done(self, name: str) -> None:
        """Take the child off the head of the plan, if it is there."""
        plan = self.plan
        if plan is None:
            return
        if plan.stops[:1] == (name,):
            self.plan = Plan(plan.stops[1:], plan.starts)
        elif not plan.stops and plan.starts[:1] == (name,):
            self.plan = Plan((), plan.starts[1:])

    def begin_end(self, outcome: Outcome, culprit: str | None) -> None:
        """Note that the supervisor ends, and why."""
        self.mode, self.outcome, self.culprit = Mode.ENDING, outcome, culprit
