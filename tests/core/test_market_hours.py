from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.market_hours import Hours, early_closes, holidays, us_stock_hours

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> Hours:
    """What it is at a time in New York."""
    moment = datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)
    return us_stock_hours(int(moment.timestamp()) * 10**9)


@pytest.mark.parametrize(
    ("time", "hours"),
    [
        ("03:59:59", Hours.CLOSED),
        ("04:00:00", Hours.PRE),
        ("09:29:59", Hours.PRE),
        ("09:30:00", Hours.REGULAR),
        ("15:59:59", Hours.REGULAR),
        ("16:00:00", Hours.POST),
        ("19:59:59", Hours.POST),
        ("20:00:00", Hours.CLOSED),
    ],
)
@pytest.mark.parametrize("day", ["2026-01-14", "2026-07-15", "2026-03-09", "2026-11-02"])
def test_a_day_has_its_hours_in_winter_and_in_summer(day: str, time: str, hours: Hours) -> None:
    assert at(f"{day}T{time}") is hours


@pytest.mark.parametrize("day", ["2026-01-17", "2026-01-18", "2026-01-19", "2026-12-25"])
def test_weekends_and_holidays_are_closed(day: str) -> None:
    assert at(f"{day}T12:00:00") is Hours.CLOSED


def test_the_day_after_thanksgiving_closes_at_one() -> None:
    assert at("2026-11-27T12:59:59") is Hours.REGULAR
    assert at("2026-11-27T13:00:00") is Hours.POST
    assert at("2026-11-27T17:00:00") is Hours.CLOSED


@pytest.mark.parametrize(
    ("year", "days"),
    [
        # As NYSE has published them.
        (2024, ["01-01", "01-15", "02-19", "03-29", "05-27", "06-19", "07-04", "09-02", "11-28",
                "12-25"]),
        (2025, ["01-01", "01-20", "02-17", "04-18", "05-26", "06-19", "07-04", "09-01", "11-27",
                "12-25"]),
        (2026, ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26",
                "12-25"]),
        # New Year's Day on a Saturday is not made up for; Juneteenth and Christmas on a Sunday are.
        (2022, ["01-17", "02-21", "04-15", "05-30", "06-20", "07-04", "09-05", "11-24", "12-26"]),
    ],
)  # fmt: skip
def test_holidays_are_those_that_were_published(year: int, days: list[str]) -> None:
    assert holidays(year) == {date.fromisoformat(f"{year}-{day}") for day in days}


def test_early_closes_are_those_that_were_published() -> None:
    expected = {2024: ["07-03", "11-29", "12-24"], 2025: ["07-03", "11-28", "12-24"],
                2026: ["11-27", "12-24"]}  # fmt: skip

    for year, days in expected.items():
        assert early_closes(year) == {date.fromisoformat(f"{year}-{day}") for day in days}


@given(st.integers(1_168_000_000, 2_500_000_000))
def test_the_clock_of_new_york_is_the_one_of_the_time_zone_database(secs: int) -> None:
    local = datetime.fromtimestamp(secs, UTC).astimezone(NEW_YORK)
    hours = us_stock_hours(secs * 10**9)

    if hours is not Hours.CLOSED:
        assert local.weekday() < 5
        assert 4 <= local.hour < 20
    if hours is Hours.REGULAR:
        assert (9, 30) <= (local.hour, local.minute) < (16, 0)
