from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from krator_actors.core.mean_reversion import MeanReversionStrategy, mean_reversion
from krator_actors.core.strategies import Intent, Standing
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar, TradeTick
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import NANOS_PER_SEC, OrderSide

SYMBOL = "BTC-USDT.SIM"
# Enough for the warm-up of 11 bars; then one that falls below the lower band.
CALM = [100.0, 101.0] * 6
FALL = 96.0
FALL_BAR = len(CALM)


def bar(number: int, close: float, *, high: float | None = None) -> Bar:
    price = Decimal(str(close))
    return Bar(
        symbol=SYMBOL,
        spec=BarSpec(1, BarUnit.SECOND),
        ts_open=number * NANOS_PER_SEC,
        ts_close=(number + 1) * NANOS_PER_SEC,
        open=price,
        high=price if high is None else Decimal(str(high)),
        low=price,
        close=price,
        volume=Decimal(1),
        trades=1,
    )


def trade(price: Decimal | float, trade_id: int = 1) -> TradeTick:
    return TradeTick(
        symbol=SYMBOL,
        price=Decimal(str(price)),
        size=Decimal(1),
        aggressor=OrderSide.SELL,
        trade_id=trade_id,
        ts_event=trade_id,
        ts_init=trade_id,
    )


def cold(*, oversold: float = 40.0, deviations: float = 1.0) -> MeanReversionStrategy:
    return mean_reversion(
        bollinger_period=4,
        bollinger_deviations=deviations,
        rsi_period=2,
        rsi_oversold=oversold,
        atr_period=2,
        stop_atr=2.0,
    )


def shown(
    strategy: MeanReversionStrategy, prices: Sequence[float], standing: Standing
) -> list[Intent]:
    return [i for n, p in enumerate(prices) for i in strategy.on_bar(bar(n, p), standing)]


def bought(strategy: MeanReversionStrategy) -> Intent:
    """Show it the calm and the fall; return its entry."""
    (intent,) = shown(strategy, [*CALM, FALL], Standing.FLAT)
    return intent


def stop_of(entry: Intent) -> Decimal:
    assert entry.stop_price is not None
    return entry.stop_price


def signal(entry: Intent) -> SignalRaised:
    return SignalRaised(
        strategy="strategy",
        symbol=SYMBOL,
        side=entry.side,
        client_order_id="k",
        cause=entry.cause,
        readings=entry.readings,
        stop_price=entry.stop_price,
        price=entry.price,
        quantity=Decimal(1),
        ts_event=entry.ts_event,
        ts_init=1,
    )


def test_it_buys_the_close_below_the_lower_band_while_rsi_is_oversold() -> None:
    intent = bought(cold())

    told = {reading.name: reading.value for reading in intent.readings}
    assert intent.side is OrderSide.BUY
    assert intent.cause == f"bar:{FALL_BAR * NANOS_PER_SEC}"
    assert intent.price == Decimal("96.0")
    assert told["middle"] == 99.5
    assert FALL < told["lower"] < told["middle"]
    assert told["rsi"] < 40
    assert stop_of(intent) == Decimal("96.0") - Decimal(str(2.0 * told["atr"]))


def test_a_fall_that_leaves_rsi_above_oversold_is_not_bought() -> None:
    assert shown(cold(oversold=1.0), [*CALM, FALL], Standing.FLAT) == []


def test_an_oversold_close_within_the_bands_is_not_bought() -> None:
    steady_fall = [130.0 - n for n in range(30)]

    assert shown(cold(deviations=2.0), steady_fall, Standing.FLAT) == []


def test_a_fall_that_was_missed_is_not_bought_later() -> None:
    strategy = cold()
    shown(strategy, [*CALM, FALL], Standing.UNKNOWN)

    assert strategy.on_bar(bar(FALL_BAR + 1, 80), Standing.FLAT) == []


def test_a_fall_on_the_first_bar_that_can_be_judged_is_not_bought() -> None:
    strategy = cold()
    calm = CALM[: strategy.warm_up_bars - 2]

    assert shown(strategy, [*calm, 80], Standing.FLAT) == []


def test_a_market_that_stands_still_after_a_fall_is_not_bought() -> None:
    falling = [130.1 - n for n in range(12)]
    strategy = cold()
    shown(strategy, falling, Standing.UNKNOWN)

    assert shown(strategy, [119.1] * 30, Standing.FLAT) == []


@pytest.mark.parametrize(("close", "sides"), [(99.0, [OrderSide.SELL]), (98.9, [])])
def test_it_sells_when_the_close_is_back_at_the_middle_band(
    close: float, sides: list[OrderSide]
) -> None:
    strategy = cold()
    bought(strategy)

    intents = strategy.on_bar(bar(FALL_BAR + 1, close), Standing.LONG)

    # The mean of 100, 101, 96 and 99 is 99.
    assert [intent.side for intent in intents] == sides


def test_while_it_is_long_at_the_middle_or_above_it_says_so_on_every_bar() -> None:
    strategy = cold()
    bought(strategy)

    intents = shown(strategy, [103, 104, 105], Standing.LONG)

    assert [intent.side for intent in intents] == [OrderSide.SELL] * 3


