"""Trades in order and each once, and every one that is missing declared."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core import trade_flow
from krator_actors.core.trade_flow import HELD_LIMIT, Told, TradeFlow, unseen_gap
from krator_actors.messages.market import MarketDataGap, TradeTick


def trade(number: int, *, ts: int | None = None, price: str = "100") -> TradeTick:
    return TradeTick(
        symbol="BTC-USDT.SIM",
        price=Decimal(price),
        size=Decimal(1),
        aggressor=None,
        trade_id=number,
        ts_event=number * 1_000 if ts is None else ts,
        ts_init=number * 1_000 + 1,
    )


def numbered(**options: bool) -> TradeFlow:
    return TradeFlow(**{"consecutive": True, "continues": False, **options})


def ids(told: Told) -> list[int | tuple[int, int, int, int]]:
    return [
        one.trade_id
        if isinstance(one, TradeTick)
        else (one.first_id, one.last_id, one.count, one.filled)
        for one in told
    ]


def play(flow: TradeFlow, *numbers: int) -> list[int | tuple[int, int, int, int]]:
    return [item for number in numbers for item in ids(flow.on_trade(trade(number), 7))]


def test_trade_behind_a_hole_is_held_until_the_hole_is_given_up() -> None:
    flow = numbered()

    assert play(flow, 7, 11) == [7]
    assert (flow.missing, flow.hole_since_ns) == (3, 7)
    assert ids(flow.give_up()) == [(8, 10, 3, 0), 11]
    assert (flow.missing, flow.hole_since_ns) == (0, None)
    assert flow.give_up() == ()


def test_swapped_trades_are_put_in_order_without_a_word() -> None:
    flow = numbered()

    assert play(flow, 7, 9, 8, 10) == [7, 8, 9, 10]
    assert flow.hole_since_ns is None


def test_fetched_trades_fill_the_hole_and_are_announced() -> None:
    flow = numbered()
    play(flow, 7, 11, 12)

    told = flow.on_fetched([trade(number) for number in (7, 8, 9, 10, 11, 12, 13)])

    assert ids(told) == [(8, 10, 0, 3), 8, 9, 10, 11, 12]
    gap = told[0]
    assert isinstance(gap, MarketDataGap)
    assert gap.is_filled


def test_two_holes_are_filled_or_declared_together() -> None:
    flow = numbered()
    play(flow, 7, 9, 11)

    assert flow.on_fetched([trade(8)]) == ()
    assert ids(flow.give_up()) == [(8, 10, 1, 1), 8, 9, 11]


def test_hole_that_a_connection_and_the_fetch_fill_together_is_whole() -> None:
    flow = numbered()
    play(flow, 7, 11)
    flow.on_fetched([trade(8)])

    assert play(flow, 8, 9) == []
    assert play(flow, 10) == [(8, 8, 0, 1), 8, 9, 10, 11]


def test_hole_that_is_too_large_is_declared_at_once() -> None:
    flow = numbered()

    last = HELD_LIMIT + 10
    assert play(flow, 7, last) == [7, (8, last - 1, last - 8, 0), last]


def test_repetition_is_left_out_and_a_new_count_is_not() -> None:
    flow = numbered()

    assert play(flow, 7, 7, 6, 8) == [7, 8]
    assert flow.repeated == 2
    assert ids(flow.on_trade(trade(1, ts=99_000), 1)) == [(0, 0, 0, 0), 1]


def test_feed_that_follows_another_says_that_nobody_knows() -> None:
    assert play(numbered(continues=True), 7, 8) == [(0, 0, 0, 0), 7, 8]


def test_unordered_ids_repeat_only_with_price_and_time() -> None:
    flow = TradeFlow(consecutive=False, continues=False)

    told = [
        *flow.on_trade(trade(5, ts=1), 0),
        *flow.on_trade(trade(5, ts=1), 0),
        *flow.on_trade(trade(5, ts=1, price="101"), 0),
        *flow.on_trade(trade(3, ts=2), 0),
    ]

    assert ids(told) == [5, 5, 3]
    assert flow.repeated == 1


def test_what_was_missed_between_connections_is_announced_where_ids_say_nothing() -> None:
    flow = TradeFlow(consecutive=False, continues=False)
    flow.on_trade(trade(5, ts=1), 0)

    assert ids(flow.on_fetched([trade(5, ts=1), trade(9, ts=2)])) == [(0, 0, 0, 1), 9]
    assert flow.on_fetched([trade(9, ts=2)]) == ()
    assert flow.last is not None
    assert not unseen_gap(flow.last, "RECONNECTED").is_filled


def test_memory_of_repetitions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_flow, "_RECENT", 10)
    flow = TradeFlow(consecutive=False, continues=True)

    play(flow, *range(100))

    assert len(flow._recent) == len(flow._oldest) == 10


@given(
    script=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["live", "fetched", "give up"])),
        max_size=60,
    )
)
def test_whatever_arrives_each_trade_is_told_once_in_order_or_declared(
    script: list[tuple[int, str]],
) -> None:
    flow = numbered()
    told: list[TradeTick | MarketDataGap] = []

    for number, how in script:
        if how == "live":
            told += flow.on_trade(trade(number), 0)
        elif how == "fetched":
            told += flow.on_fetched([trade(n) for n in range(number, number + 5)])
        else:
            told += flow.give_up()
    told += flow.give_up()

    trades = [one.trade_id for one in told if isinstance(one, TradeTick)]
    missing = sum(one.count for one in told if isinstance(one, MarketDataGap))
    assert trades == sorted(set(trades))
    if trades:
        assert trades[-1] - trades[0] + 1 == len(trades) + missing
    assert flow.missing == 0
