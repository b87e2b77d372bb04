"""A server as a child process that ends with the thread that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from krator_actors.adapters import child_exec

_LOG_TAIL_BYTES = 4_096
_LOG_TAIL_LINES = 8
_MAX_LOG_BYTES = 10_000_000


def bound_command(
    program: str, *arguments: str, death_signal: int, account: str = "same"
) -> list[str]:
    """Return the command that runs ``program``; start it from the thread that it shall end with.

    The kernel sends it ``death_signal`` (0: none) then. ``account``: see ``child_exec``.
    """
    helper = [sys.executable, "-I", "-S", child_exec.__file__]
    return [*helper, account, str(os.getpid()), str(int(death_signal)), program, *arguments]


class ServerLog:
    """The file that a server's standard output and error go to, through all its starts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Where this start's lines begin.
        self._begin = 0

    def spawn(self, command: list[str], pass_fds: Sequence[int] = ()) -> ChildProcess:
        """Start our own program with its output in here; a file that is too large is put aside.

        Raises OSError.
        """
        if self.path.exists() and self.path.stat().st_size > _MAX_LOG_BYTES:
            self.path.replace(self.path.with_suffix(".log.1"))
        with self.path.open("ab") as log:
            self._begin = log.tell()
            popen = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,
                pass_fds=pass_fds,
            )
        return ChildProcess(popen)

    def tail(self) -> str:
        """Return the last lines that were written in this start."""
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._begin, end - _LOG_TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"(its log cannot be read: {error})"
        return "\n".join(lines[-_LOG_TAIL_LINES:])


class ChildProcess:
    """A started child whose end the running event loop sees through its pidfd."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.pid = popen.pid
        self._popen = popen
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)

    @property
    def has_exited(self) -> bool:
        """True once its end has been seen."""
        return self._exited.done()

    async def exited(self) -> int:
        """Wait for its end; return the exit status, -N when signal N ended it."""
        return await asyncio.shield(self._exited)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Let go of its pidfd: call it once, when it has ended."""
        os.close(self._pidfd)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._exited.set_result(self._popen.wait())
