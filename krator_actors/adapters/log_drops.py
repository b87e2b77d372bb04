"""How many log lines were lost, as their writers say in the next line that gets through."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import msgspec

_MARK = b'"log_lines_dropped":'
_MAX_READ_BYTES = 8_000_000


class _Line(msgspec.Struct):
    """What is read of a line."""

    component: str
    log_lines_dropped: int


class LogDrops:
    """Follows the JSON log from its end on; also when it is renamed and begun anew.

    What is written and renamed away between two looks is not seen.
    """

    def __init__(self, path: Path) -> None:
        self.dropped: Counter[str] = Counter()
        """by component, since this began"""
        self._path = path
        self._file_id, self._offset = 0, 0
        with contextlib.suppress(OSError):
            there = path.stat()
            self._file_id, self._offset = there.st_ino, there.st_size

    def look(self) -> None:
        """Read what is new. A log that cannot be read says nothing."""
        try:
            there = self._path.stat()
            if there.st_ino != self._file_id or there.st_size < self._offset:
                self._file_id, self._offset = there.st_ino, 0
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_MAX_READ_BYTES)
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        # Searched before it is parsed, because nearly no line has it.
        at = whole.find(_MARK)
        while at >= 0:
            end = whole.index(b"\n", at)
            self._take(whole[whole.rfind(b"\n", 0, at) + 1 : end])
            at = whole.find(_MARK, end)

    def _take(self, line: bytes) -> None:
        try:
            read = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self.dropped[read.component] += max(0, read.log_lines_dropped)
