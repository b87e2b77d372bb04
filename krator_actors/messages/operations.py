"""The journal, the publisher and the jobs: hints and status."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from supervisors.messages import Delivery, Message
from supervisors.times import TimesTaken


class LogGrew(Message, frozen=True, kw_only=True):
    """A writer's hint to the journal that its log has more; the log itself is the truth."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    urgent: ClassVar[bool] = False

    writer: str

    def conflation_key(self) -> str:
        """One hint per writer is enough."""
        return self.writer


class JournalStatusRequest(Message, frozen=True, kw_only=True):
    """Anybody to journal (ask). Answer: ``JournalStatus``."""


class JournalStatus(Message, frozen=True, kw_only=True):
    """How far the journal is behind the logs."""

    connected: bool
    """False while PostgreSQL does not answer: logs grow, nothing is lost"""
    breaker: str
    """of the connection: ``closed``, ``open`` between two tries, ``half_open`` during one"""
    seq: int
    """the last committed global sequence number that is known; 0 before the first"""
    lag_records: int
    """logged and not yet committed; estimated from bytes beyond one batch"""
    watermarks: dict[str, int]
    """writer to its last committed record number"""
    times: TimesTaken = TimesTaken()
    """from a record's place in its log to its commit, of this incarnation; what waited while
    PostgreSQL was away is in it"""


class SystemStarted(Message, frozen=True, kw_only=True):
    """What the journal writes in its own log each time that it starts."""

    configuration: str
    """all that is in force, as JSON; secrets are named in it by environment variable only"""
    configuration_sha256: str
    generation: int
    """the journal's own; 1 is a new data folder's first start"""
    ts_event: int


class ForceBreaker(Message, frozen=True, kw_only=True):
    """A person to journal or publisher (ask): leave the server alone, or no longer.

    Answer: ``BreakerForced`` or ``ActRefused``.
    """

    opens: bool
    """True: until a person closes it, across restarts; False: close it, whatever opened it"""
    by: str
    reason: str


class BreakerForced(Message, frozen=True, kw_only=True):
    """A named person has opened or closed a breaker; written down before it is done."""

    breaker: str
    """``postgresql`` or ``redis``"""
    opens: bool
    by: str
    reason: str
    ts_event: int


class PublisherStatusRequest(Message, frozen=True, kw_only=True):
    """Anybody to publisher (ask). Answer: ``PublisherStatus``."""


class PublisherStatus(Message, frozen=True, kw_only=True):
    """How far the Redis stream is; the counts are of this incarnation."""

    connected: bool
    """False while Redis does not answer, or is full"""
    breaker: str
    """of the connection: ``closed``, ``open`` between two tries, ``half_open`` during one"""
    waiting: int
    """events that are read and not in the stream yet"""
    published: int
    left_out: int
    """events that are in the logs and not in the stream, because more waited than it holds"""
    outages: int
    reason: str
    """of the outage; empty while there is none"""


class JobsStatusRequest(Message, frozen=True, kw_only=True):
    """Anybody to jobs (ask). Answer: ``JobsStatus``."""


class JobReport(msgspec.Struct, frozen=True, kw_only=True):
    """One background job; times are UTC ns."""

    name: str
    running: bool
    done_due_ns: int
    """the latest due time that is done with"""
    next_ns: int
    """when it will be tried next"""
    failures: int
    """in a row, of the due time in work"""
    left_out: int
    """due times that were too far back to be caught up"""
    reason: str
    """of the last failure; empty after a success"""


class JobsStatus(Message, frozen=True, kw_only=True):
    """All jobs."""

    jobs: tuple[JobReport, ...]
