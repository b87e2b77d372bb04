"""Look into the actors of a running system, from another process; and hold one still.

Each call blocks until the actor's own process has answered. It raises ``NotRunningError`` when the
system does not answer in time, and ``RefusedError`` for an unknown name, a supervisor, or an actor
that cannot do it now; the text says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from supervisors.observation import MAX_TRACE_SECS, Handled, Insight, MessageTimes
from supervisors.sockets import socket_name
from supervisors.status import NodeState
from supervisors.system import ask_root, status

_GRACE_SECS = 5.0


class Entry(msgspec.Struct, frozen=True):
    """Where one name leads."""

    name: str
    state: NodeState
    pid: int | None
    """None while there is no process."""
    generation: int
    socket: str
    """Path of the Unix socket where peers reach the name."""
    is_listening: bool
    """There is such a socket; a name that is away keeps the file of its last incarnation."""


def names(runtime: Path) -> list[Entry]:
    """Return the directory: every worker's name, and where it leads now."""
    workers = status(runtime).workers()
    return [
        Entry(
            name=node.name,
            state=node.state,
            pid=node.pid,
            generation=node.generation,
            socket=str(path := runtime / socket_name(node.name)),
            is_listening=node.pid is not None and path.is_socket(),
        )
        for node in workers
    ]


def actor_state(runtime: Path, name: str) -> Insight:
    """Return what the actor has handled lately, and its own description of itself.

    An actor whose loop does not turn is described without its own words: ``state_error`` says so.
    """
    return msgspec.convert(ask_root(runtime, "state", name).result, Insight)


def times(runtime: Path, name: str) -> dict[str, MessageTimes]:
    """Return how long the actor's handlers took, and how old its messages were, by their class.

    The actor's loop is given no work by this, so it may be asked every few seconds.
    """
    return msgspec.convert(ask_root(runtime, "times", name).result, dict[str, MessageTimes])


def suspend(runtime: Path, name: str) -> bool:
    """Let the actor's messages wait until ``resume``; return False when they already did.

    The message in work is finished, background tasks go on, senders are held back when the inbox
    is full, asks run into their deadlines. A suspended actor is not hung. A restart ends it.
    """
    return _was(runtime, "suspend", name) == "running"


def resume(runtime: Path, name: str) -> bool:
    """Have the actor handle its messages again; return False when it did."""
    return _was(runtime, "resume", name) == "suspended"


def trace(runtime: Path, name: str, *, messages: int = 10, secs: float = 10.0) -> list[Handled]:
    """Return the next messages that the actor handles, at most so many and within so long."""
    secs = min(secs, MAX_TRACE_SECS)
    limits = {"messages": messages, "secs": secs}
    answer = ask_root(runtime, "trace", name, argument=limits, timeout_secs=secs + _GRACE_SECS)
    return msgspec.convert(answer.result, list[Handled])


def kill(runtime: Path, name: str) -> None:
    """SIGKILL the process of a worker or supervisor: what is done then is its supervisor's."""
    ask_root(runtime, "kill", name)


def _was(runtime: Path, verb: Literal["suspend", "resume"], name: str) -> str:
    was: str = ask_root(runtime, verb, name).result["was"]
    return was
