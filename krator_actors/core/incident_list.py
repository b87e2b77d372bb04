"""What broke, folded from the journal: one entry an incident. Pure."""

from __future__ import annotations

from collections.abc import MutableMapping

import msgspec

from krator_actors.messages.incidents import IncidentClosed, IncidentDiagnosed, IncidentOpened


class ReportedIncident(msgspec.Struct, kw_only=True):
    """Something broke."""

    ts: int
    incident_id: str
    kind: str
    component: str
    cause: str = ""
    """the most likely one; empty when nobody could say"""
    suggestion: str = ""
    """what a person may do about that cause; nothing acts on it"""
    outage_secs: float | None = None
    """None: it was not over when the last event was written"""


def take_incident(
    incidents: MutableMapping[str, ReportedIncident],
    event: IncidentOpened | IncidentDiagnosed | IncidentClosed,
    ts: int,
) -> None:
    """Add ``event`` to its incident in ``incidents``, by id; one that was not opened there is none.

    ``ts`` is the time that an opened one is reported with.
    """
    if isinstance(event, IncidentOpened):
        incidents[event.incident_id] = ReportedIncident(
            ts=ts, incident_id=event.incident_id, kind=event.kind, component=event.component
        )
        return
    incident = incidents.get(event.incident_id)
    if incident is None:
        return
    if isinstance(event, IncidentDiagnosed):
        incident.cause, incident.suggestion = event.cause, event.suggestion
    else:
        incident.outage_secs = event.outage_secs
