"""The words of the policy: phases of a child, events that it is told, actions that it orders."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from supervisors.spec import ChildSpec, Instance, SupervisorSpec


class Phase(enum.Enum):
    """Where one child is in its life."""

    WAITING = "waiting"
    """Its turn in the start order has not come yet."""
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    """Ended by itself while the supervisor was in the middle of something: what is to be done
    about it is decided when that is over."""
    BACKOFF = "backoff"
    """Ended; a timer will start it again. Erlang's ``restarting``."""
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
    AUTO_SHUTDOWN = "auto_shutdown"
    """A significant child ended by itself."""
    START_FAILED = "start_failed"
    """A child failed while the supervisor was starting."""
    ESCALATED = "escalated"
    """A child crashed with an exception that its directives do not leave to its supervisor."""


class Boot(msgspec.Struct, frozen=True):
    """The supervisor was created: start the children, in order."""


class ChildReady(msgspec.Struct, frozen=True):
    """The child's ``on_start`` returned."""

    name: str
    info: Any = None
    """What the child wants whoever asked for its start to know, e.g. a port."""


class ChildIgnored(msgspec.Struct, frozen=True):
    """The child has decided in its start that it is not needed, and is gone: no failure."""

    name: str


class ChildEnded(msgspec.Struct, frozen=True):
    """The child's process is gone. Before it was ready, this is a failed start."""

    name: str
    clean: bool
    """True when it ended by itself and said so: Erlang's ``normal`` and ``shutdown``."""
    detail: str = ""
    """Why, for whoever asked for its start."""
    exceptions: tuple[str, ...] = ()
    """Of the exception that ended it: the name of its class, then of its bases, the nearest first;
    empty when none did."""


class TimerFired(msgspec.Struct, frozen=True):
    """The time of a ``SetTimer`` has passed."""

    name: str
    token: int


class StopRequested(msgspec.Struct, frozen=True):
    """The parent, or a person, wants the supervisor to end."""


class RestartRequested(msgspec.Struct, frozen=True):
    """A person wants this child stopped, if it runs, and started. Forgives its budget."""

    name: str


class BudgetReset(msgspec.Struct, frozen=True):
    """A person gives this child its whole budget again; a quarantined one is started."""

    name: str


class StartChildRequested(msgspec.Struct, frozen=True):
    """Add this child, as the last one, and start it: Erlang's ``start_child``."""

    request: str
    """Comes back in the ``Answer``."""
    child: ChildSpec | SupervisorSpec | Instance


class TerminateChildRequested(msgspec.Struct, frozen=True):
    """Stop the child; its spec is kept unless it is temporary: Erlang's ``terminate_child``."""

    request: str
    name: str


class RestartChildRequested(msgspec.Struct, frozen=True):
    """Start a child that does not run: Erlang's ``restart_child``."""

    request: str
    name: str


class DeleteChildRequested(msgspec.Struct, frozen=True):
    """Forget a child that does not run: Erlang's ``delete_child``."""

    request: str
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


class RequestError(enum.Enum):
    """Why a request was refused or failed. Erlang's words, and four of ours."""

    ALREADY_STARTED = "already_started"
    ALREADY_PRESENT = "already_present"
    NOT_FOUND = "not_found"
    RUNNING = "running"
    RESTARTING = "restarting"
    SIMPLE_ONE_FOR_ONE = "simple_one_for_one"
    """The request makes no sense for a supervisor of this strategy, or of another one."""
    MAX_CHILDREN = "max_children"
    """Elixir's word."""
    INVALID_SPEC = "invalid_spec"
    """The detail has Erlang's word for each mistake."""
    START_FAILED = "start_failed"
    """The detail says why."""
    TERMINATED = "terminated"
    """Somebody else had the child stopped before it was ready."""
    STOPPING = "stopping"
    """The supervisor ends. Erlang's caller would exit with ``noproc`` or ``shutdown``."""


class Answer(msgspec.Struct, frozen=True):
    """Tell whoever made the request what came of it. Every request is answered once."""

    request: str
    error: RequestError | None = None
    detail: str = ""
    ignored: bool = False
    """The child decided that it is not needed: Erlang's ``{ok, undefined}``."""
    info: Any = None
    """What the child said when it was ready."""


Request = (
    StartChildRequested | TerminateChildRequested | RestartChildRequested | DeleteChildRequested
)
Event = (
    Boot
    | ChildReady
    | ChildIgnored
    | ChildEnded
    | TimerFired
    | StopRequested
    | RestartRequested
    | BudgetReset
    | Request
)
Action = StartChild | StopChild | SetTimer | Report | AllReady | Finish | Answer
