"""Logs: one JSON object a line, and no line that can stop an actor.

``timestamp``, ``level``, ``component`` and ``event_type`` come first, then the fields that were
bound; the message is constant for an event type. Every process writes for itself, one ``write``
a line, with O_APPEND and O_NONBLOCK: a full pipe or disk costs the line, which is counted and told
of with the next one that gets through.
"""

from __future__ import annotations

import fcntl
import os
import traceback
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, Record

_CHECK_EVERY_LINES = 128
_MAX_TRACEBACK_CHARS = 8_192
_MIN_SECRET_CHARS = 4
_FIRST = ("component", "event_type")

_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonSink:
    """A loguru sink that appends to ``path`` from any number of processes, and never blocks.

    When the file is longer than ``max_bytes`` it is renamed to ``<path>.1`` (one is kept). Each of
    ``secrets`` is replaced by ``***`` wherever it stands in a line.
    """

    def __init__(self, path: Path, *, max_bytes: int, secrets: Iterable[str] = ()) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._secrets = tuple(s.encode() for s in secrets if len(s) >= _MIN_SECRET_CHARS)
        # Whose descriptor _fd is. After a fork it belongs to the parent, and its number may by now
        # be somebody else's socket in this process.
        self._pid = -1
        self._fd = -1
        self._lines_to_check = 0
        self.dropped = 0

    def __call__(self, message: Message) -> None:
        """Write one record; called by loguru in whichever thread logged."""
        fields = _fields(message.record)
        if self.dropped:
            fields["log_lines_dropped"] = self.dropped
        line = _encode(fields) + b"\n"
        for secret in self._secrets:
            line = line.replace(secret, b"***")
        try:
            complete = os.write(self._descriptor(), line) == len(line)
        except OSError:
            complete = False
        self.dropped = 0 if complete else self.dropped + 1

    def _descriptor(self) -> int:
        pid = os.getpid()
        if pid != self._pid:
            self._fd = self._open()
            self._pid = pid
            self._lines_to_check = _CHECK_EVERY_LINES
        self._lines_to_check -= 1
        if self._lines_to_check <= 0:
            self._lines_to_check = _CHECK_EVERY_LINES
            self._rotate()
        return self._fd

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _rotate(self) -> None:
        """Rename a file that is too long, and follow one that somebody else has renamed."""
        mine = os.fstat(self._fd)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
            if mine.st_size <= self._max_bytes:
                return
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another process is renaming it now
            if self._path.stat().st_ino == mine.st_ino:
                self._path.rename(self._path.with_name(self._path.name + ".1"))
        old, self._fd = self._fd, self._open()
        os.close(old)


def configure(
    path: Path, *, level: str, max_bytes: int, secrets: Iterable[str] = (), component: str
) -> None:
    """Send this process's log, and that of all it forks, to ``path``.

    Creates the folder. Called once, before the first actor is started.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.remove()
    logger.configure(extra={"component": component})
    sink = JsonSink(path, max_bytes=max_bytes, secrets=secrets)
    logger.add(sink, level=level, format="{message}", catch=True)


def _fields(record: Record) -> dict[str, Any]:
    extra = record["extra"]
    fields: dict[str, Any] = {
        "timestamp": record["time"].isoformat(timespec="microseconds"),
        "level": record["level"].name,
        "component": extra.get("component", record["name"]),
        "event_type": extra.get("event_type", "log"),
        "message": record["message"],
    }
    for key, value in extra.items():
        if key not in _FIRST:
            fields[key] = format(value, "f") if isinstance(value, Decimal) else value
    error = record["exception"]
    if error is not None and error.type is not None:
        fields["exception"] = error.type.__name__
        lines = traceback.format_exception(error.type, error.value, error.traceback)
        fields["traceback"] = "".join(lines)[-_MAX_TRACEBACK_CHARS:]
    return fields
