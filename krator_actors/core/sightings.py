"""What the gateway has last heard of the others, when, and whether that is enough. Pure."""

from __future__ import annotations

from typing import Final

from krator_actors.core.market_watch import VENUE_LOST
from krator_actors.messages.operations import JobsStatus, JournalStatus, PublisherStatus
from krator_actors.messages.risk import PortfolioReport
from supervisors.observation import MessageTimes
from supervisors.status import NodeStatus

SOURCES: Final = ("tree", "risk", "journal", "publisher", "jobs", "clock")


class Sightings:
    """The last answer of each source. Nothing is forgotten: an old answer has an age."""

    def __init__(self, *, stale_secs: float) -> None:
        self.stale_secs = stale_secs
        self.tree: NodeStatus | None = None
        self.portfolio: PortfolioReport | None = None
        self.journal: JournalStatus | None = None
        self.publisher: PublisherStatus | None = None
        self.jobs: JobsStatus | None = None
        self.clock_offset_secs: float | None = None
        self.times: dict[str, dict[str, MessageTimes]] = {}
        """by actor, then by message class"""
        # When each source answered last, monotonic seconds.
        self._heard: dict[str, float] = {}

    def heard(self, source: str, now_secs: float) -> None:
        """Note that a source has answered, at a monotonic time."""
        self._heard[source] = now_secs

    def ages(self, now_secs: float) -> dict[str, float]:
        """Return how old each answer is; a source that never answered is not in it."""
        return {source: now_secs - heard for source, heard in self._heard.items()}

    def is_fresh(self, source: str, now_secs: float) -> bool:
        """True when that source has answered lately."""
        heard = self._heard.get(source)
        return heard is not None and now_secs - heard <= self.stale_secs

    def up(self, now_secs: float) -> dict[str, bool]:
        """Return of each actor whether it runs; nobody does when the tree itself is silent."""
        if self.tree is None:
            return {}
        known = self.is_fresh("tree", now_secs)
        return {n.name: known and n.state == "running" for n in self.tree.all_nodes()}

    def obstacles(self, now_secs: float) -> list[str]:
        """Return why the system is not ready to trade; empty when it is."""
        found = [
            f"{source} does not answer"
            for source in ("tree", "risk", "journal")
            if not self.is_fresh(source, now_secs)
        ]
        if self.tree is not None and self.is_fresh("tree", now_secs):
            found += [f"{name} does not run" for name, up in self.up(now_secs).items() if not up]
            for node in self.tree.all_nodes():
                lost = (alarm.detail for alarm in node.alarms if alarm.kind == VENUE_LOST)
                found += [f"{node.name} has no connection: {detail}" for detail in lost]
        if self.portfolio is not None and self.is_fresh("risk", now_secs):
            if not self.portfolio.recovered:
                found.append("risk is recovering")
            if self.portfolio.state.value != "ACTIVE":
                found.append(f"trading is {self.portfolio.state.value}")
        return found
