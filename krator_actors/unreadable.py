"""Frames of a feed that could not be read: counted by reason, and said now and then."""

from __future__ import annotations

from typing import Final

from loguru import logger

from krator_actors import clock
from krator_actors.model import NANOS_PER_SEC
from krator_actors.ports import UnknownFrame

_REPORT_SECS: Final = 10.0


class UnreadableFrames:
    """What a venue has sent that is told to nobody. ``component``: the feed's name."""

    def __init__(self, component: str) -> None:
        self._logger = logger.bind(component=component)
        # Frames by why they could not be read.
        self.counts: dict[str, int] = {}
        self._report_ns = 0

    def on_frame(self, frame: UnknownFrame) -> None:
        """Count it; at most one line of log each ten seconds."""
        self.counts[frame.reason] = self.counts.get(frame.reason, 0) + 1
        now_ns = clock.monotonic_ns()
        if now_ns < self._report_ns:
            return
        self._report_ns = now_ns + int(_REPORT_SECS * NANOS_PER_SEC)
        self._logger.bind(
            event_type="frame_malformed",
            reason=frame.reason,
            detail=frame.detail,
            counts=dict(self.counts),
        ).warning("frame malformed")
