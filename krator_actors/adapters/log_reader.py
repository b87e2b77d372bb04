"""The reading end of a local log: follows its segments, also while the writer appends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from krator_actors.adapters.at_rest import DataKeyError, Keys
from krator_actors.adapters.log_segments import (
    LogDamagedError,
    LogEventError,
    LogKeyError,
    LogRemovedError,
    Segment,
    segment_path,
    segments_of,
)
from krator_actors.core.log_frames import (
    MAX_FRAME_BYTES,
    HeaderError,
    RawRecord,
    SegmentHeader,
    Unseal,
    damage,
    decode_header,
    scan,
)

_READ_BYTES = 1 << 18
_SCAN_LIMIT = 4_096
_HEADER_READ_BYTES = 4_096
_JUDGED_BYTES = 2 * MAX_FRAME_BYTES

Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class LogRecord(Generic[Event]):
    """One record with its event decoded; ``ts_ns`` is UTC, when it was appended."""

    number: int
    generation: int
    ts_ns: int
    event: Event


class LogTail:
    """Follows a log. Not thread-safe.

    The log need not exist yet. ``after`` is the number of the last record already known: reading
    begins in the segment with the next one. None: with the oldest record that is still there.
    """

    def __init__(self, path: Path, *, after: int | None = 0) -> None:
        self.path = path
        # When the log's record 1 was appended, UTC ns; 0 until that is known.
        self.birth_ns = 0
        self._after = after
        self._reader: SegmentReader | None = None
        # When the folder was looked at last, by its own time of change.
        self._folder_changed = -1

    @property
    def writer(self) -> str | None:
        """Whose log it is, from the header; None until that has been read."""
        return self._reader.header.writer if self._reader and self._reader.header else None

    @property
    def number(self) -> int:
        """The number of the last record that ``poll`` has passed; 0 before the first."""
        return self._reader.number if self._reader else 0

    def poll(self, limit: int = 1_000) -> list[RawRecord]:
        """Return the next whole records after ``after``, at most ``limit``; [] when there are none.

        One call reads a bounded piece: [] while ``number`` rises means that known records were
        passed over, so call again. A partly written record is not there yet. Raises
        LogDamagedError, then and at every later call; LogRemovedError; OSError.
        """
        if self._reader is None:
            self._reader = self._begin()
            if self._reader is None:
                return []
        records = self._reader.read(limit)
        if not records and (following := self._following(self._reader)) is not None:
            # Again, because more may have been appended before that one was begun.
            records = self._reader.read(limit)
            if not records:
                self._reader = _open_behind(self._reader, following)
                records = self._reader.read(limit)
        if records:
            self._note_birth(records[0])
            if self._after is not None and records[0].number <= self._after:
                return [record for record in records if record.number > self._after]
        return records

    def unread_bytes(self) -> int:
        """Return how far the log reaches beyond what has been read; 0 while it is not open."""
        if self._reader is None:
            return 0
        later = [s for s in segments_of(self.path) if s.first > self._reader.first]
        return self._reader.unread_bytes() + sum(s.path.stat().st_size for s in later)

    def close(self) -> None:
        """Close the file; a later ``poll`` opens it again and passes over what ``after`` covers."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _begin(self) -> SegmentReader | None:
        while segments := segments_of(self.path):
            begins = segments[0]
            if self._after is not None:
                wanted = self._after + 1
                if begins.first > wanted:
                    raise LogRemovedError(
                        f"{self.path}: the records {wanted} to {begins.first - 1} were removed,"
                        " because the journal has them"
                    )
                begins = [s for s in segments if s.first <= wanted][-1]
            try:
                return SegmentReader.open(begins)
            except FileNotFoundError:
                continue  # its writer has just removed it
        return None

    def _following(self, reader: SegmentReader) -> Segment | None:
        """Return the segment behind ``reader``; None while it is the last one."""
        expected = Segment(reader.number + 1, segment_path(self.path, reader.number + 1))
        is_same = expected.first == reader.first
        if expected.path.exists() and not (is_same and reader.is_at(expected.path)):
            return expected
        # Any other is a fault, so it may be seen later: when the folder has changed.
        changed = self.path.parent.stat().st_mtime_ns
        if changed == self._folder_changed:
            return None
        self._folder_changed = changed
        return next((s for s in segments_of(self.path) if s.first > reader.first), None)

    def _note_birth(self, record: RawRecord) -> None:
        assert self._reader is not None
        assert self._reader.header is not None
        birth_ns = self._reader.header.birth_ns or (record.ts_ns if record.number == 1 else 0)
        if self.birth_ns and birth_ns and birth_ns != self.birth_ns:
            raise LogDamagedError(self._reader.path, 0, "it is a segment of another log")
        self.birth_ns = self.birth_ns or birth_ns


