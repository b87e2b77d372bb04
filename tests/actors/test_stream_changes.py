"""Order books that are asked for, and ended, while a feed runs, with and without a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import krator_actors.stream_changes
from krator_actors.messages.market import BookRequest, BookTop, FeedStatus, FeedStatusRequest
from krator_actors.ports import Channel, Stream
from krator_actors.stream_changes import StreamChanges
from krator_actors.venue_errors import VenueUnavailableError
from supervisors.testing import ActorHarness, eventually
from tests.actors.faulty_venue import FaultyVenue
from tests.actors.feed_scene import BTC, SMA, feed_of, live, reasons, stalls, told

BOOK = Stream(BTC, Channel.BOOK)


@pytest.fixture
async def venue() -> AsyncIterator[FaultyVenue]:
    venue = FaultyVenue()
    async with venue.serve(), venue.trading():
        yield venue


async def books_of(feed: ActorHarness) -> dict[str, str]:
    status = await feed.deliver(FeedStatusRequest())
    assert isinstance(status, FeedStatus)
    return status.books


async def book_is(feed: ActorHarness, state: str) -> None:
    while (await books_of(feed)).get(BTC) != state:
        await feed.eventually(lambda: feed.actor._changes.states.get(BOOK) == state)


async def test_book_is_told_when_it_is_asked_for_and_no_more_when_it_is_ended(
    venue: FaultyVenue,
) -> None:
    async with live(venue) as feed:
        assert await books_of(feed) == {}

        await feed.deliver(BookRequest(symbol=BTC, wanted=True))
        await book_is(feed, "ON")
        await feed.eventually(lambda: BTC in feed.actor._lines.leader.books)
        await feed.eventually(lambda: "/api/v3/depth" in venue.rest_calls)
        await venue.depth({"99.5": "3"}, {})
        await feed.eventually(lambda: bool(told(feed, SMA, BookTop)))

        await feed.deliver(BookRequest(symbol=BTC, wanted=False))
        await book_is(feed, "OFF")
        before = len(told(feed, SMA, BookTop))
        await venue.depth({"99.6": "3"}, {})
        after = len(feed.told_to("risk")) + 5
        await feed.eventually(lambda: len(feed.told_to("risk")) > after)
        assert len(told(feed, SMA, BookTop)) == before
        assert stalls(feed) == ["LIVE"]


async def test_book_that_is_asked_for_without_a_connection_is_there_with_the_next(
    venue: FaultyVenue,
) -> None:
    venue.refuse = lambda connection: connection.respond(503, "later\n")
    async with feed_of(venue.url) as feed:
        await feed.eventually(lambda: "DISCONNECTED" in reasons(feed))

        answer = await feed.deliver(BookRequest(symbol=BTC, wanted=True))
        assert isinstance(answer, FeedStatus)
        assert answer.books == {BTC: "WAITING"}
        venue.refuse = lambda _connection: None

        await book_is(feed, "ON")
        await feed.eventually(lambda: BTC in feed.actor._lines.leader.books)


async def test_book_that_nobody_could_ask_for_in_time_is_not_asked_for_later(
    venue: FaultyVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krator_actors.stream_changes, "_EXPIRES_SECS", 0.1)
    venue.refuse = lambda connection: connection.respond(503, "later\n")
    async with feed_of(venue.url) as feed:
        await feed.deliver(BookRequest(symbol=BTC, wanted=True))

        await book_is(feed, "EXPIRED: no connection within 0.1 s")

        venue.refuse = lambda _connection: None
        await feed.eventually(lambda: bool(reasons(feed)) and reasons(feed)[-1] == "LIVE")
        assert feed.actor._lines.leader.books == {}


async def test_book_of_a_symbol_that_is_not_here_is_refused_at_once(venue: FaultyVenue) -> None:
    async with live(venue) as feed:
        answer = await feed.deliver(BookRequest(symbol="DOGE-USDT.SIM", wanted=True))

        assert isinstance(answer, FeedStatus)
        assert answer.books == {"DOGE-USDT.SIM": "REFUSED: this feed does not offer it"}
        assert await books_of(feed) == {}


async def test_more_changes_than_may_wait_are_refused() -> None:
    async def nobody(stream: Stream, *, begin: bool) -> str:
        raise VenueUnavailableError("no connection is live")

    changes = StreamChanges(
        (), offered=[BOOK], carry_out=nobody, done=lambda: None, component="feed:SIM"
    )

    answers = [changes.put(BOOK, begin=True) for _ in range(101)]

    assert answers == [""] * 100 + ["FULL: 100 changes wait already"]


async def test_change_that_the_venue_refuses_says_why(venue: FaultyVenue) -> None:
    async with live(venue) as feed:
        venue.acknowledge = lambda request: {
            "error": {"code": 2, "msg": "Invalid request"},
            "id": request["id"],
        }

        await feed.deliver(BookRequest(symbol=BTC, wanted=True))

        await book_is(feed, "REFUSED: Invalid request (code 2)")
        assert feed.actor._lines.leader.books == {}
        await eventually(lambda: reasons(feed)[-1] == "LIVE")
