"""How a supervisor describes itself and its children to people."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from supervisors.alarms import Alarms
from supervisors.control import AlarmTold, Crash
from supervisors.decisions import Mode, Phase
from supervisors.incarnation import Incarnation
from supervisors.launch import Launch
from supervisors.policy import Child, State
from supervisors.reports import Offender, Reason, ReportLog
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.status import NodeState, NodeStatus
from supervisors.usage import Meter


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The latest end of a child."""

    reason: Reason
    pid: int | None = None
    generation: int = 0
    crash_file: Path | None = None
    crash: Crash | None = None
    offender: Offender | None = None

    def as_start_failure(self, name: str) -> Crash:
        """Return the failure of the deepest child, which passes up unchanged."""
        if self.crash is not None and self.crash.child is not None:
            return self.crash
        traceback = "" if self.crash is None else self.crash.traceback
        return Crash.of("StartError", str(self.reason), traceback, name)


_NODE_STATES: Mapping[Mode, NodeState] = {
    Mode.BOOTING: "starting",
    Mode.RUNNING: "running",
    Mode.ENDING: "stopping",
    Mode.ENDED: "stopped",
}


class Picture:
    """How one supervisor looks to people: draws it, and judges its alarms while it draws."""

    def __init__(self, own: Launch, reports: ReportLog) -> None:
        assert isinstance(own.spec, SupervisorSpec)
        self._spec = own.spec
        self._generation = own.generation
        self._reports = reports
        self._began = time.monotonic()
        self._meter = Meter()
        self._alarms = Alarms()

    def draw(
        self,
        state: State,
        alive: Mapping[str, Incarnation],
        ended: Mapping[str, Ended],
        spare_pid: Callable[[str], int | None],
    ) -> NodeStatus:
        """Return the supervisor's own node, with its children in start order."""
        children = [
            _paint_child(child, alive.get(child.name), ended.get(child.name))
            for child in state.children
        ]
        self._judge(children, alive)
        usage = self._meter.read()
        return NodeStatus(
            name=self._spec.name,
            type="supervisor",
            state=_NODE_STATES[state.mode],
            pid=os.getpid(),
            generation=self._generation,
            uptime_secs=time.monotonic() - self._began,
            cpu_percent=usage.cpu_percent,
            rss_bytes=usage.rss_bytes,
            alarms=self._alarms.of(self._spec.name),
            children=tuple(
                msgspec.structs.replace(
                    child,
                    spare_pid=spare_pid(child.name),
                    alarms=(*child.alarms, *self._alarms.of(child.name)),
                )
                for child in children
            ),
        )

    def alarm_told(self, name: str, told: AlarmTold) -> None:
        """Take what a child says of itself."""
        self._alarms.tell(name, told.kind, told.detail)

    def orphans_counted(self, count: int) -> None:
        """Take how many processes that have lost their parent are being ended."""
        detail = f"{count} processes without a parent are being ended" if count else None
        self._alarms.tell(self._spec.name, "orphan", detail)

    def child_died(self, name: str) -> None:
        """Take back what a child had said of itself."""
        self._alarms.forget(name)

    def _judge(self, children: list[NodeStatus], alive: Mapping[str, Incarnation]) -> None:
        hung = {
            name: child.verdict.detail
            for name, child in alive.items()
            if child.verdict is not None and child.verdict.kind == "hung"
        }
        changes = self._alarms.look(children, hung, now=time.monotonic(), ts_ns=time.time_ns())
        for change in changes:
            child = alive.get(change.name)
            self._reports.write(
                "alarm_raised" if change.is_raised else "alarm_cleared",
                child=change.name,
                pid=None if child is None else child.pid,
                generation=0 if child is None else child.generation,
                alarm=change.alarm,
            )


