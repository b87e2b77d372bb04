"""Where the segments of a local log are, and how far the journal has them.

The segment that begins with record 1 is the log's own path; a later one has the number of its first
record behind that name. They are removed from the front, by their writer only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

_SUFFIX = ".log"
_DIGITS = 20
_COMMITTED = "committed.json"

_decode_committed = msgspec.json.Decoder(dict[str, int]).decode


class LogError(Exception):
    """The base of what a local log raises besides OSError."""


class LogLockedError(LogError):
    """Another process is writing this log: an older incarnation lives, or a second system runs."""


class LogFullError(LogError):
    """The disk, the quota or a file size limit is full. Nothing was appended; it may work later."""


class LogDamagedError(LogError):
    """Bytes inside the log are not what was written. Nothing is skipped: a person must look.

    ``path`` and ``offset`` (bytes from the file's beginning) say where, ``reason`` why.
    """

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(f"{path} is damaged at byte {offset}: {reason}")
        self.path = path
        self.offset = offset
        self.reason = reason


class LogRemovedError(LogError):
    """The wanted records were removed, because their writer and the journal did not need them."""


class LogKeyError(LogError):
    """A segment is sealed with a key that is not configured."""


class LogEventError(LogError):
    """A record is whole, but its event is of no type that the reader knows."""


class Segment(NamedTuple):
    """One file of a log."""

    first: int
    """the number of its first record"""
    path: Path


def log_path(data_dir: Path, writer: str) -> Path:
    """Return where the log of ``writer`` is; ``/`` and ``:`` in its name are percent-encoded."""
    return data_dir / "log" / f"{quote(writer, safe='')}{_SUFFIX}"


def segment_path(log: Path, first: int) -> Path:
    """Return where the segment that begins with the record ``first`` is."""
    return log if first == 1 else log.with_name(f"{log.name}.{first:0{_DIGITS}d}")


def segments_of(log: Path) -> list[Segment]:
    """Return the segments that are there, oldest first. Raises OSError."""
    try:
        names = _names_in(log.parent)
    except FileNotFoundError:
        return []
    found = [
        Segment(first, log.parent / name)
        for name in names
        if name.startswith(log.name) and (first := _first(name[len(log.name) :]))
    ]
    return sorted(found)


def is_whole(log: Path) -> bool:
    """Return whether nothing has been removed from ``log``. Raises OSError."""
    segments = segments_of(log)
    return not segments or segments[0].first == 1


def sync_log(log: Path, *, after: int) -> None:
    """Wait until the disk has the records above ``after``; from any thread. Raises OSError.

    For a snapshot that is to survive the machine: it must not know more than its log.
    """
    segments = segments_of(log)
    for number, segment in enumerate(segments):
        following = segments[number + 1].first if number + 1 < len(segments) else None
        if following is None or following > after + 1:
            _sync(segment.path)
    _sync(log.parent)


def writers_of(data_dir: Path) -> list[str]:
    """Return the names of all writers that have a log there. Raises OSError."""
    try:
        names = _names_in(data_dir / "log")
    except FileNotFoundError:
        return []
    parts = (name.partition(_SUFFIX) for name in names)
    return sorted({unquote(stem) for stem, suffix, rest in parts if suffix and _first(rest)})


def write_committed(data_dir: Path, numbers: Mapping[str, int]) -> None:
    """Tell the writers which of their records the journal has for good: the journal's to say.

    Raises OSError; what was said before stands then.
    """
    path = data_dir / "log" / _COMMITTED
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{_COMMITTED}.new")
    draft.write_bytes(msgspec.json.encode(numbers))
    draft.replace(path)


def committed_number(log: Path) -> int:
    """Return the last record of ``log`` that the journal has for good; 0 when it never said."""
    try:
        numbers = _decode_committed((log.parent / _COMMITTED).read_bytes())
    except (OSError, msgspec.DecodeError):
        return 0
    return numbers.get(unquote(log.name.removesuffix(_SUFFIX)), 0)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names_in(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _first(rest: str) -> int:
    """Return the first number that the end of a segment's name tells; 0 when it is no segment."""
    if not rest:
        return 1
    digits = rest[1:]
    is_number = rest[0] == "." and len(digits) == _DIGITS and digits.isascii() and digits.isdigit()
    return int(digits) if is_number else 0
