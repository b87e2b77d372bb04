"""What is Binance's own; what all venues have in common is in test_venue_matrix.py."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from krator_actors.adapters.binance_futures import BinanceFuturesMarket
from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.messages.market import BookDelta, TradeTick
from krator_actors.model import OrderSide
from krator_actors.ports import (
    Channel,
    ClosingAnnounced,
    MarketEvent,
    Stream,
    StreamsChanged,
    StreamsRefused,
    UnknownFrame,
)
from tests.adapters.venue_payloads import NOW_NS

BTC = "BTC-USDT.BINANCE"
TRADES = Stream(BTC, Channel.TRADES)
TRADE = {"e": "trade", "s": "BTCUSDT", "t": 7, "p": "100", "q": "1", "T": 1, "m": False}
BOOK = {"s": "BTCUSDT", "E": 1, "U": 5, "u": 6, "b": [["99", "1"]], "a": [["101", "2"]]}


def decoded(text: str, *, asked: bool = True) -> MarketEvent:
    codec = BinanceMarket((BTC, "ETH-USDT.BINANCE"))
    if asked:
        codec.subscribe([TRADES])
    (event,) = codec.decode(text, NOW_NS)
    return event


def frame(stream: str, data: dict[str, Any]) -> str:
    return json.dumps({"stream": stream, "data": data})


def test_taker_that_bought_is_the_aggressor() -> None:
    trade = decoded(frame("btcusdt@trade", TRADE))

    assert isinstance(trade, TradeTick)
    assert trade.aggressor is OrderSide.BUY


def test_field_that_binance_adds_one_day_is_ignored() -> None:
    assert isinstance(decoded(frame("btcusdt@trade", {**TRADE, "new": {"x": 1}})), TradeTick)


def test_futures_subscribe_to_trades_by_taker_order() -> None:
    (request,) = BinanceFuturesMarket((BTC,)).subscribe([TRADES])

    assert json.loads(request)["params"] == ["btcusdt@aggTrade"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"result":null,"id":1}', StreamsChanged(frozenset({TRADES}))),
        ('{"result":null,"id":2}', StreamsChanged(frozenset())),
        ('{"result":[],"id":"text"}', StreamsChanged(frozenset())),
        (
            '{"error":{"code":3,"msg":"Invalid JSON"},"id":null}',
            StreamsRefused(frozenset(), "Invalid JSON (code 3)"),
        ),
        (
            '{"code":2,"msg":"Invalid request","id":1}',
            StreamsRefused(frozenset({TRADES}), "Invalid request (code 2)"),
        ),
        ('{"stream":"!server","data":{"e":"serverShutdown"}}', ClosingAnnounced("serverShutdown")),
        ('{"stream":"","data":{"e":"serverShutdown"}}', UnknownFrame("UNKNOWN_FRAME")),
    ],
)
def test_what_is_no_market_data_is_read(text: str, answer: MarketEvent) -> None:
    assert decoded(text) == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (frame("dogeusdt@trade", TRADE), "UNKNOWN_STREAM"),
        (frame("btcusdt@forceOrder", {}), "UNKNOWN_STREAM"),
        (frame("btcusdt@trade", {**TRADE, "s": "ETHUSDT"}), "WRONG_SYMBOL"),
        (frame("btcusdt@trade", {**TRADE, "t": -1}), "BAD_SHAPE"),
        (frame("btcusdt@trade", {**TRADE, "t": 2**63}), "BAD_SHAPE"),
        (frame("btcusdt@trade", {**TRADE, "m": "true"}), "BAD_SHAPE"),
        (frame("btcusdt@depth@100ms", {**BOOK, "U": 7}), "BAD_SHAPE"),
        (frame("btcusdt@depth@100ms", {**BOOK, "b": [["1"]]}), "BAD_SHAPE"),
        (frame("btcusdt@depth@100ms", {**BOOK, "a": [["0", "1"]]}), "BAD_NUMBER"),
        (frame("btcusdt@depth@100ms", {**BOOK, "a": [["1", "-1"]]}), "BAD_NUMBER"),
        (frame("btcusdt@kline_1m", {"s": "BTCUSDT", "k": {}}), "BAD_SHAPE"),
        ('{"stream":"btcusdt@trade"}', "BAD_JSON"),
    ],
)
def test_malformed_frame_is_told_by_its_reason(text: str, reason: str) -> None:
    event = decoded(text)

    assert isinstance(event, UnknownFrame)
    assert event.reason == reason


def test_kline_that_is_not_of_a_minute_or_impossible_is_told() -> None:
    kline = {"t": 60_000, "i": "1m", "o": "1", "h": "2", "l": "1", "c": "2", "v": "1", "n": 1,
             "x": True}  # fmt: skip
    reasons = []
    for change in ({"i": "5m"}, {"h": "1.5"}, {"l": "1.5"}, {"v": "-1"}):
        event = decoded(frame("btcusdt@kline_1m", {"s": "BTCUSDT", "k": {**kline, **change}}))
        assert isinstance(event, UnknownFrame)
        reasons.append(event.reason)

    assert reasons == ["BAD_SHAPE", "BAD_NUMBER", "BAD_NUMBER", "BAD_NUMBER"]


def test_book_update_keeps_a_size_of_zero() -> None:
    event = decoded(frame("btcusdt@depth@100ms", {**BOOK, "b": [["99", "0.00000000"]]}))

    assert isinstance(event, BookDelta)
    assert event.bids == ((Decimal(99), Decimal(0)),)
