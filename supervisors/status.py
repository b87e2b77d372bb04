"""What a person sees of the tree."""

from __future__ import annotations

from typing import Literal

import msgspec

NodeState = Literal[
    "starting",
    "running",
    "suspended",
    "backoff",
    "quarantined",
    "stopping",
    "stopped",
    "restarting",
]
"""``backoff``: waits for its next start. ``restarting``: is being started again. ``suspended``:
runs, and a person has its messages wait."""


class Alarm(msgspec.Struct, frozen=True):
    """Something is wrong with an actor, and has not stopped being so."""

    kind: str
    """``backoff``, ``quarantined``, ``suspended``, ``hung``, ``inbox_high``, ``restart_storm``,
    ``orphan``, or what an actor itself raises (``Actor.raise_alarm``)."""
    detail: str
    since_ns: int
    """UTC"""


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker or supervisor, and what is below it, as its supervisor last saw it."""

    name: str
    type: Literal["worker", "supervisor"]
    state: NodeState
    pid: int | None = None
    """None while there is no process."""
    generation: int = 0
    """Of the process that runs, or ran last; 0 when it never ran."""
    restarts: int = 0
    """Starts after the first, by this incarnation of its supervisor."""
    budget_limit: int | None = None
    """So many restarts it may use within ``budget_period_secs``; None when it has no budget."""
    budget_period_secs: float = 0.0
    budget_spent: int = 0
    """How many of them it has used; one more than ``budget_limit`` quarantined it."""
    spare_pid: int | None = None
    """Of the warm spare that would take the name over; None while there is none."""
    uptime_secs: float = 0.0
    """Since it was ready; 0 when it is not."""
    restart_in_secs: float | None = None
    """When the backoff under way is over; None while there is none."""
    cpu_percent: float = 0.0
    """100 is one whole processor, over about the last half second."""
    rss_bytes: int = 0
    inbox: int = 0
    inbox_limit: int = 0
    """0 for a supervisor, which has no inbox."""
    handled: int = 0
    in_work: str | None = None
    """The message class in work when its guardian last looked."""
    in_work_secs: float = 0.0
    stash: int = 0
    dropped: int = 0
    conflated: int = 0
    undelivered: int = 0
    last_reason: str | None = None
    """Why it ended last, e.g. ``signal SIGKILL``; None when it never did."""
    alarms: tuple[Alarm, ...] = ()
    """Of this node itself, the oldest first."""
    children: tuple[NodeStatus, ...] = ()

    def find(self, name: str) -> NodeStatus | None:
        """Return the node of that name in this subtree, or None."""
        if self.name == name:
            return self
        found = (child.find(name) for child in self.children)
        return next((node for node in found if node is not None), None)

    def parent_of(self, name: str) -> NodeStatus | None:
        """Return the node whose child has that name, or None."""
        if any(child.name == name for child in self.children):
            return self
        found = (child.parent_of(name) for child in self.children)
        return next((node for node in found if node is not None), None)

    def all_nodes(self) -> tuple[NodeStatus, ...]:
        """Return this node and all below it, in start order."""
        return (self, *(node for child in self.children for node in child.all_nodes()))

    def workers(self) -> tuple[NodeStatus, ...]:
        """Return all workers below this node, in start order."""
        if self.type == "worker":
            return (self,)
        return tuple(worker for child in self.children for worker in child.workers())


class NotRunningError(Exception):
    """No system runs on that runtime folder, or it does not answer."""


class RefusedError(Exception):
    """The system understood the request and will not do it; the text says why."""


class StartError(Exception):
    """The system could not be started; everything that had been started is gone.

    Attributes:
        child: Name of the child that failed.
        reason: Why, in one line.
        traceback: The child's traceback, or "" when it left none.
    """

    def __init__(self, child: str, reason: str, traceback: str = "") -> None:
        super().__init__(f"{child} did not start: {reason}")
        self.child = child
        self.reason = reason
        self.traceback = traceback


class HeartGaveUpError(Exception):
    """The system died more often than the heart's budget allows; everything is gone."""
