"""The feed actor against a small venue of its own and against the simulated one."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import krator_actors.market_reader
from krator_actors.adapters.venues import MARKET_VENUES, addresses
from krator_actors.config import ConfigError, VenueConfig
from krator_actors.feed import FeedActor, FeedConfig
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.incidents import StallDetected
from krator_actors.messages.market import (
    BarHistory,
    BarsRequest,
    Instruments,
    InstrumentsRequest,
    MarketDataGap,
    MarketStatus,
    QuoteTick,
    TradeSummary,
    TradeTick,
)
from supervisors.messages import Message
from supervisors.testing import ActorHarness

BTC, ETH = "BTC-USDT.SIM", "ETH-USDT.SIM"
SMA, EMA, ETH_SMA = f"strategy:{BTC}/sma", f"strategy:{BTC}/ema", f"strategy:{ETH}/sma"
ROUTES = {BTC: (SMA, EMA), ETH: (ETH_SMA,)}
M = TypeVar("M", bound=Message)


class Venue:
    """Speaks Binance's dialect as far as the feed listens, and breaks when told."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.subscriptions: list[list[str]] = []
        self.rest_calls: list[str] = []
        self.acknowledge: Callable[[int], str | None] = lambda number: json.dumps(
            {"result": None, "id": number}
        )
        self.exchange_info: Callable[[list[str]], web.Response] = self.list_all
        self.klines: Callable[[], web.Response] = lambda: web.json_response([])
        self.trade_id = 100
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/api/v3/exchangeInfo", self._exchange_info)
        app.router.add_get("/api/v3/klines", self._klines)
        async with TestServer(app) as server:
            self.url = f"http://127.0.0.1:{server.port}"
            yield
            for socket in self.sockets:
                await socket.close()

    async def say(self, text: str) -> None:
        await self.sockets[-1].send_str(text)

    async def quote(self, symbol: str = "BTCUSDT", **changes: str) -> None:
        data = {"u": 1, "s": symbol, "b": "99.5", "B": "1", "a": "100.5", "A": "2", **changes}
        await self.say(json.dumps({"stream": f"{symbol.lower()}@bookTicker", "data": data}))

    async def trade(
        self, trade_id: int | None = None, symbol: str = "BTCUSDT", price: str = "100"
    ) -> None:
        self.trade_id = self.trade_id + 1 if trade_id is None else trade_id
        number, ts_ms = self.trade_id, 1_723_161_255_000 + self.trade_id
        data = {"s": symbol, "t": number, "p": price, "q": "1", "T": ts_ms, "m": False}
        await self.say(json.dumps({"stream": f"{symbol.lower()}@trade", "data": data}))

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            frame = json.loads(message.data)
            self.subscriptions.append(frame["params"])
            answer = self.acknowledge(frame["id"])
            if answer is not None:
                await socket.send_str(answer)
            self.sockets.append(socket)
        return socket

    async def _exchange_info(self, request: web.Request) -> web.Response:
        symbols = json.loads(request.query["symbols"])
        self.rest_calls.append(f"exchangeInfo {symbols}")
        return self.exchange_info(symbols)

    async def _klines(self, request: web.Request) -> web.Response:
        self.rest_calls.append(f"klines {request.query['symbol']}")
        return self.klines()

    @staticmethod
    def list_all(symbols: list[str]) -> web.Response:
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000", "stepSize": "0.001"},
            {"filterType": "NOTIONAL", "minNotional": "5"},
        ]
        listings = [
            {"symbol": s, "baseAsset": s[:3], "quoteAsset": s[3:], "filters": filters}
            for s in symbols
        ]
        return web.json_response({"symbols": listings})


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    async with venue.serve():
        yield venue


def feed_of(
    url: str, *, generation: int = 1, symbols: tuple[str, ...] = (BTC, ETH), **venue: Any
) -> ActorHarness:
    settings = {"reconnect_initial_secs": 0.01, "reconnect_max_secs": 0.02, **venue}
    config = FeedConfig(venue=VenueConfig(**settings), url=url, symbols=symbols, routes=ROUTES)
    return ActorHarness(FeedActor, name="feed:SIM", config=config, generation=generation)


