"""What people may ask of a supervisor: Erlang's start, terminate, restart and delete_child."""

from __future__ import annotations

from typing import assert_never

import msgspec

from supervisors.decisions import (
    Answer,
    DeleteChildRequested,
    Phase,
    Request,
    RequestError,
    RestartChildRequested,
    StartChildRequested,
    TerminateChildRequested,
)
from supervisors.policy.plans import carry_out, stopped
from supervisors.policy.queries import Presence, presence, unknown
from supervisors.policy.state import PRESENT, Child, Plan
from supervisors.policy.turn import Turn
from supervisors.spec import ChildSpec, Instance, SupervisorSpec
from supervisors.spec_check import mistakes_of_child


def handle_request(turn: Turn, request: Request) -> None:
    """Carry it out or refuse it. Only for a supervisor that neither boots nor ends."""
    match request:
        case StartChildRequested(request_id, child):
            _start_child(turn, request_id, child)
        case TerminateChildRequested(request_id, name):
            _terminate_child(turn, request_id, name)
        case RestartChildRequested(request_id, name):
            _restart_child(turn, request_id, name)
        case DeleteChildRequested(request_id, name):
            _delete_child(turn, request_id, name)
        case _:
            assert_never(request)


def restart_by_person(turn: Turn, name: str) -> None:
    """Stop the child, if it runs, and start it; its budget is forgiven."""
    child = turn.child(name)
    if child is None or not child.is_startable:
        return
    child = turn.forgive(child)
    if turn.is_group:
        carry_out(turn, Plan((name,), (name,)))
    elif child.phase in PRESENT:
        child = _cut_start(turn, child)
        turn.change(child, start_again=True)
        _stop(turn, name)
    else:
        turn.start(child)


def _start_child(turn: Turn, request: str, asked: ChildSpec | SupervisorSpec | Instance) -> None:
    spec = _spec_of(turn, asked)
    if spec is None:
        _refuse(turn, request, RequestError.SIMPLE_ONE_FOR_ONE)
        return
    mistakes = mistakes_of_child(spec, turn.rules.auto_shutdown)
    present = turn.child(spec.name)
    if mistakes:
        _refuse(turn, request, RequestError.INVALID_SPEC, "; ".join(map(str, mistakes)))
    elif present is not None:
        _refuse(turn, request, _why_not_again(present))
    elif turn.rules.max_children is not None and len(turn.children) >= turn.rules.max_children:
        _refuse(turn, request, RequestError.MAX_CHILDREN)
    else:
        _begin_start(turn, Child(spec=spec, is_new=True), request)


def _spec_of(
    turn: Turn, asked: ChildSpec | SupervisorSpec | Instance
) -> ChildSpec | SupervisorSpec | None:
    """Return the spec of a child asked for; None when the strategy has none of that kind."""
    template = turn.rules.template
    if not isinstance(asked, Instance):
        return asked if template is None else None
    if isinstance(template, ChildSpec):
        return msgspec.structs.replace(template, name=asked.name, config=asked.config)
    if isinstance(template, SupervisorSpec):
        return msgspec.structs.replace(template, name=asked.name)
    return None


def _why_not_again(present: Child) -> RequestError:
    return (
        RequestError.ALREADY_STARTED if present.phase in PRESENT else RequestError.ALREADY_PRESENT
    )


def _terminate_child(turn: Turn, request: str, name: str) -> None:
    child = turn.child(name)
    if child is None:
        _refuse(turn, request, unknown(turn.rules, name))
        return
    child = _cut_start(turn, child)
    child = turn.change(child, waiters=(*child.waiters, request), start_again=False)
    if child.phase is Phase.ENDED:
        stopped(turn, child, clean=turn.end_of(child).clean)
    elif child.phase in PRESENT:
        _stop(turn, name)
    elif child.phase is Phase.BACKOFF:
        turn.rest(turn.answer(child))
    else:
        turn.answer(child)


def _restart_child(turn: Turn, request: str, name: str) -> None:
    child = turn.child(name)
    refusal = unknown(turn.rules, name) if child is None else _why_no_restart(turn, child)
    if child is None or refusal is not None:
        _refuse(turn, request, refusal or RequestError.NOT_FOUND)
    else:
        _begin_start(turn, turn.forgive(child), request)


def _delete_child(turn: Turn, request: str, name: str) -> None:
    child = turn.child(name)
    refusal = unknown(turn.rules, name) if child is None else _why_no_restart(turn, child)
    if child is None or refusal is not None:
        _refuse(turn, request, refusal or RequestError.NOT_FOUND)
    else:
        turn.forget(child)
        turn.actions.append(Answer(request))


def _why_no_restart(turn: Turn, child: Child) -> RequestError | None:
    """Return why the child can be neither restarted nor deleted; None when it can."""
    if turn.is_simple:
        return RequestError.SIMPLE_ONE_FOR_ONE
    match presence(child):
        case Presence.UP:
            return RequestError.RUNNING
        case Presence.RESTARTING:
            return RequestError.RESTARTING
        case Presence.UNDEFINED:
            return None


def _begin_start(turn: Turn, child: Child, request: str) -> None:
    child = turn.change(child, waiters=(request,))
    if turn.is_group:
        carry_out(turn, Plan((), (child.name,)))
    else:
        turn.start(child)


def _stop(turn: Turn, name: str) -> None:
    child = turn.children[name]
    if turn.is_group:
        carry_out(turn, Plan((name,)))
    elif child.phase is not Phase.STOPPING:
        turn.stop(child)


def _cut_start(turn: Turn, child: Child) -> Child:
    """Tell those who wait for the child's start that it is stopped instead."""
    if child.phase is not Phase.STARTING:
        return child
    return turn.change(turn.answer(child, RequestError.TERMINATED), is_new=False)


def _refuse(turn: Turn, request: str, error: RequestError, detail: str = "") -> None:
    turn.actions.append(Answer(request, error, detail))
