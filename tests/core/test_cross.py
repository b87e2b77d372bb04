from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given

from krator_actors.core.cross import ema_cross, sma_cross
from krator_actors.core.strategies import Intent, Standing, Strategy, readings
from krator_actors.messages.market import TradeTick
from krator_actors.model import NANOS_PER_SEC, OrderSide
from tests.core.bar_scene import SYMBOL, bar, closes, shown, traded

Maker = Callable[..., Strategy]

# A fall, then a rise: the fast average crosses above the slow one at the last bar but not before.
FALL_THEN_RISE = [10, 9, 8, 7, 6, 5, 4, 9]


def cross() -> Strategy:
    return sma_cross(fast=2, slow=4)


def test_it_buys_on_the_bar_at_which_fast_crosses_above_slow() -> None:
    (intent,) = shown(cross(), FALL_THEN_RISE, Standing.FLAT)

    assert intent == Intent(
        side=OrderSide.BUY,
        cause=f"bar:{7 * NANOS_PER_SEC}",
        price=Decimal(9),
        readings=readings(fast=6.5, slow=6.0),
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
    for make in (sma_cross, ema_cross):
        strategy = make(fast=3, slow=7)

        assert shown(strategy, [1.0, *[0.1] * 40], Standing.FLAT) == []


@pytest.mark.parametrize(("make", "bars"), [(sma_cross, 5), (ema_cross, 13)])
def test_warm_up_is_the_slow_average_and_one_bar_before_it(make: Maker, bars: int) -> None:
    assert make(fast=2, slow=4).warm_up_bars == bars


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


def test_trades_decide_nothing() -> None:
    strategy = cross()
    shown(strategy, FALL_THEN_RISE[:-1], Standing.FLAT)
    trade = TradeTick(
        symbol=SYMBOL,
        price=Decimal(1),
        size=Decimal(1),
        aggressor=OrderSide.BUY,
        trade_id=1,
        ts_event=1,
        ts_init=1,
    )

    assert strategy.on_trade(trade, Standing.FLAT) == []
    assert strategy.on_trade(trade, Standing.LONG) == []


@pytest.mark.parametrize("make", [sma_cross, ema_cross])
def test_fast_must_be_below_slow(make: Maker) -> None:
    with pytest.raises(ValueError, match="fast 8 must be below slow 8"):
        make(fast=8, slow=8)