@asynccontextmanager
async def live(venue: Venue, **options: Any) -> AsyncIterator[ActorHarness]:
    """A feed whose symbols are all live."""
    async with feed_of(venue.url, **options) as feed:
        await feed.eventually(lambda: bool(venue.sockets))
        await venue.quote("BTCUSDT")
        await venue.quote("ETHUSDT")
        await feed.eventually(lambda: reasons(feed, BTC)[-1] == reasons(feed, ETH)[-1] == "LIVE")
        yield feed


def told(feed: ActorHarness, receiver: str, kind: type[M]) -> list[M]:
    return [message for message in feed.told_to(receiver) if isinstance(message, kind)]


def reasons(feed: ActorHarness, symbol: str, receiver: str = "risk") -> list[str]:
    return [s.reason for s in told(feed, receiver, MarketStatus) if s.symbol == symbol]


def stalls(feed: ActorHarness, symbol: str) -> list[str]:
    return [s.code for s in told(feed, "rca", StallDetected) if s.symbol == symbol]


async def test_feed_is_ready_without_a_venue_and_says_that_nothing_is_fresh() -> None:
    async with feed_of("http://127.0.0.1:9") as feed:
        await feed.eventually(lambda: "DISCONNECTED" in reasons(feed, BTC, SMA))

        first = told(feed, SMA, MarketStatus)[0]
        assert (first.fresh, first.reason) == (False, "CONNECTING")
        assert await feed.deliver(InstrumentsRequest()) == Instruments(instruments=())


async def test_symbol_is_live_with_its_first_quote(venue: Venue) -> None:
    async with live(venue) as feed:
        assert venue.subscriptions == [
            ["btcusdt@bookTicker", "btcusdt@trade", "ethusdt@bookTicker", "ethusdt@trade"]
        ]
        for receiver in ("risk", SMA, EMA):
            assert told(feed, receiver, MarketStatus)[-1].fresh
        assert stalls(feed, BTC) == ["LIVE"]


async def test_quote_goes_to_risk_and_to_the_strategies_of_its_symbol(venue: Venue) -> None:
    async with live(venue) as feed:
        await venue.quote("BTCUSDT", b="99.9")

        await feed.eventually(
            lambda: all(
                str(told(feed, receiver, QuoteTick)[-1].bid) == "99.9"
                for receiver in ("risk", SMA, EMA)
            )
        )
        assert all(quote.symbol == ETH for quote in told(feed, ETH_SMA, QuoteTick))


async def test_trades_go_to_their_strategies_alone_and_in_order(venue: Venue) -> None:
    async with live(venue) as feed:
        for _ in range(50):
            await venue.trade()

        await feed.eventually(lambda: len(told(feed, EMA, TradeTick)) == 50)
        ids = [trade.trade_id for trade in told(feed, SMA, TradeTick)]
        assert ids == list(range(101, 151))
        assert told(feed, "risk", TradeTick) == told(feed, ETH_SMA, TradeTick) == []
        assert told(feed, SMA, MarketDataGap) == []


async def test_risk_is_told_the_last_trade_and_the_volume_and_again_when_it_asks(
    venue: Venue,
) -> None:
    async with live(venue) as feed:
        for _ in range(3):
            await venue.trade()
        await feed.eventually(lambda: len(told(feed, SMA, TradeTick)) == 3)
        trades = told(feed, SMA, TradeTick)

        await feed.eventually(lambda: bool(told(feed, "risk", TradeSummary)))
        before = len(told(feed, "risk", TradeSummary))
        await feed.deliver(InstrumentsRequest(), "risk")
        await feed.eventually(lambda: len(told(feed, "risk", TradeSummary)) > before)

    summary = told(feed, "risk", TradeSummary)[-1]
    assert summary.last_price == trades[-1].price
    assert summary.volume == sum(trade.size for trade in trades)
    assert told(feed, SMA, TradeSummary) == []


