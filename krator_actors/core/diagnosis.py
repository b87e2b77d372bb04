"""Why an incident most likely happened: a table from typed evidence to a cause. Pure.

The causes are a closed list, the rows are tried in order, the first that fits is the answer. A
cause that no row names is ``unknown``: better no answer than a confident wrong one. A diagnosis
is a proposal to a person; it has no field that could be carried out.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from krator_actors.messages.incidents import Evidence


class Cause(enum.Enum):
    """Everything that can be diagnosed."""

    PROCESS_CRASH = "process_crash"
    """Ended by a signal or an exit of its own, without a Python exception."""
    STRATEGY_EXCEPTION = "strategy_exception"
    ACTOR_EXCEPTION = "actor_exception"
    """An exception in an actor that is not a strategy."""
    HUNG_ACTOR = "hung_actor"
    START_TIMEOUT = "start_timeout"
    FEED_SILENT_STALL = "feed_silent_stall"
    """Connected, and nothing comes."""
    FEED_DISCONNECTED = "feed_disconnected"
    SEQUENCE_GAP = "sequence_gap"
    VENUE_UNREACHABLE = "venue_unreachable"
    POSTGRES_DOWN = "postgres_down"
    DISK_FULL = "disk_full"
    OUT_OF_MEMORY = "out_of_memory"
    CONFIG_ERROR = "config_error"
    SUPERVISOR_CRASH_LOOP = "supervisor_crash_loop"
    """Restarted until the budget or the intensity was used up."""
    SYSTEM_RESTART = "system_restart"
    UNKNOWN = "unknown"


class Diagnosis(NamedTuple):
    """The answer; ``evidence_ids`` are the facts that it rests on."""

    cause: str
    confidence: float
    evidence_ids: tuple[str, ...]
    suggestion: str


@dataclass(frozen=True, slots=True)
class _Signature:
    """Fits when kind and component fit and every fact is there; an empty field fits all."""

    cause: Cause
    confidence: float
    kinds: frozenset[str] = frozenset()
    # Beginnings of component names.
    components: tuple[str, ...] = ("",)
    # Evidence kind to its codes; one of the codes is enough, every kind is needed.
    facts: tuple[tuple[str, frozenset[str]], ...] = ()

    def match(
        self, kind: str, component: str, evidence: tuple[Evidence, ...]
    ) -> tuple[str, ...] | None:
        """Return the ids of the facts that fit; None when it does not fit."""
        if (self.kinds and kind not in self.kinds) or not component.startswith(self.components):
            return None
        ids: list[str] = []
        for fact, codes in self.facts:
            found = [item.id for item in evidence if item.kind == fact and item.code in codes]
            if not found:
                return None
            ids += found
        return tuple(ids)


def _codes(*codes: str) -> frozenset[str]:
    return frozenset(codes)


_POSTGRES_ERRORS = _codes(
    "AdminShutdownError",
    "CannotConnectNowError",
    "ConnectionDoesNotExistError",
    "ConnectionFailureError",
    "CrashShutdownError",
    "InterfaceError",
    "InternalClientError",
    "PostgresConnectionError",
)
_CONNECTION_ERRORS = _codes(
    "BrokenPipeError", "ConnectionRefusedError", "ConnectionResetError", "FileNotFoundError"
)
_VENUE_ERRORS = _CONNECTION_ERRORS | _codes("VenueUnavailableError", "ConnectionClosedError")
_CONFIG_ERRORS = _codes("ConfigError", "SpecError", "ValidationError")
_EXCEPTION = ("reason", _codes("exception"))
_DIED = _codes("crash", "quarantine")

# The order is from the decisive to the general.
_SIGNATURES = (
    _Signature(Cause.CONFIG_ERROR, 0.9, _DIED, facts=(("exception", _CONFIG_ERRORS),)),
    _Signature(
        Cause.DISK_FULL,
        0.95,
        _DIED,
        facts=(("exception", _codes("DiskFullError", "LogFullError")),),
    ),
    _Signature(Cause.OUT_OF_MEMORY, 0.9, _DIED, facts=(("exception", _codes("MemoryError")),)),
    _Signature(Cause.POSTGRES_DOWN, 0.9, _DIED, facts=(("exception", _POSTGRES_ERRORS),)),
    _Signature(
        Cause.POSTGRES_DOWN, 0.85, _DIED, ("journal",), facts=(("exception", _CONNECTION_ERRORS),)
    ),
    # The storage actor raises only when the server that it watches has gone or does not start; a
    # signal to the actor itself is a crash like any other.
    _Signature(Cause.POSTGRES_DOWN, 0.8, _DIED, ("storage",), facts=(_EXCEPTION,)),
    _Signature(
        Cause.SUPERVISOR_CRASH_LOOP,
        0.9,
        _codes("quarantine"),
        facts=(("report", _codes("quarantined")),),
    ),
    _Signature(
        Cause.SUPERVISOR_CRASH_LOOP,
        0.9,
        _codes("system"),
        facts=(("report", _codes("shutdown")),),
    ),
    _Signature(
        Cause.SYSTEM_RESTART,
        0.95,
        _codes("system"),
        ("system",),
        facts=(("report", _codes("child_terminated", "start_error")),),
    ),
    _Signature(
        Cause.HUNG_ACTOR,
        0.9,
        _codes("hang"),
        facts=(("reason", _codes("hung", "not_progressing")),),
    ),
    _Signature(
        Cause.START_TIMEOUT, 0.8, _codes("crash"), facts=(("reason", _codes("start_timeout")),)
    ),
    _Signature(
        Cause.VENUE_UNREACHABLE,
        0.8,
        _codes("crash"),
        ("feed:", "order:"),
        facts=(("exception", _VENUE_ERRORS),),
    ),
    _Signature(Cause.STRATEGY_EXCEPTION, 0.9, _codes("crash"), ("strategy:",), facts=(_EXCEPTION,)),
    _Signature(Cause.ACTOR_EXCEPTION, 0.8, _codes("crash"), facts=(_EXCEPTION,)),
    _Signature(
        Cause.PROCESS_CRASH, 0.85, _codes("crash"), facts=(("reason", _codes("signal", "exit")),)
    ),
    # A lost connection makes streams stale too, so it is asked for first.
    _Signature(
        Cause.FEED_DISCONNECTED,
        0.9,
        _codes("stall"),
        facts=(("stall", _codes("CONNECTING", "DISCONNECTED")),),
    ),
    _Signature(
        Cause.FEED_SILENT_STALL,
        0.85,
        _codes("stall"),
        facts=(("stall", _codes("STALE_QUOTES", "STALE_TRADES")),),
    ),
    _Signature(Cause.SEQUENCE_GAP, 0.9, _codes("stall"), facts=(("stall", _codes("GAP")),)),
    _Signature(Cause.CONFIG_ERROR, 0.7, _codes("stall"), facts=(("stall", _codes("REFUSED")),)),
)

_SUGGESTIONS = {
    Cause.PROCESS_CRASH: "See the crash file; look for the sender of a SIGKILL in the kernel log.",
    Cause.STRATEGY_EXCEPTION: "See the crash file; remove the strategy if the input repeats.",
    Cause.ACTOR_EXCEPTION: "See the crash file; the exception's class names the place.",
    Cause.HUNG_ACTOR: "See the stack dump in the crash file for what it waited on.",
    Cause.START_TIMEOUT: "Look at what it needs at its start: storage, venue, size of its log.",
    Cause.FEED_SILENT_STALL: "Compare with another venue; the market may be quiet.",
    Cause.FEED_DISCONNECTED: "Check the network and the venue's status page.",
    Cause.SEQUENCE_GAP: "Check the load; the symbol warms up again by itself.",
    Cause.VENUE_UNREACHABLE: "Check the venue's address, the network and its status page.",
    Cause.POSTGRES_DOWN: "Check PostgreSQL's own log and the free space of its folder.",
    Cause.DISK_FULL: "Free space in the data folder; trading resumes when logs can be written.",
    Cause.OUT_OF_MEMORY: "Compare the memory of the process with its limit over the last hour.",
    Cause.CONFIG_ERROR: "Compare the configuration with conf/krator.toml and start again.",
    Cause.SUPERVISOR_CRASH_LOOP: "Find the first crash of the component; then start it by hand.",
    Cause.SYSTEM_RESTART: "See what ended the root or the admin just before.",
    Cause.UNKNOWN: "No known signature fits; look at the evidence and the crash file.",
}


def diagnose(kind: str, component: str, evidence: tuple[Evidence, ...]) -> Diagnosis:
    """Return the most likely cause; the same facts, in any order, give the same cause."""
    for signature in _SIGNATURES:
        ids = signature.match(kind, component, evidence)
        if ids is not None:
            cause = signature.cause
            return Diagnosis(cause.value, signature.confidence, ids, _SUGGESTIONS[cause])
    return Diagnosis(Cause.UNKNOWN.value, 0.0, (), _SUGGESTIONS[Cause.UNKNOWN])
