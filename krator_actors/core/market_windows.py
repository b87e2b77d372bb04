"""A symbol's recent prices and volume, in slots of time: bounded whatever the market does. Pure.

A window of so many seconds is cut into equal slots of the monotonic clock; slot ``n`` holds what
came at times ``t`` with ``t // slot_ns == n``. The window is the slot of the newest value and those
before it, so it is never longer than configured. A slot in which nothing came does not exist.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from krator_actors.model import NANOS_PER_SEC

PRICE_SLOTS = 20
VOLUME_SLOTS = 60

_ZERO = Decimal(0)


def slot_ns(window_secs: float, slots: int) -> int:
    """Return the length of a slot: whole nanoseconds, at least one."""
    return max(1, int(window_secs * NANOS_PER_SEC) // slots)


class PriceWindow:
    """Average and range of the mids of a window; changed by each quote only."""

    def __init__(self, window_secs: float) -> None:
        self._slot_ns = slot_ns(window_secs, PRICE_SLOTS)
        # (slot, last mid, lowest, highest) of the slots before the newest one.
        self._past: deque[tuple[int, Decimal, Decimal, Decimal]] = deque()
        # Over ``_past``; each zero when that is empty.
        self._past_sum = self._past_low = self._past_high = _ZERO
        self._slot = -1
        self._last = self._low = self._high = _ZERO

    def take(self, mid: Decimal, now_ns: int) -> None:
        """Take the mid of a usable quote. Times do not go back."""
        slot = now_ns // self._slot_ns
        if slot != self._slot:
            self._turn(slot)
            self._low = self._high = mid
        elif mid < self._low:
            self._low = mid
        elif mid > self._high:
            self._high = mid
        self._last = mid

    def clear(self) -> None:
        """Forget all: what comes next is the first."""
        self._past.clear()
        self._past_sum = self._past_low = self._past_high = _ZERO
        self._slot = -1
        self._last = self._low = self._high = _ZERO

    @property
    def latest(self) -> Decimal | None:
        """The newest mid; None: there is none."""
        return None if self._slot < 0 else self._last

    @property
    def total(self) -> tuple[Decimal, int]:
        """Sum and number of the slots' last mids; their quotient is the average. (0, 0): none."""
        if self._slot < 0:
            return _ZERO, 0
        return self._past_sum + self._last, len(self._past) + 1

    @property
    def range(self) -> tuple[Decimal, Decimal]:
        """The lowest and the highest mid; (0, 0): none."""
        if not self._past:
            return self._low, self._high
        return min(self._low, self._past_low), max(self._high, self._past_high)

    def _turn(self, slot: int) -> None:
        past = self._past
        if self._slot >= 0:
            past.append((self._slot, self._last, self._low, self._high))
        while past and past[0][0] <= slot - PRICE_SLOTS:
            past.popleft()
        self._slot = slot
        self._past_sum = sum((entry[1] for entry in past), _ZERO)
        self._past_low = min((entry[2] for entry in past), default=_ZERO)
        self._past_high = max((entry[3] for entry in past), default=_ZERO)


class VolumeWindow:
    """What was traded in a window, from totals that begin at zero with each incarnation of a feed.

    The first total that ever comes may be of a longer time than the window: then it counts as its
    average over the window. Changed by each total only.
    """

    def __init__(self, window_secs: float) -> None:
        self._window_secs = Decimal(str(window_secs))
        self._slot_ns = slot_ns(window_secs, VOLUME_SLOTS)
        # (slot, volume), oldest first; their sum is ``volume``.
        self._slots: deque[tuple[int, Decimal]] = deque()
        self._total: Decimal | None = None
        self.volume = _ZERO

    def take(self, total: Decimal, counted_secs: float, now_ns: int) -> None:
        """Take a feed's total, counted for so long."""
        if self._total is None:
            secs = Decimal(str(counted_secs))
            added = total * self._window_secs / secs if secs > self._window_secs else total
        else:
            # A smaller one is a new feed's, which has counted from nothing.
            added = total - self._total if total >= self._total else total
        self._total = total
        slots, slot = self._slots, now_ns // self._slot_ns
        while slots and slots[0][0] <= slot - VOLUME_SLOTS:
            self.volume -= slots.popleft()[1]
        if slots and slots[-1][0] == slot:
            slots[-1] = (slot, slots[-1][1] + added)
        else:
            slots.append((slot, added))
        self.volume += added