async def test_hole_in_trade_ids_is_declared_before_the_trade_after_it(venue: Venue) -> None:
    async with live(venue) as feed:
        await venue.trade(7)
        await venue.trade(7)
        await venue.trade(11)

        await feed.eventually(lambda: len(told(feed, SMA, TradeTick)) == 2)
        first, gap, last = [
            m for m in feed.told_to(SMA) if isinstance(m, TradeTick | MarketDataGap)
        ]
        assert isinstance(first, TradeTick)
        assert isinstance(gap, MarketDataGap)
        assert isinstance(last, TradeTick)
        assert (gap.first_id, gap.last_id, gap.count) == (8, 10, 3)
        assert [first.trade_id, last.trade_id] == [7, 11]
        await feed.eventually(lambda: stalls(feed, BTC) == ["LIVE", "GAP", "LIVE"])


async def test_feed_that_follows_another_declares_what_nobody_saw(venue: Venue) -> None:
    async with live(venue, generation=2) as feed:
        await venue.trade(7)

        await feed.eventually(lambda: bool(told(feed, SMA, TradeTick)))
        assert [gap.reason for gap in told(feed, SMA, MarketDataGap)] == ["FEED_STARTED"]


async def test_lost_connection_is_told_at_once_and_subscribed_again(venue: Venue) -> None:
    async with live(venue) as feed:
        await venue.trade(7)
        await feed.eventually(lambda: bool(told(feed, SMA, TradeTick)))

        await venue.sockets[0].close()

        await feed.eventually(lambda: len(venue.sockets) == 2)
        await venue.quote("BTCUSDT")
        await venue.trade(9)
        await feed.eventually(lambda: bool(told(feed, SMA, MarketDataGap)))
        await feed.eventually(lambda: reasons(feed, BTC)[-1] == "LIVE")
        after_loss = reasons(feed, BTC)[reasons(feed, BTC).index("DISCONNECTED") :]
        assert after_loss == ["DISCONNECTED", "CONNECTING", "LIVE", "GAP", "LIVE"]
        assert stalls(feed, BTC)[:2] == ["LIVE", "DISCONNECTED"]


async def test_feed_without_a_connection_raises_an_alarm_until_it_has_one(venue: Venue) -> None:
    async with live(venue) as feed:
        taken = venue.acknowledge
        venue.acknowledge = lambda _number: None

        await venue.sockets[0].close()

        await feed.eventually(lambda: set(feed.alarms) == {"venue_lost"})
        venue.acknowledge = taken
        for socket in venue.sockets:
            await socket.close()
        await feed.eventually(lambda: not feed.alarms)


async def test_symbol_without_quotes_is_stale_and_the_others_are_not(venue: Venue) -> None:
    async with live(venue, quote_stale_secs=0.4) as feed:
        while reasons(feed, ETH)[-1] != "STALE_QUOTES":
            await venue.quote("BTCUSDT")
            await asyncio.sleep(0.02)

        assert reasons(feed, BTC)[-1] == "LIVE"
        assert stalls(feed, ETH) == ["LIVE", "STALE_QUOTES"]
        await venue.quote("ETHUSDT")
        await feed.eventually(lambda: reasons(feed, ETH)[-1] == "LIVE")


async def test_symbol_without_trades_is_stale_though_quotes_come(venue: Venue) -> None:
    async with live(venue, trade_stale_secs=0.3) as feed:
        while reasons(feed, BTC)[-1] != "STALE_TRADES":
            await venue.quote("BTCUSDT")
            await venue.quote("ETHUSDT")
            await asyncio.sleep(0.02)

        await venue.trade()

        await feed.eventually(lambda: reasons(feed, BTC)[-1] == "LIVE")


async def test_connection_on_which_every_symbol_is_silent_is_made_anew(venue: Venue) -> None:
    async with live(venue, quote_stale_secs=0.2) as feed:
        await feed.eventually(lambda: len(venue.sockets) >= 2)

        assert "STALE_QUOTES" in reasons(feed, BTC)
        assert "DISCONNECTED" in reasons(feed, BTC)


async def test_announced_shutdown_is_not_waited_for(venue: Venue) -> None:
    async with live(venue) as feed:
        await venue.say('{"e":"serverShutdown","E":1770123456789}')

        await feed.eventually(lambda: len(venue.sockets) == 2)


