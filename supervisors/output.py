"""Standard output and error of processes, on their way into a file: redacted, and never in the way.

What the interpreter, a C library or somebody else's program writes to descriptor 2 passes no
logger. So that descriptor is a pipe, and whoever reads it redacts before a byte is on the disk. The
pipe does not block: while it is full, what is written is dropped.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from supervisors.process import (
    default_signals,
    drop_descriptors,
    has_ended,
    name_process,
    send_signal,
    wait_ended,
)
from supervisors.redaction import redacted

_READ_BYTES = 8_192
# With one read more than this it is still less than the redactor takes in one piece.
_MAX_LINE_BYTES = 16_384
_MAX_FILE_BYTES = 10_000_000
_CUT = b" (the rest of this line was dropped)\n"
_CLOSE_SECS = 2.0


class RedactedFile:
    """Appends text to ``path``, redacted, in whole lines; a file that is too large is put aside.

    One file put aside is kept, as ``<name>.1``. Nothing raises: what the disk does not take is
    dropped, and counted in the next line that it takes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # A line that has not ended yet.
        self._pending = b""
        # True while the rest of a line that is too long goes by.
        self._is_skipping = False
        self._dropped = 0
        # Where ``tail`` begins.
        self._begin = _size(path)

    def take(self, data: bytes) -> None:
        """Write the lines that end in ``data``; keep what is behind them."""
        if self._is_skipping:
            _, end, data = data.partition(b"\n")
            self._is_skipping = not end
        whole, end, self._pending = (self._pending + data).rpartition(b"\n")
        self._append(whole + end)
        if len(self._pending) > _MAX_LINE_BYTES:
            # Up to a blank, because half a secret looks like none.
            kept = self._pending[:_MAX_LINE_BYTES].rpartition(b" ")[0]
            self._pending, self._is_skipping = b"", True
            self._append(kept + _CUT)

    def end(self) -> None:
        """Write the last line, also when nobody has ended it."""
        pending, self._pending = self._pending, b""
        self._append(pending)

    def tail(self, max_bytes: int) -> str:
        """Return the end of what was written since this object was made. Raises OSError."""
        with self.path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._begin, end - max_bytes))
            return file.read().decode(errors="replace")

    def _append(self, lines: bytes) -> None:
        if not lines:
            return
        text = redacted(lines.decode(errors="replace"))
        if self._dropped:
            text = f"({self._dropped} pieces of output were dropped)\n{text}"
        data = text.encode(errors="replace")
        data = data if data.endswith(b"\n") else data + b"\n"
        try:
            if _size(self.path) + len(data) > _MAX_FILE_BYTES:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                self._begin = 0
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                written = os.write(fd, data)
            finally:
                os.close(fd)
        except OSError:
            written = 0
        self._dropped = 0 if written == len(data) else self._dropped + 1


def output_pipe() -> tuple[int, int]:
    """Return the ends to read from and to write to; writing never blocks, reading neither."""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    return ends


class Drain:
    """A process that writes into ``path`` what is written to ``fd``, until nobody can write.

    Forked, so it has its maker's redactor, which must be set before; make it in a process with one
    thread. It outlives its maker on purpose: of what dies with the maker the last words count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The reading end stays open here too: so a drain that is killed breaks nobody's pipe.
        self._read_fd, self.fd = output_pipe()
        # -1 while there is no process.
        self._pidfd = -1
        self._fork()

    def look(self) -> None:
        """Make a new process when the old one has died: call it now and then."""
        if self._pidfd >= 0 and has_ended(self._pidfd):
            self._bury()
        if self._pidfd < 0:
            with contextlib.suppress(OSError):  # no fork now: at the next look
                self._fork()

    def close(self) -> None:
        """Return when all is written, or after two seconds when somebody could still write."""
        os.close(self.fd)
        if self._pidfd >= 0:
            if not wait_ended(self._pidfd, _CLOSE_SECS):
                send_signal(self._pidfd, signal.SIGKILL)
                wait_ended(self._pidfd, None)
            self._bury()
        os.close(self._read_fd)

    def _fork(self) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._drain()
            finally:
                os._exit(1)
        self._pidfd = os.pidfd_open(self._pid)

    def _drain(self) -> NoReturn:
        os.setsid()  # a Ctrl-C at the terminal is for the maker
        default_signals()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # it ends after those who write
        name_process("drain")
        drop_descriptors({self._read_fd})
        discard_output()
        os.set_blocking(self._read_fd, True)
        file = RedactedFile(self._path)
        while data := os.read(self._read_fd, _READ_BYTES):
            file.take(data)
        file.end()
        os._exit(0)

    def _bury(self) -> None:
        os.close(self._pidfd)
        self._pidfd = -1
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def redirect_output(fd: int) -> None:
    """Let standard output and error be ``fd``, which is closed, and read input from nowhere.

    A leftover process that holds somebody's pipe would hang whoever reads it.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(null)
    os.close(fd)
    sys.stdout = _stream(1)
    sys.stderr = _stream(2)


def discard_output() -> None:
    """Let standard output and error, and input, be nothing."""
    redirect_output(os.open(os.devnull, os.O_RDWR))


class _Lossy(io.RawIOBase):
    """Writes what there is room for; the rest is lost, because raising would end an actor."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type] # any buffer, as RawIOBase says
        with contextlib.suppress(OSError):
            os.write(self._fd, view)
        return len(view)


def _stream(fd: int) -> io.TextIOWrapper:
    raw = _Lossy(fd)
    return io.TextIOWrapper(
        raw,  # type: ignore[arg-type] # unbuffered, as python -u has it
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
