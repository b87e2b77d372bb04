"""Follows all local logs of a data folder and hands out what is not committed yet, in batches.

Records of one log keep their order; between logs the older one goes first. A log that is damaged,
or is not the one that the journal was written from, is reported and left; the others go on.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from loguru import logger

from krator_actors.adapters.local_log import LogDamagedError, LogTail, log_path
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
        self._logs: dict[Path, _Log] = {}
        self._committed: dict[str, Committed] = {}
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
        newest = dict(batch)
        for log in self._logs.values():
            record = newest.get(log.writer)
            if record is not None:
                log.forget(record.number)

    def watermarks(self) -> dict[str, int]:
        """Return the number of each writer's last committed record."""
        numbers = {writer: mark.number for writer, mark in self._committed.items()}
        for log in self._logs.values():
            if log.writer:
                numbers[log.writer] = max(numbers.get(log.writer, 0), log.watermark)
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
        for path in sorted((self._data_dir / "log").glob("*.log")):
            if path not in self._logs:
                self._logs[path] = _Log(path, self._data_dir)
                self._logs[path].continue_behind(self._committed)
        progress = [log.fill(self._limit) for log in self._logs.values()]
        self.catching_up = any(progress)


class _Log:
    """One log: how far it is read, and the records that are read and not committed."""

    def __init__(self, path: Path, data_dir: Path) -> None:
        self.writer = ""
        self.watermark = 0
        self.held: deque[RawRecord] = deque()
        self._path = path
        self._data_dir = data_dir
        self._tail = LogTail(path)
        self._committed: Mapping[str, Committed] = {}
        # Nothing more is read from a log that was reported.
        self._reported = False
        self._bytes_per_record = 0.0

    def continue_behind(self, committed: Mapping[str, Committed]) -> None:
        self._committed = committed
        mark = committed.get(self.writer)
        number = mark.number if mark else 0
        if number < self.watermark:
            # The database forgot (another one, or restored): read it all again.
            self._tail.close()
            self.held.clear()
            self.writer, self.watermark = "", 0
            return
        self.forget(number)

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
        except (LogDamagedError, OSError) as error:
            self._report(str(error))
        return self._tail.number > began

    def _take(self, records: list[RawRecord]) -> None:
        if not self.writer:
            self._identify()
        if records:
            size = sum(len(record.body) for record in records) / len(records)
            self._bytes_per_record = size + _OVERHEAD_BYTES
        for record in records:
            if record.number > self.watermark:
                self.held.append(record)
            elif record.number == self.watermark:
                self._check_continues(record)

    def _identify(self) -> None:
        self.writer = self._tail.writer or ""
        if not self.writer:
            return
        if self._path != log_path(self._data_dir, self.writer):
            raise LogDamagedError(self._path, 0, f"the log of {self.writer} has another name")
        mark = self._committed.get(self.writer)
        self.watermark = mark.number if mark else 0

    def _check_end(self) -> None:
        # The journal has only what a log had: a shorter log is not the same one any more.
        if self.writer and self._tail.number < self.watermark:
            raise LogDamagedError(
                self._path,
                self._path.stat().st_size,
                f"it ends with record {self._tail.number}, and the journal has {self.watermark}:"
                " records were lost, or this database was written from another data folder",
            )

    def _check_continues(self, record: RawRecord) -> None:
        mark = self._committed.get(self.writer)
        if mark and (record.generation, record.ts_ns) != (mark.generation, mark.ts_logged):
            raise LogDamagedError(
                self._path,
                0,
                f"its record {record.number} is not the one in the journal: this database was"
                " written from another data folder",
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
