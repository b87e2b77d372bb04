"""Longer bars out of shorter ones."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.bar_merge import merge_finished
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar

SECOND_NS = 1_000_000_000


def bar(ts_secs: int, *prices: int, trades: int = 1, period_secs: int = 1) -> Bar:
    values = [Decimal(price) for price in prices or (100,)]
    return Bar(
        symbol="BTC-USDT.SIM",
        spec=BarSpec(period_secs, BarUnit.SECOND),
        ts_open=ts_secs * SECOND_NS,
        ts_close=(ts_secs + period_secs) * SECOND_NS,
        open=values[0],
        high=max(values),
        low=min(values),
        close=values[-1],
        volume=Decimal(trades),
        trades=trades,
    )


def test_no_bars_make_no_bars() -> None:
    assert merge_finished((), BarSpec(5, BarUnit.SECOND), 10) == ()


def test_bar_is_finished_when_there_is_one_after_it() -> None:
    bars = [bar(0, 5, 9, 1, 7), bar(1, 8, 3), bar(2, 4)]

    assert merge_finished(bars, BarSpec(2, BarUnit.SECOND), 10) == (
        bar(0, 5, 9, 1, 3, trades=2, period_secs=2),
    )


def test_first_bar_whose_beginning_is_missing_is_left_out() -> None:
    merged = merge_finished([bar(secs) for secs in range(3, 16)], BarSpec(5, BarUnit.SECOND), 10)

    assert [one.ts_open // SECOND_NS for one in merged] == [5, 10]


def test_only_the_newest_bars_asked_for_are_returned() -> None:
    bars = [bar(secs) for secs in range(10)]

    assert [
        one.ts_open // SECOND_NS for one in merge_finished(bars, BarSpec(1, BarUnit.SECOND), 3)
    ] == [6, 7, 8]
    assert merge_finished(bars, BarSpec(1, BarUnit.SECOND), 0) == ()


def test_price_of_a_second_without_trades_is_no_price() -> None:
    flat = bar(0, 999, trades=0)

    (merged,) = merge_finished([flat, bar(1, 5), bar(2, 5)], BarSpec(2, BarUnit.SECOND), 1)

    assert (merged.open, merged.high, merged.trades) == (Decimal(5), Decimal(5), 1)


def test_period_without_any_trade_is_flat() -> None:
    (merged,) = merge_finished(
        [bar(0, 7, trades=0), bar(1, 7, trades=0), bar(2)], BarSpec(2, BarUnit.SECOND), 1
    )

    assert (merged.open, merged.close) == (Decimal(7), Decimal(7))
    assert (merged.volume, merged.trades) == (Decimal(0), 0)


@given(
    start=st.integers(min_value=0, max_value=100),
    length=st.integers(min_value=1, max_value=60),
    period_secs=st.integers(min_value=1, max_value=12),
)
def test_no_trade_is_counted_twice_and_none_of_a_finished_period_is_lost(
    start: int, length: int, period_secs: int
) -> None:
    bars = [bar(secs, secs + 1) for secs in range(start, start + length)]

    merged = merge_finished(bars, BarSpec(period_secs, BarUnit.SECOND), 1_000)

    for one in merged:
        assert one.trades == period_secs
        assert one.ts_open % (period_secs * SECOND_NS) == 0
        assert one.ts_close <= bars[-1].ts_open
    assert all(later.ts_open == earlier.ts_close for earlier, later in pairwise(merged))
