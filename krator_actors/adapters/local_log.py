"""The local log: what an actor must not forget, appended before it acts.

One writer, one row of segments, one ``write`` a record; the bytes are described in
``core.log_frames``. The writer's numbers are gapless from 1 across all its incarnations. Readers
may follow the log while it grows. Opening it reads the last segment only; what is before was whole
when that one was begun, and is checked by whoever reads it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from krator_actors.adapters.at_rest import DataKeyError, Keys, Sealer
from krator_actors.adapters.log_reader import (
    LogRecord,
    LogTail,
    SegmentReader,
    last_record,
    read_log,
)
from krator_actors.adapters.log_segments import (
    LogDamagedError,
    LogError,
    LogEventError,
    LogFullError,
    LogKeyError,
    LogLockedError,
    LogRemovedError,
    Segment,
    committed_number,
    is_whole,
    log_path,
    segment_path,
    segments_of,
    sync_log,
    write_committed,
    writers_of,
)
from krator_actors.core.log_frames import (
    RawRecord,
    SegmentHeader,
    encode_header,
    encode_record,
    is_torn_header,
)
from supervisors.messages import Message

__all__ = [
    "Durability",
    "LocalLog",
    "LogDamagedError",
    "LogError",
    "LogEventError",
    "LogFullError",
    "LogKeyError",
    "LogLockedError",
    "LogRecord",
    "LogRemovedError",
    "LogTail",
    "is_whole",
    "last_record",
    "log_path",
    "read_log",
    "sync_log",
    "write_committed",
    "writers_of",
]

Durability = Literal["process", "disk"]

SEGMENT_BYTES = 1 << 20
"""A segment is closed when it has grown so large; about 5,000 records, read in 5 ms."""

_SCAN_LIMIT = 4_096
_HEADER_READ_BYTES = 4_096
_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalLog:
    """The writing end of a log. Made by ``open``; not thread-safe; hold one per writer.

    The last segment is locked while the log is open, also against another ``LocalLog`` of the same
    process.
    """

    def __init__(
        self,
        path: Path,
        *,
        writer: str,
        generation: int,
        durability: Durability,
        segment_bytes: int,
    ) -> None:
        self.path = path
        self.last_number = 0
        # What was cut off the end when the log was opened: a record that was never acknowledged.
        self.truncated_bytes = 0
        self._writer = writer
        self._generation = generation
        self._durability = durability
        self._segment_bytes = segment_bytes
        # -1 when closed, also after a failure that leaves the end of the file in doubt.
        self._descriptor = -1
        # The last segment, and how much is in it.
        self._segment = Segment(1, path)
        self._written_bytes = 0
        # The closed segments with their sizes, oldest first.
        self._closed: list[tuple[Segment, int]] = []
        # When record 1 was appended, UTC ns; 0 while that is not known.
        self._birth_ns = 0
        # None when the last segment's records are plain.
        self._sealer: Sealer | None = None
        self._encode = msgspec.msgpack.Encoder().encode

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        writer: str,
        generation: int,
        durability: Durability,
        segment_bytes: int | None = None,
    ) -> Self:
        """Open for appending; create the file and its folder when they are not there.

        A torn tail is cut off and counted in ``truncated_bytes``. A segment is closed when it has
        ``segment_bytes``; None: ``SEGMENT_BYTES``. Raises LogLockedError, LogDamagedError,
        LogKeyError, OSError.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        log = cls(
            path,
            writer=writer,
            generation=generation,
            durability=durability,
            segment_bytes=segment_bytes or SEGMENT_BYTES,
        )
        try:
            log._take_last_segment()
            log._recover()
            log._seal_anew()
        except BaseException:
            log.close()
            raise
        return log

    @property
    def first_number(self) -> int:
        """Number of the oldest record that is still there, or of the first that will be."""
        return (self._closed[0][0] if self._closed else self._segment).first

    @property
    def size_bytes(self) -> int:
        """How much all segments have together."""
        return self._written_bytes + sum(size for _, size in self._closed)

    def append(self, event: Message, *, ts_ns: int) -> int:
        """Write one event and return its number. The kernel has it, or with "disk" the disk.

        Raises LogFullError (nothing was appended), ValueError (too large, or the log is closed),
        OSError (what is on the disk is in doubt: the log closes itself, the caller must crash).
        """
        number = self.last_number + 1
        body = self._encode(event)
        self.append_record(RawRecord(number, self._generation, ts_ns, type(event).__name__, body))
        return number

    def append_record(self, record: RawRecord) -> None:
        """As ``append``, of a record that a log had before; its number must be the next one."""
        if self._descriptor < 0:
            raise ValueError(f"{self.path} is closed")
        number = self.last_number + 1
        if record.number != number:
            raise ValueError(f"record {record.number} cannot stand where {number} belongs")
        if self._written_bytes >= self._segment_bytes and self.last_number >= self._segment.first:
            # A disk that has no room for a new segment may have some in this one.
            with contextlib.suppress(LogFullError):
                self._begin_segment()
        self._write(encode_record(record, self._sealer.seal if self._sealer else None))
        self.last_number = number
        if number == 1:
            self._birth_ns = record.ts_ns

    def release(self, up_to: int) -> None:
        """Say that this writer can recover without its records up to ``up_to``, for ever.

        Segments that hold no other records are removed, as far as the journal has them for good.
        Costs nothing while there is none; call it again later for those that it has not yet.
        Raises OSError.
        """
        if not self._closed or self._last_of_closed(0) > up_to:
            return
        covered = min(up_to, committed_number(self.path))
        # From the front, because what remains must have no gap whenever this is interrupted.
        while self._closed and self._last_of_closed(0) <= covered:
            self._closed[0][0].path.unlink(missing_ok=True)
            del self._closed[0]

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

    def _take_last_segment(self) -> None:
        while True:
            segments = segments_of(self.path) or [Segment(1, self.path)]
            last = segments[-1]
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(last.path, flags, 0o600)
            self._lock()
            if (segments_of(self.path) or segments)[-1] == last:
                break
            # Who wrote this log has begun another segment and let go of this one in between.
            self.close()
        self._segment = last
        self._closed = [(segment, segment.path.stat().st_size) for segment in segments[:-1]]

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogLockedError(f"{self.path} is being written by another process") from error

    def _recover(self) -> None:
        path = self._segment.path
        if is_torn_header(os.pread(self._descriptor, _HEADER_READ_BYTES, 0), self._writer):
            self._recover_header()
            return
        reader = SegmentReader(self._segment, self._descriptor)
        if not reader.read_header() or reader.header is None:
            raise LogDamagedError(path, 0, "its header is not complete")
        if reader.header.writer != self._writer:
            raise LogDamagedError(
                path, 0, f"it is the log of {reader.header.writer!r}, not of {self._writer!r}"
            )
        self._birth_ns = reader.header.birth_ns
        while records := reader.read(_SCAN_LIMIT):
            if records[0].number == 1:
                self._birth_ns = records[0].ts_ns
        self.last_number = reader.number
        self._written_bytes = reader.offset
        self.truncated_bytes = os.fstat(self._descriptor).st_size - reader.offset
        if self.truncated_bytes:
            self._truncate(reader.offset)

    def _recover_header(self) -> None:
        """A power cut left a segment without its header: it never had a record."""
        self.truncated_bytes = os.fstat(self._descriptor).st_size
        if self._closed:
            self._segment.path.unlink()
            self.close()
            self._take_last_segment()
            self._recover()
        elif self._segment.first == 1:
            self._truncate(0)
            self._write(encode_header(SegmentHeader(self._writer)))
            self._sync_folder()
        else:
            raise LogDamagedError(self._segment.path, 0, "its header is not complete")

    def _seal_anew(self) -> None:
        """Let no incarnation write under a key that an earlier one has written under."""
        try:
            sealing = Keys.of_environment().id is not None
        except DataKeyError as error:
            raise LogKeyError(f"{self.path}: {error}") from error
        if sealing:
            self._begin_segment()

    def _begin_segment(self) -> None:
        """Go on in a new segment; also in the place of the last one, when that has no record."""
        first = self.last_number + 1
        header = SegmentHeader(self._writer, first, self._birth_ns if first > 1 else 0)
        sealer = None
        if (sealing := Keys.of_environment().new_sealer()) is not None:
            key_id, salt, sealer = sealing
            header = SegmentHeader(self._writer, first, header.birth_ns, key_id, salt)
        data = encode_header(header)
        segment = Segment(first, segment_path(self.path, first))
        try:
            descriptor = self._new_file(segment.path, data)
        except OSError as error:
            raise _full_or(error, self.path) from error
        if first > self._segment.first:
            self._closed.append((self._segment, self._written_bytes))
        self.close()
        self._descriptor, self._segment = descriptor, segment
        self._written_bytes = len(data)
        self._sealer = sealer
        self._sync_folder()

    def _new_file(self, path: Path, data: bytes) -> int:
        """Return the descriptor of a file that was whole and locked before it had its name."""
        draft = path.with_name(f"{path.name}.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, "the header could not be written whole")  # noqa: TRY301 - closed below
            if self._durability == "disk":
                os.fsync(descriptor)
            draft.replace(path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _last_of_closed(self, index: int) -> int:
        following = self._closed[index + 1][0] if index + 1 < len(self._closed) else self._segment
        return following.first - 1

    def _write(self, frame: bytes) -> None:
        try:
            written = os.write(self._descriptor, frame)
        except OSError as error:
            failure = _full_or(error, self.path)
            if failure is error:
                self.close()
            raise failure from error
        if written != len(frame):
            self._truncate(self._written_bytes)
            raise LogFullError(f"{self.path}: {written} of {len(frame)} bytes could be written")
        if self._durability == "disk":
            self._sync(os.fdatasync)
        self._written_bytes += written

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


def _full_or(error: OSError, path: Path) -> OSError | LogFullError:
    """Return what a failed write of ``path``'s log is."""
    if error.errno in _FULL_ERRNOS:
        return LogFullError(f"{path}: {error.strerror}")
    return error
