"""When a symbol may be traded: windows of a week in UTC. Pure."""

from __future__ import annotations

import re

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTE_NS = 60_000_000_000
_DAY_MINUTES = 1_440
WEEK_MINUTES = 7 * _DAY_MINUTES
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
_TIME = r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)"
_WINDOW = re.compile(rf"^(\w{{3}}) ({_TIME})-(\w{{3}}) ({_TIME})$")

_ALWAYS = ((0, WEEK_MINUTES),)

Window = tuple[int, int]
"""First minute of the week, and the minute after the last; the week begins Monday 00:00 UTC."""


def parse(text: str) -> Window:
    """Read ``always``, or ``Mon 08:00-Fri 21:30``. The end is exclusive and after the start.

    ``24:00`` is the end of a day. A window over Sunday midnight is written as two. ValueError.
    """
    if text == "always":
        return 0, WEEK_MINUTES
    match = _WINDOW.match(text)
    days = (match[1].lower(), match[7].lower()) if match else ()
    if match is None or not set(days) <= set(_DAYS):
        raise ValueError(f'{text!r} is not "always" or like "Mon 08:00-Fri 21:30" (UTC)')
    start, end = (
        _DAYS.index(day) * _DAY_MINUTES + int(clock[:2]) * 60 + int(clock[3:])
        for day, clock in zip(days, (match[2], match[8]), strict=True)
    )
    if end <= start:
        raise ValueError(f"{text!r} ends before it starts; write two windows")
    return start, end


def minute_of_week(utc_ns: int) -> int:
    """Return how many minutes after Monday 00:00 UTC it is, rounded down."""
    return (utc_ns // _MINUTE_NS + _EPOCH_WEEKDAY * _DAY_MINUTES) % WEEK_MINUTES


def is_open(windows: tuple[Window, ...], utc_ns: int) -> bool:
    """Return whether it is within a window; never, without one."""
    if windows == _ALWAYS:
        return True
    minute = minute_of_week(utc_ns)
    return any(start <= minute < end for start, end in windows)
