"""Binance's market streams: every recorded frame, and everything that is no frame."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.messages.market import QuoteTick, TradeTick
from krator_actors.model import OrderSide
from krator_actors.ports import (
    BookLevel,
    BookUpdate,
    ClosingAnnounced,
    MalformedFrameError,
    RequestAnswered,
)

DATA = Path(os.environ.get("KRATOR_TEST_DATA", Path(__file__).parents[3] / "shared/data"))
LIVE_20240808 = DATA / "protocol/binance/live_20240808"
SYMBOLS = ("BTC-USDT.BINANCE", "ETH-USDT.BINANCE")
NOW_NS = 1_723_161_255_400_000_000

TRADE = {
    "e": "trade",
    "E": 1723161255343,
    "s": "BTCUSDT",
    "t": 3735683259,
    "p": "61837.63000000",
    "q": "0.02000000",
    "T": 1723161255342,
    "m": True,
    "M": True,
}
QUOTE = {
    "u": 50093239212,
    "s": "BTCUSDT",
    "b": "61837.63000000",
    "B": "3.78826000",
    "a": "61837.64000000",
    "A": "1.54698000",
}
BOOK = {
    "e": "depthUpdate",
    "E": 1723161255208,
    "s": "BTCUSDT",
    "U": 50093239189,
    "u": 50093239202,
    "b": [["61737.63000000", "0.00000000"]],
    "a": [["61837.64000000", "1.54698000"]],
}
FRAMES = {"btcusdt@trade": TRADE, "btcusdt@bookTicker": QUOTE, "btcusdt@depth@100ms": BOOK}


@pytest.fixture
def codec() -> BinanceMarket:
    return BinanceMarket(SYMBOLS)


def frame(stream: str, **changes: Any) -> str:
    data = {**FRAMES[stream], **changes}
    kept = {key: value for key, value in data.items() if value is not ...}
    return json.dumps({"stream": stream, "data": kept})


def recorded(name: str) -> Iterator[str]:
    path = LIVE_20240808 / name
    if not path.exists():
        pytest.skip(f"no recorded session at {path}; set KRATOR_TEST_DATA")
    with gzip.open(path, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record["dir"] == "recv":
                yield record["data"]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("spot_btcusdt.jsonl.gz", {QuoteTick: 28_040, TradeTick: 9_757, BookUpdate: 3_451}),
        ("spot_ethusdt.jsonl.gz", {QuoteTick: 24_077, TradeTick: 6_106, BookUpdate: 3_434}),
    ],
)
def test_every_recorded_frame_decodes(
    codec: BinanceMarket, name: str, counts: dict[type, int]
) -> None:
    events = [codec.decode(text, NOW_NS) for text in recorded(name)]

    assert Counter(type(event) for event in events) == counts
    ids = [event.trade_id for event in events if isinstance(event, TradeTick)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_trade_is_read(codec: BinanceMarket) -> None:
    assert codec.decode(frame("btcusdt@trade"), NOW_NS) == TradeTick(
        symbol="BTC-USDT.BINANCE",
        price=Decimal("61837.63"),
        size=Decimal("0.02"),
        aggressor=OrderSide.SELL,
        trade_id=3735683259,
        ts_event=1_723_161_255_342_000_000,
        ts_init=NOW_NS,
    )


def test_taker_that_bought_is_the_aggressor(codec: BinanceMarket) -> None:
    trade = codec.decode(frame("btcusdt@trade", m=False), NOW_NS)

    assert isinstance(trade, TradeTick)
    assert trade.aggressor is OrderSide.BUY


def test_quote_without_event_time_has_the_time_it_arrived(codec: BinanceMarket) -> None:
    assert codec.decode(frame("btcusdt@bookTicker"), NOW_NS) == QuoteTick(
        symbol="BTC-USDT.BINANCE",
        bid=Decimal("61837.63"),
        bid_size=Decimal("3.78826"),
        ask=Decimal("61837.64"),
        ask_size=Decimal("1.54698"),
        update_id=50093239212,
        ts_event=NOW_NS,
        ts_init=NOW_NS,
    )


def test_book_update_is_read_and_a_size_of_zero_is_kept(codec: BinanceMarket) -> None:
    assert codec.decode(frame("btcusdt@depth@100ms"), NOW_NS) == BookUpdate(
        symbol="BTC-USDT.BINANCE",
        first_id=50093239189,
        last_id=50093239202,
        bids=(BookLevel(Decimal("61737.63"), Decimal(0)),),
        asks=(BookLevel(Decimal("61837.64"), Decimal("1.54698")),),
        ts_event=1_723_161_255_208_000_000,
        ts_init=NOW_NS,
    )


def test_field_that_binance_adds_one_day_is_ignored(codec: BinanceMarket) -> None:
    assert isinstance(codec.decode(frame("btcusdt@trade", new={"x": 1}), NOW_NS), TradeTick)


def test_subscription_names_trades_and_quotes_of_every_symbol(codec: BinanceMarket) -> None:
    request = json.loads(codec.subscribe(7))

    assert request == {
        "method": "SUBSCRIBE",
        "params": [
            "btcusdt@trade",
            "btcusdt@bookTicker",
            "ethusdt@trade",
            "ethusdt@bookTicker",
        ],
        "id": 7,
    }


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"result":null,"id":7}', RequestAnswered(request_id=7, error="")),
        (
            '{"error":{"code":2,"msg":"Invalid request"},"id":7}',
            RequestAnswered(request_id=7, error="Invalid request (code 2)"),
        ),
        (
            '{"error":{"code":3,"msg":"Invalid JSON"},"id":null}',
            RequestAnswered(request_id=0, error="Invalid JSON (code 3)"),
        ),
        ('{"result":[],"id":"text"}', RequestAnswered(request_id=0, error="")),
        ('{"e":"serverShutdown","E":1770123456789}', ClosingAnnounced()),
        ('{"stream":"","data":{"e":"serverShutdown"}}', None),
        ('{"stream":"!server","data":{"e":"serverShutdown"}}', ClosingAnnounced()),
    ],
)
def test_what_is_no_market_data_is_read(
    codec: BinanceMarket, text: str, answer: RequestAnswered | ClosingAnnounced | None
) -> None:
    if answer is None:
        with pytest.raises(MalformedFrameError):
            codec.decode(text, NOW_NS)
    else:
        assert codec.decode(text, NOW_NS) == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "BAD_JSON"),
        ("{", "BAD_JSON"),
        ("null", "BAD_SHAPE"),
        ("[" * 100_000, "BAD_SHAPE"),
        ('{"stream":"btcusdt@trade","data":' + "[" * 100_000, "BAD_JSON"),
        ("{}", "UNKNOWN_FRAME"),
        ('{"stream":"btcusdt@trade"}', "BAD_JSON"),
        ('{"stream":"dogeusdt@trade","data":{}}', "UNKNOWN_STREAM"),
        ('{"stream":"btcusdt@kline_1m","data":{}}', "UNKNOWN_STREAM"),
        (frame("btcusdt@trade", s="ETHUSDT"), "WRONG_SYMBOL"),
        (frame("btcusdt@trade", p=...), "BAD_SHAPE"),
        (frame("btcusdt@trade", p=61837.63), "BAD_SHAPE"),
        (frame("btcusdt@trade", p=None), "BAD_SHAPE"),
        (frame("btcusdt@trade", p="NaN"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="sNaN"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="Infinity"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="-1"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="0.00000000"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="1E+999999"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="1E-999999"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="cheap"), "BAD_NUMBER"),
        (frame("btcusdt@trade", p="9" * 1_000), "BAD_SHAPE"),
        (frame("btcusdt@trade", q="0"), "BAD_NUMBER"),
        (frame("btcusdt@trade", t=-1), "BAD_SHAPE"),
        (frame("btcusdt@trade", t=2**63), "BAD_SHAPE"),
        (frame("btcusdt@trade", T=0), "BAD_SHAPE"),
        (frame("btcusdt@trade", T=10**18), "BAD_SHAPE"),
        (frame("btcusdt@trade", m="true"), "BAD_SHAPE"),
        (frame("btcusdt@bookTicker", b="61837.65"), "CROSSED_QUOTE"),
        (frame("btcusdt@bookTicker", a="0.00000000"), "BAD_NUMBER"),
        (frame("btcusdt@bookTicker", A="-0.1"), "BAD_NUMBER"),
        (frame("btcusdt@depth@100ms", U=5, u=4), "BAD_SHAPE"),
        (frame("btcusdt@depth@100ms", b=[["1"]]), "BAD_SHAPE"),
        (frame("btcusdt@depth@100ms", a=[["0", "1"]]), "BAD_NUMBER"),
    ],
)
def test_malformed_frame_is_refused_with_its_reason(
    codec: BinanceMarket, text: str, reason: str
) -> None:
    with pytest.raises(MalformedFrameError) as refused:
        codec.decode(text, NOW_NS)

    assert refused.value.reason == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(text=st.text() | JSON.map(json.dumps))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(MalformedFrameError):
        BinanceMarket(SYMBOLS).decode(text, NOW_NS)


@given(
    stream=st.sampled_from(sorted(FRAMES)),
    changes=st.dictionaries(st.sampled_from("eEstpqTmubBaAU"), JSON, max_size=3),
)
def test_no_change_of_a_frame_raises_anything_else(stream: str, changes: dict[str, Any]) -> None:
    with suppress(MalformedFrameError):
        event = BinanceMarket(SYMBOLS).decode(frame(stream, **changes), NOW_NS)
        assert isinstance(event, TradeTick | QuoteTick | BookUpdate)


@given(price=st.text(alphabet="0123456789.-+eENaInfity_ ", max_size=45))
def test_no_price_that_leaves_the_codec_is_absurd(price: str) -> None:
    with suppress(MalformedFrameError):
        event = BinanceMarket(SYMBOLS).decode(frame("btcusdt@trade", p=price), NOW_NS)
        assert isinstance(event, TradeTick)
        assert Decimal("1E-21") < event.price < Decimal("1E21")


@given(at=st.integers(min_value=0, max_value=200), byte=st.characters(codec="utf-8"))
def test_no_damaged_character_raises_anything_else(at: int, byte: str) -> None:
    text = frame("btcusdt@bookTicker")
    with suppress(MalformedFrameError):
        BinanceMarket(SYMBOLS).decode(text[:at] + byte + text[at + 1 :], NOW_NS)
