"""The children of a supervisor in a running system: Erlang's API, from another process.

Each call blocks until the supervisor has answered. It raises ``NotRunningError`` when nobody does,
and ``ChildRefusedError`` with Erlang's word for the reason.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec

from supervisors.commands import FamilyVerb
from supervisors.decisions import RequestError
from supervisors.policy import Counts, Presence
from supervisors.spec import ChildSpec, Instance, SupervisorSpec
from supervisors.status import RefusedError
from supervisors.system import ask_root

_START_SECS = 15.0


class ChildRefusedError(RefusedError):
    """The supervisor did not do it.

    Attributes:
        error: Why, in one word; None when no such supervisor was reached.
        detail: More of it, e.g. why a child could not start.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        word, _, self.detail = text.partition(": ")
        known = word in {error.value for error in RequestError}
        self.error = RequestError(word) if known else None


class Started(msgspec.Struct, frozen=True):
    """A start that did not fail."""

    ignored: bool
    """The child decided that it is not needed: there is no process."""
    info: Any
    """What the child said when it was ready."""


def start_child(
    runtime: Path,
    supervisor: str,
    child: ChildSpec | SupervisorSpec | Instance,
    *,
    timeout_secs: float = _START_SECS,
) -> Started:
    """Add the child, as the last one, start it, and wait until it is ready.

    The configuration of the child must be picklable, and its class importable there.
    """
    spec = pickle.dumps(child)
    result = _ask(runtime, "start_child", supervisor, argument=spec, timeout_secs=timeout_secs)
    return msgspec.convert(result, Started)


def restart_child(
    runtime: Path, supervisor: str, child: str, *, timeout_secs: float = _START_SECS
) -> Started:
    """Start a child that does not run, and wait until it is ready."""
    result = _ask(runtime, "restart_child", supervisor, child, timeout_secs=timeout_secs)
    return msgspec.convert(result, Started)


def terminate_child(
    runtime: Path, supervisor: str, child: str, *, timeout_secs: float = _START_SECS
) -> None:
    """Stop the child and wait for its end; its spec is kept unless it is temporary."""
    _ask(runtime, "terminate_child", supervisor, child, timeout_secs=timeout_secs)


def delete_child(runtime: Path, supervisor: str, child: str) -> None:
    """Forget a child that does not run."""
    _ask(runtime, "delete_child", supervisor, child)


def which_children(runtime: Path, supervisor: str) -> list[tuple[str, Presence]]:
    """Return the children, the one started last first."""
    result = _ask(runtime, "which_children", supervisor)
    return msgspec.convert(result, list[tuple[str, Presence]])


def count_children(runtime: Path, supervisor: str) -> Counts:
    """Return how many children there are, by kind."""
    return msgspec.convert(_ask(runtime, "count_children", supervisor), Counts)


def get_childspec(runtime: Path, supervisor: str, child: str) -> ChildSpec | SupervisorSpec:
    """Return the spec with all its defaults, without configurations."""
    result = _ask(runtime, "get_childspec", supervisor, child)
    return msgspec.convert(result, ChildSpec | SupervisorSpec)


def _ask(
    runtime: Path,
    verb: FamilyVerb,
    supervisor: str,
    child: str = "",
    *,
    argument: bytes | None = None,
    timeout_secs: float = _START_SECS,
) -> Any:
    try:
        answer = ask_root(
            runtime, verb, supervisor, child=child, argument=argument, timeout_secs=timeout_secs
        )
    except RefusedError as error:
        raise ChildRefusedError(str(error)) from None
    return answer.result
