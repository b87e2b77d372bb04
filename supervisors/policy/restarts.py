"""What follows when a child ends by itself or cannot be started."""

from __future__ import annotations

import math

import msgspec

from supervisors.decisions import ChildEnded, Mode, Outcome, Phase, ReportKind, RequestError
from supervisors.policy.backoff import backoff_delay_secs, since
from supervisors.policy.plans import advance, carry_out, end
from supervisors.policy.queries import Presence, presence
from supervisors.policy.state import Child, Plan
from supervisors.policy.turn import Turn
from supervisors.spec import (
    AutoShutdown,
    Budget,
    ChildSpec,
    Directive,
    Restart,
    Strategy,
    SupervisorSpec,
)


def ready(turn: Turn, child: Child, info: object) -> None:
    """Take note that a child has started."""
    child = turn.answer(turn.change(child, phase=Phase.RUNNING, ready_at=turn.now), info=info)
    if child.is_new and child.restart is Restart.TEMPORARY:
        # Nobody will start it again, and its configuration may be large.
        child = turn.change(child, spec=_without_config(child.spec), is_startable=False)
    turn.change(child, is_new=False)
    turn.step_done(child.name)
    advance(turn)


def ignored(turn: Turn, child: Child) -> None:
    """Take note that a child, asked to start, is not needed."""
    turn.rest(turn.answer(child, ignored=True))
    turn.step_done(child.name)
    advance(turn)


def start_failed(turn: Turn, child: Child, event: ChildEnded) -> None:
    """Decide about a child that ended before it was ready."""
    if turn.mode is Mode.ENDING:
        turn.rest(child)
        advance(turn)
    elif child.waiters:
        child = turn.answer(child, RequestError.START_FAILED, event.detail)
        if child.is_new:
            turn.forget(child)
        else:
            turn.rest(child)
        turn.step_done(child.name)
        advance(turn)
    elif turn.mode is Mode.BOOTING and turn.plan is not None and _is_next(turn.plan, child):
        turn.report(ReportKind.START_ERROR, child)
        turn.rest(child)
        end(turn, Outcome.START_FAILED, child.name)
    else:
        _restart_failed(turn, child, event)


def ended(turn: Turn, child: Child, event: ChildEnded) -> None:
    """Decide about a child that ran and ended by itself."""
    clean = event.clean
    directive = _directive(child, event)
    if directive is Directive.ESCALATE:
        _escalate(turn, child, ReportKind.CHILD_TERMINATED)
        return
    if directive is Directive.RESTART and (
        child.restart is Restart.PERMANENT or (child.restart is Restart.TRANSIENT and not clean)
    ):
        _restart(turn, child)
        return
    if not clean:
        turn.report(ReportKind.CHILD_TERMINATED, child)
    turn.rest(child)
    if child.spec.significant and _shuts_down(turn):
        end(turn, Outcome.AUTO_SHUTDOWN, child.name)


def restart_due(turn: Turn, child: Child) -> None:
    """Start a child whose time to wait is over. Without a budget this try is counted, too."""
    if child.budget is not None or _is_within_intensity(turn):
        _begin_restart(turn, child)
    else:
        _give_up(turn, child)


def _restart(turn: Turn, child: Child) -> None:
    if child.budget is not None:
        _spend(turn, child, child.budget, ReportKind.CHILD_TERMINATED)
    elif _is_within_intensity(turn):
        turn.report(ReportKind.CHILD_TERMINATED, child, 0.0)
        _begin_restart(turn, child)
    else:
        turn.report(ReportKind.CHILD_TERMINATED, child)
        _give_up(turn, child)


def _restart_failed(turn: Turn, child: Child, event: ChildEnded) -> None:
    """Ask for it again later, never in a loop: "stop" must be heard in between."""
    directive = _directive(child, event)
    if directive is Directive.ESCALATE:
        _escalate(turn, child, ReportKind.START_ERROR)
        return
    # A temporary child comes here when a person had it restarted.
    if directive is Directive.STOP or child.restart is Restart.TEMPORARY:
        turn.report(ReportKind.START_ERROR, child)
        turn.rest(child)
        turn.step_done(child.name)
        advance(turn)
        return
    if child.budget is not None:
        _spend(turn, child, child.budget, ReportKind.START_ERROR)
        return
    turn.report(ReportKind.START_ERROR, child, 0.0)
    _wait(turn, child, 0.0)


