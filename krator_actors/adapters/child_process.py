"""A server as a child process that ends with the thread that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from krator_actors.adapters import child_exec
from supervisors.output import RedactedFile, output_pipe

_LOG_TAIL_BYTES = 4_096
_LOG_TAIL_LINES = 8
_READ_BYTES = 8_192
_MAX_LAST_READS = 16


def bound_command(
    program: str, *arguments: str, death_signal: int, account: str = "same"
) -> list[str]:
    """Return the command that runs ``program``; start it from the thread that it shall end with.

    The kernel sends it ``death_signal`` (0: none) then. ``account``: see ``child_exec``.
    """
    helper = [sys.executable, "-I", "-S", child_exec.__file__]
    return [*helper, account, str(os.getpid()), str(int(death_signal)), program, *arguments]


class ServerLog:
    """The file that a server's standard output and error go to, redacted, through all its starts.

    The running event loop reads them, so what a server still says when that has gone is lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Of the last start; None before the first.
        self._file: RedactedFile | None = None
        # Where the output of the last start comes from; -1 when all who could write have ended.
        self._fd = -1

    def spawn(self, command: list[str], pass_fds: Sequence[int] = ()) -> ChildProcess:
        """Start our own program with its output in here. Raises OSError."""
        self._stop_reading()
        self._fd, output = output_pipe()
        self._file = RedactedFile(self.path)
        try:
            popen = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,
                pass_fds=pass_fds,
            )
        finally:
            os.close(output)
        asyncio.get_running_loop().add_reader(self._fd, self._read)
        return ChildProcess(popen, on_exit=self._stop_reading)

    def tail(self) -> str:
        """Return the last lines that were written in this start."""
        try:
            lines = self._file.tail(_LOG_TAIL_BYTES).splitlines() if self._file else []
        except OSError as error:
            return f"(its log cannot be read: {error})"
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _read(self) -> bool:
        """Take one piece; return whether there may be more at once."""
        assert self._file is not None
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._file.take(data)
        if not data:
            self._close()
        return bool(data)

    def _stop_reading(self) -> None:
        # What was written before the end, and no more: others may write for ever.
        for _ in range(_MAX_LAST_READS):
            if self._fd < 0 or not self._read():
                break
        self._close()

    def _close(self) -> None:
        if self._fd >= 0 and self._file is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._file.end()


class ChildProcess:
    """A started child whose end the running event loop sees through its pidfd."""

    def __init__(self, popen: subprocess.Popen[bytes], on_exit: Callable[[], object]) -> None:
        self.pid = popen.pid
        self._popen = popen
        self._tell_exit = on_exit
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
        self._tell_exit()
        self._exited.set_result(self._popen.wait())
