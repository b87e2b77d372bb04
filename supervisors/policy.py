"""The supervisor's decisions, pure: ``decide(state, event, now, dice) -> (state, actions)``.

Nothing in here waits, forks, reads a clock or rolls dice. The state is a frozen value, an event is
a fact that the supervisor saw (a child ended), an action is what it has to do next (start it). The
words and rules are those of Erlang's ``supervisor``, plus what processes need: a start takes time,
so a child is *starting* before it is *running*; a child may have a budget, and is quarantined when
it is used up.

An ordered sequence (start left to right, stop right to left) is a ``plan``: its first step is
under way, the rest waits for it. A group restart is a plan as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

import msgspec

from supervisors.decisions import (
    Action,
    AllReady,
    Boot,
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
from supervisors.spec import Budget, Restart, SupervisorSpec
from supervisors.spec_check import check_spec


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One child as the policy sees it: the rules of its spec, and where it is."""

    name: str
    restart: Restart
    budget: Budget | None
    shutdown_secs: float | None
    phase: Phase = Phase.WAITING
    starts: int = 0
    """How often a start was ordered."""
    spent: tuple[float, ...] = ()
    """When it used its budget, oldest first; never longer than the budget is large."""
    backoffs: int = 0
    """Restarts since the last quiet ``reset_secs``."""
    restarted_at: float = -math.inf
    timer: int = 0
    """The token of the backoff timer under way; another token is outdated."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the next decision depends on. Children are in start order."""

    intensity: int
    period_secs: float
    children: tuple[Child, ...]
    mode: Mode = Mode.BOOTING
    plan: tuple[str, ...] = ()
    """Booting: who is still to be started. Ending: who is still to be stopped. In order; the
    first one is under way."""
    attempts: tuple[float, ...] = ()
    """When children without a budget were restarted, in whole seconds, as Erlang counts."""
    tokens: int = 0
    outcome: Outcome = Outcome.STOPPED
    culprit: str | None = None
    """The child because of which the supervisor ends."""

    def child(self, name: str) -> Child | None:
        """Return the child of that name, or None when its spec is unknown or forgotten."""
        return next((child for child in self.children if child.name == name), None)


def initial_state(spec: SupervisorSpec) -> State:
    """Return the state before ``Boot``. Raises SpecError when the spec cannot be carried out."""
    check_spec(spec)
    return State(
        intensity=spec.intensity,
        period_secs=spec.period_secs,
        children=tuple(
            Child(
                name=child.name,
                restart=child.restart,
                budget=child.budget,
                shutdown_secs=child.shutdown_secs,
            )
            for child in spec.children
        ),
    )


def decide(state: State, event: Event, now: float, dice: float) -> tuple[State, tuple[Action, ...]]:
    """Return the state after the event and what is to be done, in order.

    Args:
        state: The state after the event before.
        event: What happened. An event that does not fit the state (a late timer, a second notice
            of one death) changes nothing.
        now: Seconds on a clock that never goes back.
        dice: A number in [0, 1) for the jitter of a backoff; used at most once.
    """
    turn = _Turn(state, now, dice)
    match event:
        case Boot():
            turn.boot()
        case ChildReady(name):
            turn.child_ready(name)
        case ChildEnded(name, clean):
            turn.child_ended(name, clean=clean)
        case TimerFired(name, token):
            turn.timer_fired(name, token)
        case StopRequested():
            turn.end(Outcome.STOPPED, None)
        case RestartRequested(name):
            turn.restart_requested(name)
        case _:
            assert_never(event)
    return turn.state, tuple(turn.actions)


