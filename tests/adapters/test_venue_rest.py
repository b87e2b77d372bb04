"""What the venues' REST APIs are asked for, and how their answers are read.

What is Binance's own is in test_binance_rest.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.alpaca_rest import AlpacaRest
from krator_actors.adapters.binance_futures import BinanceFuturesRest
from krator_actors.adapters.binance_rest import BinanceRest
from krator_actors.adapters.coinbase_rest import CoinbaseRest
from krator_actors.adapters.kraken_rest import KrakenRest
from krator_actors.adapters.venues import MARKET_VENUES
from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import TradeTick
from krator_actors.model import OrderSide
from krator_actors.ports import MalformedFrameError, MarketRequests
from tests.adapters.venue_payloads import AT, AT_NS, NOW_NS, OPEN, OPEN_NS

MINUTE = BarSpec.parse("1-MINUTE-LAST")
SECS = OPEN_NS // 10**9
ROWS = (0, 60, 120)
"""seconds after OPEN of three minutes, of which the last is not finished"""


def binance_trade(**keys: str) -> Any:
    names = {"id": "id", "price": "price", "qty": "qty", "time": "time", "maker": "isBuyerMaker"}
    names.update(keys)
    return [{names["id"]: n, names["price"]: "101.5", names["qty"]: "0.25",
             names["time"]: AT_NS // 10**6, names["maker"]: True} for n in (10, 9)]  # fmt: skip


KLINES = [[(SECS + s) * 1_000, "100", "103", "99", "101", "12.5", 1, "1", 7, "1", "1", "0"]
          for s in ROWS]  # fmt: skip
DEPTH = {"lastUpdateId": 40, "bids": [["101.4", "2"]], "asks": [["101.5", "3"]]}
LISTING = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": [
    {"filterType": "PRICE_FILTER", "tickSize": "0.1"},
    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9", "stepSize": "0.001"},
    {"filterType": "MIN_NOTIONAL", "notional": "5"}]}  # fmt: skip

ANSWERS: dict[str, dict[str, Any]] = {
    "binance": {
        "trades": binance_trade(),
        "bars": KLINES,
        "book": DEPTH,
    },
    "binance_usdm": {
        "instruments": {"symbols": [LISTING, {**LISTING, "symbol": "ETHUSDT"}]},
        "trades": binance_trade(id="a", price="p", qty="q", time="T", maker="m"),
        "bars": KLINES,
        "book": {**DEPTH, "E": AT_NS // 10**6, "T": AT_NS // 10**6},
    },
    "coinbase": {
        "instruments": {"products": [
            {"product_id": "BTC-USD", "base_increment": "0.001", "price_increment": "0.1",
             "base_min_size": "0.001", "base_max_size": "9", "quote_min_size": "5"}]},
        "trades": {"trades": [
            {"trade_id": str(n), "product_id": "BTC-USD", "price": "101.5", "size": "0.25",
             "time": AT, "side": "BUY"} for n in (10, 9)], "best_bid": "1", "best_ask": "2"},
        "bars": {"candles": [
            {"start": str(SECS + s), "low": "99", "high": "103", "open": "100", "close": "101",
             "volume": "12.5"} for s in reversed(ROWS)]},
        "book": {"pricebook": {"product_id": "BTC-USD", "time": AT,
                               "bids": [{"price": "101.4", "size": "2"}],
                               "asks": [{"price": "101.5", "size": "3"}]}},
    },
    "kraken": {
        "instruments": {"error": [], "result": {"XXBTZUSD": {
            "altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 3,
            "ordermin": "0.001", "costmin": "5"}}},
        "trades": {"error": [], "result": {"XXBTZUSD": [
            ["101.5", "0.25", AT_NS / 10**9, "s", "l", "", n] for n in (9, 10)], "last": "1"}},
        "bars": {"error": [], "result": {"XXBTZUSD": [
            [SECS + s, "100", "103", "99", "101", "100.5", "12.5", 7] for s in ROWS], "last": 1}},
        "book": {"error": [], "result": {"XXBTZUSD": {
            "bids": [["101.4", "2", 1]], "asks": [["101.5", "3", 1]]}}},
    },
    "alpaca": {
        "instruments": {"AAPL": {"latestTrade": {}}, "MSFT": {}},
        "trades": {"trades": {"AAPL": [
            {"t": AT, "x": "V", "p": 101.5, "s": 0.25, "i": n} for n in (9, 10)]},
            "next_page_token": None},
        "bars": {"bars": {"AAPL": [
            {"t": OPEN.replace(":13:", f":{13 + s // 60}:"), "o": 100, "h": 103, "l": 99, "c": 101,
             "v": 12.5, "n": 7, "vw": 100.5} for s in reversed(ROWS)]}},
    },
}  # fmt: skip
REQUESTS: dict[str, tuple[MarketRequests, str]] = {
    "binance": (BinanceRest(("BTC-USDT.B",)), "BTC-USDT.B"),
    "binance_usdm": (BinanceFuturesRest(("BTC-USDT.B",)), "BTC-USDT.B"),
    "coinbase": (CoinbaseRest(("BTC-USD.C",)), "BTC-USD.C"),
    "kraken": (KrakenRest(("BTC-USD.K",)), "BTC-USD.K"),
    "alpaca": (AlpacaRest(("AAPL-USD.A",), feed="iex"), "AAPL-USD.A"),
}
every_venue = pytest.mark.parametrize("name", REQUESTS)


def body(name: str, kind: str) -> bytes:
    return json.dumps(ANSWERS[name][kind]).encode()


def query(path: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(path).query)


def last_trade(symbol: str) -> TradeTick:
    return TradeTick(symbol=symbol, price=Decimal(1), size=Decimal(1), aggressor=None, trade_id=8,
                     ts_event=AT_NS, ts_init=NOW_NS)  # fmt: skip


@every_venue
def test_trades_for_a_gap_are_read_oldest_first(name: str) -> None:
    requests, symbol = REQUESTS[name]

    trades = requests.read_trades(body(name, "trades"), symbol, NOW_NS)

    assert [trade.trade_id for trade in trades] == [9, 10]
    for trade in trades:
        assert trade.symbol == symbol
        assert (trade.price, trade.size) == (Decimal("101.5"), Decimal("0.25"))
        assert trade.aggressor is (None if name == "alpaca" else OrderSide.SELL)
        assert trade.ts_event == AT_NS


@pytest.mark.parametrize(
    ("name", "path", "asked"),
    [
        ("binance", "/api/v3/historicalTrades", {"fromId": ["9"], "symbol": ["BTCUSDT"]}),
        ("binance_usdm", "/fapi/v1/aggTrades", {"fromId": ["9"], "symbol": ["BTCUSDT"]}),
        (
            "coinbase",
            "/api/v3/brokerage/market/products/BTC-USD/ticker",
            {"start": [str(AT_NS // 10**9)]},
        ),
        ("kraken", "/0/public/Trades", {"since": [str(AT_NS)], "pair": ["BTC/USD"]}),
        (
            "alpaca",
            "/v2/stocks/trades",
            {"start": ["2026-09-21T14:13:20.000000000Z"], "feed": ["iex"], "symbols": ["AAPL"]},
        ),
    ],
)
def test_trades_are_asked_for_after_the_last_known(
    name: str, path: str, asked: dict[str, list[str]]
) -> None:
    requests, symbol = REQUESTS[name]

    told = requests.trades_path(last_trade(symbol), 50)

    assert urlsplit(told).path == path
    assert asked.items() <= query(told).items()
    assert ["50"] in query(told).values()


@every_venue
def test_only_finished_bars_are_read_oldest_first(name: str) -> None:
    requests, symbol = REQUESTS[name]

    bars = requests.read_bars(body(name, "bars"), symbol, MINUTE, 10)

    assert [bar.ts_open for bar in bars] == [OPEN_NS, OPEN_NS + 60 * 10**9]
    for bar in bars:
        assert (bar.symbol, bar.spec) == (symbol, MINUTE)
        assert [bar.open, bar.high, bar.low, bar.close] == [100, 103, 99, 101]
        assert bar.volume == Decimal("12.5")
        assert bar.trades == (None if name == "coinbase" else 7)


@every_venue
def test_bars_are_asked_for_in_a_period_that_divides_theirs(name: str) -> None:
    requests, symbol = REQUESTS[name]

    paths = [
        requests.bars_path(symbol, BarSpec.parse(spec), 10, NOW_NS)
        for spec in ("1-MINUTE-LAST", "10-MINUTE-LAST")
    ]

    assert paths[0] != paths[1]
    if name != "binance":
        with pytest.raises(ValueError, match="no bars that 7-SECOND-LAST could be made of"):
            requests.bars_path(symbol, BarSpec.parse("7-SECOND-LAST"), 10, NOW_NS)


@pytest.mark.parametrize("name", [name for name in REQUESTS if "book" in ANSWERS[name]])
def test_book_is_read(name: str) -> None:
    requests, symbol = REQUESTS[name]

    book = requests.read_book(body(name, "book"), symbol, NOW_NS)

    assert book.bids == ((Decimal("101.4"), Decimal(2)),)
    assert book.asks == ((Decimal("101.5"), Decimal(3)),)
    assert book.last_id == (40 if name.startswith("binance") else 0)
    assert book.ts_event == (AT_NS if name in {"binance_usdm", "coinbase"} else NOW_NS)
    assert requests.book_path(symbol)


def test_there_is_no_book_of_stocks() -> None:
    requests, symbol = REQUESTS["alpaca"]

    with pytest.raises(ValueError, match="no order book of AAPL-USD"):
        requests.book_path(symbol)
    with pytest.raises(ValueError, match="no order book of AAPL-USD"):
        requests.read_book(b"{}", symbol, 1)


@pytest.mark.parametrize("name", [name for name in REQUESTS if "instruments" in ANSWERS[name]])
def test_trading_rules_of_configured_symbols_are_read(name: str) -> None:
    requests, symbol = REQUESTS[name]

    (instrument,) = requests.read_instruments(body(name, "instruments"))

    assert instrument.symbol == symbol
    assert requests.instruments_path((symbol,))
    if name == "alpaca":
        assert (instrument.tick_size, instrument.lot_size) == (Decimal("0.01"), Decimal(1))
    else:
        assert instrument.tick_size == Decimal("0.1")
        assert instrument.lot_size == instrument.min_quantity == Decimal("0.001")
        assert instrument.min_notional == 5


@every_venue
def test_keys_are_sent_only_to_alpaca(name: str) -> None:
    headers = REQUESTS[name][0].headers("me", "word")

    expected = {"APCA-API-KEY-ID": "me", "APCA-API-SECRET-KEY": "word"}
    assert headers == (expected if name == "alpaca" else {})


def test_kraken_s_refusal_with_status_200_is_an_error() -> None:
    answer = b'{"error":["EGeneral:Too many requests"]}'

    with pytest.raises(MalformedFrameError, match="VENUE_ERROR: EGeneral:Too many requests"):
        REQUESTS["kraken"][0].read_bars(answer, "BTC-USD.K", MINUTE, 10)


@every_venue
@given(answer=st.binary() | st.text().map(str.encode), data=st.data())
def test_no_answer_raises_anything_but_malformed(
    name: str, answer: bytes, data: st.DataObject
) -> None:
    requests, symbol = REQUESTS[name]
    kind = data.draw(st.sampled_from(sorted(ANSWERS[name])))
    if data.draw(st.booleans()):
        good = body(name, kind)
        at = data.draw(st.integers(0, len(good)))
        answer = good[:at] + answer + good[at + data.draw(st.integers(0, 9)) :]
    read: dict[str, Callable[[bytes], object]] = {
        "instruments": requests.read_instruments,
        "trades": lambda answer: requests.read_trades(answer, symbol, 1),
        "bars": lambda answer: requests.read_bars(answer, symbol, MINUTE, 10),
        "book": lambda answer: requests.read_book(answer, symbol, 1),
    }

    with suppress(MalformedFrameError):
        read[kind](answer)


def test_iex_and_sip_are_asked_of_the_same_hosts() -> None:
    iex, sip = MARKET_VENUES["alpaca_iex"], MARKET_VENUES["alpaca_sip"]

    assert (iex.stream_path, sip.stream_path) == ("/v2/iex", "/v2/sip")
    path = sip.requests(("AAPL-USD.A",)).bars_path("AAPL-USD.A", MINUTE, 1, NOW_NS)
    assert query(path)["feed"] == ["sip"]
