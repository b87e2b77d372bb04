from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.strategies import (
    Intent,
    Standing,
    Strategy,
    entry_quantity,
    exit_quantity,
    make_strategy,
)
from krator_actors.messages import Bar, OrderExpired, QuoteTick, TradeTick
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide

SYMBOL = "BTC-USDT.SIM"
KINDS: list[Literal["sma_cross", "ema_cross"]] = ["sma_cross", "ema_cross"]
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.001"),
    min_quantity=Decimal("0.002"),
    max_quantity=Decimal(9),
    min_notional=Decimal(5),
)

kinds = st.sampled_from(KINDS)
closes = st.lists(st.integers(1, 200), max_size=80)
# A fall, then a rise: the fast average crosses above the slow one at the last bar but not before.
FALL_THEN_RISE = [10, 9, 8, 7, 6, 5, 4, 9]


def bar(number: int, close: float) -> Bar:
    price = Decimal(str(close))
    return Bar(
        symbol=SYMBOL,
        period_secs=1,
        ts_open=number * NANOS_PER_SEC,
        ts_close=(number + 1) * NANOS_PER_SEC,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
        trades=1,
    )


def cross(kind: Literal["sma_cross", "ema_cross"] = "sma_cross") -> Strategy:
    return make_strategy(kind, fast=2, slow=4)


def shown(strategy: Strategy, prices: Sequence[float], standing: Standing) -> list[Intent]:
    return [i for n, p in enumerate(prices) for i in strategy.on_bar(bar(n, p), standing)]


def traded(strategy: Strategy, prices: Sequence[float]) -> list[Intent]:
    """Show bars; every intent is filled at once."""
    intents: list[Intent] = []
    for number, price in enumerate(prices):
        is_long = bool(intents) and intents[-1].side is OrderSide.BUY
        intents += strategy.on_bar(bar(number, price), Standing.LONG if is_long else Standing.FLAT)
    return intents


def test_it_buys_on_the_bar_at_which_fast_crosses_above_slow() -> None:
    (intent,) = shown(cross(), FALL_THEN_RISE, Standing.FLAT)

    assert intent == Intent(
        side=OrderSide.BUY,
        cause=f"bar:{7 * NANOS_PER_SEC}",
        price=Decimal(9),
        fast=6.5,
        slow=6.0,
        ts_event=8 * NANOS_PER_SEC,
    )
    assert intent.leg == 0


def test_it_sells_everything_on_the_bar_at_which_fast_crosses_below_slow() -> None:
    buy, sell = traded(cross(), [*FALL_THEN_RISE, 12, 14, 2])

    assert (buy.side, sell.side) == (OrderSide.BUY, OrderSide.SELL)
    assert sell.cause == f"bar:{10 * NANOS_PER_SEC}"
    assert sell.leg == 1


def test_a_cross_that_was_missed_is_not_bought_later() -> None:
    strategy = cross()
    shown(strategy, FALL_THEN_RISE, Standing.UNKNOWN)

    assert strategy.on_bar(bar(8, 12), Standing.FLAT) == []


def test_a_position_that_should_have_been_sold_is_sold_at_the_next_bar() -> None:
    strategy = cross()
    shown(strategy, [4, 5, 6, 7, 8, 1], Standing.UNKNOWN)

    (intent,) = strategy.on_bar(bar(6, 1), Standing.LONG)

    assert intent.side is OrderSide.SELL


def test_being_above_from_the_beginning_is_not_a_cross() -> None:
    assert shown(cross(), [1, 2, 3, 4, 5, 6, 7, 8], Standing.FLAT) == []


def test_touching_is_not_crossing_and_passing_through_equality_is() -> None:
    touching = shown(cross(), [9, 8, 7, 6, 9, 2], Standing.FLAT)
    passing = shown(cross(), [9, 8, 7, 6, 9, 9], Standing.FLAT)

    assert touching == []
    assert [intent.side for intent in passing] == [OrderSide.BUY]


def test_equal_prices_never_look_like_a_cross() -> None:
    for kind in KINDS:
        strategy = make_strategy(kind, fast=3, slow=7)

        assert shown(strategy, [1.0, *[0.1] * 40], Standing.FLAT) == []


@pytest.mark.parametrize(("kind", "bars"), [("sma_cross", 5), ("ema_cross", 13)])
def test_warm_up_is_the_slow_average_and_one_bar_before_it(
    kind: Literal["sma_cross", "ema_cross"], bars: int
) -> None:
    strategy = cross(kind)
    warm = []
    for number in range(bars):
        warm.append(strategy.is_warm)
        strategy.on_bar(bar(number, 1), Standing.FLAT)

    assert strategy.warm_up_bars == bars
    assert not any(warm)
    assert strategy.is_warm


@given(kinds, closes)
def test_it_is_deterministic(kind: Literal["sma_cross", "ema_cross"], prices: list[int]) -> None:
    assert traded(cross(kind), prices) == traded(cross(kind), prices)


