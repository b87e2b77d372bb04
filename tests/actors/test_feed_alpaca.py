"""The feed in front of a small Alpaca: class shares, trades taken back, half a day."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from krator_actors import clock
from krator_actors.adapters.venues import MARKET_VENUES
from krator_actors.config import VenueConfig
from krator_actors.feed import FeedActor, FeedConfig
from krator_actors.messages.market import (
    FeedStatus,
    FeedStatusRequest,
    MarketDataGap,
    MarketStatus,
    TradeSummary,
    TradeTick,
)
from krator_actors.model import venue_symbol_of
from krator_actors.strategy_config import SmaCrossConfig
from supervisors.testing import ActorHarness
from tests.actors.feed_scene import told

BRK = "BRK.B-USD.ALPACA"
SMA = f"strategy:{BRK}/sma"
AT = "2026-09-21T14:13:20.000000Z"


class Alpaca:
    """One connection at a time; REST has nothing."""

    def __init__(self) -> None:
        self.socket: web.WebSocketResponse
        self.asked: list[dict[str, Any]] = []
        self.url = ""

    async def say(self, *messages: dict[str, Any]) -> None:
        await self.socket.send_str(json.dumps(messages))

    async def quote(self) -> None:
        sides = {"bp": 480.1, "bs": 1, "ap": 480.2, "as": 1}
        await self.say({"T": "q", "S": "BRK.B", "t": AT, **sides})

    async def trade(self, trade_id: int, price: float) -> None:
        await self.say({"T": "t", "S": "BRK.B", "i": trade_id, "p": price, "s": 10, "t": AT})

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        self.socket = web.WebSocketResponse()
        await self.socket.prepare(request)
        await self.say({"T": "success", "msg": "connected"})
        async for message in self.socket:
            asked = json.loads(message.data)
            self.asked.append(asked)
            if asked["action"] == "auth":
                await self.say({"T": "success", "msg": "authenticated"})
            else:
                lists = {name: asked.get(name, []) for name in ("trades", "quotes", "bars")}
                await self.say({"T": "subscription", **lists})
        return self.socket


@pytest.fixture
async def alpaca() -> AsyncIterator[Alpaca]:
    venue = Alpaca()
    app = web.Application()
    app.router.add_get("/v2/iex", venue.stream)
    async with TestServer(app) as server:
        venue.url = f"http://127.0.0.1:{server.port}"
        yield venue


def feed_of(alpaca: Alpaca, **venue: Any) -> ActorHarness:
    settings = VenueConfig(name="ALPACA", kind="alpaca_iex", **venue)
    config = FeedConfig(venue=settings, url=alpaca.url, symbols=(BRK,), routes={BRK: (SMA,)})
    return ActorHarness(FeedActor, name="feed:ALPACA", config=config)


async def until_live(feed: ActorHarness, alpaca: Alpaca) -> None:
    await feed.eventually(lambda: len(alpaca.asked) == 2)
    await alpaca.quote()
    await feed.eventually(lambda: told(feed, "risk", MarketStatus)[-1].reason == "LIVE")


async def test_class_share_is_a_symbol_from_the_configuration_to_the_wire(alpaca: Alpaca) -> None:
    assert SmaCrossConfig(symbol=BRK).symbol == BRK
    assert venue_symbol_of(BRK) == "BRK.BUSD"

    async with feed_of(alpaca) as feed:
        await until_live(feed, alpaca)
        await alpaca.trade(1, 480.15)
        await feed.eventually(lambda: bool(told(feed, SMA, TradeTick)))

    assert alpaca.asked[1]["trades"] == ["BRK.B"]
    assert told(feed, SMA, TradeTick)[0].symbol == BRK


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ({"T": "x", "i": 2, "p": 999.0, "s": 10, "a": "E"}, "TRADE_CANCELED"),
        ({"T": "c", "oi": 2, "op": 999.0, "os": 10, "ci": 3, "cp": 480.0, "cs": 10},
         "TRADE_CORRECTED"),
    ],
    ids=["canceled", "corrected"],
)  # fmt: skip
async def test_trade_that_is_taken_back_is_declared_once_and_is_no_last_price(
    alpaca: Alpaca, revision: dict[str, Any], reason: str
) -> None:
    async with feed_of(alpaca) as feed:
        await until_live(feed, alpaca)
        await alpaca.trade(1, 480.15)
        await alpaca.trade(2, 999.0)
        await feed.eventually(lambda: len(told(feed, SMA, TradeTick)) == 2)

        for _ in range(2):
            await alpaca.say({"S": "BRK.B", "x": "D", "z": "C", "t": AT, **revision})
        await alpaca.trade(4, 480.2)

        await feed.eventually(lambda: len(told(feed, SMA, TradeTick)) == 3)
        (gap,) = told(feed, SMA, MarketDataGap)
        assert (gap.first_id, gap.last_id, gap.count, gap.filled) == (2, 2, 1, 0)
        assert gap.reason == reason
        await feed.eventually(
            lambda: [str(s.volume) for s in told(feed, "risk", TradeSummary)][-1:] == ["20"]
        )
        status = await feed.deliver(FeedStatusRequest())
        assert isinstance(status, FeedStatus)
        assert status.unreadable == {}


@pytest.mark.parametrize(
    ("time", "reason"),
    [("2026-11-27T12:59", "STALE_QUOTES"), ("2026-11-27T13:01", "CLOSED"),
     ("2026-12-24T13:01", "CLOSED"), ("2026-12-23T13:01", "STALE_QUOTES")],
)  # fmt: skip
async def test_silence_after_the_end_of_half_a_day_is_no_stall(
    alpaca: Alpaca, monkeypatch: pytest.MonkeyPatch, time: str, reason: str
) -> None:
    moment = datetime.fromisoformat(time).replace(tzinfo=ZoneInfo("America/New_York"))
    ts_ns = int(moment.timestamp()) * 10**9
    assert MARKET_VENUES["alpaca_sip"].is_open(ts_ns) is (reason == "STALE_QUOTES")
    monkeypatch.setattr(clock, "utc_ns", lambda: ts_ns)

    async with feed_of(alpaca, quote_stale_secs=0.2, stale_max_secs=0.2) as feed:
        await until_live(feed, alpaca)

        await feed.eventually(lambda: told(feed, "risk", MarketStatus)[-1].reason != "LIVE")
        assert told(feed, "risk", MarketStatus)[-1].reason == reason
