"""A running system, spoken to from another process: status, stop, restart, reset-budget.

Requests go to the root supervisor over Thespian, in frames that only those can write who may read
the runtime folder. Each call blocks for at most some seconds.
"""

from __future__ import annotations

import os
import secrets
import signal
from pathlib import Path
from typing import Any

from thespian.actors import ActorSystemException

from supervisors import thespian_engine, thespian_frames
from supervisors.commands import AdminAnswer, AdminRequest, Verb
from supervisors.ground import read_address
from supervisors.process import send_signal
from supervisors.status import NodeStatus, NotRunningError, RefusedError

__all__ = [
    "NotRunningError",
    "RefusedError",
    "ask_root",
    "request_stop",
    "reset_budget",
    "restart_child",
    "status",
]

_ANSWER_SECS = 5.0


def status(runtime: Path) -> NodeStatus:
    """Return the whole tree. Raises NotRunningError."""
    node = ask_root(runtime, "status").node
    if node is None:
        raise NotRunningError(f"the system on {runtime} answered without a status")
    return node


def request_stop(runtime: Path) -> None:
    """Ask the heart's process to stop the system (SIGTERM); does not wait.

    Raises NotRunningError.
    """
    address, _ = read_address(runtime)
    try:
        pidfd = os.pidfd_open(address.heart_pid)
    except ProcessLookupError:
        raise NotRunningError(f"no system runs on {runtime}") from None
    try:
        send_signal(pidfd, signal.SIGTERM)
    finally:
        os.close(pidfd)


def restart_child(runtime: Path, name: str) -> None:
    """Stop and start a worker or supervisor; its budget is forgiven. Does not wait for the end.

    Raises NotRunningError, or RefusedError with the reason.
    """
    ask_root(runtime, "restart", name)


def reset_budget(runtime: Path, name: str) -> None:
    """Give a child its whole budget again, and start it if it is quarantined.

    Raises NotRunningError, or RefusedError with the reason.
    """
    ask_root(runtime, "reset-budget", name)


def ask_root(
    runtime: Path,
    verb: Verb,
    name: str = "",
    *,
    child: str = "",
    argument: Any = None,
    timeout_secs: float = _ANSWER_SECS,
) -> AdminAnswer:
    """Return the answer to one request. Raises NotRunningError, or RefusedError."""
    address, key = read_address(runtime)
    request = AdminRequest(secrets.token_hex(8), verb, name, child, argument)
    thespian_engine.install()
    with thespian_frames.key_in_use(key):
        visitor = _visit(address.admin_port)
        try:
            answer = visitor.ask_port(address.root_port, request, timeout_secs)
        finally:
            visitor.close()
    if not isinstance(answer, AdminAnswer) or answer.id != request.id:
        raise NotRunningError(f"the system on {runtime} did not answer within {timeout_secs} s")
    if answer.error is not None:
        raise RefusedError(answer.error)
    return answer


def _visit(port: int) -> thespian_engine.Visitor:
    try:
        return thespian_engine.Visitor(port)
    except ActorSystemException as error:
        raise NotRunningError(f"the admin on port {port} does not answer: {error}") from error
