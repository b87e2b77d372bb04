"""Sliding windows over the outcomes of calls: the last n, or those of the last n seconds."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple


class Tally(NamedTuple):
    """How many calls are in a window, and how many of them failed or were slow."""

    calls: int
    failed: int
    slow: int


class CountWindow:
    """The last ``size`` calls."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._outcomes: deque[tuple[bool, bool]] = deque()
        self._failed = 0
        self._slow = 0

    def add(self, _now: float, *, failed: bool, slow: bool) -> None:
        """Count one call that has ended."""
        if len(self._outcomes) == self._size:
            old_failed, old_slow = self._outcomes.popleft()
            self._failed -= old_failed
            self._slow -= old_slow
        self._outcomes.append((failed, slow))
        self._failed += failed
        self._slow += slow

    def tally(self, _now: float) -> Tally:
        """Return what is in the window."""
        return Tally(len(self._outcomes), self._failed, self._slow)


class TimeWindow:
    """The calls of the last ``secs`` seconds, the second under way included.

    Whole seconds are kept and not calls, so its memory does not grow with their number.
    """

    def __init__(self, secs: int) -> None:
        self._secs = secs
        # [second, calls, failed, slow], oldest first
        self._seconds: deque[list[int]] = deque()
        self._total = [0, 0, 0]

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count one call that has ended."""
        second = math.floor(now)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0, 0])
        latest = self._seconds[-1]
        for index, amount in enumerate((1, failed, slow)):
            latest[index + 1] += amount
            self._total[index] += amount

    def tally(self, now: float) -> Tally:
        """Return what is in the window at that time."""
        edge = math.floor(now) - self._secs
        while self._seconds and self._seconds[0][0] <= edge:
            _, *amounts = self._seconds.popleft()
            for index, amount in enumerate(amounts):
                self._total[index] -= amount
        return Tally(*self._total)
