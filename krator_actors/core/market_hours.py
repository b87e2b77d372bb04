"""When US stocks trade, so that a feed at night is silent and not stalled.

Hours and holidays of NYSE and Nasdaq as their rules have been since 2022 (Rule 7.2, Juneteenth
included). A closing decided for one day, as for a president's funeral, is not in a rule.
"""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta
from typing import Final

from krator_actors.model import NANOS_PER_SEC

_PRE: Final = 4 * 60
_OPEN: Final = 9 * 60 + 30
_CLOSE: Final = 16 * 60
_EARLY_CLOSE: Final = 13 * 60
_POST: Final = 20 * 60
_EARLY_POST: Final = 17 * 60
_MONDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = 0, 3, 4, 5, 6


class Hours(enum.Enum):
    """What part of a trading day it is."""

    PRE = "PRE"
    REGULAR = "REGULAR"
    POST = "POST"
    CLOSED = "CLOSED"


def us_stock_hours(ts_ns: int) -> Hours:
    """Return what US stocks do at a time in UTC nanoseconds."""
    utc = datetime.fromtimestamp(ts_ns // NANOS_PER_SEC, UTC)
    local = utc + timedelta(hours=-4 if _is_daylight_saving(utc) else -5)
    day = local.date()
    if day.weekday() >= _SATURDAY or day in holidays(day.year):
        return Hours.CLOSED
    early = day in early_closes(day.year)
    minute = local.hour * 60 + local.minute
    if minute < _PRE or minute >= (_EARLY_POST if early else _POST):
        return Hours.CLOSED
    if minute < _OPEN:
        return Hours.PRE
    return Hours.REGULAR if minute < (_EARLY_CLOSE if early else _CLOSE) else Hours.POST


def holidays(year: int) -> frozenset[date]:
    """Return the weekdays of a year on which US stocks do not trade."""
    fixed = [_observed(date(year, month, day)) for month, day in ((6, 19), (7, 4), (12, 25))]
    new_year = date(year, 1, 1)
    if new_year.weekday() == _SUNDAY:
        fixed.append(date(year, 1, 2))
    elif new_year.weekday() != _SATURDAY:
        # On a Saturday it is not made up for, because the year must close on its last Friday.
        fixed.append(new_year)
    return frozenset(
        {
            *fixed,
            _nth(year, 1, _MONDAY, 3),  # Martin Luther King
            _nth(year, 2, _MONDAY, 3),  # Washington
            _easter(year) - timedelta(days=2),  # Good Friday
            _nth(year, 6, _MONDAY, 1) - timedelta(days=7),  # Memorial: the last of May
            _nth(year, 9, _MONDAY, 1),  # Labor
            _nth(year, 11, _THURSDAY, 4),  # Thanksgiving
        }
    )


def early_closes(year: int) -> frozenset[date]:
    """Return the days of a year on which US stocks close at 13:00."""
    days = {
        date(year, 7, 3),
        date(year, 12, 24),
        _nth(year, 11, _THURSDAY, 4) + timedelta(days=1),
    }
    return frozenset(day for day in days if day.weekday() <= _FRIDAY) - holidays(year)


def _observed(day: date) -> date:
    shift = {_SATURDAY: -1, _SUNDAY: 1}.get(day.weekday(), 0)
    return day + timedelta(days=shift)


def _nth(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))


def _easter(year: int) -> date:
    """Return Easter Sunday: the anonymous Gregorian computus (Nature, 20 April 1876)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def _is_daylight_saving(utc: datetime) -> bool:
    """From 2:00 on the second Sunday of March to 2:00 on the first of November (since 2007)."""
    begin = datetime.combine(_nth(utc.year, 3, _SUNDAY, 2), datetime.min.time(), UTC)
    end = datetime.combine(_nth(utc.year, 11, _SUNDAY, 1), datetime.min.time(), UTC)
    return begin + timedelta(hours=7) <= utc < end + timedelta(hours=6)
