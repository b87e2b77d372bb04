"""The words of the policy: phases of a child, events that it is told, actions that it orders."""

from __future__ import annotations

import enum

import msgspec


class Phase(enum.Enum):
    """Where one child is in its life."""

    WAITING = "waiting"
    """Its turn in the start order has not come yet."""
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    """Ended; a timer will start it again."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    """Ended for good; the spec is kept, so that a person may start it again."""
    QUARANTINED = "quarantined"
    """Its budget is used up; only a person starts it again."""


class Mode(enum.Enum):
    """Where the supervisor itself is in its life."""

    BOOTING = "booting"
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"


class Outcome(enum.Enum):
    """How the supervisor ends, once all its children have."""

    STOPPED = "stopped"
    """It was asked to."""
    GAVE_UP = "gave_up"
    """More restarts than its intensity allows. To its parent this is a clean end, as in Erlang."""
    START_FAILED = "start_failed"
    """A child failed while the supervisor was starting."""


class Boot(msgspec.Struct, frozen=True):
    """The supervisor was created: start the children, in order."""


class ChildReady(msgspec.Struct, frozen=True):
    """The child's ``on_start`` returned."""

    name: str


class ChildEnded(msgspec.Struct, frozen=True):
    """The child's process is gone. Before it was ready, this is a failed start."""

    name: str
    clean: bool
    """True when it ended by itself and said so: Erlang's ``normal`` and ``shutdown``."""


class TimerFired(msgspec.Struct, frozen=True):
    """The time of a ``SetTimer`` has passed."""

    name: str
    token: int


class StopRequested(msgspec.Struct, frozen=True):
    """The parent, or a person, wants the supervisor to end."""


class RestartRequested(msgspec.Struct, frozen=True):
    """A person wants this child stopped, if it runs, and started. Forgives its budget."""

    name: str


class StartChild(msgspec.Struct, frozen=True):
    """Fork the child. The answer is ``ChildReady`` or ``ChildEnded``."""

    name: str


class StopChild(msgspec.Struct, frozen=True):
    """Ask the child to stop and kill it after ``shutdown_secs``; None waits for ever."""

    name: str
    shutdown_secs: float | None


class SetTimer(msgspec.Struct, frozen=True):
    """Send ``TimerFired(name, token)`` after ``delay_secs``; never sleep for it."""

    name: str
    token: int
    delay_secs: float


class ReportKind(enum.Enum):
    """Erlang's error contexts, and quarantine."""

    CHILD_TERMINATED = "child_terminated"
    START_ERROR = "start_error"
    SHUTDOWN_ERROR = "shutdown_error"
    SHUTDOWN = "shutdown"
    QUARANTINED = "quarantined"


class Report(msgspec.Struct, frozen=True):
    """Write down what happened to the child, with the reason of its latest end."""

    kind: ReportKind
    name: str
    restart_in_secs: float | None = None
    """None: it is not started again."""


class AllReady(msgspec.Struct, frozen=True):
    """Every child has been started: the supervisor is ready."""


class Finish(msgspec.Struct, frozen=True):
    """No child is left: the supervisor ends."""

    outcome: Outcome
    culprit: str | None


Event = Boot | ChildReady | ChildEnded | TimerFired | StopRequested | RestartRequested
Action = StartChild | StopChild | SetTimer | Report | AllReady | Finish