def _spend(turn: Turn, child: Child, budget: Budget, kind: ReportKind) -> None:
    """Take one restart out of the child's budget, or quarantine it when there is none left."""
    spent = (*since(child.spent, turn.now - budget.period_secs), turn.now)
    if len(spent) > budget.max_restarts:
        turn.change(child, phase=Phase.QUARANTINED, spent=())
        turn.report(kind, child)
        turn.report(ReportKind.QUARANTINED, child)
        # The others come up without it, because a quarantined child leaves its siblings alone.
        turn.step_done(child.name)
        advance(turn)
        return
    # A start that fails is never quiet, however long it took to fail.
    is_quiet = (
        kind is ReportKind.CHILD_TERMINATED
        and turn.now - child.ready_at >= budget.backoff.reset_secs
    )
    backoffs = 0 if is_quiet else child.backoffs
    delay_secs = backoff_delay_secs(budget, backoffs, turn.dice)
    child = turn.change(child, spent=spent, backoffs=backoffs + 1)
    turn.report(kind, child, delay_secs)
    if delay_secs == 0.0 and kind is ReportKind.CHILD_TERMINATED:
        _begin_restart(turn, child)
    else:
        _wait(turn, child, delay_secs)


def _wait(turn: Turn, child: Child, delay_secs: float) -> None:
    turn.back_off(child, delay_secs)
    if turn.mode is Mode.RUNNING:
        turn.plan = None  # those after it are started with it, by the next try


def _begin_restart(turn: Turn, child: Child) -> None:
    """Start the child, and with it those that the strategy restarts together."""
    if not turn.is_group:
        turn.start(child)
        return
    child = turn.change(child, phase=Phase.WAITING)
    names = list(turn.children)
    if turn.rules.strategy is Strategy.REST_FOR_ONE:
        names = names[names.index(child.name) :]
    stops = tuple(name for name in reversed(names) if name != child.name)
    starts = tuple(name for name in names if _comes_back(turn.children[name]))
    carry_out(turn, Plan(stops, starts))


def _comes_back(child: Child) -> bool:
    # Also one that had ended normally or was stopped by a person: Erlang starts it, too.
    return child.restart is not Restart.TEMPORARY and child.phase is not Phase.QUARANTINED


def _is_within_intensity(turn: Turn) -> bool:
    """Count one restart; false when it was one too many."""
    second = math.floor(turn.now)
    turn.attempts = (*since(turn.attempts, second - turn.rules.period_secs), second)
    return len(turn.attempts) <= turn.rules.intensity


def _give_up(turn: Turn, child: Child) -> None:
    turn.rest(child)
    turn.report(ReportKind.SHUTDOWN, child)
    end(turn, Outcome.GAVE_UP, child.name)


def _directive(child: Child, event: ChildEnded) -> Directive:
    directives = child.spec.directives
    found = (directives[name] for name in event.exceptions if name in directives)
    return next(found, Directive.RESTART)


def _escalate(turn: Turn, child: Child, kind: ReportKind) -> None:
    turn.report(kind, child)
    turn.rest(child)
    turn.report(ReportKind.SHUTDOWN, child)
    end(turn, Outcome.ESCALATED, child.name)


def _shuts_down(turn: Turn) -> bool:
    # Under ``never`` no child is significant: the spec was checked.
    if turn.rules.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
        return True
    return not any(
        child.spec.significant and presence(child) is not Presence.UNDEFINED
        for child in turn.children.values()
    )


def _is_next(plan: Plan, child: Child) -> bool:
    return plan.starts[:1] == (child.name,)


def _without_config(spec: ChildSpec | SupervisorSpec) -> ChildSpec | SupervisorSpec:
    if isinstance(spec, SupervisorSpec):
        return spec
    return msgspec.structs.replace(spec, config=None)
