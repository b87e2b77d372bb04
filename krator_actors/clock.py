"""The two clocks of the actors. ``core`` has none: it is handed the time."""

from __future__ import annotations

import time


def utc_ns() -> int:
    """Return UTC in nanoseconds since the Unix epoch: for records and for the venue."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Return nanoseconds of the clock that never jumps: for ages, expiry and rates."""
    return time.monotonic_ns()