async def test_malformed_frames_are_counted_and_skipped(venue: Venue) -> None:
    async with live(venue) as feed:
        before = len(told(feed, "risk", QuoteTick))
        await venue.say("{")
        await venue.say("[]")
        await venue.quote("BTCUSDT", b="NaN")
        await venue.quote("BTCUSDT", b="-1")
        await venue.quote("DOGEUSDT")
        await venue.trade(price="0")

        await venue.quote("BTCUSDT")

        await feed.eventually(lambda: len(told(feed, "risk", QuoteTick)) == before + 1)
        assert feed.actor._unreadable.counts == {
            "BAD_JSON": 1,
            "BAD_SHAPE": 1,
            "BAD_NUMBER": 3,
            "UNKNOWN_STREAM": 1,
        }


async def test_subscription_that_is_refused_is_tried_again(venue: Venue) -> None:
    def refuse_once(number: int) -> str:
        if not venue.sockets:
            return '{"error":{"code":-1003,"msg":"Too many"},"id":1}'
        return json.dumps({"result": None, "id": number})

    venue.acknowledge = refuse_once
    async with feed_of(venue.url) as feed:
        await feed.eventually(lambda: len(venue.sockets) == 2)

        await venue.quote()

        await feed.eventually(lambda: reasons(feed, BTC)[-1] == "LIVE")


async def test_subscription_that_is_never_acknowledged_is_tried_again(venue: Venue) -> None:
    venue.acknowledge = lambda _number: None

    async with feed_of(venue.url, request_timeout_secs=0.2) as feed:
        await feed.eventually(lambda: len(venue.sockets) >= 2)


async def test_instruments_are_told_when_known_and_answered_when_asked(venue: Venue) -> None:
    async with feed_of(venue.url) as feed:
        await feed.eventually(
            lambda: all(told(feed, r, Instruments) for r in ("risk", SMA, EMA, ETH_SMA))
        )

        answer = await feed.deliver(InstrumentsRequest(), sender="risk")

        assert isinstance(answer, Instruments)
        assert [one.symbol for one in answer.instruments] == [BTC, ETH]
        assert venue.rest_calls == ["exchangeInfo ['BTCUSDT', 'ETHUSDT']"]


async def test_instruments_are_asked_for_until_the_venue_answers(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krator_actors.market_reader, "_RETRY_INITIAL_SECS", 0.01)
    answers = [web.Response(status=503), web.Response(text="<html>")]
    venue.exchange_info = lambda symbols: answers.pop() if answers else venue.list_all(symbols)

    async with feed_of(venue.url) as feed:
        await feed.eventually(lambda: bool(told(feed, "risk", Instruments)))

        assert len(venue.rest_calls) == 3


async def test_symbol_that_the_venue_does_not_know_stops_only_itself(venue: Venue) -> None:
    def refuse_eth(symbols: list[str]) -> web.Response:
        if "ETHUSDT" in symbols:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        return venue.list_all(symbols)

    venue.exchange_info = refuse_eth

    async with feed_of(venue.url) as feed:
        await feed.eventually(lambda: bool(told(feed, "risk", Instruments)))

        (instruments,) = told(feed, "risk", Instruments)
        assert [one.symbol for one in instruments.instruments] == [BTC]


