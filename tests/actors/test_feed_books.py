"""Order books of a feed: built, broken, built again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from krator_actors.messages.market import BookTop
from tests.actors.faulty_venue import FaultyVenue
from tests.actors.feed_scene import SMA, gaps, live, told


@pytest.fixture
async def venue() -> AsyncIterator[FaultyVenue]:
    venue = FaultyVenue()
    async with venue.serve(), venue.trading():
        yield venue


def best(top: BookTop) -> tuple[str, str]:
    return str(top.bids[0][0]), str(top.asks[0][0])


async def test_book_is_built_from_a_snapshot_and_follows_its_updates(venue: FaultyVenue) -> None:
    async with live(venue, books=True) as feed:
        await feed.eventually(lambda: bool(told(feed, SMA, BookTop)))

        await venue.depth({"99.9": "3"}, {"100.1": "4"})

        await feed.eventually(lambda: best(told(feed, SMA, BookTop)[-1]) == ("99.9", "100.1"))
        assert best(told(feed, SMA, BookTop)[0]) == ("99", "101")
        assert gaps(feed, "book") == []


@pytest.mark.parametrize("fault", ["GAP", "CROSSED"])
async def test_book_that_broke_is_declared_and_built_again(venue: FaultyVenue, fault: str) -> None:
    async with live(venue, books=True) as feed:
        await feed.eventually(lambda: bool(told(feed, SMA, BookTop)))

        tops = len(told(feed, SMA, BookTop))
        if fault == "GAP":
            await venue.depth({"99.9": "3"}, {}, skip=5)
        else:
            await venue.depth({"105": "1"}, {})
            await venue.depth({"105": "0"}, {})

        await feed.eventually(lambda: bool(gaps(feed, "book")))
        (gap,) = gaps(feed, "book")
        assert gap.reason == fault
        assert gap.count == (5 if fault == "GAP" else 0)
        await feed.eventually(lambda: len(told(feed, SMA, BookTop)) > tops)
        expected = ("99.9", "101") if fault == "GAP" else ("99", "101")
        assert best(told(feed, SMA, BookTop)[-1]) == expected
        assert all(float(top.bids[0][0]) < 101 for top in told(feed, SMA, BookTop))


async def test_books_are_not_asked_for_unless_wanted(venue: FaultyVenue) -> None:
    async with live(venue) as feed:
        await venue.depth({"99.9": "3"}, {})

        assert told(feed, SMA, BookTop) == []
        assert "/api/v3/depth" not in venue.rest_calls


async def test_second_connection_has_its_book_ready_when_the_first_dies(
    venue: FaultyVenue,
) -> None:
    async with live(venue, books=True, connections=2) as feed:
        lines = feed.actor._lines
        await feed.eventually(
            lambda: (
                all(
                    book.state.name == "LIVE"
                    for line in lines._lines
                    for book in line.books.values()
                )
                and lines.live == 2
            )
        )
        venue.connections[0].transport.abort()
        await feed.eventually(lambda: lines.live == 1)

        await venue.depth({"99.9": "3"}, {"100.1": "4"})

        await feed.eventually(lambda: best(told(feed, SMA, BookTop)[-1]) == ("99.9", "100.1"))
        assert gaps(feed, "book") == []
        numbers = [top.update_id for top in told(feed, SMA, BookTop)]
        assert numbers == sorted(numbers)
