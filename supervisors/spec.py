"""What a supervision tree is made of: child and supervisor specifications.

The words are Erlang's (``supervisor:child_spec()``); durations are in seconds and say so.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class SpecError(ValueError):
    """A specification that cannot be started; raised before any child starts."""


class Restart(enum.Enum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    """Only after a crash: a normal end keeps the spec and starts nothing."""
    TEMPORARY = "temporary"
    """Never; the spec is forgotten."""


class Strategy(enum.Enum):
    """Who is restarted with a child that ended."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    SIMPLE_ONE_FOR_ONE = "simple_one_for_one"


class AutoShutdown(enum.Enum):
    """When a supervisor ends because significant children ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class Directive(enum.Enum):
    """What is done about a crash with an exception of a certain class.

    There is no "resume": a handler that failed may have left a state that nobody has thought of.
    """

    RESTART = "restart"
    """As the restart type says: for a class within a wider one that has another directive."""
    STOP = "stop"
    """It ends for good, its spec is kept: another start would fail in the same way."""
    ESCALATE = "escalate"
    """Its supervisor stops all children and ends with the same exception, about which the
    directives of that supervisor's own spec decide."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait before a restart.

    The first restart is at once. The n-th after it waits
    ``min(max_secs, initial_secs * 2**n) * (1 + random * jitter)``; after ``reset_secs`` of running
    the count begins again. Formula: Akka's BackoffSupervisor.
    """

    initial_secs: float = 0.1
    max_secs: float = 30.0
    jitter: float = 0.2
    reset_secs: float = 60.0


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How many restarts a child may use in a sliding window; one more quarantines it.

    A child with a budget never counts towards its supervisor's intensity, so it cannot make the
    supervisor give up.
    """

    max_restarts: int = 5
    period_secs: float = 60.0
    backoff: Backoff = Backoff()


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="worker"):
    """One worker: which actor class, and how it lives, dies and comes back."""

    name: str
    """Unique in the whole tree; peers say ``tell(name, ...)``. Outlives incarnations."""
    actor: str
    """Import path of the Actor subclass, ``package.module:Class``. Imported by the supervisor
    before it forks, so that a restart is a fork and not an import."""
    config: Any = None
    """Handed to the actor as ``self.config``; carried by the fork, never encoded."""
    restart: Restart = Restart.PERMANENT
    shutdown_secs: float | None = 5.0
    """How long a stop may take before SIGKILL; 0 kills at once, None waits for ever."""
    significant: bool = False
    """Its own end, not followed by a restart, can end its supervisor: see ``AutoShutdown``."""
    start_timeout_secs: float = 10.0
    """Not ready by then is a failed start."""
    budget: Budget | None = None
    beat_secs: float = 1.0
    """The progress counter must rise within three beats, else the child is hung."""
    stall_timeout_secs: float = 30.0
    """A message in work for longer than this counts as no progress."""
    inbox_limit: int = 10_000
    directives: dict[str, Directive] = msgspec.field(default_factory=dict)
    """By name of an exception's class or of one of its bases; the nearest decides. A crash of no
    class in here is restarted as ``restart`` says."""
    max_rss_bytes: int | None = None
    """With more memory resident than this it is stopped and started again; None: no limit. Looked
    at with every beat. What programs that it executes use is not in it."""
    fenced: bool = False
    """It acts on the outside world, so there are never two processes of it: it has no spare."""
    spare: bool = False
    """A second process is kept that has done everything but ``on_start``, and takes the name over
    when the first is dead: a restart without a fork, for some megabytes."""
    cpu: int | None = None
    """The one processor that its threads run on; None: any. Must be one that this process may use,
    else it is a failed start."""
    realtime: int | None = None
    """``SCHED_FIFO`` priority of its brain, 1 to 99: it goes before every ordinary thread and every
    lower priority, but for the 5 % that the kernel keeps back. None: ordinary. Where the kernel
    refuses (no CAP_SYS_NICE) it stays ordinary, and says so in the log."""


class SupervisorSpec(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="supervisor"):
    """One supervisor and its children, in start order."""

    name: str
    children: tuple[ChildSpec | SupervisorSpec, ...] = ()
    """Under simple_one_for_one exactly one, the template, of which nothing is started yet."""
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 3
    """This many restarts within ``period_secs`` are allowed; one more and it gives up."""
    period_secs: float = 5.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    restart: Restart = Restart.PERMANENT
    shutdown_secs: float | None = None
    """None: as long as its own children need."""
    significant: bool = False
    start_timeout_secs: float = 60.0
    directives: dict[str, Directive] = msgspec.field(default_factory=dict)
    """What is done when it ends with the exception that a child has escalated."""
    budget: Budget | None = None
    max_children: int | None = None
    """How many children a simple_one_for_one supervisor may have; None: as many as asked for."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One more child of a simple_one_for_one supervisor: its template, with this name and config.

    Where Erlang returns a pid for such a child, the caller here gives a name, because names are
    what peers send to.
    """

    name: str
    config: Any = None
