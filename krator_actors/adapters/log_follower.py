"""Follows all local logs of a data folder and hands out what is not committed yet, in batches.

Records of one log keep their order; between logs the older one goes first. A log that is damaged,
or is not the one that the journal was written from, is reported and left; the others go on.

The journal says what it has (``continue_behind``) and is handed out all the rest, or told that it
is no longer there. A reader that never says so is handed out what is there.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from loguru import logger

from krator_actors.adapters.local_log import LogError, LogTail, log_path, writers_of
from krator_actors.adapters.log_segments import segments_of
from krator_actors.core.log_frames import RawRecord

_OVERHEAD_BYTES = 40
"""What a record takes besides its event, about; only for estimates."""


class Committed(Protocol):
    """What the journal knows of a writer's last record."""

    @property
    def number(self) -> int:
        """Its number in the writer's log."""

    @property
    def generation(self) -> int:
        """The generation that wrote it."""

    @property
    def ts_logged(self) -> int:
        """When, UTC ns."""


class LogFollower:
    """The logs of ``data_dir``, those that appear later too. Not thread-safe.

    At most ``limit`` records of each log are held in memory.
    """

    def __init__(self, data_dir: Path, *, limit: int) -> None:
        self._data_dir = data_dir
        self._limit = limit
        self._logs: dict[str, _Log] = {}
        # None until a journal says what it has.
        self._committed: dict[str, Committed] | None = None
        # True when the logs may have more than the last call has read.
        self.catching_up = False

    def continue_behind(self, committed: Mapping[str, Committed]) -> None:
        """Hand out the records behind these next; called after every (re)connection."""
        self._committed = dict(committed)
        for log in self._logs.values():
            log.continue_behind(self._committed)

    def batch(self) -> list[tuple[str, RawRecord]]:
        """Return up to ``limit`` (writer, record) pairs, the same again until ``committed``.

        One call reads a bounded piece of each log: when it is empty and ``catching_up`` is true,
        known records were passed over, and there may be more behind them.
        """
        self._fill()
        merged = heapq.merge(*map(_pairs, self._logs.values()), key=lambda pair: pair[1].ts_ns)
        return list(islice(merged, self._limit))

    def committed(self, batch: Sequence[tuple[str, RawRecord]]) -> None:
        """Forget what ``batch`` returned: it is in the database."""
        for writer, record in dict(batch).items():
            self._logs[writer].forget(record.number)

    def birth_ns(self, writer: str) -> int:
        """Return when the log's record 1 was appended, UTC ns; known when it has handed one out."""
        return self._logs[writer].birth_ns

    def watermarks(self) -> dict[str, int]:
        """Return the number of each writer's last committed record."""
        numbers = {writer: mark.number for writer, mark in (self._committed or {}).items()}
        for writer, log in self._logs.items():
            numbers[writer] = max(numbers.get(writer, 0), log.watermark)
        return numbers

    def lag(self) -> int:
        """Return how many records wait; estimated from their bytes beyond the ones held."""
        self._fill()
        return sum(log.lag() for log in self._logs.values())

    def close(self) -> None:
        """Close all files."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()

    def _fill(self) -> None:
        for writer in writers_of(self._data_dir):
            if writer not in self._logs:
                self._logs[writer] = _Log(log_path(self._data_dir, writer), writer)
                if self._committed is not None:
                    self._logs[writer].continue_behind(self._committed)
        progress = [log.fill(self._limit) for log in self._logs.values()]
        self.catching_up = any(progress)


class _Log:
    """One log: how far it is read, and the records that are read and not committed."""

    def __init__(self, path: Path, writer: str) -> None:
        self.writer = writer
        self.watermark = 0
        self.held: deque[RawRecord] = deque()
        self._path = path
        # From the oldest record that is there, until a journal says what it has.
        self._tail = LogTail(path, after=None)
        # None when the journal has nothing of it, or there is no journal.
        self._mark: Committed | None = None
        # False until a journal has said what it has: what was read before may be removed any time.
        self._is_continued = False
        # Nothing more is read from a log that was reported, until it is read from elsewhere.
        self._reported = False
        self._bytes_per_record = 0.0

    @property
    def birth_ns(self) -> int:
        return self._tail.birth_ns

    def continue_behind(self, committed: Mapping[str, Committed]) -> None:
        self._mark = committed.get(self.writer)
        number = self._mark.number if self._mark else 0
        if not self._is_continued or not self.watermark <= number <= self._tail.number:
            # At the begin; or the database forgot (another one, or restored); or it has more than
            # was read, by another journal, and then what is between may be removed at any time.
            # Read from there, with the record that the journal has as its last one, to compare.
            self._is_continued = True
            self._tail.close()
            self._tail = self._tail_behind(number)
            self.held.clear()
            self.watermark = number
            # What comes before the damage is read again, and so is the damage.
            self._reported = False
            return
        self.forget(number)

    def _tail_behind(self, number: int) -> LogTail:
        segments = segments_of(self._path)
        is_compared = number > 0 and not (segments and segments[0].first > number)
        return LogTail(self._path, after=number - 1 if is_compared else number)

    def forget(self, number: int) -> None:
        while self.held and self.held[0].number <= number:
            self.held.popleft()
        self.watermark = max(self.watermark, number)

    def lag(self) -> int:
        if self._reported or not self._bytes_per_record:
            return len(self.held)
        return len(self.held) + round(self._tail.unread_bytes() / self._bytes_per_record)

    def close(self) -> None:
        self._tail.close()

    def fill(self, limit: int) -> bool:
        """Read up to ``limit`` records, and hold no more; True when there was something."""
        if self._reported:
            return False
        began = self._tail.number
        try:
            while len(self.held) < limit and self._tail.number - began < limit:
                passed = self._tail.number
                self._take(self._tail.poll(limit - len(self.held)))
                if self._tail.number == passed:
                    self._check_end()
                    break
        except (LogError, OSError) as error:
            self._report(str(error))
        return self._tail.number > began

    def _take(self, records: list[RawRecord]) -> None:
        if self._tail.writer not in {None, self.writer}:
            raise LogError(f"{self._path}: the log of {self._tail.writer} has another name")
        if records:
            size = sum(len(record.body) for record in records) / len(records)
            self._bytes_per_record = size + _OVERHEAD_BYTES
        for record in records:
            if record.number > self.watermark:
                self.held.append(record)
            elif record.number == self.watermark:
                self._check_continues(record)

    def _check_end(self) -> None:
        # The journal has only what a log had: a shorter log is not the same one any more.
        if self._tail.writer and self._tail.number < self.watermark:
            raise LogError(
                f"{self._path} ends with record {self._tail.number}, and the journal has"
                f" {self.watermark}: records were lost, or this database was written from another"
                " data folder"
            )

    def _check_continues(self, record: RawRecord) -> None:
        mark = self._mark
        if mark and (record.generation, record.ts_ns) != (mark.generation, mark.ts_logged):
            raise LogError(
                f"{self._path}: its record {record.number} is not the one in the journal: this"
                " database was written from another data folder"
            )

    def _report(self, reason: str) -> None:
        self._reported = True
        logger.bind(
            event_type="log_stopped",
            log=str(self._path),
            writer=self.writer,
            after_number=self._tail.number,
            reason=reason,
        ).error("this log is not read any further; a person must look at it")


def _pairs(log: _Log) -> Iterator[tuple[str, RawRecord]]:
    return ((log.writer, record) for record in log.held)