def test_a_trade_at_the_stop_is_sold_at_once_and_said_once_a_bar() -> None:
    strategy = cold()
    entry = bought(strategy)
    stop = stop_of(entry)

    above = strategy.on_trade(trade(stop + Decimal("0.01"), 1), Standing.LONG)
    (sale,) = strategy.on_trade(trade(stop, 2), Standing.LONG)
    again = strategy.on_trade(trade(stop, 3), Standing.LONG)
    (at_close,) = strategy.on_bar(bar(FALL_BAR + 1, float(stop)), Standing.LONG)
    (next_bar,) = strategy.on_trade(trade(stop, 4), Standing.LONG)

    assert above == again == []
    assert sale == Intent(
        side=OrderSide.SELL,
        cause="trade:2",
        price=stop,
        readings=(),
        stop_price=stop,
        ts_event=2,
    )
    assert (at_close.side, at_close.stop_price) == (OrderSide.SELL, stop)
    assert next_bar.cause == "trade:4"


def test_the_stop_stays_where_the_entry_put_it() -> None:
    strategy = cold()
    stop = stop_of(bought(strategy))

    strategy.on_bar(bar(FALL_BAR + 1, 97, high=150), Standing.UNKNOWN)
    strategy.on_bar(bar(FALL_BAR + 2, 96.5), Standing.LONG)
    (sale,) = strategy.on_trade(trade(stop), Standing.LONG)

    assert sale.stop_price == stop


def test_what_was_sold_at_the_stop_is_not_bought_again_while_the_fall_goes_on() -> None:
    strategy = cold()
    stop = stop_of(bought(strategy))
    strategy.on_trade(trade(stop), Standing.LONG)

    assert shown(strategy, [float(stop) - 5 * n for n in range(4)], Standing.FLAT) == []


def test_while_it_is_flat_or_in_doubt_the_stop_sells_nothing() -> None:
    strategy = cold()
    stop = stop_of(bought(strategy))

    for standing in (Standing.FLAT, Standing.UNKNOWN):
        assert strategy.on_trade(trade(stop), standing) == []


def test_an_entry_that_came_to_nothing_leaves_no_stop() -> None:
    strategy = cold()
    stop = stop_of(bought(strategy))

    strategy.on_bar(bar(FALL_BAR + 1, 97), Standing.FLAT)

    assert strategy.on_trade(trade(stop), Standing.LONG) == []


def test_after_a_restart_the_stop_is_the_one_of_the_entry() -> None:
    entry = bought(cold())
    strategy = cold()
    strategy.recall(signal(entry))
    shown(strategy, [*CALM, FALL], Standing.UNKNOWN)

    (sale,) = strategy.on_trade(trade(stop_of(entry)), Standing.LONG)

    assert sale.stop_price == entry.stop_price


def test_before_it_is_warm_a_recalled_stop_sells_nothing() -> None:
    entry = bought(cold())
    strategy = cold()
    strategy.recall(signal(entry))

    assert strategy.on_trade(trade(1), Standing.LONG) == []


def test_a_position_without_a_known_entry_counts_as_entered_on_the_first_bar_seen() -> None:
    strategy = cold()
    strategy.recall(replace(signal(bought(cold())), stop_price=None))
    shown(strategy, CALM, Standing.UNKNOWN)
    before = strategy.on_trade(trade(1), Standing.LONG)

    strategy.on_bar(bar(FALL_BAR, FALL), Standing.LONG)
    (sale,) = strategy.on_trade(trade(1, 2), Standing.LONG)

    assert before == []
    assert stop_of(sale) == stop_of(bought(cold()))


def test_a_bar_that_misses_its_high_decides_nothing() -> None:
    strategy = cold()
    shown(strategy, CALM, Standing.FLAT)

    assert strategy.on_bar(bar(FALL_BAR, FALL, high=float("nan")), Standing.FLAT) == []


@pytest.mark.parametrize(
    ("bollinger_period", "rsi_period", "atr_period", "bars"),
    [(100, 2, 2, 101), (4, 14, 2, 71), (4, 2, 20, 101)],
)
def test_warm_up_is_the_longest_of_the_three_and_one_bar_before_it(
    bollinger_period: int, rsi_period: int, atr_period: int, bars: int
) -> None:
    strategy = mean_reversion(
        bollinger_period=bollinger_period,
        bollinger_deviations=2.0,
        rsi_period=rsi_period,
        rsi_oversold=30.0,
        atr_period=atr_period,
        stop_atr=3.0,
    )

    assert strategy.warm_up_bars == bars


@given(st.lists(st.floats(90, 110), max_size=30), st.lists(st.floats(90, 110), min_size=90))
def test_where_history_begins_hardly_matters_after_the_warm_up(
    before: list[float], prices: list[float]
) -> None:
    def make() -> MeanReversionStrategy:
        return mean_reversion(
            bollinger_period=20,
            bollinger_deviations=2.0,
            rsi_period=14,
            rsi_oversold=30.0,
            atr_period=14,
            stop_atr=3.0,
        )

    fresh, seasoned = make(), make()
    shown(seasoned, before, Standing.UNKNOWN)
    for strategy in (fresh, seasoned):
        shown(strategy, prices, Standing.UNKNOWN)

    # Ranges of 20 at most, of which the seed's share is below 2 %.
    at = bar(len(prices), 200)
    stops = [stop_of(s.on_bar(at, Standing.LONG)[0]) for s in (fresh, seasoned)]
    assert abs(stops[0] - stops[1]) < Decimal(3) * Decimal(20) * Decimal("0.02")
