"""One local log made whole from the journal's records: compared, written apart, then put in place.

Nothing of the log changes before ``install``. That puts segments in from the back to the front, so
that the log is one whose head was removed until the last of them is there, wherever it is stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from krator_actors.adapters.local_log import LocalLog, LogDamagedError, sync_log
from krator_actors.adapters.log_reader import SegmentReader
from krator_actors.adapters.log_segments import (
    LogLockedError,
    Segment,
    log_path,
    segment_path,
    segments_of,
)
from krator_actors.core.log_frames import (
    RawRecord,
    SegmentHeader,
    encode_header,
    is_torn_header,
)
from krator_actors.core.log_holes import Hole, Piece, UnknownEndError, holes

_READ_RECORDS = 4_096
_HEADER_BYTES = 4_096


class RebuildError(Exception):
    """A log cannot be made whole; nothing of it was changed. The text says why, and what helps."""


class LogRepair:
    """The log of ``writer``, of which the journal has the records up to ``journal_last``.

    Give every record that the journal has to ``take``, in order; ask ``problem``; then ``install``,
    and in any case ``close``. ``staging`` is an empty folder on the log's own disk; ``aside`` gets
    what is replaced. Raises RebuildError, LogError (a data key is missing, or the log is being
    written), OSError.
    """

    def __init__(
        self, data_dir: Path, writer: str, journal_last: int, *, staging: Path, aside: Path
    ) -> None:
        self.writer = writer
        self.journal_last = journal_last
        self.path = log_path(data_dir, writer)
        # How many records were in both, and equal.
        self.compared = 0
        self._staging = staging / self.path.name
        self._aside = aside
        # Of the segments that are there; when the log's record 1 was appended, 0 for unknown.
        self._birth_ns = 0
        self._pieces: list[Piece] = []
        self._holes: list[Hole] = []
        # Held while the log is changed, so that nobody appends to it.
        self._descriptor = -1
        # The hole that is being filled, by its place in ``_holes``, and what fills it.
        self._filling = 0
        self._log: LocalLog | None = None
        self._problem = ""
        self._local = self._records()
        try:
            self._look()
            if self._holes and self._pieces:
                self._lock()
                self._look()
            self._next = next(self._local, None)
        except BaseException:
            self.close()
            raise

    @property
    def holes(self) -> tuple[Hole, ...]:
        """What is to be written from the journal."""
        return tuple(self._holes)

    @property
    def first(self) -> int:
        """The first record that the log had; 0 when there was none."""
        return self._pieces[0].first if self._pieces else 0

    @property
    def last(self) -> int:
        """The last record that log or journal have."""
        return max(self.journal_last, self._pieces[-1].last if self._pieces else 0)

    def take(self, record: RawRecord) -> None:
        """Compare the next record of the journal with the log's own, or write it apart."""
        number = record.number
        if number == 1:
            if self._birth_ns not in {0, record.ts_ns}:
                raise self._differs(record)
            self._birth_ns = record.ts_ns
        while self._next is not None and self._next.number < number:
            self._next = next(self._local, None)
        if self._next is not None and self._next.number == number:
            if self._next != record:
                raise self._differs(record)
            self.compared += 1
            self._next = next(self._local, None)
        if self._filling < len(self._holes) and self._holes[self._filling].first <= number:
            self._write(self._holes[self._filling], record)

    def problem(self) -> str:
        """Return why the log cannot be made whole with what was taken; empty when it can."""
        if self._problem or self._filling == len(self._holes):
            return self._problem
        first, last, _ = self._holes[self._filling]
        if self._log is not None:
            first = self._log.last_number + 1
        where = f"the journal's ends with {self.journal_last}"
        if last <= self.journal_last:
            where = "their days were dropped from the journal (postgres.keep_days)"
        return (
            f"{self.writer}: the records {first} to {last} are in neither: the log begins behind"
            f" them, or is damaged there, and {where}. Only a backup of the folder log has them"
        )

    def install(self) -> None:
        """Put what was written in its place, on the disk. May be stopped anywhere, and done again.

        Raises RebuildError when somebody has written a log there meanwhile, OSError.
        """
        placed: list[Path] = []
        for hole in reversed(self._holes):
            staged = self._staged(hole)
            sync_log(staged, after=0)
            for segment in reversed(segments_of(staged)):
                target = segment_path(self.path, segment.first)
                if hole.replaces and segment.first == hole.first:
                    self._replace(segment.path, target)
                    continue
                try:
                    os.link(segment.path, target)
                except FileExistsError as error:
                    # A log that began meanwhile must not be continued by segments of this one.
                    for path in placed:
                        path.unlink()
                    raise RebuildError(f"{target} was written meanwhile; do this again") from error
                placed.append(target)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close all files; a second call does nothing."""
        self._local.close()
        if self._log is not None:
            self._log.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _look(self) -> None:
        segments = segments_of(self.path)
        self._pieces = [self._piece(segment, segment is segments[-1]) for segment in segments]
        try:
            self._holes = holes(self._pieces, self.journal_last)
        except UnknownEndError:
            path = segments[-1].path
            self._problem = (
                f"{self.writer}: {path} is damaged behind record {self._pieces[-1].last}, and it is"
                " the last one of its log: nobody knows what it had behind the records of the"
                f" journal, which end with {self.journal_last}. Look at it; if these are all, move"
                " it away and do this again"
            )

    def _piece(self, segment: Segment, is_last: bool) -> Piece:  # noqa: FBT001 - private
        with contextlib.closing(SegmentReader.open(segment)) as reader:
            beginning = os.pread(reader.descriptor, _HEADER_BYTES, 0)
            if is_torn_header(beginning, self.writer):
                return Piece(segment.first, segment.first - 1, is_damaged=not is_last)
            try:
                while reader.read(_READ_RECORDS):
                    pass
            except LogDamagedError:
                return Piece(segment.first, reader.number, is_damaged=True)
            header = reader.header
            if header is not None and header.writer != self.writer:
                raise RebuildError(f"{segment.path} is the log of {header.writer}")
            if header is not None and header.birth_ns:
                if self._birth_ns not in {0, header.birth_ns}:
                    raise RebuildError(f"{segment.path} is a segment of another log")
                self._birth_ns = header.birth_ns
            is_torn = reader.unread_bytes() > 0 or header is None
            return Piece(segment.first, reader.number, is_damaged=is_torn and not is_last)

    def _lock(self) -> None:
        path = segment_path(self.path, self._pieces[-1].first)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogLockedError(f"{path} is being written by another process") from error

    def _records(self) -> Generator[RawRecord]:
        for piece in self._pieces:
            if piece.last < piece.first:
                continue
            segment = Segment(piece.first, segment_path(self.path, piece.first))
            with contextlib.closing(SegmentReader.open(segment)) as reader:
                while reader.number < piece.last:
                    yield from reader.read(min(_READ_RECORDS, piece.last - reader.number))

    def _write(self, hole: Hole, record: RawRecord) -> None:
        if self._log is None:
            if record.number != hole.first:
                return  # the journal begins later: ``problem`` says so
            self._log = self._begun(hole)
        self._log.append_record(record)
        if record.number == hole.last:
            self._log.close()
            self._log = None
            self._filling += 1

    def _begun(self, hole: Hole) -> LocalLog:
        path = self._staged(hole)
        path.parent.mkdir(parents=True)
        if hole.first > 1:
            header = SegmentHeader(self.writer, hole.first, self._birth_ns)
            segment_path(path, hole.first).write_bytes(encode_header(header))
        return LocalLog.open(path, writer=self.writer, generation=0, durability="process")

    def _staged(self, hole: Hole) -> Path:
        return self._staging / str(hole.first) / self.path.name

    def _replace(self, staged: Path, target: Path) -> None:
        self._aside.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(target, self._aside / target.name)
        staged.replace(target)

    def _differs(self, record: RawRecord) -> RebuildError:
        return RebuildError(
            f"{self.writer}: record {record.number} of the log is not the one in the journal"
            f" ({record.event_type} of generation {record.generation}): they are of two histories."
            " Is it the right database, and the right data folder?"
        )
