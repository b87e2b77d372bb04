"""Incidents: what broke, since when, why most likely, and when it was healthy again. Pure.

``IncidentBook`` turns the supervisors' reports and the feed's stalls into incident events. The
same reports give the same events with the same ids, so a reader that starts again reads them again
and leaves out what it has already written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import msgspec

from krator_actors.core.diagnosis import diagnose
from krator_actors.messages.incidents import (
    Evidence,
    IncidentClosed,
    IncidentDiagnosed,
    IncidentOpened,
    StallDetected,
)
from krator_actors.model import NANOS_PER_SEC

IncidentEvent = IncidentOpened | IncidentDiagnosed | IncidentClosed

STALL_OVER = "LIVE"
"""The code with which the feed says that a stream is fresh again."""

SYSTEM = "system"
"""The component of an incident that concerns all of it: the root or the admin failed."""

_HEART = "heart"
_ROOT = "root"

_HANGS = frozenset({"hung", "not_progressing"})
_MAX_EVIDENCE = 16
_UNPRINTABLE = "UNPRINTABLE"
_CODE = re.compile(r"[A-Za-z0-9_.]{1,80}")
_SIGNAL = re.compile(r"SIG[A-Z0-9+-]{1,12}")
_EXIT = re.compile(r"exit status (\d{1,3})")
_COMPONENT = re.compile(r"[A-Za-z0-9_.:/@-]{1,120}")


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a child ended, as ``supervisors.reports`` writes it."""

    kind: str
    detail: Any = None
    """``SIGKILL``, ``exit status 1``, or prose, of which nothing is kept"""
    exception: str | None = None
    """the exception's class name"""


class SupervisorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``crash/reports.jsonl``; fields that are not listed here are ignored."""

    ts_ns: int
    report: Literal[
        "child_started",
        "child_terminated",
        "start_error",
        "shutdown_error",
        "shutdown",
        "quarantined",
        "system_restarted",
        "alarm_raised",
        "alarm_cleared",
    ]
    supervisor: str | None = None
    child: str | None = None
    generation: int | None = None
    reason: Reason | None = None
    restart_in_secs: float | None = None


class _Fact(NamedTuple):
    """What becomes one piece of evidence."""

    kind: str
    code: str
    value: float | None = None
    unit: str = ""


@dataclass
class _Incident:
    """An incident that is open."""

    incident_id: str
    kind: str
    component: str
    ts_event: int
    evidence: tuple[Evidence, ...]
    # How many of them are in events already.
    told: int
    cause: str = ""


class IncidentBook:
    """The open incidents, at most one per fingerprint: kind, component, stream."""

    def __init__(self, *, reader: str) -> None:
        """``reader`` is the actor that keeps this book and starts last: when it runs, all does."""
        self._reader = reader
        # Open incidents by fingerprint.
        self._open: dict[tuple[str, str, str], _Incident] = {}

    @property
    def open_count(self) -> int:
        """How many incidents are open."""
        return len(self._open)

    def on_report(self, report: SupervisorReport) -> list[IncidentEvent]:
        """Take one report, in the order of the file; return what follows from it.

        Every ``child_terminated`` is an end that nobody asked for. A child that did not stop in
        time on a planned stop (``shutdown_error``) is not an incident: nothing is missing that
        should be there.
        """
        component = _component(report.child or report.supervisor)
        match report.report:
            case "child_started":
                return list(self._close_for(component, report.ts_ns))
            case "child_terminated" | "start_error" if report.supervisor == _HEART:
                return self._observe("system", SYSTEM, report)
            case "child_terminated" | "start_error":
                if _is_normal(report) and ("system", component, "") in self._open:
                    return []  # how a supervisor that gave up ends
                kind = "hang" if report.reason and report.reason.kind in _HANGS else "crash"
                return self._observe(kind, component, report)
            case "quarantined":
                return self._observe("quarantine", component, report)
            case "shutdown":
                # A supervisor that gave up: the incident is its own, whoever the last child was.
                return self._observe("system", _component(report.supervisor), report)
            case "system_restarted":
                return list(self._close_for(SYSTEM, report.ts_ns))
            case _:
                return []

    def on_stall(self, stall: StallDetected, *, now_ns: int) -> list[IncidentEvent]:
        """Take one word of the feed; the same stall told again changes nothing.

        ``now_ns`` is UTC and dates the incident: in a replay the feed's event time is another
        year's, and the reports are of today.
        """
        component, symbol = _component(stall.component), _component(stall.symbol)
        code = _code(stall.code)
        fingerprint = ("stall", component, symbol)
        known = self._open.get(fingerprint)
        if stall.code == STALL_OVER:
            return [self._closed(fingerprint, now_ns)] if known else []
        if known and any(evidence.code == code for evidence in known.evidence):
            return []
        found = [_Fact("stream", symbol), _Fact("stall", code, stall.age_secs, "seconds")]
        return self._record(fingerprint, found, now_ns)

    def restore(self, event: IncidentEvent) -> None:
        """Take an event of the own log, so that open stalls are known after a restart.

        Only stalls: what came from reports comes again from the reports.
        """
        match event:
            case IncidentOpened(kind="stall", evidence=evidence):
                stream = next((e.code for e in evidence if e.kind == "stream"), "")
                self._open["stall", event.component, stream] = _Incident(
                    event.incident_id,
                    "stall",
                    event.component,
                    event.ts_event,
                    evidence,
                    told=len(evidence),
                )
            case IncidentDiagnosed():
                for incident in self._open.values():
                    if incident.incident_id == event.incident_id:
                        incident.cause = event.cause
                        incident.evidence += event.evidence
                        incident.told = len(incident.evidence)
            case IncidentClosed():
                self._open = {
                    fingerprint: incident
                    for fingerprint, incident in self._open.items()
                    if incident.incident_id != event.incident_id
                }
            case _:
                pass

    def _observe(self, kind: str, component: str, report: SupervisorReport) -> list[IncidentEvent]:
        return self._record((kind, component, ""), list(_facts(report)), report.ts_ns)

    def _record(
        self,
        fingerprint: tuple[str, str, str],
        found: list[_Fact],
        ts_event: int,
    ) -> list[IncidentEvent]:
        incident = self._open.get(fingerprint)
        events: list[IncidentEvent] = []
        before = incident.evidence if incident else ()
        evidence = _extended(before, fingerprint[1], found)
        if incident is None:
            kind, component, _ = fingerprint
            incident_id = incident_id_of(fingerprint, ts_event)
            incident = _Incident(
                incident_id, kind, component, ts_event, evidence, told=len(evidence)
            )
            self._open[fingerprint] = incident
            events.append(
                IncidentOpened(
                    incident_id=incident_id,
                    kind=kind,
                    component=component,
                    evidence=evidence,
                    ts_event=ts_event,
                )
            )
        incident.evidence = evidence
        diagnosis = diagnose(incident.kind, incident.component, evidence)
        if diagnosis.cause != incident.cause:
            incident.cause = diagnosis.cause
            events.append(
                IncidentDiagnosed(
                    incident_id=incident.incident_id,
                    cause=diagnosis.cause,
                    confidence=diagnosis.confidence,
                    evidence_ids=diagnosis.evidence_ids,
                    suggestion=diagnosis.suggestion,
                    ts_event=ts_event,
                    evidence=evidence[incident.told :],
                )
            )
            incident.told = len(evidence)
        return events

    def _close_for(self, component: str, ts_event: int) -> Iterator[IncidentEvent]:
        components = {component, SYSTEM} if component == self._reader else {component}
        for fingerprint, incident in list(self._open.items()):
            # A stall that was told by an incarnation that is gone is over with it: the new one
            # says for itself what it sees. Reports that are older than an incident close nothing:
            # they are read again after a restart, when stalls are already restored.
            if incident.component in components and incident.ts_event <= ts_event:
                yield self._closed(fingerprint, ts_event)

    def _closed(self, fingerprint: tuple[str, str, str], ts_event: int) -> IncidentClosed:
        incident = self._open.pop(fingerprint)
        return IncidentClosed(
            incident_id=incident.incident_id,
            component=incident.component,
            outage_secs=max(0, ts_event - incident.ts_event) / NANOS_PER_SEC,
            ts_event=ts_event,
        )


def incident_id_of(fingerprint: tuple[str, str, str], ts_event: int) -> str:
    """Return the id of the incident that these facts open: the same facts, the same id."""
    identity = msgspec.json.encode([*fingerprint, ts_event])
    return "inc-" + blake2b(identity, digest_size=10, person=b"krator.incident").hexdigest()


def _is_normal(report: SupervisorReport) -> bool:
    return any(fact.kind == "exit" and fact.value == 0 for fact in _facts(report))


def _facts(report: SupervisorReport) -> Iterator[_Fact]:
    """Yield everything in a report that is safe to keep."""
    yield _Fact("report", report.report)
    reason = report.reason
    if reason is not None:
        yield _Fact("reason", _code(reason.kind))
        detail = str(reason.detail)
        if reason.kind == "signal" and _SIGNAL.fullmatch(detail):
            yield _Fact("signal", detail)
        if reason.kind == "exit" and (status := _EXIT.fullmatch(detail)):
            yield _Fact("exit", "STATUS", float(status[1]), "number")
        if reason.exception is not None:
            yield _Fact("exception", _code(reason.exception.rpartition(".")[2]))
    if report.restart_in_secs is not None:
        yield _Fact("backoff", "RESTART_DELAY", report.restart_in_secs, "seconds")


def _extended(
    before: tuple[Evidence, ...], component: str, found: list[_Fact]
) -> tuple[Evidence, ...]:
    # Bounded, because what a long crash loop repeats adds nothing.
    evidence = list(before)
    known = {(item.kind, item.code, item.value) for item in before}
    for fact in found:
        if (fact.kind, fact.code, fact.value) in known or len(evidence) >= _MAX_EVIDENCE:
            continue
        number = f"e{len(evidence) + 1}"
        evidence.append(Evidence(id=number, component=component, **fact._asdict()))
    return tuple(evidence)


def _code(text: str) -> str:
    """Return a code or class name, and a fixed word for anything that could be prose."""
    return text if _CODE.fullmatch(text) else _UNPRINTABLE


def _component(name: str | None) -> str:
    if name is None or name == _ROOT:
        return SYSTEM
    return name if _COMPONENT.fullmatch(name) else _UNPRINTABLE
