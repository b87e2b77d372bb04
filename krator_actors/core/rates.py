"""How many in the last second: a sliding window. Pure."""

from __future__ import annotations

from collections import deque

from krator_actors.model import NANOS_PER_SEC


class RateWindow:
    """Counts events of the last second of a monotonic clock, up to ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # When the latest ``limit`` events were; older ones cannot matter.
        self._times: deque[int] = deque(maxlen=limit)

    def is_full(self, now_ns: int) -> bool:
        """True when one more would make more than ``limit`` within one second."""
        times = self._times
        return len(times) == self.limit and now_ns - times[0] < NANOS_PER_SEC

    def add(self, now_ns: int) -> None:
        """Count one event. Times do not go back."""
        self._times.append(now_ns)

    def ages(self, now_ns: int) -> tuple[int, ...]:
        """Return how long ago the counted events were, in nanoseconds, oldest first."""
        return tuple(now_ns - time_ns for time_ns in self._times)
