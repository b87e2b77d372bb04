"""Books rebuilt from recorded frames equal what the venues said of them at the same moments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from krator_actors.adapters.binance_futures import BinanceFuturesMarket, BinanceFuturesRest
from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.adapters.binance_rest import BinanceRest
from krator_actors.adapters.coinbase_market import CoinbaseMarket
from krator_actors.adapters.kraken_market import KrakenMarket
from krator_actors.core.books import BookRule, BookState, OrderBook
from krator_actors.messages.market import BookDelta, BookSnapshot, QuoteTick
from krator_actors.ports import MarketCodec
from tests.adapters.recorded import PROTOCOL, received, records

LIVE = "binance/live_20240808"


def golden_books() -> dict[str, list[dict[str, Any]]]:
    path = PROTOCOL / LIVE / "golden_books.json"
    if not path.exists():
        pytest.skip(f"no golden books at {path}; set KRATOR_TEST_DATA")
    books: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    return books


def as_numbers(levels: list[list[str]]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((Decimal(price), Decimal(size)) for price, size in levels)


@pytest.mark.parametrize(
    ("name", "symbol", "common"),
    [
        ("spot_btcusdt", "BTC-USDT.B", 564),
        ("spot_ethusdt", "ETH-USDT.B", 577),
        ("usdm_btcusdt", "BTC-USDT.B", 629),
        ("usdm_ethusdt", "ETH-USDT.B", 551),
        ("cm_btcusd_perp", "BTC-USD_PERP.B", 1_124),
        ("cm_ethusd_perp", "ETH-USD_PERP.B", 1_345),
    ],
)
def test_binance_book_equals_the_book_ticker_at_every_common_update_and_the_golden_books(
    name: str, symbol: str, common: int
) -> None:
    spot = name.startswith("spot")
    make: Callable[[tuple[str, ...]], MarketCodec] = BinanceMarket if spot else BinanceFuturesMarket
    codec = make((symbol,))
    rest = (BinanceRest if spot else BinanceFuturesRest)((symbol,))
    assert codec.book_rule is not None
    book = OrderBook(symbol, codec.book_rule)
    golden = {int(told["after_update_id"]): told for told in golden_books()[name]}
    best: dict[int, tuple[Any, ...]] = {}
    quotes: list[QuoteTick] = []
    held: list[int] = []

    for record in records(f"{LIVE}/{name}.jsonl.gz"):
        if record["dir"] == "http":
            book.on_snapshot(rest.read_book(record["data"].encode(), symbol, 1))
            continue
        for event in codec.decode(record["data"], 1):
            if isinstance(event, QuoteTick):
                quotes.append(event)
            elif isinstance(event, BookDelta):
                live_before = book.state is BookState.LIVE
                state = book.on_delta(event)
                assert state is BookState.LIVE or not live_before
                if state is BookState.LIVE and book.last_id == event.last_id:
                    top = book.top(10)
                    assert top is not None
                    best[event.last_id] = (*top.bids[0], *top.asks[0])
                    if event.last_id in golden:
                        held.append(event.last_id)
                        assert top.bids == as_numbers(golden[event.last_id]["bids"])
                        assert top.asks == as_numbers(golden[event.last_id]["asks"])

    compared = {q.update_id: (q.bid, q.bid_size, q.ask, q.ask_size) for q in quotes}
    same = sorted(compared.keys() & best.keys())
    assert len(same) == common
    assert [best[number] for number in same] == [compared[number] for number in same]
    assert held == sorted(golden)


def test_coinbase_books_never_cross() -> None:
    symbols = ("BTC-USD.C", "ETH-USD.C")
    codec = CoinbaseMarket(symbols)
    books = {symbol: OrderBook(symbol, BookRule.CONNECTION) for symbol in symbols}
    deltas = 0

    for record in received("coinbase/cryptofeed_coinbase_20260809.jsonl.gz"):
        for event in codec.decode(record["data"], 1):
            if isinstance(event, BookSnapshot):
                assert books[event.symbol].on_snapshot(event) is BookState.LIVE
            elif isinstance(event, BookDelta):
                deltas += 1
                assert books[event.symbol].on_delta(event) is BookState.LIVE

    assert deltas == 509


def with_wire_digits(frame: str) -> str:
    """Give the numbers of a transcribed frame the digits back that they had on the wire.

    Kraken writes a price of BTC/USD with 1 digit behind the point, a quantity with 8.
    """
    return re.sub(
        r'"(price|qty)":([-0-9.e]+)',
        lambda match: f'"{match[1]}":{Decimal(match[2]):.{1 if match[1] == "price" else 8}f}',
        frame,
    )


def test_kraken_checksums_of_the_v2_frames_reproduce() -> None:
    codec = KrakenMarket(("BTC-USD.K",))
    book = OrderBook("BTC-USD.K", BookRule.CHECKSUM)
    checked = []

    for record in received("kraken/v2_frames_recorded.jsonl"):
        for event in codec.decode(with_wire_digits(record["data"]), 1):
            if isinstance(event, BookSnapshot):
                checked.append(book.on_snapshot(event))
            elif isinstance(event, BookDelta):
                checked.append(book.on_delta(event))

    assert checked == [BookState.LIVE] * 5


def v1_levels(rows: list[list[str]]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((Decimal(price), Decimal(size)) for price, size, *_ in rows)


def v1_event(frame: list[Any]) -> BookSnapshot | BookDelta | None:
    """Read a book frame of Kraken's WebSocket v1, which our codec does not speak."""
    *_, channel, pair = frame
    if not channel.startswith("book-"):
        return None
    sides = {key: value for part in frame[1:-2] for key, value in part.items()}
    if "as" in sides:
        return BookSnapshot(symbol=pair, last_id=0, bids=v1_levels(sides["bs"]),
                            asks=v1_levels(sides["as"]), depth=int(channel.partition("-")[2]),
                            ts_event=1, ts_init=1)  # fmt: skip
    return BookDelta(symbol=pair, first_id=0, last_id=0, bids=v1_levels(sides.get("b", [])),
                     asks=v1_levels(sides.get("a", [])), checksum=int(sides["c"]),
                     ts_event=1, ts_init=1)  # fmt: skip


def test_all_4269_kraken_checksums_of_the_v1_session_reproduce() -> None:
    books: dict[str, OrderBook] = {}
    checked = 0

    for record in received("kraken/cryptofeed_kraken_20210417.jsonl.gz"):
        frame = json.loads(record["data"])
        event = v1_event(frame) if isinstance(frame, list) else None
        if isinstance(event, BookSnapshot):
            books[event.symbol] = OrderBook(event.symbol, BookRule.CHECKSUM)
            books[event.symbol].on_snapshot(event)
        elif isinstance(event, BookDelta):
            assert books[event.symbol].on_delta(event) is BookState.LIVE
            checked += 1

    assert checked == 4_269
