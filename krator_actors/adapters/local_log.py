"""The local log: what an actor must not forget, appended before it acts.

One writer, one file, one ``write`` a record; the bytes are described in ``core.log_frames``. The
writer's numbers are gapless from 1 across all its incarnations. Readers may follow the file while
it grows.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec

from krator_actors.core.log_frames import (
    MAX_FRAME_BYTES,
    HeaderError,
    RawRecord,
    damage,
    decode_header,
    encode_header,
    encode_record,
    is_torn_header,
    scan,
)
from supervisors.messages import Message

Durability = Literal["process", "disk"]

_READ_BYTES = 1 << 18
_SCAN_LIMIT = 4_096
_HEADER_READ_BYTES = 4_096
_JUDGED_BYTES = 2 * MAX_FRAME_BYTES
_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Event = TypeVar("Event")


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


class LogEventError(LogError):
    """A record is whole, but its event is of no type that the reader knows."""


@dataclass(frozen=True, slots=True)
class LogRecord(Generic[Event]):
    """One record with its event decoded; ``ts_ns`` is UTC, when it was appended."""

    number: int
    generation: int
    ts_ns: int
    event: Event


def log_path(data_dir: Path, writer: str) -> Path:
    """Return where the log of ``writer`` is; ``/`` and ``:`` in its name are percent-encoded."""
    return data_dir / "log" / f"{quote(writer, safe='')}.log"


class LocalLog:
    """The writing end of a log. Made by ``open``; not thread-safe; hold one per writer.

    The file is locked while it is open, also against another ``LocalLog`` of the same process.
    """

    def __init__(
        self, path: Path, *, generation: int, durability: Durability, descriptor: int
    ) -> None:
        self.path = path
        self.last_number = 0
        self.size_bytes = 0
        # What was cut off the end when the log was opened: a record that was never acknowledged.
        self.truncated_bytes = 0
        self._generation = generation
        self._durability = durability
        # -1 when closed, also after a failure that leaves the end of the file in doubt.
        self._descriptor = descriptor
        self._encode = msgspec.msgpack.Encoder().encode

    @classmethod
    def open(cls, path: Path, *, writer: str, generation: int, durability: Durability) -> Self:
        """Open for appending; create the file and its folder when they are not there.

        A torn tail is cut off and counted in ``truncated_bytes``. Raises LogLockedError,
        LogDamagedError, OSError.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        log = cls(path, generation=generation, durability=durability, descriptor=descriptor)
        try:
            log._lock()
            log._recover(writer)
        except BaseException:
            log.close()
            raise
        return log

    def append(self, event: Message, *, ts_ns: int) -> int:
        """Write one event and return its number. The kernel has it, or with "disk" the disk.

        Raises LogFullError (nothing was appended), ValueError (too large, or the log is closed),
        OSError (what is on the disk is in doubt: the log closes itself, the caller must crash).
        """
        if self._descriptor < 0:
            raise ValueError(f"{self.path} is closed")
        number = self.last_number + 1
        body = self._encode(event)
        record = RawRecord(number, self._generation, ts_ns, type(event).__name__, body)
        self._write(encode_record(record))
        self.last_number = number
        return number

    def close(self) -> None:
        """Close and unlock; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogLockedError(f"{self.path} is being written by another process") from error

    def _recover(self, writer: str) -> None:
        if is_torn_header(os.pread(self._descriptor, _HEADER_READ_BYTES, 0), writer):
            self.truncated_bytes = os.fstat(self._descriptor).st_size
            self._truncate(0)
            self._write(encode_header(writer))
            self._sync_folder()
            return
        reader = _Reader(self.path, self._descriptor)
        if not reader.read_header():
            raise LogDamagedError(self.path, 0, "its header is not complete")
        if reader.writer != writer:
            raise LogDamagedError(
                self.path, 0, f"it is the log of {reader.writer!r}, not of {writer!r}"
            )
        while reader.read(_SCAN_LIMIT):
            pass
        self.last_number = reader.number
        self.size_bytes = reader.offset
        self.truncated_bytes = os.fstat(self._descriptor).st_size - reader.offset
        if self.truncated_bytes:
            self._truncate(reader.offset)

    def _write(self, frame: bytes) -> None:
        try:
            written = os.write(self._descriptor, frame)
        except OSError as error:
            if error.errno in _FULL_ERRNOS:
                raise LogFullError(f"{self.path}: {error.strerror}") from error
            self.close()
            raise
        if written != len(frame):
            self._truncate(self.size_bytes)
            raise LogFullError(f"{self.path}: {written} of {len(frame)} bytes could be written")
        if self._durability == "disk":
            self._sync(os.fdatasync)
        self.size_bytes += written

    def _truncate(self, size_bytes: int) -> None:
        try:
            os.ftruncate(self._descriptor, size_bytes)
        except OSError:
            self.close()
            raise
        if self._durability == "disk":
            self._sync(os.fsync)

    def _sync(self, sync: Any) -> None:
        try:
            sync(self._descriptor)
        except OSError:
            # The kernel drops the dirty pages of a failed sync: a second one would lie.
            self.close()
            raise

    def _sync_folder(self) -> None:
        if self._durability == "disk":
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class LogTail:
    """The reading end that follows a log while its writer appends. Not thread-safe.

    ``path`` need not exist yet. ``after`` is the number of the last record already known.
    """

    def __init__(self, path: Path, *, after: int = 0) -> None:
        self.path = path
        self._after = after
        self._reader: _Reader | None = None

    @property
    def writer(self) -> str | None:
        """Whose log it is, from the header; None until that has been read."""
        return self._reader.writer if self._reader and self._reader.offset else None

    @property
    def number(self) -> int:
        """The number of the last record that ``poll`` has passed; 0 before the first."""
        return self._reader.number if self._reader else 0

    def poll(self, limit: int = 1_000) -> list[RawRecord]:
        """Return the next whole records after ``after``, at most ``limit``; [] when there are none.

        One call reads a bounded piece: [] while ``number`` rises means that known records were
        passed over, so call again. A partly written record is not there yet. Raises
        LogDamagedError, then and at every later call; OSError.
        """
        if self._reader is None:
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return []
            self._reader = _Reader(self.path, descriptor)
        if not (self._reader.offset or self._reader.read_header()):
            return []
        records = self._reader.read(limit)
        if records and records[0].number <= self._after:
            return [record for record in records if record.number > self._after]
        return records

    def unread_bytes(self) -> int:
        """Return how far the file reaches beyond what has been read; 0 while it is not open."""
        return self._reader.unread_bytes() if self._reader else 0

    def close(self) -> None:
        """Close the file; a later ``poll`` opens it again and passes over what ``after`` covers."""
        if self._reader is not None:
            os.close(self._reader.descriptor)
            self._reader = None


def read_log(path: Path, *, after: int = 0, types: Any) -> Iterator[LogRecord[Any]]:
    """Yield the whole records with a number above ``after``, decoded as one of ``types``.

    ``types`` is a message class or a union of them. Ends at a partly written record; a log that
    does not exist is empty. Raises LogDamagedError, LogEventError, OSError.
    """
    decode = msgspec.msgpack.Decoder(types).decode
    tail = LogTail(path, after=after)
    try:
        passed = -1
        while tail.number != passed:
            passed = tail.number
            for raw in tail.poll(_SCAN_LIMIT):
                try:
                    event = decode(raw.body)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise LogEventError(
                        f"{path}: record {raw.number} ({raw.event_type}) cannot be read: {error}"
                    ) from error
                yield LogRecord(raw.number, raw.generation, raw.ts_ns, event)
    finally:
        tail.close()


class _Reader:
    """Reads records in order from an open file; ``offset`` is behind the last whole one."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.writer = ""
        # 0 until the header has been read.
        self.offset = 0
        self.number = 0

    def read_header(self) -> bool:
        """Read the header; False while it is not complete."""
        try:
            header = decode_header(os.pread(self.descriptor, _HEADER_READ_BYTES, 0))
        except (HeaderError, UnicodeDecodeError) as error:
            raise LogDamagedError(self.path, 0, str(error)) from error
        if header is None:
            return False
        self.writer, self.offset = header
        return True

    def read(self, limit: int) -> list[RawRecord]:
        data = os.pread(self.descriptor, _READ_BYTES, self.offset)
        records, size = scan(data, limit)
        if not records and (data or self._size() < self.offset):
            data = os.pread(self.descriptor, _JUDGED_BYTES, self.offset)
            records, size = scan(data, limit)
            if not records:
                self._judge(data)
        for expected, record in enumerate(records, self.number + 1):
            if record.number != expected:
                reason = f"record {record.number} stands where {expected} belongs"
                raise LogDamagedError(self.path, self.offset, reason)
        self.number += len(records)
        self.offset += size
        return records

    def unread_bytes(self) -> int:
        return max(0, self._size() - self.offset)

    def _size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def _judge(self, tail: bytes) -> None:
        if self._size() < self.offset:
            raise LogDamagedError(self.path, self._size(), f"it ended at {self.offset} before")
        reason = damage(tail, self.offset)
        if reason is None and len(tail) == _JUDGED_BYTES:
            reason = "it is not a record, and too much follows for a torn write"
        if reason is not None:
            raise LogDamagedError(self.path, self.offset, reason)
