"""Binance's REST answers: recorded and documented ones, and what is neither."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.binance_rest import BinanceRest
from krator_actors.adapters.binance_values import venue_symbol
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.model import OrderType, PriceBand
from krator_actors.ports import MalformedFrameError

DATA = Path(os.environ.get("KRATOR_TEST_DATA", Path(__file__).parents[3] / "shared/data"))
BINANCE = DATA / "protocol/binance"
BTC = "BTC-USDT.BINANCE"
SECOND_NS = 1_000_000_000


@pytest.fixture
def rest() -> BinanceRest:
    return BinanceRest((BTC, "ETH-USDT.BINANCE"))


def listing(**changes: Any) -> dict[str, Any]:
    filters: dict[str, Any] = {
        "PRICE_FILTER": {"minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
        "LOT_SIZE": {"minQty": "0.00001000", "maxQty": "9000.00", "stepSize": "0.00001000"},
        "NOTIONAL": {"minNotional": "5.00000000", "applyMinToMarket": True},
        "PERCENT_PRICE_BY_SIDE": {"bidMultiplierUp": "5", "avgPriceMins": 5},
    }
    filters.update(changes)
    return {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "filters": [{"filterType": kind, **item} for kind, item in filters.items() if item],
    }


def body(*listings: dict[str, Any]) -> bytes:
    return json.dumps({"timezone": "UTC", "symbols": listings}).encode()


def kline(open_secs: int, *, trades: int = 1, price: str = "10", **changes: Any) -> list[Any]:
    row = {
        "open_ms": open_secs * 1_000,
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": str(trades),
        "close_ms": open_secs * 1_000 + 999,
        "quote_volume": "1",
        "trades": trades,
    }
    row.update(changes)
    return [*row.values(), "0.5", "5", "0"]


def klines(*rows: list[Any]) -> bytes:
    return json.dumps(rows).encode()


def seconds(count: int) -> BarSpec:
    return BarSpec(count, BarUnit.SECOND)


def query(path: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}


def test_venue_symbol_has_neither_dash_nor_venue() -> None:
    assert venue_symbol("BTC-USDT.BINANCE") == "BTCUSDT"


def test_instruments_are_asked_for_by_name(rest: BinanceRest) -> None:
    path = rest.instruments_path((BTC,))

    assert path.startswith("/api/v3/exchangeInfo?")
    assert query(path) == {"symbols": '["BTCUSDT"]'}


def test_instrument_is_read_from_its_filters(rest: BinanceRest) -> None:
    (instrument,) = rest.read_instruments(body(listing()))

    assert instrument.symbol == BTC
    assert instrument.venue_symbol == "BTCUSDT"
    assert (instrument.base, instrument.quote) == ("BTC", "USDT")
    assert instrument.tick_size == Decimal("0.01")
    assert instrument.lot_size == Decimal("0.00001")
    assert instrument.min_quantity == Decimal("0.00001")
    assert instrument.max_quantity == Decimal(9000)
    assert instrument.min_notional == Decimal(5)


def test_every_filter_of_an_order_is_read(rest: BinanceRest) -> None:
    told = listing(
        PERCENT_PRICE_BY_SIDE={
            "bidMultiplierUp": "1.2",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.8",
        },
        MARKET_LOT_SIZE={"minQty": "0.001", "maxQty": "113.5", "stepSize": "0"},
        MAX_NUM_ORDERS={"maxNumOrders": 200},
        MAX_NUM_ALGO_ORDERS={"maxNumAlgoOrders": 5},
        MAX_POSITION={"maxPosition": "10.5"},
    )
    told["orderTypes"] = ["LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT"]

    (instrument,) = rest.read_instruments(body(told))

    assert instrument.price_band == PriceBand(
        buy_down=Decimal("0.2"),
        buy_up=Decimal("1.2"),
        sell_down=Decimal("0.8"),
        sell_up=Decimal(5),
    )
    assert instrument.market_min_quantity == Decimal("0.001")
    assert instrument.market_max_quantity == Decimal("113.5")
    assert instrument.market_lot_size == 0
    assert (instrument.max_open_orders, instrument.max_stop_orders) == (200, 5)
    assert instrument.max_position == Decimal("10.5")
    assert instrument.order_types == frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})


def test_recorded_exchange_info_of_2021_is_read(rest: BinanceRest) -> None:
    path = BINANCE / "rest_get_exchange_info_ok.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no recorded answer at {path}; set KRATOR_TEST_DATA")
    with gzip.open(path, "rt") as lines:
        answer = json.loads(next(lines))["response"]["body"]

    instruments = rest.read_instruments(answer.encode())

    assert [instrument.venue_symbol for instrument in instruments] == ["BTCUSDT", "ETHUSDT"]
    assert all(instrument.min_notional == 10 for instrument in instruments)
    assert all(instrument.max_stop_orders == 5 for instrument in instruments)
    bands = [instrument.price_band for instrument in instruments]
    assert {(b.buy_up, b.sell_down) for b in bands if b} == {(Decimal(5), Decimal("0.2"))}


def test_recorded_depth_is_read(rest: BinanceRest) -> None:
    path = BINANCE / "live_20240808/spot_btcusdt.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no recorded session at {path}; set KRATOR_TEST_DATA")
    with gzip.open(path, "rt") as lines:
        answer = next(r["data"] for r in map(json.loads, lines) if r["dir"] == "http")

    book = rest.read_book(answer.encode(), BTC, 7)

    assert book.last_id == 50093239218
    assert book.bids[0][0] == Decimal("61837.63")
    assert book.ts_event == book.ts_init == 7


@pytest.mark.parametrize("missing", ["PRICE_FILTER", "LOT_SIZE", "NOTIONAL"])
def test_listing_without_a_filter_is_malformed(rest: BinanceRest, missing: str) -> None:
    with pytest.raises(MalformedFrameError):
        rest.read_instruments(body(listing(**{missing: None})))


def test_tick_size_of_zero_is_malformed(rest: BinanceRest) -> None:
    with pytest.raises(MalformedFrameError):
        rest.read_instruments(body(listing(PRICE_FILTER={"tickSize": "0.00000000"})))


@pytest.mark.parametrize(
    ("period_secs", "count", "interval", "limit"),
    [(1, 10, "1s", 12), (5, 10, "1s", 60), (60, 10, "1m", 12), (120, 10, "1m", 24),
     (900, 10, "15m", 12), (7, 500, "1s", 1_000), (86_400, 1, "1d", 3)],
)  # fmt: skip
def test_bars_come_from_the_longest_interval_that_divides_the_period(
    rest: BinanceRest, period_secs: int, count: int, interval: str, limit: int
) -> None:
    path = rest.bars_path(BTC, seconds(period_secs), count, 0)

    assert query(path) == {"symbol": "BTCUSDT", "interval": interval, "limit": str(limit)}


def test_bars_of_five_seconds_are_merged_from_seconds(rest: BinanceRest) -> None:
    answer = klines(
        *(kline(secs, price=str(secs)) for secs in range(8, 21)),
    )

    bars = rest.read_bars(answer, BTC, seconds(5), 10)

    assert [bar.ts_open // SECOND_NS for bar in bars] == [10, 15]
    prices = [bars[0].open, bars[0].high, bars[0].low, bars[0].close]
    assert prices == [Decimal(price) for price in (10, 14, 10, 14)]
    assert bars[0].volume == 5
    assert bars[0].trades == 5


def test_newest_kline_is_never_a_finished_bar(rest: BinanceRest) -> None:
    bars = rest.read_bars(klines(kline(60), kline(120)), BTC, seconds(60), 10)

    assert [bar.ts_open // SECOND_NS for bar in bars] == [60]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b"[[1]]",
        b"[" * 100_000,
        klines(kline(2), kline(1)),
        klines(kline(1), kline(1)),
        klines(kline(1, open="11")),
        klines(kline(1, low="NaN")),
        klines(kline(1, trades=-1)),
        klines(kline(-1)),
    ],
)
def test_klines_that_cannot_be_are_malformed(rest: BinanceRest, answer: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        rest.read_bars(answer, BTC, seconds(5), 10)


def test_clock_of_the_venue_is_read(rest: BinanceRest) -> None:
    assert rest.time_path() == "/api/v3/time"
    assert rest.read_time(b'{"serverTime":1723161255342}') == 1_723_161_255_342_000_000


def test_depth_is_asked_for_by_name(rest: BinanceRest) -> None:
    assert query(rest.book_path(BTC)) == {"symbol": "BTCUSDT", "limit": "1000"}


@given(answer=st.binary() | st.text().map(str.encode))
def test_no_body_raises_anything_else(answer: bytes) -> None:
    rest = BinanceRest((BTC,))
    for read in (
        rest.read_instruments,
        rest.read_time,
        lambda answer: rest.read_bars(answer, BTC, seconds(5), 10),
        lambda answer: rest.read_book(answer, BTC, 1),
    ):
        with suppress(MalformedFrameError):
            read(answer)
