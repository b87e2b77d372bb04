"""How long something took, counted in powers of two of a microsecond.

Factor two is coarse, and enough: from a microsecond to a minute with 27 edges, an upper bound of
any quantile that is at most twice too high, and an observation that costs a list index. Finer edges
around one expected value would be blind exactly where a fault moves it.
"""

from __future__ import annotations

from typing import Final

import msgspec

BUCKETS: Final = 48
"""The last one is some years."""
_LAST: Final = BUCKETS - 1


class TimesTaken(msgspec.Struct, frozen=True):
    """A copy of what a ``Times`` had counted."""

    counts: tuple[int, ...] = (0,) * BUCKETS
    """How many took less than ``2 ** index`` microseconds, and not less than half of that."""
    total_secs: float = 0.0

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.counts)

    def at_most_secs(self, share: float) -> float:
        """Return what that share of all took at most, an upper bound; 0 when there is nothing."""
        rank, seen = self.count * share, 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= rank:
                return float(2**index) / 1e6
        return 0.0

    def __add__(self, other: TimesTaken) -> TimesTaken:
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return TimesTaken(counts, self.total_secs + other.total_secs)


class Times:
    """Counts. One thread adds; another may ``take`` meanwhile."""

    __slots__ = ("_counts", "_total_us")

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._total_us = 0

    def add(self, microseconds: int) -> None:
        """Count one; less than nothing, which a clock that was set can bring about, is nothing."""
        # Not min and max, because two calls would double what this costs on every message.
        if microseconds < 0:  # noqa: PLR1730 - as said
            microseconds = 0
        index = microseconds.bit_length()
        self._counts[index if index < _LAST else _LAST] += 1  # noqa: FURB136 - as said
        self._total_us += microseconds

    def take(self) -> TimesTaken:
        """Return a copy."""
        return TimesTaken(tuple(self._counts), self._total_us / 1e6)
