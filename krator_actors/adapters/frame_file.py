"""Recorded frames on disk: gzip members of whole lines, so that a crash costs the last second.

A line is ``{"ts_ns", "dir", "url", "data"}`` as ``krator run --replay`` reads it (``exchange/
recording``): ``dir`` is ``recv`` for what a stream brought, ``http`` for the answer of a REST
request, ``control`` for answers to what we asked on the stream. ``data`` is the exact text.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from krator_actors.model import NANOS_PER_SEC

_ROTATE_BYTES: Final = 64 * 1024 * 1024
_ROTATE_NS: Final = 3_600 * NANOS_PER_SEC
_LEVEL: Final = 6


class RecordedLine(msgspec.Struct):
    """One line of a recording."""

    ts_ns: int
    """UTC, when the frame was received"""
    dir: str
    data: str
    url: str = ""


class FrameFile:
    """Files ``<prefix>_<UTC nanoseconds>.jsonl.gz`` in a folder; a new one each hour or 64 MB.

    Args:
        on_new_file: called with each file's first moment, to write what it must begin with.
    """

    def __init__(self, folder: Path, prefix: str, *, on_new_file: Callable[[], None]) -> None:
        self._folder = folder
        self._prefix = prefix
        self._on_new_file = on_new_file
        self._lines: list[RecordedLine] = []
        self._fd = -1
        self._began_ns = self._bytes = 0
        # Frames that were written, and bytes on disk, of all files.
        self.frames = self.bytes = 0

    def append(self, line: RecordedLine) -> None:
        """Keep a line for the next ``flush``."""
        self._lines.append(line)

    def flush(self) -> None:
        """Write what is kept as one gzip member, with one system call. Raises OSError."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        if self._fd < 0 or self._is_full(lines[0].ts_ns):
            self._open(lines[0].ts_ns)
        body = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        member = gzip.compress(body, _LEVEL)
        written = os.write(self._fd, member)
        if written != len(member):
            raise OSError(f"{written} of {len(member)} bytes written to {self._folder}")
        self._bytes += len(member)
        self.bytes += len(member)
        self.frames += len(lines)

    def close(self) -> None:
        """Write what is kept and close."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_full(self, now_ns: int) -> bool:
        return self._bytes >= _ROTATE_BYTES or now_ns - self._began_ns >= _ROTATE_NS

    def _open(self, now_ns: int) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        path = self._folder / f"{self._prefix}_{now_ns}.jsonl.gz"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._fd = os.open(path, flags, 0o600)
        self._began_ns, self._bytes = now_ns, 0
        self._on_new_file()
