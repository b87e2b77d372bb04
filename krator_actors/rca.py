"""The root-cause-analysis actor: writes incidents down, with their most likely cause.

It reads what supervisors and heart have reported, hears of stalls from the feed, and has no
message with which it could act: all that it ever tells is ``LogGrew`` to the journal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.local_log import Durability, LocalLog, log_path, read_log
from krator_actors.core.incidents import IncidentBook, IncidentEvent, SupervisorReport
from krator_actors.messages.incidents import IncidentClosed, IncidentDiagnosed, StallDetected
from krator_actors.messages.operations import LogGrew
from supervisors.actor import Actor
from supervisors.messages import Message

_POLL_SECS = 0.15
_READ_BYTES = 1 << 18
_MAX_LINE_BYTES = 1 << 16
_NEWLINE = b"\n"


class RcaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ChildSpec.config`` holds for this actor."""

    data_dir: Path
    durability: Durability


class ReportsDue(Message, frozen=True, kw_only=True):
    """To itself: time to look for new reports."""


class RcaActor(Actor):
    """Opens, diagnoses and closes incidents, each step once, also across its own restarts.

    It has no watermark: all reports are read again when it starts, they give the same events with
    the same ids, and those that its log holds already are left out.
    """

    inbox: ClassVar[Any] = StallDetected | ReportsDue
    config: RcaConfig

    async def on_start(self) -> None:
        """Read the own log; the reports follow in the background of the inbox."""
        path = log_path(self.config.data_dir, self.name)
        self._log = LocalLog.open(
            path, writer=self.name, generation=self.generation, durability=self.config.durability
        )
        self._logger = logger.bind(component=self.name)
        self._book = IncidentBook(reader=self.name)
        # What the log holds, to leave it out when the reports give it again.
        self._written: set[tuple[str, str, str]] = set()
        for record in read_log(path, types=IncidentEvent):
            self._written.add(_identity(record.event))
            self._book.restore(record.event)
        self._reports = ReportTail(self.config.data_dir / "crash" / "reports.jsonl")
        self.tell_self(ReportsDue())
        self.every(_POLL_SECS, ReportsDue())

    def describe_state(self) -> Mapping[str, Any]:
        """Return how many incidents are open, and how far the reports are read."""
        return {
            "open_incidents": self._book.open_count,
            "log_number": self._log.last_number,
            "unreadable_reports": self._reports.unreadable,
            "is_catching_up": self._reports.has_more,
        }

    async def on_stop(self) -> None:
        """Close the log."""
        self._log.close()

    async def receive(self, message: Message, sender: str) -> None:  # noqa: ARG002 - names are in the messages
        """Take one message; nothing is answered."""
        match message:
            case StallDetected():
                await self._write(self._book.on_stall(message, now_ns=clock.utc_ns()))
            case ReportsDue():
                await self._read_reports()
            case _:
                raise TypeError(f"{type(message).__name__} is not in the inbox of {self.name}")

    async def _read_reports(self) -> None:
        unreadable = self._reports.unreadable
        for report in self._reports.poll():
            await self._write(self._book.on_report(report))
        if self._reports.unreadable > unreadable:
            self._logger.bind(
                event_type="report_unreadable", count=self._reports.unreadable - unreadable
            ).warning("a report could not be read")
        if self._reports.has_more:
            # Through the inbox, so that a stall or a stop is heard in between.
            self.tell_self(ReportsDue())

    async def _write(self, events: list[IncidentEvent]) -> None:
        new = [event for event in events if _identity(event) not in self._written]
        for event in new:
            self._log.append(event, ts_ns=clock.utc_ns())
            self._written.add(_identity(event))
            self._tell_log(event)
        if new:
            await self.tell("journal", LogGrew(writer=self.name))

    def _tell_log(self, event: IncidentEvent) -> None:
        log = self._logger.bind(incident=event.incident_id)
        match event:
            case IncidentDiagnosed():
                log.bind(
                    event_type="incident_diagnosed", cause=event.cause, confidence=event.confidence
                ).warning("incident diagnosed")
            case IncidentClosed():
                log.bind(
                    event_type="incident_closed",
                    subject=event.component,
                    outage_secs=event.outage_secs,
                ).info("incident closed")
            case _:
                log.bind(
                    event_type="incident_opened", kind=event.kind, subject=event.component
                ).warning("incident opened")


class ReportTail:
    """Follows a file of JSON lines that others append to; it need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        # Lines that were no report: counted and skipped.
        self.unreadable = 0
        # True when the last poll did not reach the end of the file.
        self.has_more = False
        self._decode = msgspec.json.Decoder(SupervisorReport).decode

    def poll(self) -> list[SupervisorReport]:
        """Return the next whole lines, a bounded piece; OSError when the file cannot be read.

        A file that has become shorter was replaced and is read from its beginning.
        """
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                data = file.read(_READ_BYTES)
        except FileNotFoundError:
            self.has_more = False
            return []
        whole = data.rfind(_NEWLINE) + 1
        if not whole and len(data) > _MAX_LINE_BYTES:
            # No line is as long as that: pass over it, its end will be one more unreadable line.
            whole = len(data)
        self._offset += whole
        self.has_more = bool(whole) and self._offset < size
        return [report for line in data[:whole].splitlines() if (report := self._report(line))]

    def _report(self, line: bytes) -> SupervisorReport | None:
        try:
            return self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1
            return None


def _identity(event: IncidentEvent) -> tuple[str, str, str]:
    cause = event.cause if isinstance(event, IncidentDiagnosed) else ""
    return type(event).__name__, event.incident_id, cause
