"""What holds for every strategy, and what may be ordered."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.cross import ema_cross, sma_cross
from krator_actors.core.mean_reversion import mean_reversion
from krator_actors.core.strategies import (
    Intent,
    Standing,
    Strategy,
    cause_of,
    entry_quantity,
    exit_quantity,
    side_of,
)
from krator_actors.messages.market import QuoteTick, TradeTick
from krator_actors.messages.orders import OrderExpired
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide
from tests.core.bar_scene import SYMBOL, bar, closes, shown, traded

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
MAKERS: dict[str, Callable[[], Strategy]] = {
    "sma_cross": lambda: sma_cross(fast=2, slow=4),
    "ema_cross": lambda: ema_cross(fast=2, slow=4),
    "mean_reversion": lambda: mean_reversion(
        bollinger_period=4,
        bollinger_deviations=1.0,
        rsi_period=2,
        rsi_oversold=40.0,
        atr_period=2,
        stop_atr=2.0,
    ),
}

makers = st.sampled_from(list(MAKERS.values()))


def trade(price: float) -> TradeTick:
    return TradeTick(
        symbol=SYMBOL,
        price=Decimal(str(price)),
        size=Decimal(1),
        aggressor=OrderSide.BUY,
        trade_id=7,
        ts_event=1,
        ts_init=1,
    )


@given(makers, closes)
def test_it_is_deterministic(make: Callable[[], Strategy], prices: list[int]) -> None:
    assert traded(make(), prices) == traded(make(), prices)


@given(makers, closes)
def test_it_never_opens_twice_in_a_row_and_never_sells_what_it_has_not(
    make: Callable[[], Strategy], prices: list[int]
) -> None:
    sides = [intent.side for intent in traded(make(), prices)]

    assert sides[::2] == [OrderSide.BUY] * len(sides[::2])
    assert sides[1::2] == [OrderSide.SELL] * len(sides[1::2])


@given(makers, closes, st.sampled_from(Standing))
def test_it_says_nothing_before_it_is_warm(
    make: Callable[[], Strategy], prices: list[int], standing: Standing
) -> None:
    strategy = make()

    assert shown(strategy, prices[: strategy.warm_up_bars - 1], standing) == []
    assert strategy.on_trade(trade(1), standing) == []


@given(makers, closes)
def test_it_says_nothing_while_its_position_is_not_known(
    make: Callable[[], Strategy], prices: list[int]
) -> None:
    strategy = make()

    assert shown(strategy, prices, Standing.UNKNOWN) == []
    assert strategy.on_trade(trade(1), Standing.UNKNOWN) == []


@given(makers, closes)
def test_every_intent_names_its_bar_and_what_it_was_decided_on(
    make: Callable[[], Strategy], prices: list[int]
) -> None:
    for intent in traded(make(), prices):
        number = intent.ts_event // NANOS_PER_SEC - 1

        assert intent.cause == cause_of(bar(number, prices[number]))
        assert intent.price == prices[number]
        assert intent.readings
        assert intent.leg == (0 if intent.side is OrderSide.BUY else 1)


@pytest.mark.parametrize("kind", MAKERS)
def test_it_is_warm_after_its_warm_up_bars_and_not_before(kind: str) -> None:
    strategy = MAKERS[kind]()

    warm = []
    for number in range(strategy.warm_up_bars):
        warm.append(strategy.is_warm)
        strategy.on_bar(bar(number, 1), Standing.FLAT)

    assert not any(warm)
    assert strategy.is_warm


@pytest.mark.parametrize("kind", MAKERS)
def test_a_close_that_is_missing_decides_nothing_and_warms_nothing(kind: str) -> None:
    strategy = MAKERS[kind]()
    for number in range(strategy.warm_up_bars - 1):
        strategy.on_bar(bar(number, 100 + number % 2), Standing.FLAT)

    for standing in (Standing.FLAT, Standing.LONG):
        assert strategy.on_bar(bar(100, float("nan")), standing) == []
    assert not strategy.is_warm


@pytest.mark.parametrize("kind", MAKERS)
def test_quotes_and_order_events_decide_nothing(kind: str) -> None:
    strategy = MAKERS[kind]()
    shown(strategy, [100, 101] * 10, Standing.FLAT)
    one = Decimal(1)
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

    assert strategy.on_quote(quote, Standing.LONG) == []
    assert strategy.on_order_event(expired, Standing.LONG) == []


def test_a_decision_s_cause_is_the_bar_or_the_trade() -> None:
    assert cause_of(bar(7, 1)) == f"bar:{7 * NANOS_PER_SEC}"
    assert cause_of(trade(1)) == "trade:7"


def test_what_differs_by_rounding_alone_is_on_neither_side() -> None:
    assert side_of(0.1 + 0.2, 0.3) == 0
    assert (side_of(0.31, 0.3), side_of(0.29, 0.3)) == (1, -1)
    assert side_of(float("nan"), 0.3) == side_of(0.3, float("nan")) == 0


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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("side", "BUY"),
        ("price", 1.5),
        ("price", Decimal("NaN")),
        ("price", Decimal("Infinity")),
        ("price", Decimal(0)),
        ("price", Decimal(-1)),
        ("cause", ""),
    ],
)
def test_intent_that_no_order_can_be_made_of_cannot_be_built(key: str, value: object) -> None:
    good: dict[str, object] = {
        "side": OrderSide.BUY,
        "cause": "bar:1",
        "price": Decimal(1),
        "readings": (),
        "ts_event": 1,
    }
    assert msgspec.convert(good, Intent).side is OrderSide.BUY

    with pytest.raises((TypeError, ValueError), match=f"intent's {key}"):
        Intent(**{**good, key: value})  # type: ignore[arg-type]
