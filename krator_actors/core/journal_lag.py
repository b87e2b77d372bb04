"""How long the oldest record that is logged and not committed has been waiting. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

STEP_NS: Final = 100_000_000
"""Records that come within so long are one group: the lag is at most this too long."""
_GROUPS: Final = 100_000
"""Nearly three hours of them; behind that all is one group."""


class JournalLag:
    """Compares what was read in the logs with what the journal says that it has."""

    def __init__(self) -> None:
        # By writer: [last number, time of the first record, UTC ns] of each group that is not
        # wholly committed.
        self._groups: dict[str, deque[list[int]]] = {}

    def read(self, writer: str, number: int, ts_ns: int) -> None:
        """A record stands in a log; each log's in its order."""
        groups = self._groups.setdefault(writer, deque())
        if groups and (ts_ns - groups[-1][1] < STEP_NS or len(groups) == _GROUPS):
            groups[-1][0] = number
        else:
            groups.append([number, ts_ns])

    def committed(self, watermarks: Mapping[str, int]) -> None:
        """The journal has every writer's records up to these numbers."""
        for writer, groups in self._groups.items():
            while groups and groups[0][0] <= watermarks.get(writer, 0):
                groups.popleft()

    def secs(self, now_ns: int) -> float:
        """Return the lag at a UTC time, as of the last ``committed``; 0 when nothing waits."""
        oldest = min((groups[0][1] for groups in self._groups.values() if groups), default=now_ns)
        return max(0.0, (now_ns - oldest) / 1e9)
