"""Several connections to the same streams, and one that takes another's place."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

import krator_actors.market_lines
from krator_actors.messages.market import QuoteTick
from tests.actors.faulty_venue import FaultyVenue
from tests.actors.feed_scene import (
    assert_nothing_is_lost_unsaid,
    gaps,
    ids,
    live,
    reasons,
    stalls,
    told,
)


@pytest.fixture
async def venue() -> AsyncIterator[FaultyVenue]:
    venue = FaultyVenue()
    # What is missed is missed: so that only the other connection can have it.
    venue.has_history = False
    async with venue.serve(), venue.trading(period_secs=0.002):
        yield venue


@pytest.mark.parametrize("seed", range(5))
async def test_no_trade_is_missing_or_told_twice_when_either_of_two_connections_dies(
    venue: FaultyVenue, seed: int
) -> None:
    dice = random.Random(seed)
    async with live(venue, connections=2) as feed:
        for _ in range(4):
            await feed.eventually(lambda: feed.actor._lines.live == 2)
            await asyncio.sleep(dice.random() * 0.05)  # at any moment
            alive = [c for c in venue.connections if c.state.name == "OPEN"]
            dice.choice(alive).transport.abort()
            await feed.eventually(lambda: feed.actor._lines.live == 1)

        after = ids(feed)[-1] + 20
        await feed.eventually(lambda: ids(feed)[-1] > after)
        assert_nothing_is_lost_unsaid(feed)
        assert gaps(feed) == []
        assert reasons(feed)[-1] == "LIVE"
        assert stalls(feed) == ["LIVE"]


async def test_quote_of_two_connections_is_told_once_and_never_an_older_one(
    venue: FaultyVenue,
) -> None:
    async with live(venue, connections=2) as feed:
        await feed.eventually(lambda: feed.actor._lines.live == 2)

        before = len(told(feed, "risk", QuoteTick))
        await feed.eventually(lambda: len(told(feed, "risk", QuoteTick)) > before + 50)

        numbers = [quote.update_id for quote in told(feed, "risk", QuoteTick)]
        assert numbers == sorted(set(numbers))


async def test_connection_that_is_silent_beside_one_that_speaks_costs_nothing(
    venue: FaultyVenue,
) -> None:
    async with live(venue, connections=2, quote_stale_secs=0.3) as feed:
        await feed.eventually(lambda: feed.actor._lines.live == 2)
        venue.deaf.add(0)

        after = ids(feed)[-1] + 300
        await feed.eventually(lambda: ids(feed)[-1] > after)

        assert_nothing_is_lost_unsaid(feed)
        assert gaps(feed) == []
        assert stalls(feed) == ["LIVE"]


async def test_old_connection_is_replaced_by_one_that_speaks_without_a_hole(
    venue: FaultyVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live(venue, quote_stale_secs=0.5) as feed:
        line = feed.actor._lines._lines[0]
        monkeypatch.setattr(type(line.codec), "lifetime_secs", 0.6)
        await feed.eventually(lambda: len(venue.connections) >= 2)
        monkeypatch.setattr(type(line.codec), "lifetime_secs", 86_400.0)

        await feed.eventually(lambda: line not in feed.actor._lines._all())

        after = ids(feed)[-1] + 20
        await feed.eventually(lambda: ids(feed)[-1] > after)
        assert venue.connections[0].state.name == "CLOSED"
        assert_nothing_is_lost_unsaid(feed)
        assert gaps(feed) == []
        assert stalls(feed) == ["LIVE"]


async def test_replacement_that_stays_silent_is_given_up(
    venue: FaultyVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krator_actors.market_lines, "_FRESH_SECS", 0.2)
    async with live(venue) as feed:
        venue.deaf.add(1)

        await venue.say('{"e":"serverShutdown","E":1770123456789}')

        await feed.eventually(lambda: len(venue.connections) == 2)
        await feed.eventually(lambda: not feed.actor._lines._successors)
        assert venue.connections[0].state.name == "OPEN"
        assert gaps(feed) == []
        assert stalls(feed) == ["LIVE"]


async def test_connection_of_a_stalled_symbol_is_replaced_while_the_others_go_on(
    venue: FaultyVenue,
) -> None:
    async with live(venue, trade_stale_secs=0.3, quote_stale_secs=0.3) as feed:
        venue.withheld = set(range(1, 1_000_000))

        await feed.eventually(lambda: len(venue.connections) >= 2)

        assert stalls(feed)[:2] == ["LIVE", "STALE_TRADES"]
        assert "DISCONNECTED" not in stalls(feed)
