"""A server as a child process that ends with the thread that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

from krator_actors.adapters import child_exec


def bound_command(
    program: str, *arguments: str, death_signal: int, account: str = "same"
) -> list[str]:
    """Return the command that runs ``program``; start it from the thread that it shall end with.

    The kernel sends it ``death_signal`` (0: none) then. ``account``: see ``child_exec``.
    """
    helper = [sys.executable, "-I", "-S", child_exec.__file__]
    return [*helper, account, str(os.getpid()), str(int(death_signal)), program, *arguments]


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
