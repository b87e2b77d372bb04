"""Trading hours as people write them, and when they are."""

from __future__ import annotations

import datetime as dt

import pytest

from krator_actors.core.trading_hours import WEEK_MINUTES, is_open, minute_of_week, parse

DAY = 1_440


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("always", (0, WEEK_MINUTES)),
        ("Mon 00:00-Mon 24:00", (0, DAY)),
        ("Mon 08:00-Fri 21:30", (480, 4 * DAY + 21 * 60 + 30)),
        ("sun 23:59-sun 24:00", (WEEK_MINUTES - 1, WEEK_MINUTES)),
    ],
)
def test_window_is_read(text: str, window: tuple[int, int]) -> None:
    assert parse(text) == window


@pytest.mark.parametrize(
    "text",
    ["", "never", "Mon 08:00", "Mon 8:00-Mon 9:00", "Mun 08:00-Mon 09:00", "Mon 24:30-Tue 01:00"],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse(text)


@pytest.mark.parametrize("text", ["Mon 08:00-Mon 08:00", "Sun 22:00-Mon 02:00"])
def test_window_that_ends_before_it_starts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="two windows"):
        parse(text)


@pytest.mark.parametrize("day", range(1, 15))
def test_minute_of_the_week_is_that_of_the_calendar(day: int) -> None:
    moment = dt.datetime(2026, 11, day, 13, 37, 59, tzinfo=dt.UTC)

    minute = minute_of_week(int(moment.timestamp()) * 1_000_000_000)

    assert minute == moment.weekday() * DAY + 13 * 60 + 37


def test_one_of_several_windows_is_enough() -> None:
    windows = (parse("Mon 00:00-Mon 01:00"), parse("Thu 00:00-Thu 01:00"))

    assert is_open(windows, 0)  # a Thursday
    assert not is_open(windows, 3_600_000_000_000)
    assert not is_open((), 0)
    assert is_open((parse("always"),), 0)
