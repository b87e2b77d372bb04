"""One-shot timers on top of Thespian's wake-ups, which cannot be canceled and may come late."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable

_EARLY_SECS = 0.005
"""A wake-up may come this much before its time; it is then asked for again."""


class Timers:
    """Calls functions when their time has come; one thread, no waiting of its own.

    ``wake_after(secs)`` must lead to a call of ``fire`` after about that long; an extra call
    does no harm.
    """

    def __init__(self, clock: Callable[[], float], wake_after: Callable[[float], None]) -> None:
        self._clock = clock
        self._wake_after = wake_after
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        # When the earliest wake-up under way will come; infinite when there is none.
        self._armed_at = math.inf

    def call_after(self, delay_secs: float, function: Callable[[], None]) -> None:
        """Call the function once, after the delay; it has to check that it is still wanted."""
        due = self._clock() + delay_secs
        heapq.heappush(self._heap, (due, next(self._serial), function))
        self._arm()

    def fire(self) -> None:
        """Call what is due, in the order of its time; new timers that are due wait their turn."""
        now = self._clock()
        if now >= self._armed_at - _EARLY_SECS:
            self._armed_at = math.inf
        due: list[Callable[[], None]] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        for function in due:
            function()
        self._arm()

    def _arm(self) -> None:
        if self._heap and self._heap[0][0] < self._armed_at:
            self._armed_at = self._heap[0][0]
            self._wake_after(max(0.0, self._armed_at - self._clock()))
