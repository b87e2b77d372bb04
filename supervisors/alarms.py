"""Alarms that clear themselves: what is wrong now, and since when. Pure; the time is an argument.

An alarm is a fact about a named actor that a person may want to know while it lasts. It is raised
once, stands in the status while it lasts, and is cleared once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from supervisors.status import Alarm, NodeStatus

STORM_RESTARTS: Final = 3
STORM_SECS: Final = 60.0
"""So many restarts within so long are a restart storm."""

INBOX_HIGH: Final = 0.8
INBOX_LOW: Final = 0.5
"""Parts of ``inbox_limit``: raised at the first, cleared below the second."""

_BY_STATE: Final[Mapping[str, str]] = {
    "backoff": "waits for its next start",
    "quarantined": "used up its restarts; a person has to start it again",
    "suspended": "a person has suspended it; its messages wait",
}


class Change(msgspec.Struct, frozen=True):
    """An alarm was raised or cleared."""

    is_raised: bool
    name: str
    alarm: Alarm


class Alarms:
    """The alarms of the children of one supervisor."""

    def __init__(self) -> None:
        # By name and kind.
        self._raised: dict[tuple[str, str], Alarm] = {}
        # What was not judged here but told, by name and kind; cleared by whoever told it.
        self._told: dict[tuple[str, str], str] = {}
        # When each child was restarted, as far as this is recent, and how often ever.
        self._restarts: dict[str, tuple[int, deque[float]]] = {}

    def tell(self, name: str, kind: str, detail: str | None) -> None:
        """Take what somebody knows of an actor, e.g. an open breaker; None takes it back."""
        if detail is None:
            self._told.pop((name, kind), None)
        else:
            self._told[name, kind] = detail

    def forget(self, name: str) -> None:
        """Take back all that was told of this actor, because its process has ended."""
        for key in [key for key in self._told if key[0] == name]:
            del self._told[key]

    def look(
        self,
        children: Iterable[NodeStatus],
        hung: Mapping[str, str],
        *,
        now: float,
        ts_ns: int,
    ) -> list[Change]:
        """Judge all children anew; return what has changed.

        Args:
            children: As they are now.
            hung: By name, why a process that still lives has to go.
            now: Monotonic seconds.
            ts_ns: UTC, for ``Alarm.since_ns``.

        """
        wanted = dict(self._told)
        for child in children:
            for kind, detail in self._judge(child, now):
                wanted[child.name, kind] = detail
        wanted |= {(name, "hung"): detail for name, detail in hung.items()}
        changes = [
            Change(is_raised=False, name=name, alarm=self._raised.pop((name, kind)))
            for name, kind in list(self._raised)
            if (name, kind) not in wanted
        ]
        for (name, kind), detail in wanted.items():
            if (name, kind) not in self._raised:
                alarm = self._raised[name, kind] = Alarm(kind, detail, ts_ns)
                changes.append(Change(is_raised=True, name=name, alarm=alarm))
        return changes

    def of(self, name: str) -> tuple[Alarm, ...]:
        """Return what is raised for that actor, the oldest first."""
        found = (alarm for (owner, _), alarm in self._raised.items() if owner == name)
        return tuple(sorted(found, key=lambda alarm: alarm.since_ns))

    def _judge(self, child: NodeStatus, now: float) -> Iterator[tuple[str, str]]:
        if child.state in _BY_STATE:
            yield child.state, _BY_STATE[child.state]
        edge = INBOX_LOW if (child.name, "inbox_high") in self._raised else INBOX_HIGH
        if child.inbox_limit and child.inbox >= edge * child.inbox_limit:
            yield "inbox_high", f"{child.inbox} of {child.inbox_limit} messages wait"
        restarts = self._recent_restarts(child, now)
        if restarts >= STORM_RESTARTS:
            yield "restart_storm", f"{restarts} restarts within {STORM_SECS:g} s"

    def _recent_restarts(self, child: NodeStatus, now: float) -> int:
        before, times = self._restarts.get(child.name, (0, deque[float](maxlen=100)))
        times.extend([now] * (child.restarts - before))
        while times and times[0] <= now - STORM_SECS:
            times.popleft()
        self._restarts[child.name] = (child.restarts, times)
        return len(times)
