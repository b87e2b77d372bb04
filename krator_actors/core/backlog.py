"""What has been read from the logs and is not in the stream yet: bounded, and counted. Pure.

A log is known by its writer and its birth, the time of its first record: a data folder that was
made anew has other births, so its logs are not taken for the old ones'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from krator_actors.core.log_frames import RawRecord


class LogName(NamedTuple):
    """Which log; the same across restarts, another one after the folder was made anew."""

    writer: str
    birth_ns: int
    """UTC, of its first record"""


class Waiting(NamedTuple):
    """One record on its way to the stream."""

    log: LogName
    record: RawRecord


class Backlog:
    """At most ``limit`` records, the newest; older ones make room and count as left out."""

    def __init__(self, limit: int) -> None:
        self._waiting: deque[Waiting] = deque(maxlen=limit)
        self._logs: dict[str, LogName] = {}
        # The last record of each log that was read, and that is in the stream.
        self._read: dict[LogName, int] = {}
        self._published: dict[LogName, int] = {}
        # How many are missing between those that are in the stream.
        self._skipped = 0

    @property
    def logs(self) -> tuple[LogName, ...]:
        """All logs that a record was read from."""
        return tuple(self._logs.values())

    @property
    def waiting(self) -> int:
        """How many records are held."""
        return len(self._waiting)

    @property
    def left_out(self) -> int:
        """How many records were read, are not in the stream and never will be."""
        behind = sum(number - self._published.get(log, 0) for log, number in self._read.items())
        return self._skipped + behind - len(self._waiting)

    def read(self, log: LogName, record: RawRecord) -> None:
        """Take the next record of a log; from its oldest one that is there, in order."""
        self._logs[log.writer] = log
        self._read[log] = record.number
        self._waiting.append(Waiting(log, record))

    def is_behind(self, published: Mapping[LogName, int]) -> bool:
        """True when the stream has less than was put into it: it was lost, all is to be read again.

        ``published`` is the number of each log's last record that the stream has, 0 or absent for
        none.
        """
        return any(published.get(log, 0) < number for log, number in self._published.items())

    def continue_behind(self, published: Mapping[LogName, int]) -> None:
        """Forget what the stream has."""
        self._published = {
            log: min(number, self._read[log])
            for log, number in published.items()
            if log in self._read
        }
        kept = [item for item in self._waiting if item.record.number > published.get(item.log, 0)]
        self._waiting = deque(kept, maxlen=self._waiting.maxlen)

    def batch(self, limit: int) -> list[Waiting]:
        """Return the oldest ones, the same again until ``put``."""
        return list(islice(self._waiting, limit))

    def put(self, batch: Sequence[Waiting]) -> None:
        """Note that ``batch``, the oldest ones, is in the stream now."""
        for log, record in batch:
            self._skipped += record.number - self._published.get(log, 0) - 1
            self._published[log] = record.number
            self._waiting.popleft()
