"""``decide``: which rule an event concerns, and which event has to wait."""

from __future__ import annotations

from typing import assert_never

from supervisors.decisions import (
    Action,
    Answer,
    Boot,
    BudgetReset,
    ChildEnded,
    ChildIgnored,
    ChildReady,
    DeleteChildRequested,
    Event,
    Mode,
    Outcome,
    Phase,
    RequestError,
    RestartChildRequested,
    RestartRequested,
    StartChildRequested,
    StopRequested,
    TerminateChildRequested,
    TimerFired,
)
from supervisors.policy import restarts
from supervisors.policy.plans import advance, carry_out, end, stopped
from supervisors.policy.requests import handle_request, restart_by_person
from supervisors.policy.state import Plan, State
from supervisors.policy.turn import Turn


def decide(state: State, event: Event, now: float, dice: float) -> tuple[State, tuple[Action, ...]]:
    """Return the state after the event and what is to be done, in order.

    Args:
        state: The state after the event before.
        event: What happened. An event that does not fit the state (a late timer, a second notice
            of one death) changes nothing.
        now: Seconds on a clock that never goes back.
        dice: A number in [0, 1) for the jitter of a backoff; used at most once.
    """
    turn = Turn(state, now, dice)
    _handle(turn, event)
    while turn.mode is Mode.RUNNING and turn.plan is None and turn.deferred:
        event, *rest = turn.deferred
        turn.deferred = tuple(rest)
        if isinstance(event, ChildEnded):
            restarts.ended(turn, turn.children[event.name], event)
        else:
            _handle(turn, event)
    return turn.state(), tuple(turn.actions)


def _handle(turn: Turn, event: Event) -> None:
    match event:
        case Boot():
            carry_out(turn, Plan(starts=tuple(turn.children)))
        case ChildReady(name, info):
            child = turn.child(name)
            if child is not None and child.phase is Phase.STARTING:
                restarts.ready(turn, child, info)
        case ChildIgnored(name):
            _child_ignored(turn, name)
        case ChildEnded():
            _child_ended(turn, event)
        case StopRequested():
            end(turn, Outcome.STOPPED, None)
        case TimerFired(name, token):
            _timer_fired(turn, name, token)
        case BudgetReset(name) if not _is_quarantined(turn, name):
            child = turn.child(name)
            if child is not None:
                turn.change(child, spent=(), backoffs=0)
        case RestartRequested(name) | BudgetReset(name):
            if turn.mode in {Mode.ENDING, Mode.ENDED}:
                return
            if turn.plan is not None:
                turn.defer(event)
            else:
                restart_by_person(turn, name)
        case (
            StartChildRequested()
            | TerminateChildRequested()
            | RestartChildRequested()
            | DeleteChildRequested()
        ):
            if turn.mode in {Mode.ENDING, Mode.ENDED}:
                turn.actions.append(Answer(event.request, RequestError.STOPPING))
            elif turn.plan is not None:
                turn.defer(event)
            else:
                handle_request(turn, event)
        case _:
            assert_never(event)


def _is_quarantined(turn: Turn, name: str) -> bool:
    child = turn.child(name)
    return child is not None and child.phase is Phase.QUARANTINED


def _child_ignored(turn: Turn, name: str) -> None:
    child = turn.child(name)
    if child is None:
        return
    if child.phase is Phase.STARTING:
        restarts.ignored(turn, child)
    else:
        _child_ended(turn, ChildEnded(name, clean=True))


def _child_ended(turn: Turn, event: ChildEnded) -> None:
    child = turn.child(event.name)
    if child is None:
        return
    match child.phase:
        case Phase.STOPPING:
            stopped(turn, child, clean=event.clean)
            advance(turn)
        case Phase.STARTING:
            restarts.start_failed(turn, child, event)
        case Phase.RUNNING if turn.mode is Mode.ENDING or _is_to_stop(turn, event.name):
            stopped(turn, child, clean=event.clean)
            advance(turn)
        case Phase.RUNNING if turn.plan is not None and turn.is_group:
            turn.change(child, phase=Phase.ENDED)
            turn.defer(event)
        case Phase.RUNNING:
            restarts.ended(turn, child, event)
        case Phase.WAITING | Phase.ENDED | Phase.BACKOFF | Phase.STOPPED | Phase.QUARANTINED:
            return
        case _:
            assert_never(child.phase)


def _timer_fired(turn: Turn, name: str, token: int) -> None:
    child = turn.child(name)
    if child is None or child.phase is not Phase.BACKOFF or child.timer != token:
        return
    if turn.plan is not None and turn.is_group:
        turn.defer(TimerFired(name, token))
    else:
        restarts.restart_due(turn, child)


def _is_to_stop(turn: Turn, name: str) -> bool:
    return turn.plan is not None and name in turn.plan.stops
