"""A feed in front of a faulty venue, and what it has told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from krator_actors.config import VenueConfig
from krator_actors.feed import FeedActor, FeedConfig
from krator_actors.messages.incidents import StallDetected
from krator_actors.messages.market import MarketDataGap, MarketStatus, TradeTick
from supervisors.messages import Message
from supervisors.testing import ActorHarness
from tests.actors.faulty_venue import FaultyVenue

BTC = "BTC-USDT.SIM"
SMA = f"strategy:{BTC}/sma"
M = TypeVar("M", bound=Message)


def feed_of(url: str, **venue: Any) -> ActorHarness:
    settings = {
        "reconnect_initial_secs": 0.01,
        "reconnect_max_secs": 0.02,
        "request_timeout_secs": 2.0,
        **venue,
    }
    config = FeedConfig(
        venue=VenueConfig(**settings), url=url, symbols=(BTC,), routes={BTC: (SMA,)}
    )
    return ActorHarness(FeedActor, name="feed:SIM", config=config)


@asynccontextmanager
async def live(venue: FaultyVenue, **options: Any) -> AsyncIterator[ActorHarness]:
    """A feed whose symbol is live and has had trades; the venue must be trading."""
    async with feed_of(venue.url, **options) as feed:
        await feed.eventually(lambda: len(ids(feed)) > 3 and reasons(feed)[-1] == "LIVE")
        yield feed


def told(feed: ActorHarness, receiver: str, kind: type[M]) -> list[M]:
    return [message for message in feed.told_to(receiver) if isinstance(message, kind)]


def reasons(feed: ActorHarness) -> list[str]:
    return [status.reason for status in told(feed, "risk", MarketStatus)]


def stalls(feed: ActorHarness, symbol: str = BTC) -> list[str]:
    return [s.code for s in told(feed, "rca", StallDetected) if s.symbol == symbol]


def ids(feed: ActorHarness) -> list[int]:
    return [trade.trade_id for trade in told(feed, SMA, TradeTick)]


def gaps(feed: ActorHarness, stream: str = "trade") -> list[MarketDataGap]:
    return [gap for gap in told(feed, SMA, MarketDataGap) if gap.stream == stream]


def assert_nothing_is_lost_unsaid(feed: ActorHarness) -> None:
    """Each trade once and in order; what is missing is what gaps say."""
    found = ids(feed)
    assert found == sorted(set(found))
    missing = sum(gap.count for gap in gaps(feed))
    assert found[-1] - found[0] + 1 == len(found) + missing
