"""How long the oldest record that is logged and not committed has been waiting. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

STEP_NS: Final = 100_000_000
"""Of the records that come within so long only the first is kept: the lag is exact to this."""
_MARKS: Final = 100_000
"""Nearly three hours of them; behind that the newest are left out."""


class JournalLag:
    """Compares what was read in the logs with what the journal says that it has."""

    def __init__(self) -> None:
        # By writer: (number, time logged) of some records that were not committed when last heard.
        self._marks: dict[str, deque[tuple[int, int]]] = {}
        # By writer, of the last record.
        self._last: dict[str, tuple[int, int]] = {}

    def read(self, writer: str, number: int, ts_ns: int) -> None:
        """A record stands in a log; each log's in its order."""
        marks = self._marks.setdefault(writer, deque())
        if len(marks) < _MARKS and (not marks or ts_ns - marks[-1][1] >= STEP_NS):
            marks.append((number, ts_ns))
        self._last[writer] = (number, ts_ns)

    def committed(self, watermarks: Mapping[str, int]) -> None:
        """The journal has every writer's records up to these numbers."""
        for writer, marks in self._marks.items():
            while marks and marks[0][0] <= watermarks.get(writer, 0):
                marks.popleft()
            number, ts_ns = self._last[writer]
            if not marks and number > watermarks.get(writer, 0):
                marks.append((number, ts_ns))

    def secs(self, now_ns: int) -> float:
        """Return the lag at a UTC time, as of the last ``committed``; 0 when nothing waits."""
        oldest = min((marks[0][1] for marks in self._marks.values() if marks), default=now_ns)
        return max(0.0, (now_ns - oldest) / 1e9)