async def test_bars_are_answered_and_the_one_who_asked_hears_what_is_fresh(venue: Venue) -> None:
    venue.klines = lambda: web.json_response(
        [
            [secs * 1_000, "1", "2", "1", "2", "3", secs * 1_000 + 999, "1", 1]
            for secs in range(10, 16)
        ]
    )
    async with live(venue) as feed:
        heard = len(told(feed, SMA, MarketStatus))

        answer = await feed.deliver(
            BarsRequest(symbol=BTC, spec=BarSpec(5, BarUnit.SECOND), count=3), sender=SMA
        )

        assert isinstance(answer, BarHistory)
        assert [bar.ts_open // 1_000_000_000 for bar in answer.bars] == [10]
        await feed.eventually(lambda: len(told(feed, SMA, MarketStatus)) == heard + 1)
        assert told(feed, SMA, MarketStatus)[-1].fresh


@pytest.mark.parametrize(
    "answer", [{"status": 503}, {"status": 400, "text": "{}"}, {"text": "[[]]"}, {"text": "x"}]
)
async def test_bars_that_the_venue_cannot_give_are_an_empty_history(
    venue: Venue, answer: dict[str, Any]
) -> None:
    venue.klines = lambda: web.Response(**answer)
    async with feed_of(venue.url) as feed:
        history = await feed.deliver(
            BarsRequest(symbol=BTC, spec=BarSpec(5, BarUnit.SECOND), count=3), sender=SMA
        )

        assert history == BarHistory(symbol=BTC, bars=())


@pytest.mark.parametrize(
    "request_",
    [
        ("SOL-USDT.SIM", "5-SECOND-LAST", 3),
        (BTC, "5-SECOND-LAST", 0),
        (BTC, "5-SECOND-MID", 3),
        (BTC, "9-TICK-LAST", 3),
    ],
)
async def test_bars_that_cannot_be_are_not_asked_for(
    venue: Venue, request_: tuple[str, str, int]
) -> None:
    symbol, spec, count = request_
    async with feed_of(venue.url) as feed:
        request = BarsRequest(symbol=symbol, spec=BarSpec.parse(spec), count=count)

        assert await feed.deliver(request) == BarHistory(symbol=symbol, bars=())
        assert not any(call.startswith("klines") for call in venue.rest_calls)


async def test_full_queue_leaves_out_trades_and_declares_them(venue: Venue) -> None:
    async with live(venue) as feed:
        await venue.trade(1)
        await feed.eventually(lambda: bool(told(feed, SMA, TradeTick)))
        feed.actor._teller.queue.limit = 0
        await venue.trade(2)
        await feed.eventually(lambda: feed.actor._overflowed == 1)
        feed.actor._teller.queue.limit = 100

        await venue.trade(3)

        await feed.eventually(lambda: bool(told(feed, SMA, MarketDataGap)))
        (gap,) = told(feed, SMA, MarketDataGap)
        assert (gap.first_id, gap.last_id) == (2, 2)
        await feed.eventually(lambda: feed.actor._overflowed == 0)  # reported


async def test_feed_without_symbols_asks_nobody(venue: Venue) -> None:
    async with feed_of(venue.url, symbols=()) as feed:
        assert await feed.deliver(InstrumentsRequest()) == Instruments(instruments=())

        assert venue.rest_calls == []
        assert venue.subscriptions == []


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://venue"])
async def test_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a venue"):
        async with feed_of(url):
            pass


def test_binance_itself_needs_no_address() -> None:
    assert addresses(MARKET_VENUES["binance"], "") == (
        "wss://stream.binance.com:9443",
        "https://api.binance.com",
    )


# -- against the simulated venue -----------------------------------------------------------------


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    """The simulated venue in its own process; its address."""
    command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(tmp_path)]
    process = subprocess.Popen([*command, "--ticks-per-sec", "200"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        finally:
            process.kill()
            process.stdout.close()


async def fault(url: str, action: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/sim/faults", json={"action": action}) as answer,
    ):
        assert answer.status == 200


async def test_simulated_venue_feeds_trades_without_a_hole(exchange: str) -> None:
    async with feed_of(exchange) as feed:
        await feed.eventually(lambda: len(told(feed, SMA, TradeTick)) > 100, timeout_secs=20)

        ids = [trade.trade_id for trade in told(feed, SMA, TradeTick)]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert told(feed, SMA, MarketDataGap) == []
        history = await feed.deliver(
            BarsRequest(symbol=BTC, spec=BarSpec(5, BarUnit.SECOND), count=8), sender=SMA
        )
        assert isinstance(history, BarHistory)
        assert all(bar.trades for bar in history.bars)


@pytest.mark.parametrize(
    ("action", "reason"), [("drop_connections", "DISCONNECTED"), ("silence", "STALE_QUOTES")]
)
async def test_fault_of_the_simulated_venue_is_told(
    exchange: str, action: str, reason: str
) -> None:
    async with feed_of(exchange, quote_stale_secs=1.0) as feed:
        await feed.eventually(lambda: reasons(feed, BTC)[-1] == "LIVE", timeout_secs=20)

        await fault(exchange, action)

        await feed.eventually(lambda: reason in reasons(feed, BTC), timeout_secs=20)