class SegmentReader:
    """Reads the records of one segment in order; ``offset`` is behind the last whole one."""

    def __init__(self, segment: Segment, descriptor: int) -> None:
        self.path = segment.path
        self.first = segment.first
        self.descriptor = descriptor
        # None until it is complete.
        self.header: SegmentHeader | None = None
        self.offset = 0
        self.number = segment.first - 1
        # None while its records are plain.
        self._unseal: Unseal | None = None

    @classmethod
    def open(cls, segment: Segment) -> SegmentReader:
        """Open for reading. Raises FileNotFoundError, OSError."""
        return cls(segment, os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def read(self, limit: int) -> list[RawRecord]:
        """Return the next whole records, at most ``limit``, of a bounded piece."""
        if self.header is None and not self.read_header():
            return []
        data = os.pread(self.descriptor, _READ_BYTES, self.offset)
        records, size = scan(data, limit, self._unseal)
        if not records and (data or self._size() < self.offset):
            data = os.pread(self.descriptor, _JUDGED_BYTES, self.offset)
            records, size = scan(data, limit, self._unseal)
            if not records:
                self._judge(data)
        for expected, record in enumerate(records, self.number + 1):
            if record.number != expected:
                raise self._damaged(f"record {record.number} stands where {expected} belongs")
        self.number += len(records)
        self.offset += size
        return records

    def read_header(self) -> bool:
        """Read the header; False while it is not complete."""
        try:
            found = decode_header(os.pread(self.descriptor, _HEADER_READ_BYTES, 0))
        except (HeaderError, UnicodeDecodeError) as error:
            raise LogDamagedError(self.path, 0, str(error)) from error
        if found is None:
            return False
        header, size = found
        if header.first != self.first:
            raise LogDamagedError(self.path, 0, f"it is the segment that begins at {header.first}")
        if header.is_sealed:
            try:
                self._unseal = Keys.of_environment().sealer(header.key_id, header.salt).unseal
            except DataKeyError as error:
                raise LogKeyError(f"{self.path}: {error}") from error
        self.header, self.offset = header, size
        return True

    def is_at(self, path: Path) -> bool:
        """False when the file at ``path`` is another one: its writer has begun it anew."""
        return os.path.samestat(os.fstat(self.descriptor), path.stat())

    def unread_bytes(self) -> int:
        """Return how far the file reaches beyond what has been read."""
        return max(0, self._size() - self.offset)

    def _size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def _judge(self, tail: bytes) -> None:
        if self._size() < self.offset:
            raise LogDamagedError(self.path, self._size(), f"it ended at {self.offset} before")
        reason = damage(tail, self.offset, self._unseal)
        if reason is None and len(tail) == _JUDGED_BYTES:
            reason = "it is not a record, and too much follows for a torn write"
        if reason is not None:
            raise self._damaged(reason)

    def _damaged(self, reason: str) -> LogDamagedError:
        return LogDamagedError(self.path, self.offset, reason)


def read_log(path: Path, *, after: int | None = 0, types: Any) -> Iterator[LogRecord[Any]]:
    """Yield the whole records with a number above ``after``, decoded as one of ``types``.

    ``after`` is as for LogTail: None begins with the oldest record that is still there. ``types``
    is a message class or a union of them. Reading begins in the segment that has the first. Ends
    at a partly written record; a log that does not exist is empty. Raises LogDamagedError,
    LogRemovedError, LogEventError, OSError.
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


def last_record(path: Path) -> RawRecord | None:
    """Return the newest record of a log; None when it has none. Reads one segment, or two.

    Raises LogDamagedError, OSError.
    """
    for segment in reversed(segments_of(path)):
        reader, newest = SegmentReader.open(segment), None
        try:
            while records := reader.read(_SCAN_LIMIT):
                newest = records[-1]
        finally:
            reader.close()
        if newest is not None:
            return newest
    return None


def _open_behind(reader: SegmentReader, following: Segment) -> SegmentReader:
    """Close ``reader``, which is read to its end, and open ``following``."""
    is_same = following.first == reader.first
    if not is_same and (reader.header is None or reader.unread_bytes()):
        raise LogDamagedError(
            reader.path, reader.offset, "it is torn, and a later segment was begun"
        )
    if following.first != reader.number + 1:
        raise LogDamagedError(
            reader.path,
            reader.offset,
            f"it ends with record {reader.number}, and the next segment begins with"
            f" {following.first}: records are missing",
        )
    opened = SegmentReader.open(following)
    reader.close()
    return opened
