"""A replayed market and its book, alone and against the recorded session of Binance."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.exchange.displayed_book import DisplayedBook
from krator_actors.exchange.fixed import parse
from krator_actors.exchange.orders import Order
from krator_actors.exchange.recording import (
    DepthEvent,
    Frame,
    Snapshot,
    TickerEvent,
    TradeEvent,
    read_frames,
)
from krator_actors.exchange.replay_market import FIRST_OWN_TRADE_ID, ReplayMarket
from krator_actors.exchange.rules import rules_of
from krator_actors.model import OrderSide

BTC = rules_of("BTCUSDT")
BUY, SELL = OrderSide.BUY, OrderSide.SELL
UNIT = 10**8


class Counter:
    def __init__(self) -> None:
        self.next = FIRST_OWN_TRADE_ID

    def take(self) -> int:
        self.next += 1
        return self.next - 1

    def close(self) -> None:
        pass


def market_with(bids: dict[int, int], asks: dict[int, int]) -> ReplayMarket:
    market = ReplayMarket(BTC, own_trade_ids=Counter())  # type: ignore[arg-type]
    market.absorb(snapshot(10, bids, asks))
    return market


def snapshot(last_id: int, bids: dict[int, int], asks: dict[int, int]) -> Snapshot:
    return Snapshot(last_update_id=last_id, bids=levels(bids), asks=levels(asks))


def levels(sizes: dict[int, int]) -> list[tuple[str, str]]:
    return [(f"{price}.00000000", f"{size}.00000000") for price, size in sizes.items()]


def depth_event(
    last_id: int, bids: dict[int, int] | None = None, asks: dict[int, int] | None = None
) -> DepthEvent:
    return DepthEvent(
        time_ms=1,
        first_id=last_id,
        last_id=last_id,
        bids=levels(bids or {}),
        asks=levels(asks or {}),
    )


def ticker(update_id: int, bid: int, bid_size: int, ask: int, ask_size: int) -> TickerEvent:
    numbers = (f"{number}.00000000" for number in (bid, bid_size, ask, ask_size))
    return TickerEvent(update_id, *numbers)


def trade(price: int, quantity: int, *, buyer_is_maker: bool, time_ms: int = 1) -> TradeEvent:
    return TradeEvent(1, f"{price}.00000000", f"{quantity}.00000000", time_ms, buyer_is_maker)


_order_ids = itertools.count(1)


def order(side: OrderSide, quantity: int, price: int | None, time_in_force: str = "GTC") -> Order:
    return Order(
        order_id=next(_order_ids),
        client_order_id="a",
        rules=BTC,
        side=side,
        order_type="MARKET" if price is None else "LIMIT",
        time_in_force=time_in_force,
        quantity=quantity * UNIT,
        price=(price or 0) * UNIT,
        stop_price=0,
        working_ms=1,
        time_ms=0,
        update_ms=0,
    )


def fills(executions: Iterable[Any]) -> list[tuple[int, int]]:
    return [(e.price // UNIT, e.quantity // UNIT) for e in executions]


def test_two_orders_cannot_take_the_same_displayed_size() -> None:
    market = market_with({99: 5}, {100: 3, 101: 4})

    first = market.execute(order(BUY, 2, None))
    second = market.execute(order(BUY, 2, None))

    assert fills(first) == [(100, 2)]
    assert fills(second) == [(100, 1), (101, 1)]
    assert market.depth(2).asks == [(100 * UNIT, 3 * UNIT), (101 * UNIT, 4 * UNIT)]


def test_level_is_there_again_after_its_next_update_only() -> None:
    market = market_with({99: 5}, {100: 3, 101: 4})
    market.execute(order(BUY, 3, None))

    market.absorb(depth_event(11, asks={101: 4}))
    assert fills(market.execute(order(BUY, 1, None))) == [(101, 1)]
    market.absorb(depth_event(12, asks={100: 2}))

    assert fills(market.execute(order(BUY, 5, None, "IOC"))) == [(100, 2), (101, 3)]


def test_ticker_that_repeats_a_size_is_no_update_of_it() -> None:
    market = market_with({99: 5}, {100: 3})
    market.execute(order(BUY, 3, None))

    market.absorb(ticker(11, 99, 4, 100, 3))
    assert market.execute(order(BUY, 1, None)) == []
    market.absorb(ticker(12, 99, 4, 100, 2))

    assert fills(market.execute(order(BUY, 1, None))) == [(100, 1)]


def test_limit_order_takes_up_to_its_price_and_rests() -> None:
    market = market_with({99: 5}, {100: 3, 101: 4})

    taken = market.execute(order(BUY, 5, 100))

    assert fills(taken) == [(100, 3)]
    assert fills(market.absorb(trade(100, 1, buyer_is_maker=True))) == [(100, 1)]


def test_resting_order_waits_for_the_quantity_ahead_of_it() -> None:
    market = market_with({99: 5}, {100: 3})
    market.execute(order(BUY, 2, 99))

    assert market.absorb(trade(99, 4, buyer_is_maker=True)) == []
    assert market.absorb(trade(99, 9, buyer_is_maker=False)) == []
    assert fills(market.absorb(trade(99, 2, buyer_is_maker=True))) == [(99, 1)]
    assert fills(market.absorb(trade(99, 2, buyer_is_maker=True))) == [(99, 1)]
    assert market.absorb(trade(99, 2, buyer_is_maker=True)) == []


def test_trade_through_its_price_fills_a_resting_order_at_its_own_price() -> None:
    market = market_with({99: 5}, {100: 3})
    market.execute(order(BUY, 2, 99))

    assert fills(market.absorb(trade(98, 1, buyer_is_maker=True))) == [(99, 1)]
    assert fills(market.absorb(trade(99, 1, buyer_is_maker=True))) == [(99, 1)]


def test_level_update_alone_fills_nothing() -> None:
    market = market_with({99: 5}, {100: 3})
    market.execute(order(BUY, 2, 99))

    assert market.absorb(depth_event(11, bids={99: 0})) == []
    assert market.absorb(ticker(12, 97, 1, 98, 1)) == []


def test_canceled_order_is_out_of_the_queue() -> None:
    market = market_with({99: 5}, {100: 3})
    resting = order(SELL, 2, 100)
    market.execute(resting)

    market.cancel(resting.order_id)

    assert market.absorb(trade(101, 9, buyer_is_maker=False)) == []


@given(
    ahead=st.integers(0, 5),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    trades=st.lists(st.tuples(st.integers(97, 100), st.integers(1, 6)), max_size=12),
)
def test_resting_orders_never_get_more_than_was_traded_nor_before_their_turn(
    ahead: int, sizes: list[int], trades: list[tuple[int, int]]
) -> None:
    market = market_with({99: ahead, 1: 1}, {101: 1})
    resting = [order(BUY, size, 99) for size in sizes]
    for one in resting:
        market.execute(one)
    filled = {one.order_id: 0 for one in resting}

    for price, quantity in trades:
        executions = market.absorb(trade(price, quantity, buyer_is_maker=True))
        assert sum(e.quantity for e in executions) <= (quantity * UNIT if price <= 99 else 0)
        for execution in executions:
            filled[execution.order_id] += execution.quantity // UNIT

    at_price = sum(quantity for price, quantity in trades if price == 99)
    through = sum(quantity for price, quantity in trades if price < 99)
    assert sum(filled.values()) <= at_price + through
    if not through:
        assert sum(filled.values()) == min(sum(sizes), max(0, at_price - ahead))
    got = [filled[one.order_id] for one in resting]
    for earlier, later, size in zip(got, got[1:], sizes, strict=False):
        assert later == 0 or earlier == size
    assert all(0 <= part <= size for part, size in zip(got, sizes, strict=True))


def test_book_that_is_newer_ignores_what_is_older() -> None:
    book = DisplayedBook()
    book.apply_snapshot(snapshot(10, {99: 5}, {100: 3}))

    book.apply_depth(depth_event(10, bids={99: 1}))
    book.apply_ticker(ticker(9, 98, 1, 101, 1))
    book.apply_snapshot(snapshot(10, {1: 1}, {2: 2}))

    assert list(book.bids.displayed()) == [(99 * UNIT, 5 * UNIT)]


def test_difference_that_is_older_than_the_ticker_does_not_undo_it() -> None:
    book = DisplayedBook()
    book.apply_snapshot(snapshot(10, {99: 5, 98: 5}, {100: 3, 101: 3}))

    book.apply_ticker(ticker(15, 98, 2, 101, 1))
    book.apply_depth(depth_event(13, bids={99: 4}, asks={100: 1}))

    assert next(book.bids.displayed()) == (98 * UNIT, 2 * UNIT)
    assert next(book.asks.displayed()) == (101 * UNIT, 1 * UNIT)
    assert book.last_id() == 15


@functools.cache
def frames_of(path: Path) -> list[Frame]:
    return list(read_frames(path))


def opened(symbol: str, frames: list[Frame]) -> ReplayMarket:
    """Return a market with the book that the venue opens it with: the first snapshot."""
    market = ReplayMarket(rules_of(symbol), own_trade_ids=Counter())  # type: ignore[arg-type]
    market.absorb(next(f.event for f in frames if isinstance(f.event, Snapshot)))
    return market


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_book_of_the_differences_agrees_with_the_recorded_ticker(
    recorded: Path, symbol: str
) -> None:
    """At each update id that a difference and a ticker have in common, the best levels agree."""
    path = recorded / f"spot_{symbol.lower()}.jsonl.gz"
    frames = frames_of(path)[:12_000]
    tickers = {f.event.update_id: f.event for f in frames if isinstance(f.event, TickerEvent)}
    market, compared = opened(symbol, frames), 0

    for event in (f.event for f in frames if isinstance(f.event, DepthEvent)):
        market.absorb(event)
        same = tickers.get(event.last_id)
        depth = market.depth(1)
        if same is not None and depth.last_update_id == event.last_id:
            compared += 1
            assert depth.bids == [(parse(same.bid), parse(same.bid_size))]
            assert depth.asks == [(parse(same.ask), parse(same.ask_size))]

    assert compared > 150


@pytest.mark.parametrize("with_tickers", [False, True])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_served_depth_agrees_with_the_independently_rebuilt_book(
    recorded: Path, symbol: str, *, with_tickers: bool
) -> None:
    golden = json.loads((recorded / "golden_books.json").read_text())
    expected = {book["after_update_id"]: book for book in golden[f"spot_{symbol.lower()}"]}
    frames = frames_of(recorded / f"spot_{symbol.lower()}.jsonl.gz")
    market, compared = opened(symbol, frames), 0

    for frame in frames:
        if frame.event is None or (isinstance(frame.event, TickerEvent) and not with_tickers):
            continue
        market.absorb(frame.event)
        book = expected.get(market.depth(1).last_update_id)
        if book is not None and isinstance(frame.event, DepthEvent):
            compared += 1
            depth = market.depth(10)
            for side, told in (("bids", depth.bids), ("asks", depth.asks)):
                assert told == [(parse(price), parse(size)) for price, size in book[side]]

    assert compared == len(expected) if not with_tickers else compared


def test_served_book_is_never_crossed_and_its_best_is_the_newest_tickers(recorded: Path) -> None:
    path = recorded / "spot_btcusdt.jsonl.gz"
    frames = frames_of(path)[:12_000]
    market, compared = opened("BTCUSDT", frames), 0

    for frame in frames:
        assert frame.event is not None
        market.absorb(frame.event)
        depth = market.depth(1)
        assert depth.bids[0][0] < depth.asks[0][0]
        newest = frame.event
        if isinstance(newest, TickerEvent) and depth.last_update_id == newest.update_id:
            compared += 1
            assert depth.bids == [(parse(newest.bid), parse(newest.bid_size))]
            assert depth.asks == [(parse(newest.ask), parse(newest.ask_size))]

    assert compared > 5_000