@given(kinds, closes)
def test_it_never_opens_twice_in_a_row_and_never_sells_what_it_has_not(
    kind: Literal["sma_cross", "ema_cross"], prices: list[int]
) -> None:
    sides = [intent.side for intent in traded(cross(kind), prices)]

    assert sides[::2] == [OrderSide.BUY] * len(sides[::2])
    assert sides[1::2] == [OrderSide.SELL] * len(sides[1::2])


@given(kinds, closes, st.sampled_from(Standing))
def test_it_says_nothing_before_it_is_warm(
    kind: Literal["sma_cross", "ema_cross"], prices: list[int], standing: Standing
) -> None:
    strategy = cross(kind)

    assert shown(strategy, prices[: strategy.warm_up_bars - 1], standing) == []


@given(kinds, closes)
def test_it_says_nothing_while_its_position_is_not_known(
    kind: Literal["sma_cross", "ema_cross"], prices: list[int]
) -> None:
    assert shown(cross(kind), prices, Standing.UNKNOWN) == []


@given(closes, closes)
def test_sma_cross_decides_the_same_whatever_came_before_its_warm_up(
    before: list[int], prices: list[int]
) -> None:
    fresh, seasoned = cross(), cross()
    shown(seasoned, before, Standing.UNKNOWN)
    warm_up = fresh.warm_up_bars - 1
    for strategy in (fresh, seasoned):
        shown(strategy, prices[:warm_up], Standing.UNKNOWN)

    following = [bar(n, p) for n, p in enumerate(prices[warm_up:], warm_up)]
    for each in following:
        # An entry also depends on the side that equal averages came from, an exit does not.
        assert fresh.on_bar(each, Standing.LONG) == seasoned.on_bar(each, Standing.LONG)


@given(closes, st.integers(0, 79))
def test_a_close_that_is_missing_decides_nothing(prices: list[int], where: int) -> None:
    strategy = cross()
    shown(strategy, prices[:where], Standing.FLAT)

    assert strategy.on_bar(bar(100, math.nan), Standing.FLAT) == []
    assert strategy.on_bar(bar(101, math.nan), Standing.LONG) == []


def test_trades_quotes_and_order_events_decide_nothing() -> None:
    strategy = cross()
    shown(strategy, FALL_THEN_RISE[:-1], Standing.FLAT)
    one = Decimal(1)
    trade = TradeTick(
        symbol=SYMBOL,
        price=one,
        size=one,
        aggressor=OrderSide.BUY,
        trade_id=1,
        ts_event=1,
        ts_init=1,
    )
    quote = QuoteTick(
        symbol=SYMBOL,
        bid=one,
        bid_size=one,
        ask=one,
        ask_size=one,
        update_id=1,
        ts_event=1,
        ts_init=1,
    )
    expired = OrderExpired(client_order_id="k", symbol=SYMBOL, ts_event=1)

    assert strategy.on_trade(trade, Standing.FLAT) == []
    assert strategy.on_quote(quote, Standing.FLAT) == []
    assert strategy.on_order_event(expired, Standing.FLAT) == []


def test_fast_must_be_below_slow() -> None:
    with pytest.raises(ValueError, match="fast 8 must be below slow 8"):
        make_strategy("sma_cross", fast=8, slow=8)


def test_an_entry_is_in_whole_lots_and_does_not_cost_more_than_the_notional() -> None:
    assert entry_quantity(Decimal(500), Decimal(61_000), INSTRUMENT) == Decimal("0.008")


def test_an_entry_that_the_venue_would_not_take_is_none() -> None:
    assert entry_quantity(Decimal(500), Decimal(300_000), INSTRUMENT) == 0
    assert entry_quantity(Decimal(4), Decimal(100), INSTRUMENT) == 0


def test_an_exit_is_everything_in_whole_lots() -> None:
    assert exit_quantity(Decimal("0.0079920"), Decimal(61_000), INSTRUMENT) == Decimal("0.007")


def test_no_order_is_larger_than_the_venue_takes() -> None:
    assert exit_quantity(Decimal(100), Decimal(61_000), INSTRUMENT) == Decimal(9)


@pytest.mark.parametrize("position", ["0", "-1", "0.0009", "0.0019"])
def test_what_cannot_be_sold_is_not_a_position(position: str) -> None:
    assert exit_quantity(Decimal(position), Decimal(61_000), INSTRUMENT) == 0


@given(
    st.decimals("0.01", 10_000, places=2),
    st.decimals("0.01", 100_000, places=2),
)
def test_every_entry_satisfies_the_venue_s_filters(notional: Decimal, price: Decimal) -> None:
    quantity = entry_quantity(notional, price, INSTRUMENT)

    if quantity:
        assert quantity % INSTRUMENT.lot_size == 0
        assert INSTRUMENT.min_quantity <= quantity <= INSTRUMENT.max_quantity
        assert INSTRUMENT.min_notional <= quantity * price <= notional