class _Turn:
    """One decision under way: the state so far, and the actions so far."""

    def __init__(self, state: State, now: float, dice: float) -> None:
        self.state = state
        self.now = now
        self.dice = dice
        self.actions: list[Action] = []

    def boot(self) -> None:
        self._change(plan=tuple(child.name for child in self.state.children))
        self._boot_next()

    def child_ready(self, name: str) -> None:
        child = self.state.child(name)
        if child is None or child.phase is not Phase.STARTING:
            return
        self._change_child(child, phase=Phase.RUNNING)
        if self.state.mode is Mode.BOOTING and self.state.plan[0] == name:
            self._change(plan=self.state.plan[1:])
            self._boot_next()

    def child_ended(self, name: str, *, clean: bool) -> None:
        child = self.state.child(name)
        if child is None:
            return
        match child.phase:
            case Phase.STOPPING:
                self._child_stopped(child, clean=clean)
            case Phase.STARTING if self._is_booting(name):
                self.actions.append(Report(ReportKind.START_ERROR, name))
                self._change_child(child, phase=Phase.STOPPED)
                self.end(Outcome.START_FAILED, name)
            case Phase.STARTING:
                self._start_again(child, ReportKind.START_ERROR)
            case Phase.RUNNING:
                self._running_child_ended(child, clean=clean)
            case Phase.WAITING | Phase.BACKOFF | Phase.STOPPED | Phase.QUARANTINED:
                return
            case _:
                assert_never(child.phase)
        self._stop_next()

    def timer_fired(self, name: str, token: int) -> None:
        child = self.state.child(name)
        if child is not None and child.phase is Phase.BACKOFF and child.timer == token:
            self._start(child)

    def restart_requested(self, name: str) -> None:
        child = self.state.child(name)
        if child is None or self.state.mode is not Mode.RUNNING:
            return
        child = self._change_child(child, spent=(), backoffs=0, restarted_at=-math.inf)
        match child.phase:
            case Phase.STARTING | Phase.RUNNING:
                self._stop(child)
            case Phase.STOPPING:
                return
            case Phase.BACKOFF | Phase.STOPPED | Phase.QUARANTINED | Phase.WAITING:
                self._start(child)
            case _:
                assert_never(child.phase)

    def end(self, outcome: Outcome, culprit: str | None) -> None:
        if self.state.mode in {Mode.ENDING, Mode.ENDED}:
            return
        order = reversed([child.name for child in self.state.children])
        self._change(mode=Mode.ENDING, outcome=outcome, culprit=culprit, plan=tuple(order))
        for child in self.state.children:
            if child.phase is Phase.BACKOFF:
                self._change_child(child, phase=Phase.STOPPED)
        self._stop_next()

    def _boot_next(self) -> None:
        if self.state.plan:
            child = self.state.child(self.state.plan[0])
            assert child is not None
            self._start(child)
            return
        self._change(mode=Mode.RUNNING)
        self.actions.append(AllReady())

    def _is_booting(self, name: str) -> bool:
        return self.state.mode is Mode.BOOTING and self.state.plan[0] == name

    def _stop_next(self) -> None:
        """Go on with the plan of an end: one child after the other, the last one first."""
        if self.state.mode is not Mode.ENDING:
            return
        while self.state.plan:
            child = self.state.child(self.state.plan[0])
            if child is not None and child.phase is Phase.STOPPING:
                return
            if child is not None and child.phase in {Phase.STARTING, Phase.RUNNING}:
                self._stop(child)
                return
            self._change(plan=self.state.plan[1:])
        self._change(mode=Mode.ENDED)
        self.actions.append(Finish(self.state.outcome, self.state.culprit))

    def _child_stopped(self, child: Child, *, clean: bool) -> None:
        if not clean and child.shutdown_secs != 0:
            self.actions.append(Report(ReportKind.SHUTDOWN_ERROR, child.name))
        child = self._change_child(child, phase=Phase.STOPPED)
        if self.state.mode is Mode.RUNNING:  # a person asked for a restart
            self._start(child)

    def _running_child_ended(self, child: Child, *, clean: bool) -> None:
        if self.state.mode is Mode.ENDING:
            self._change_child(child, phase=Phase.STOPPED)
            if not clean:
                self.actions.append(Report(ReportKind.SHUTDOWN_ERROR, child.name))
        elif child.restart is Restart.TEMPORARY:
            self._forget(child)
            if not clean:
                self.actions.append(Report(ReportKind.CHILD_TERMINATED, child.name))
        elif child.restart is Restart.TRANSIENT and clean:
            self._change_child(child, phase=Phase.STOPPED)
        else:
            self._start_again(child, ReportKind.CHILD_TERMINATED)

    def _start_again(self, child: Child, kind: ReportKind) -> None:
        """Count one restart, and order it unless that was one too many."""
        if self.state.mode is Mode.ENDING:
            self._change_child(child, phase=Phase.STOPPED)
            return
        if child.restart is Restart.TEMPORARY:
            self.actions.append(Report(kind, child.name))
            self._forget(child)
        elif child.budget is not None:
            self._start_within_budget(child, child.budget, kind)
        else:
            self._start_within_intensity(child, kind)

    def _start_within_budget(self, child: Child, budget: Budget, kind: ReportKind) -> None:
        spent = (*_since(child.spent, self.now - budget.period_secs), self.now)
        if len(spent) > budget.max_restarts:
            self._change_child(child, phase=Phase.QUARANTINED, spent=())
            self.actions.append(Report(kind, child.name))
            self.actions.append(Report(ReportKind.QUARANTINED, child.name))
            return
        backoffs = child.backoffs
        if self.now - child.restarted_at >= budget.backoff.reset_secs:
            backoffs = 0
        delay_secs = backoff_delay_secs(budget, backoffs, self.dice)
        self._start_later(
            self._change_child(child, spent=spent, backoffs=backoffs + 1), kind, delay_secs
        )

    def _start_within_intensity(self, child: Child, kind: ReportKind) -> None:
        second = math.floor(self.now)
        attempts = (*_since(self.state.attempts, second - self.state.period_secs), second)
        self._change(attempts=attempts)
        if len(attempts) > self.state.intensity:
            self._change_child(child, phase=Phase.STOPPED)
            self.actions.append(Report(kind, child.name))
            self.actions.append(Report(ReportKind.SHUTDOWN, child.name))
            self.end(Outcome.GAVE_UP, child.name)
            return
        self._start_later(child, kind, 0.0)

    def _start_later(self, child: Child, kind: ReportKind, delay_secs: float) -> None:
        self.actions.append(Report(kind, child.name, delay_secs))
        child = self._change_child(child, restarted_at=self.now + delay_secs)
        if delay_secs == 0.0 and kind is ReportKind.CHILD_TERMINATED:
            self._start(child)
            return
        # A failed start is asked for again by a timer even when it is due at once, because a
        # start that keeps failing must not keep the supervisor from hearing "stop".
        token = self.state.tokens + 1
        self._change(tokens=token)
        self._change_child(child, phase=Phase.BACKOFF, timer=token)
        self.actions.append(SetTimer(child.name, token, delay_secs))

    def _start(self, child: Child) -> None:
        self._change_child(child, phase=Phase.STARTING, starts=child.starts + 1)
        self.actions.append(StartChild(child.name))

    def _stop(self, child: Child) -> None:
        self._change_child(child, phase=Phase.STOPPING)
        self.actions.append(StopChild(child.name, child.shutdown_secs))

    def _forget(self, child: Child) -> None:
        kept = tuple(other for other in self.state.children if other.name != child.name)
        self._change(children=kept)

    def _change(self, **fields: object) -> None:
        self.state = msgspec.structs.replace(self.state, **fields)

    def _change_child(self, child: Child, **fields: object) -> Child:
        changed = msgspec.structs.replace(child, **fields)
        self._change(
            children=tuple(
                changed if other.name == child.name else other for other in self.state.children
            )
        )
        return changed


def backoff_delay_secs(budget: Budget, backoffs: int, dice: float) -> float:
    """Return how long to wait before restart number ``backoffs`` (from 0) in a row.

    The first is at once; then ``initial``, doubling up to ``max``, each stretched by up to
    ``jitter`` (Akka's BackoffSupervisor).
    """
    if backoffs == 0:
        return 0.0
    backoff = budget.backoff
    doublings = min(backoffs - 1, 64)
    plain_secs = min(backoff.max_secs, backoff.initial_secs * 2.0**doublings)
    return plain_secs * (1.0 + dice * backoff.jitter)


def _since(times: Sequence[float], edge: float) -> tuple[float, ...]:
    # The edge is inclusive, as in Erlang: exactly one period ago still counts.
    return tuple(time for time in times if time >= edge)