def _paint_child(child: Child, alive: Incarnation | None, ended: Ended | None) -> NodeStatus:
    spec = child.spec
    node = NodeStatus(
        name=child.name,
        type="worker" if isinstance(spec, ChildSpec) else "supervisor",
        state=_node_state(child),
        generation=ended.generation if ended is not None else 0,
        restarts=max(0, child.starts - 1),
        last_reason=str(ended.reason) if ended is not None else None,
        restart_in_secs=(
            None if child.starts_at is None else max(0.0, child.starts_at - time.monotonic())
        ),
    )
    if child.budget is not None:
        edge = time.monotonic() - child.budget.period_secs
        node = msgspec.structs.replace(
            node,
            budget_limit=child.budget.max_restarts,
            budget_period_secs=child.budget.period_secs,
            budget_spent=sum(moment > edge for moment in child.spent),
        )
    if alive is not None:
        node = msgspec.structs.replace(
            node,
            pid=alive.pid,
            generation=alive.generation,
            uptime_secs=0.0 if alive.ready_at is None else time.monotonic() - alive.ready_at,
        )
    if isinstance(spec, SupervisorSpec):
        told = alive.told if alive is not None else None
        if told is None:
            return msgspec.structs.replace(node, children=_unknown_children(spec))
        return msgspec.structs.replace(
            node,
            children=told.children,
            cpu_percent=told.cpu_percent,
            rss_bytes=told.rss_bytes,
            alarms=told.alarms,
        )
    if alive is None:
        return node
    statistics = alive.slot.statistics
    is_suspended = statistics.is_suspended and node.state == "running"
    return msgspec.structs.replace(
        node,
        state="suspended" if is_suspended else node.state,
        cpu_percent=statistics.cpu_percent,
        rss_bytes=statistics.rss_bytes,
        inbox_limit=spec.inbox_limit,
        in_work_secs=statistics.in_work_secs,
        conflated=statistics.conflated,
        undelivered=statistics.undelivered,
        inbox=statistics.inbox,
        handled=statistics.handled,
        in_work=statistics.in_work,
        stash=statistics.stash,
        dropped=statistics.dropped,
    )


def child_holding(
    name: str, *, spec: SupervisorSpec, state: State, alive: Mapping[str, Incarnation]
) -> str | None:
    """Return which child is, or contains, the actor of that name; None when nobody knows it."""
    # Also those of the beginning that are forgotten: a person is told that they have ended.
    specs = {child.name: child for child in spec.children}
    specs |= {child.name: child.spec for child in state.children}
    named = (child for child, its in specs.items() if name in _names(its))
    # What was added below is known only by what its supervisor told.
    told = (
        child
        for child, process in alive.items()
        if process.told is not None and process.told.find(name) is not None
    )
    return next(itertools.chain(named, told), None)


def _names(spec: ChildSpec | SupervisorSpec) -> set[str]:
    if isinstance(spec, ChildSpec):
        return {spec.name}
    return {spec.name}.union(*(_names(child) for child in spec.children))


def stopped_tree(spec: SupervisorSpec) -> NodeStatus:
    """Return the picture of a tree of which no process runs."""
    children = _unknown_children(spec)
    return NodeStatus(name=spec.name, type="supervisor", state="stopped", children=children)


def _unknown_children(spec: SupervisorSpec) -> tuple[NodeStatus, ...]:
    return tuple(
        NodeStatus(name=child.name, type="worker", state="stopped")
        if isinstance(child, ChildSpec)
        else stopped_tree(child)
        for child in spec.children
    )


def _node_state(child: Child) -> NodeState:
    match child.phase:
        case Phase.STARTING:
            return "starting" if child.starts <= 1 else "restarting"
        case Phase.RUNNING:
            return "running"
        case Phase.BACKOFF:
            return "backoff"
        case Phase.STOPPING:
            return "stopping"
        case Phase.QUARANTINED:
            return "quarantined"
        case Phase.ENDED:
            return "restarting"
        case Phase.WAITING | Phase.STOPPED:
            return "stopped"
