"""One refused symbol, in each venue's way of saying no, costs the others nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import krator_actors.market_line
import krator_actors.subscription
from krator_actors.adapters.alpaca_market import AlpacaMarket
from krator_actors.adapters.binance_futures import BinanceFuturesMarket
from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.adapters.coinbase_market import CoinbaseMarket
from krator_actors.adapters.kraken_market import KrakenMarket
from krator_actors.messages.incidents import StallDetected
from krator_actors.messages.market import FeedStatus, FeedStatusRequest, MarketStatus, QuoteTick
from krator_actors.ports import (
    Channel,
    MarketCodec,
    RateLimited,
    Stream,
    StreamsChanged,
    StreamsRefused,
)
from krator_actors.subscription import Subscription
from krator_actors.venue_errors import VenueUnavailableError
from tests.actors.test_feed import BTC, ETH, Venue, feed_of, reasons, stalls, told

Request = dict[str, Any]
Answer = Callable[[Request], Iterator[Any]]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(krator_actors.subscription, "_PACE_SECS", 0.0)


@dataclass(frozen=True)
class Way:
    """How a venue says no to ``bad``: what it answers to each request."""

    name: str
    make: Callable[[Sequence[str]], MarketCodec]
    symbols: tuple[str, ...]
    bad: str
    answer: Callable[[], Answer]
    reason: str


def binance() -> Answer:
    def answer(request: Request) -> Iterator[Any]:
        if any("nope" in name for name in request["params"]):
            yield {"error": {"code": 2, "msg": "Invalid request"}, "id": request["id"]}
        else:
            yield {"result": None, "id": request["id"]}

    return answer


def coinbase(*, silent: bool) -> Callable[[], Answer]:
    def begin() -> Answer:
        active: dict[str, set[str]] = {}
        numbers = iter(range(1_000))

        def answer(request: Request) -> Iterator[Any]:
            products = request.get("product_ids", [])
            if "NOPE-USD" in products and not silent:
                yield {"type": "error", "message": "NOPE-USD is not a valid product"}
                return
            known = {product for product in products if product != "NOPE-USD"}
            active.setdefault(request["channel"], set()).update(known)
            listed = {channel: sorted(there) for channel, there in active.items()}
            yield {
                "channel": "subscriptions",
                "sequence_num": next(numbers),
                "timestamp": "2026-09-21T14:13:20Z",
                "events": [{"subscriptions": listed}],
            }

        return answer

    return begin


def kraken() -> Answer:
    def answer(request: Request) -> Iterator[Any]:
        for pair in request["params"]["symbol"]:
            head = {"method": "subscribe", "req_id": request["req_id"]}
            if pair == "NOPE/USD":
                error = "Currency pair not supported NOPE/USD"
                yield {**head, "success": False, "error": error, "symbol": pair}
            else:
                result = {"channel": request["params"]["channel"], "symbol": pair}
                yield {**head, "success": True, "result": result}

    return answer


def alpaca_list() -> Answer:
    active: dict[str, set[str]] = {"trades": set(), "quotes": set()}

    def answer(request: Request) -> Iterator[Any]:
        for channel, there in active.items():
            there.update(ticker for ticker in request[channel] if ticker != "NOPE")
        yield [{"T": "subscription", **{name: sorted(there) for name, there in active.items()}}]

    return answer


def alpaca_limit() -> Answer:
    active: set[str] = set()

    def answer(request: Request) -> Iterator[Any]:
        if len(active | set(request["trades"])) > 2:
            yield [{"T": "error", "code": 405, "msg": "symbol limit exceeded"}]
        else:
            active.update(request["trades"])
            listed = sorted(active)
            yield [{"T": "subscription", "trades": listed, "quotes": listed}]

    return answer


def of(venue: str, *bases: str) -> tuple[str, ...]:
    return tuple(f"{base}-USD.{venue}" for base in bases)


WAYS = [
    Way("binance names the request", BinanceMarket, of("B", "BTC", "ETH", "NOPE"), "NOPE-USD.B",
        binance, "Invalid request (code 2)"),
    Way("binance usd-m names the request", BinanceFuturesMarket, of("B", "BTC", "NOPE", "SOL"),
        "NOPE-USD.B", binance, "Invalid request (code 2)"),
    Way("coinbase names nothing", CoinbaseMarket, of("C", "BTC", "ETH", "NOPE"), "NOPE-USD.C",
        coinbase(silent=False), "NOPE-USD is not a valid product"),
    Way("coinbase leaves it out", CoinbaseMarket, of("C", "BTC", "NOPE"), "NOPE-USD.C",
        coinbase(silent=True), "was not acknowledged"),
    Way("kraken names the symbol", KrakenMarket, of("K", "BTC", "ETH", "NOPE"), "NOPE-USD.K",
        kraken, "Currency pair not supported NOPE/USD"),
    Way("alpaca leaves it out", AlpacaMarket, of("A", "AAPL", "BRK.B", "NOPE"), "NOPE-USD.A",
        alpaca_list, "is not in the venue's list of subscriptions"),
    Way("alpaca has a limit", AlpacaMarket, of("A", "AAPL", "BRK.B", "MSFT"), "MSFT-USD.A",
        alpaca_limit, "symbol limit exceeded (code 405)"),
]  # fmt: skip


class Wire:
    """Between a subscription and a venue that answers in the next turn of the loop."""

    def __init__(self, codec: MarketCodec, answer: Answer) -> None:
        self.subscription = Subscription(codec, send=self._send, timeout_secs=0.2)
        self.active: frozenset[Stream] = frozenset()
        self._codec = codec
        self.answer = answer

    def _send(self, frame: str) -> None:
        asyncio.get_running_loop().call_soon(self._hear, json.loads(frame))

    def _hear(self, request: Request) -> None:
        for reply in self.answer(request):
            for event in self._codec.decode(json.dumps(reply), 1_790_000_000_000_000_000):
                assert isinstance(event, StreamsChanged | StreamsRefused | RateLimited), event
                if isinstance(event, StreamsChanged):
                    self.active = event.active
                self.subscription.on_answer(event)


def streams_of(symbols: Sequence[str]) -> frozenset[Stream]:
    return frozenset(Stream(s, c) for s in symbols for c in (Channel.TRADES, Channel.QUOTES))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_refused_symbol_is_named_and_the_others_are_confirmed(way: Way) -> None:
    wire = Wire(way.make(way.symbols), way.answer())

    await wire.subscription.ask(streams_of(way.symbols))

    assert wire.subscription.refused == {way.bad: way.reason}
    others = [symbol for symbol in way.symbols if symbol != way.bad]
    assert wire.active >= streams_of(others)


@pytest.mark.parametrize("way", WAYS[:-1], ids=lambda way: way.name)
async def test_connection_of_refused_symbols_alone_is_given_up(way: Way) -> None:
    wire = Wire(way.make((way.bad,)), way.answer())

    with pytest.raises(VenueUnavailableError, match="the subscription was refused"):
        await wire.subscription.ask(streams_of((way.bad,)))


async def test_symbol_that_is_listed_later_is_there_when_it_is_asked_for_again() -> None:
    symbols = of("K", "BTC", "NOPE")
    wire = Wire(KrakenMarket(symbols), kraken())
    await wire.subscription.ask(streams_of(symbols))
    assert not await wire.subscription.ask_again(streams_of(symbols))

    def accept(request: Request) -> Iterator[Any]:
        for pair in request["params"]["symbol"]:
            result = {"channel": request["params"]["channel"], "symbol": pair}
            yield {"method": "subscribe", "req_id": request["req_id"], "success": True,
                   "result": result}  # fmt: skip

    wire.answer = accept

    assert await wire.subscription.ask_again(streams_of(symbols))
    assert wire.subscription.refused == {}
    assert wire.active == streams_of(symbols)


async def test_venue_that_wants_to_be_asked_less_is_left_alone() -> None:
    symbols = of("B", "BTC", "ETH")
    limited = {"error": {"code": -1003, "msg": "Too many requests"}, "id": 1}
    wire = Wire(BinanceMarket(symbols), lambda _request: iter([limited]))

    with pytest.raises(VenueUnavailableError, match="Too many requests"):
        await wire.subscription.ask(streams_of(symbols))


# -- the actor -------------------------------------------------------------------------------------


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    venue.acknowledge = lambda number: (
        json.dumps({"error": {"code": 2, "msg": "Invalid request"}, "id": number})
        if any("ethusdt" in name for name in venue.subscriptions[-1])
        else json.dumps({"result": None, "id": number})
    )
    async with venue.serve():
        yield venue


async def test_feed_goes_on_without_the_refused_symbol_and_says_so(venue: Venue) -> None:
    async with feed_of(venue.url) as feed:
        await feed.eventually(lambda: reasons(feed, ETH)[-1] == "REFUSED")
        await venue.quote("BTCUSDT")
        await feed.eventually(lambda: reasons(feed, BTC)[-1] == "LIVE")

        assert [quote.symbol for quote in told(feed, "risk", QuoteTick)] == [BTC]
        (word,) = [s for s in told(feed, "risk", MarketStatus) if s.reason == "REFUSED"]
        assert (word.symbol, word.fresh) == (ETH, False)
        assert stalls(feed, ETH) == ["REFUSED"]
        assert stalls(feed, BTC) == ["LIVE"]
        assert feed.alarms == {"symbol_refused": f"{ETH}: Invalid request (code 2)"}
        status = await feed.deliver(FeedStatusRequest())
        assert isinstance(status, FeedStatus)
        assert status.symbols == {BTC: "LIVE", ETH: "REFUSED"}


async def test_refused_symbol_is_live_when_the_venue_takes_it(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krator_actors.market_line, "_ASK_AGAIN_SECS", 0.05)
    async with feed_of(venue.url) as feed:
        await feed.eventually(lambda: reasons(feed, ETH)[-1] == "REFUSED")

        venue.acknowledge = lambda number: json.dumps({"result": None, "id": number})

        await feed.eventually(lambda: feed.alarms == {})
        await venue.quote("ETHUSDT")
        await feed.eventually(lambda: reasons(feed, ETH)[-1] == "LIVE")
        assert stalls(feed, ETH) == ["REFUSED", "LIVE"]
        assert len({id(socket) for socket in venue.sockets}) == 1
        assert told(feed, "rca", StallDetected)[-1].code == "LIVE"
