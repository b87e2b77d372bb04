"""Every recorded frame of our venues is read, or told to be unknown with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from krator_actors.adapters.alpaca_market import AlpacaMarket
from krator_actors.adapters.binance_futures import BinanceFuturesMarket
from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.adapters.coinbase_market import CoinbaseMarket
from krator_actors.adapters.kraken_market import KrakenMarket
from krator_actors.messages.market import QuoteTick, TradeTick
from krator_actors.model import OrderSide
from krator_actors.ports import MarketCodec, MarketEvent, UnknownFrame
from tests.adapters.recorded import PROTOCOL, received, records

LIVE = "binance/live_20240808"
SPOT = ("BTC-USDT.B", "ETH-USDT.B")
COIN = ("BTC-USD_PERP.B", "ETH-USD_PERP.B")
COINBASE = ("BTC-USD.C", "ETH-USD.C")


def told(codec: MarketCodec, frames: Iterable[str]) -> Iterator[MarketEvent]:
    for number, frame in enumerate(frames, 1):
        yield from codec.decode(frame, number)


def counted(events: Iterable[MarketEvent]) -> Counter[str]:
    return Counter(
        event.reason if isinstance(event, UnknownFrame) else type(event).__name__
        for event in events
    )


@pytest.mark.parametrize(
    ("name", "make", "symbols", "counts"),
    [
        ("spot_btcusdt", BinanceMarket, SPOT, (28_040, 9_757, 3_451)),
        ("spot_ethusdt", BinanceMarket, SPOT, (24_077, 6_106, 3_434)),
        ("usdm_btcusdt", BinanceFuturesMarket, SPOT, (66_089, 21_313, 6_551)),
        ("usdm_ethusdt", BinanceFuturesMarket, SPOT, (53_992, 14_076, 6_586)),
        ("cm_btcusd_perp", BinanceFuturesMarket, COIN, (19_136, 2_286, 26_847)),
        ("cm_ethusd_perp", BinanceFuturesMarket, COIN, (15_812, 1_732, 22_909)),
    ],
)
def test_every_frame_of_the_live_binance_sessions_is_market_data(
    name: str,
    make: Callable[[tuple[str, ...]], MarketCodec],
    symbols: tuple[str, ...],
    counts: tuple[int, int, int],
) -> None:
    frames = 0
    kinds: Counter[str] = Counter()
    ids: list[int] = []
    codec = make(symbols)
    for record in received(f"{LIVE}/{name}.jsonl.gz"):
        frames += 1
        for event in codec.decode(record["data"], 1):
            kinds[type(event).__name__] += 1
            if isinstance(event, TradeTick):
                ids.append(event.trade_id)

    assert sum(kinds.values()) == frames
    assert set(kinds) == {"QuoteTick", "TradeTick", "BookDelta"}
    assert (kinds["QuoteTick"], kinds["TradeTick"], kinds["BookDelta"]) == counts
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def symbols_of_streams(name: str) -> tuple[str, ...]:
    """Return each symbol that a recorded session has a stream of, as if it were BASE-USDT."""
    names = {
        json.loads(record["data"]).get("stream", "").partition("@")[0] for record in received(name)
    }
    return tuple(f"{name.upper()}-.B" for name in sorted(names - {""}))


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        (
            "cryptofeed_binance_20211012",
            BinanceMarket,
            {"BookDelta": 177, "QuoteTick": 84, "TradeTick": 2},
        ),
        (
            "cryptofeed_binance_futures_20210722",
            BinanceFuturesMarket,
            {"BookDelta": 764, "QuoteTick": 613, "TradeTick": 91, "Bar": 4},
        ),
    ],
)
def test_every_frame_of_the_2021_binance_sessions_is_read(
    name: str, make: Callable[[tuple[str, ...]], MarketCodec], expected: dict[str, int]
) -> None:
    path = f"binance/{name}.jsonl.gz"
    codec = make(symbols_of_streams(path))

    assert counted(told(codec, (r["data"] for r in received(path)))) == expected


def test_every_frame_of_the_coinbase_session_is_read_and_none_is_missing() -> None:
    frames = [r["data"] for r in received("coinbase/cryptofeed_coinbase_20260809.jsonl.gz")]

    kinds = counted(told(CoinbaseMarket(COINBASE), frames))

    assert len(frames) == 686
    assert kinds == {
        "TradeTick": 259,
        "StreamsChanged": 5,
        "Bar": 198,
        "QuoteTick": 106,
        "BookSnapshot": 2,
        "BookDelta": 509,
        "Heartbeat": 16,
    }


def test_the_side_of_a_coinbase_trade_is_the_maker_s() -> None:
    codec = CoinbaseMarket(COINBASE)
    quotes: dict[str, QuoteTick] = {}
    agree = differ = 0
    frames = received("coinbase/cryptofeed_coinbase_20260809.jsonl.gz")
    for event in told(codec, (record["data"] for record in frames)):
        if isinstance(event, QuoteTick):
            quotes[event.symbol] = event
        elif isinstance(event, TradeTick) and event.symbol in quotes:
            quote = quotes[event.symbol]
            if event.price in {quote.bid, quote.ask} and quote.bid < quote.ask:
                at_ask = event.price == quote.ask
                agree += at_ask is (event.aggressor is OrderSide.BUY)
                differ += at_ask is not (event.aggressor is OrderSide.BUY)

    assert (agree, differ) == (50, 0)


def test_every_frame_of_the_kraken_session_is_read() -> None:
    frames = [record["data"] for record in received("kraken/v2_frames_recorded.jsonl")]
    codec = KrakenMarket(("BTC-USD.K",))

    kinds = counted(told(codec, frames))

    assert kinds == {
        "TradingStatus": 2,
        "StreamsChanged": 2,
        "QuoteTick": 2,
        "Heartbeat": 1,
        "BookSnapshot": 1,
        "BookDelta": 4,
    }


def test_every_frame_of_alpaca_is_read_or_told() -> None:
    frames = [record["data"] for record in received("alpaca/market_stream_frames.jsonl")]
    codec = AlpacaMarket(("FAKEPACA-USD.A", "AAPL-USD.A"))

    kinds = counted(told(codec, frames))

    assert kinds == {
        "LoggedIn": 1,
        "StreamsChanged": 2,
        "QuoteTick": 3,
        "Bar": 1,
        "RateLimited": 1,
        "StreamsRefused": 9,
        "ClosingAnnounced": 1,
        "TradeTick": 2,
    }


def vectors(name: str) -> Iterator[str]:
    """Yield the frames of a file of vectors, whatever its schema."""
    for record in records(name):
        frame: Any = record.get("raw", record.get("message", record.get("data")))
        is_stream = "nautilus" not in name or record["name"].rpartition("/")[2].startswith("ws_")
        if frame is not None and is_stream and record.get("dir", "recv") == "recv":
            yield frame if isinstance(frame, str) else json.dumps(frame)


FOREIGN: list[tuple[str, Callable[[tuple[str, ...]], MarketCodec], int, dict[str, int]]] = [
    (
        "binance/crypto_msg_parser_vectors.jsonl",
        BinanceMarket,
        37,
        {"BookDelta": 2, "TradeTick": 2, "UNKNOWN_FRAME": 6, "UNKNOWN_STREAM": 26},
    ),
    (
        "binance/crypto_msg_parser_vectors.jsonl",
        BinanceFuturesMarket,
        37,
        {"BookDelta": 2, "TradeTick": 2, "UNKNOWN_FRAME": 6, "UNKNOWN_STREAM": 26},
    ),
    (
        "binance/tardis_vectors.jsonl",
        BinanceMarket,
        25,
        {"BAD_SHAPE": 1, "BookDelta": 2, "QuoteTick": 2, "TradeTick": 3, "UNKNOWN_STREAM": 17},
    ),
    (
        "binance/tardis_vectors.jsonl",
        BinanceFuturesMarket,
        25,
        {"BAD_SHAPE": 1, "BookDelta": 2, "QuoteTick": 2, "TradeTick": 3, "UNKNOWN_STREAM": 17},
    ),
    (
        "binance/nautilus_fixtures.jsonl",
        BinanceMarket,
        29,
        {"QuoteTick": 1, "TradeTick": 1, "UNKNOWN_FRAME": 5, "UNKNOWN_STREAM": 22},
    ),
    (
        "binance/nautilus_fixtures.jsonl",
        BinanceFuturesMarket,
        29,
        {"QuoteTick": 1, "TradeTick": 1, "UNKNOWN_FRAME": 5, "UNKNOWN_STREAM": 22},
    ),
    (
        "binance/user_data_recorded.jsonl",
        BinanceMarket,
        16,
        {"StreamsChanged": 1, "UNKNOWN_FRAME": 15},
    ),
    ("binance/futures_user_data_recorded.jsonl", BinanceFuturesMarket, 6, {"UNKNOWN_FRAME": 6}),
    ("coinbase/crypto_msg_parser_vectors.jsonl", CoinbaseMarket, 4, {"UNKNOWN_FRAME": 4}),
    (
        "coinbase/cryptofeed_coinbase_20210417.jsonl.gz",
        CoinbaseMarket,
        9946,
        {"UNKNOWN_FRAME": 9946},
    ),
    (
        "coinbase/nautilus_fixtures.jsonl",
        CoinbaseMarket,
        6,
        {"FRAME_OUT_OF_ORDER": 3, "FramesMissing": 3, "QuoteTick": 1, "TradeTick": 2},
    ),
    ("coinbase/tardis_vectors.jsonl", CoinbaseMarket, 9, {"UNKNOWN_FRAME": 9}),
    (
        "kraken/crypto_msg_parser_vectors.jsonl",
        KrakenMarket,
        14,
        {"BAD_SHAPE": 8, "UNKNOWN_FRAME": 6},
    ),
    (
        "kraken/cryptofeed_kraken_20210417.jsonl.gz",
        KrakenMarket,
        4430,
        {"BAD_SHAPE": 4305, "UNKNOWN_FRAME": 125},
    ),
    (
        "kraken/nautilus_fixtures.jsonl",
        KrakenMarket,
        19,
        {
            "BookDelta": 1,
            "BookSnapshot": 1,
            "Heartbeat": 1,
            "QuoteTick": 1,
            "UNKNOWN_CHANNEL": 2,
            "UNKNOWN_FRAME": 12,
        },
    ),
    (
        "kraken/tardis_vectors.jsonl",
        KrakenMarket,
        6,
        {"BAD_SHAPE": 1, "QuoteTick": 1, "TradeTick": 2, "UNKNOWN_SYMBOL": 2},
    ),
    ("alpaca/sdk_mocks.jsonl", AlpacaMarket, 52, {"BAD_SHAPE": 57}),
    ("alpaca/trade_updates_recorded.jsonl", AlpacaMarket, 5, {"BAD_SHAPE": 5}),
]
"""Vectors of other parsers, of other products (user data, options, COIN-M) and other protocols
(Coinbase Exchange, Kraken v1): what is no market data of ours is told, with its reason."""


@pytest.mark.parametrize(("name", "make", "frames", "expected"), FOREIGN)
def test_every_other_recorded_frame_is_read_or_told_with_its_reason(
    name: str,
    make: Callable[[tuple[str, ...]], MarketCodec],
    frames: int,
    expected: dict[str, int],
) -> None:
    codec = make(("BTC-USDT.X", "ETH-USDT.X", "BTC-USD.X"))
    texts = list(vectors(name))

    assert counted(told(codec, texts)) == expected
    assert len(texts) == frames


def test_no_file_of_our_venues_is_left_out() -> None:
    if not PROTOCOL.exists():
        pytest.skip(f"no recorded sessions at {PROTOCOL}; set KRATOR_TEST_DATA")
    read = {name for name, *_ in FOREIGN} | {
        "alpaca/market_stream_frames.jsonl",
        "binance/cryptofeed_binance_20211012.jsonl.gz",
        "binance/cryptofeed_binance_futures_20210722.jsonl.gz",
        "coinbase/cryptofeed_coinbase_20260809.jsonl.gz",
        "kraken/v2_frames_recorded.jsonl",
        *(f"{LIVE}/{path.name}" for path in (PROTOCOL / LIVE).glob("*.jsonl.gz")),
    }

    there = {
        str(path.relative_to(PROTOCOL))
        for venue in ("alpaca", "binance", "coinbase", "kraken")
        for path in (PROTOCOL / venue).rglob("*.jsonl*")
        if not path.name.startswith("rest_")
    }

    assert there == read
