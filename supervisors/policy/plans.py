"""Ordered sequences: the start of all, the restart of a group, the end."""

from __future__ import annotations

from supervisors.decisions import (
    AllReady,
    Answer,
    ChildEnded,
    Finish,
    Mode,
    Outcome,
    Phase,
    ReportKind,
    Request,
    RequestError,
)
from supervisors.policy.state import PRESENT, Child, Plan
from supervisors.policy.turn import Turn


def carry_out(turn: Turn, plan: Plan) -> None:
    """Begin a plan."""
    turn.plan = plan
    advance(turn)


def advance(turn: Turn) -> None:
    """Go on with the plan until a step has to be waited for; tell when it is carried out."""
    if turn.plan is None:
        return
    if not (_stops_done(turn) and _starts_done(turn)):
        return
    turn.plan = None
    match turn.mode:
        case Mode.BOOTING:
            turn.mode = Mode.RUNNING
            turn.actions.append(AllReady())
        case Mode.ENDING:
            turn.mode = Mode.ENDED
            turn.actions.append(Finish(turn.outcome, turn.culprit))
        case Mode.RUNNING | Mode.ENDED:
            return


def end(turn: Turn, outcome: Outcome, culprit: str | None) -> None:
    """Stop the children, the last one first, then end. A second order changes nothing."""
    if turn.mode in {Mode.ENDING, Mode.ENDED}:
        return
    turn.begin_end(outcome, culprit)
    _settle_deferred(turn)
    for child in tuple(turn.children.values()):
        # Who waits for a start or a stop is told now, because nobody will be there afterwards.
        turn.answer(child, RequestError.STOPPING)
    names = tuple(reversed(turn.children))
    if turn.is_simple:
        # In no order and at once, so that the slowest and not the sum decides how long it takes.
        for name in names:
            _stop_one(turn, name)
    carry_out(turn, Plan(stops=names))


def stopped(turn: Turn, child: Child, *, clean: bool) -> None:
    """Take note that a child that was to stop is gone."""
    was_killed = child.phase is Phase.STOPPING and child.spec.shutdown_secs == 0
    if not clean and not was_killed:
        turn.report(ReportKind.SHUTDOWN_ERROR, child)
    child = turn.answer(child)
    turn.step_done(child.name)
    if turn.mode is Mode.RUNNING and child.start_again:
        turn.start(child)
    elif turn.plan is not None and child.name in turn.plan.starts:
        turn.change(child, phase=Phase.WAITING)
    else:
        turn.rest(child)


def _settle_deferred(turn: Turn) -> None:
    deferred, turn.deferred, turn.plan = turn.deferred, (), None
    for event in deferred:
        match event:
            case ChildEnded(name, clean):
                stopped(turn, turn.children[name], clean=clean)
            case _ if isinstance(event, Request):
                turn.actions.append(Answer(event.request, RequestError.STOPPING))
            case _:
                continue  # a timer for a start that will not be


def _stops_done(turn: Turn) -> bool:
    while turn.plan is not None and turn.plan.stops:
        name = turn.plan.stops[0]
        if not _stop_one(turn, name):
            return False
        turn.step_done(name)
    return True


def _stop_one(turn: Turn, name: str) -> bool:
    """See to it that the child does not run; return whether that is so already."""
    child = turn.child(name)
    if child is None:
        return True
    if child.phase is Phase.ENDED:
        stopped(turn, child, clean=turn.end_of(child).clean)
    elif child.phase is Phase.BACKOFF:
        turn.rest(child)
    elif child.phase in PRESENT:
        if child.phase is not Phase.STOPPING:
            turn.stop(child)
        return False
    return True


def _starts_done(turn: Turn) -> bool:
    if turn.plan is not None and turn.plan.starts:
        child = turn.children[turn.plan.starts[0]]
        if child.phase is not Phase.STARTING:
            turn.start(child)
        return False
    return True
