"""Incidents: what broke, what the evidence says, when it was over."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from supervisors.messages import Delivery, Message


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One typed fact: no free text, so nothing secret can travel in it."""

    id: str
    kind: str
    component: str
    code: str
    value: float | None = None
    unit: str = ""


class IncidentOpened(Message, frozen=True, kw_only=True):
    """Something broke. One incident per fingerprint until it is closed."""

    incident_id: str
    kind: str
    """``crash``, ``hang``, ``stall``, ``quarantine``, ``system``"""
    component: str
    evidence: tuple[Evidence, ...]
    ts_event: int


class IncidentDiagnosed(Message, frozen=True, kw_only=True):
    """The most likely cause. A proposal to a person; nothing acts on it."""

    incident_id: str
    cause: str
    confidence: float
    evidence_ids: tuple[str, ...]
    suggestion: str
    ts_event: int
    evidence: tuple[Evidence, ...] = ()
    """facts that came after the incident was opened and have not been told yet"""


class IncidentClosed(Message, frozen=True, kw_only=True):
    """The component is healthy again."""

    incident_id: str
    component: str
    outage_secs: float
    ts_event: int


class StallDetected(Message, frozen=True, kw_only=True):
    """Feed to rca: a stream that is connected and silent, or a connection that was lost."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    component: str
    symbol: str
    code: str
    age_secs: float
    ts_event: int

    def conflation_key(self) -> str:
        """Only the newest word on a stream matters."""
        return f"{self.component}/{self.symbol}"
