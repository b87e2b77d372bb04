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

ReasonKind = Literal[
    "signal", "exit", "exception", "hung", "start_timeout", "not_progressing", "memory", "orphan"
]


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


class SupervisorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``reports.jsonl``."""

    ts_ns: int
    report: str
    """Erlang's error contexts ``child_terminated``, ``start_error``, ``shutdown_error``,
    ``shutdown``; and ``child_started``, ``quarantined``, ``system_restarted``."""
    supervisor: str
    child: str
    pid: int | None
    generation: int
    reason: Reason | None
    crash_file: str | None
    restart_in_secs: float | None


def one_line(report: SupervisorReport, *, max_chars: int = 400) -> str:
    """Return the report as one line of text, of which the reason is cut to fit."""
    before = f"Supervisor: {report.supervisor}. Context: {report.report}. Reason: "
    after = f" Offender: id={report.child},pid={report.pid}."
    reason = " ".join(f"{report.reason}.".split())
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
    ) -> None:
        """Append one line, whole or not at all."""
        line = msgspec.json.encode(
            SupervisorReport(
                ts_ns=time.time_ns(),
                report=report,
                supervisor=self._supervisor,
                child=child,
                pid=pid,
                generation=generation,
                reason=reason,
                crash_file=crash_file,
                restart_in_secs=restart_in_secs,
            )
        )
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line + b"\n")
            finally:
                os.close(fd)


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
