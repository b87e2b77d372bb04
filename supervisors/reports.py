"""Supervisor reports: one JSON object a line, appended by supervisors and by the heart."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Literal

import msgspec

from supervisors.control import Crash
from supervisors.redaction import redacted
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.status import Alarm

ReasonKind = Literal[
    "signal", "exit", "exception", "hung", "start_timeout", "not_progressing", "memory", "orphan"
]

_MAX_DETAIL_CHARS = 2000
_MAX_LINE_BYTES = 4096
"""More than nearly every report has; a longer one only means that fewer are shown."""


class Reason(msgspec.Struct, frozen=True):
    """Why a process ended."""

    kind: ReasonKind
    detail: str
    exception: str | None = None
    """The exception's class name; None when it was none."""

    def __str__(self) -> str:
        if self.exception is not None:
            return f"{self.exception}: {self.detail}" if self.detail else self.exception
        return f"{self.kind} {self.detail}"

    def limited(self) -> Reason:
        """Return it with a detail that fits a report."""
        if len(self.detail) <= _MAX_DETAIL_CHARS:
            return self
        return msgspec.structs.replace(self, detail=f"{self.detail[:_MAX_DETAIL_CHARS]}…")


class Offender(msgspec.Struct, frozen=True, kw_only=True):
    """The rest of what Erlang's report says of a child, beside its id and pid."""

    child_type: Literal["worker", "supervisor"]
    start: str
    """The actor class of a worker, the strategy of a supervisor."""
    restart_type: str
    significant: bool
    shutdown_secs: float | None

    @classmethod
    def of(cls, spec: ChildSpec | SupervisorSpec) -> Offender:
        """Return the offender of that specification; never its configuration."""
        is_worker = isinstance(spec, ChildSpec)
        return cls(
            child_type="worker" if is_worker else "supervisor",
            start=spec.actor if isinstance(spec, ChildSpec) else spec.strategy.value,
            restart_type=spec.restart.value,
            significant=spec.significant,
            shutdown_secs=spec.shutdown_secs,
        )


class SupervisorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``reports.jsonl``."""

    ts_ns: int
    report: str
    """Erlang's error contexts ``child_terminated``, ``start_error``, ``shutdown_error``,
    ``shutdown``; and ``child_started``, ``quarantined``, ``system_restarted``, ``alarm_raised``,
    ``alarm_cleared``."""
    supervisor: str
    child: str
    pid: int | None
    generation: int
    reason: Reason | None
    crash_file: str | None
    restart_in_secs: float | None
    offender: Offender | None = None
    """How the child is specified; None when nobody knows."""
    alarm: Alarm | None = None
    """For ``alarm_raised`` and ``alarm_cleared``."""


def one_line(report: SupervisorReport, *, max_chars: int = 400) -> str:
    """Return the report as one line of text, of which the reason is cut to fit."""
    before = f"Supervisor: {report.supervisor}. Context: {report.report}. Reason: "
    after = f" Offender: id={report.child},pid={report.pid}."
    alarm = report.alarm
    reason = str(report.reason) if alarm is None else f"{alarm.kind}, {alarm.detail}"
    reason = " ".join(f"{reason}.".split())
    room = max(0, max_chars - len(before) - len(after))
    if len(reason) > room:
        reason = f"{reason[: max(0, room - 1)]}…"
    return f"{before}{reason}{after}"


class ReportLog:
    """Appends reports. A full disk loses the line and never stops a supervisor."""

    def __init__(self, crash_dir: Path, supervisor: str) -> None:
        self._path = crash_dir / "reports.jsonl"
        self._supervisor = supervisor

    def write(
        self,
        report: str,
        *,
        child: str,
        pid: int | None,
        generation: int,
        reason: Reason | None = None,
        crash_file: str | None = None,
        restart_in_secs: float | None = None,
        offender: Offender | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        """Append one line, whole or not at all."""
        if reason is not None:
            reason = msgspec.structs.replace(reason, detail=redacted(reason.detail))
        line = msgspec.json.encode(
            SupervisorReport(
                ts_ns=time.time_ns(),
                report=report,
                supervisor=self._supervisor,
                child=child,
                pid=pid,
                generation=generation,
                reason=None if reason is None else reason.limited(),
                crash_file=crash_file,
                restart_in_secs=restart_in_secs,
                offender=offender,
                alarm=alarm,
            )
        )
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line + b"\n")
            finally:
                os.close(fd)


def read_reports(crash_dir: Path, limit: int) -> list[SupervisorReport]:
    """Return the last reports, the oldest first; lines that nobody can read are left out."""
    try:
        with (crash_dir / "reports.jsonl").open("rb") as file:
            # Not the whole file, which grows for as long as the data folder lives.
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit * _MAX_LINE_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    decode = msgspec.json.Decoder(SupervisorReport).decode
    found: list[SupervisorReport] = []
    for line in lines[-limit:]:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(decode(line))
    return found


def reason_of_end(exitcode: int | None, *, crash: Crash | None, verdict: Reason | None) -> Reason:
    """Return why a process ended: the supervisor's verdict, its own words, or its exit status."""
    if verdict is not None:
        return verdict
    if crash is not None:
        return Reason("exception", crash.detail, crash.exception)
    if exitcode is None:
        return Reason("exit", "unknown exit status")
    if exitcode < 0:
        return Reason("signal", signal_name(-exitcode))
    return Reason("exit", f"exit status {exitcode}")


def signal_name(number: int) -> str:
    """Return e.g. SIGKILL; a real-time signal has only its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
