from __future__ import annotations

import csv
import gzip
import itertools
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.bars import BarBuilder, BarSeries, period_start
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar, QuoteTick, TradeTick
from krator_actors.model import NANOS_PER_SEC, OrderSide

DATA = Path(os.environ.get("KRATOR_TEST_DATA", "../shared/data"))
SYMBOL = "XRP-ETH.BINANCE"
PERIOD_SECS = 5
SPEC = BarSpec(PERIOD_SECS, BarUnit.SECOND)


def trade(number: int, secs: float, price: str | Decimal = "10", size: str = "1") -> TradeTick:
    return TradeTick(
        symbol=SYMBOL,
        price=Decimal(price),
        size=Decimal(size),
        aggressor=OrderSide.BUY,
        trade_id=number,
        ts_event=round(secs * NANOS_PER_SEC),
        ts_init=0,
    )


def built(trades: Iterable[TradeTick], spec: BarSpec = SPEC) -> list[Bar]:
    builder = BarBuilder(SYMBOL, spec)
    return [bar for t in trades if (bar := builder.on_trade(t)) is not None]


def all_bars(trades: list[TradeTick]) -> list[Bar]:
    """Every bar, with a last trade that finishes the last one."""
    if not trades:
        return []
    newest = max(t.ts_event for t in trades)
    end = trade(10**9, newest / NANOS_PER_SEC + 3 * PERIOD_SECS)
    return built([*trades, end])


trade_lists = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 10**6), st.integers(1, 1000)), max_size=60
).map(
    lambda steps: [
        trade(n, sum(gap for gap, _, _ in steps[: n + 1]) / 4, Decimal(price) / 100, str(size))
        for n, (_, price, size) in enumerate(steps)
    ]
)


def test_a_bar_holds_the_trades_of_its_period_and_says_when_it_was() -> None:
    trades = [trade(1, 10, "7", "1"), trade(2, 12, "9", "2"), trade(3, 13, "5", "3")]

    (bar,) = built([*trades, trade(4, 15)])

    assert bar == Bar(
        symbol=SYMBOL,
        spec=SPEC,
        ts_open=10 * NANOS_PER_SEC,
        ts_close=15 * NANOS_PER_SEC,
        open=Decimal(7),
        high=Decimal(9),
        low=Decimal(5),
        close=Decimal(5),
        volume=Decimal(6),
        trades=3,
    )


def test_the_beginning_of_a_period_belongs_to_it_and_its_end_does_not() -> None:
    bars = built([trade(1, 10), trade(2, 14.999999999), trade(3, 15), trade(4, 20)])

    assert [(bar.ts_open // NANOS_PER_SEC, bar.trades) for bar in bars] == [(10, 2), (15, 1)]


def test_a_period_without_a_trade_has_no_bar() -> None:
    bars = built([trade(1, 10), trade(2, 31), trade(3, 50)])

    assert [bar.ts_open // NANOS_PER_SEC for bar in bars] == [10, 30]


def test_a_trade_of_an_earlier_period_is_left_out_and_counted() -> None:
    builder = BarBuilder(SYMBOL, SPEC)
    for t in [trade(1, 10), trade(2, 11), trade(3, 16), trade(4, 12)]:
        builder.on_trade(t)

    bar = builder.on_trade(trade(5, 21))

    assert bar is not None
    assert (bar.ts_open // NANOS_PER_SEC, bar.trades) == (15, 1)
    assert builder.left_out == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_trades_that_come_in_another_order_make_the_same_bar(order: tuple[int, ...]) -> None:
    trades = [trade(1, 10, "7"), trade(2, 11, "9"), trade(3, 12, "5")]

    (bar,) = built([*(trades[n] for n in order), trade(4, 15)])

    assert [bar.open, bar.high, bar.low, bar.close] == [7, 9, 5, 5]


def test_the_bar_in_work_can_be_seen_and_there_is_none_before_the_first_trade() -> None:
    builder = BarBuilder(SYMBOL, SPEC)
    before = builder.unfinished
    builder.on_trade(trade(1, 10, "7"))

    assert before is None
    assert builder.unfinished is not None
    assert builder.unfinished.close == Decimal(7)


def test_a_foreign_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tick of XRP-ETH\.BINANCE came to the bars of A-B\.C"):
        BarBuilder("A-B.C", SPEC).on_trade(trade(1, 1))


@given(trade_lists)
def test_bars_keep_every_trade_and_are_in_order(trades: list[TradeTick]) -> None:
    bars = all_bars(trades)

    assert sum(bar.trades or 0 for bar in bars) == len(trades)
    assert sum(bar.volume for bar in bars) == sum(t.size for t in trades)
    assert [bar.ts_open for bar in bars] == sorted({period_start(t.ts_event, 5) for t in trades})
    assert all(bar.low <= min(bar.open, bar.close) for bar in bars)
    assert all(bar.high >= max(bar.open, bar.close) for bar in bars)


@given(trade_lists, st.data())
def test_history_and_live_trades_make_the_bars_of_one_run_wherever_they_are_split(
    trades: list[TradeTick], data: st.DataObject
) -> None:
    whole = all_bars(trades)
    split = data.draw(st.integers(0, max(len(trades) - 1, 0)))
    asked = data.draw(st.integers(split, len(trades)))
    series = BarSeries(SYMBOL, SPEC, limit=1000)
    live = trades[split:]

    for t in live[: asked - split]:
        series.on_trade(t)
    history = built(trades[:asked])
    joined = series.join(history)
    for t in live[asked - split :]:
        series.on_trade(t)
    if live:
        series.on_trade(trade(10**9, live[-1].ts_event / NANOS_PER_SEC + 3 * PERIOD_SECS))

    if joined:
        assert list(series.bars) == whole
    elif live:
        first = period_start(live[0].ts_event, PERIOD_SECS)
        assert list(series.bars) == [bar for bar in whole if bar.ts_open > first]


def begun_at(secs: float) -> BarSeries:
    series = BarSeries(SYMBOL, SPEC, limit=100)
    series.on_trade(trade(100, secs))
    return series


def test_history_is_wanted_when_the_period_of_the_first_live_trade_is_over() -> None:
    series = BarSeries(SYMBOL, SPEC, limit=100)
    wanted = [series.wants_history]
    for t in [trade(1, 12), trade(2, 14), trade(3, 15)]:
        series.on_trade(t)
        wanted.append(series.wants_history)

    series.join(built([trade(0, 10.5), trade(1, 12), trade(2, 14), trade(3, 15)]))

    assert wanted == [False, False, False, True]
    assert not series.wants_history


def test_the_period_we_began_in_is_history_s_and_is_not_counted_twice() -> None:
    series = begun_at(12)
    series.on_trade(trade(101, 16))

    joined = series.join(built([trade(98, 7), trade(99, 11), trade(100, 12), trade(101, 16)]))

    assert joined
    assert [(bar.ts_open // NANOS_PER_SEC, bar.trades) for bar in series.bars] == [(5, 1), (10, 2)]


def test_history_that_ends_before_we_began_is_not_joined() -> None:
    series = begun_at(12)

    assert not series.join(built([trade(98, 7), trade(99, 11)]))
    assert not series.join([])
    assert series.bars == ()


def test_history_is_not_joined_before_the_first_trade_nor_twice() -> None:
    history = built([trade(98, 7), trade(99, 11), trade(100, 16)])
    series = BarSeries(SYMBOL, SPEC, limit=100)

    before = series.join(history)
    series.on_trade(trade(100, 12))

    assert not before
    assert series.join(history)
    assert not series.join(history)
    assert len(series.bars) == 2


def test_history_bars_without_a_trade_are_left_out() -> None:
    series = begun_at(12)
    full = built([trade(98, 7), trade(100, 12), trade(101, 16)])
    empty = Bar(
        symbol=SYMBOL,
        spec=SPEC,
        ts_open=0,
        ts_close=5 * NANOS_PER_SEC,
        open=Decimal(1),
        high=Decimal(1),
        low=Decimal(1),
        close=Decimal(1),
        volume=Decimal(0),
        trades=0,
    )

    series.join([empty, *full])

    assert list(series.bars) == full
    assert not begun_at(2).join([empty])


def test_history_of_another_symbol_or_period_is_refused() -> None:
    history = built([trade(1, 7), trade(2, 12)], spec=BarSpec(1, BarUnit.SECOND))

    with pytest.raises(ValueError, match="with 1-SECOND-LAST does not belong to"):
        begun_at(12).join(history)


def test_after_a_gap_there_is_nothing_until_history_or_new_bars_come() -> None:
    series = begun_at(12)
    series.join(built([trade(99, 11), trade(100, 12), trade(101, 16)]))

    series.on_gap()
    forgotten = series.bars
    series.on_trade(trade(200, 33))
    series.on_trade(trade(201, 36))
    series.on_trade(trade(202, 41))

    assert forgotten == ()
    assert not series.joined
    assert [bar.ts_open // NANOS_PER_SEC for bar in series.bars] == [35]


def test_the_newest_bar_is_current_only_right_before_the_period_in_work() -> None:
    history = built([trade(99, 11), trade(100, 12), trade(101, 16)])
    nothing, between, next_period, later = (begun_at(12) for _ in range(4))
    fresh = BarSeries(SYMBOL, SPEC, limit=100)
    next_period.on_trade(trade(101, 16))
    later.on_trade(trade(101, 21))

    for series in (between, next_period, later):
        series.join(history)

    assert not fresh.newest_is_current
    assert not nothing.newest_is_current
    assert between.newest_is_current
    assert next_period.newest_is_current
    assert not later.newest_is_current


def test_only_the_newest_bars_are_kept() -> None:
    series = BarSeries(SYMBOL, SPEC, limit=2)

    for n in range(10):
        series.on_trade(trade(n, n * 5))

    assert [bar.ts_open // NANOS_PER_SEC for bar in series.bars] == [35, 40]


def recorded(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        pytest.skip(f"recorded data is not at {path}; set KRATOR_TEST_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_recorded_trades_give_the_recorded_minute_bars() -> None:
    rows = recorded(DATA / "ticks" / "binance_xrpeth_2019" / "trades.csv.gz")
    expected = recorded(DATA / "bars" / "crypto" / "binance_xrpeth_2019_1m.csv.gz")
    builder = BarBuilder(SYMBOL, BarSpec(1, BarUnit.MINUTE))

    bars: list[Bar | None] = []
    for row in rows:
        secs = int(row["ts_ns"]) / NANOS_PER_SEC
        tick = trade(int(row["trade_id"]), secs, row["price"], row["size"])
        if (bar := builder.on_trade(tick)) is not None:
            bars.append(bar)
    bars.append(builder.unfinished)

    assert builder.left_out == 0
    assert len(bars) == len(expected) == 2469
    for bar, row in zip(bars, expected, strict=True):
        assert bar is not None
        opened = datetime.fromtimestamp(bar.ts_open / NANOS_PER_SEC, UTC)
        assert opened == datetime.fromisoformat(row["ts"])
        for key in ("open", "high", "low", "close", "volume"):
            assert getattr(bar, key) == Decimal(row[key])


def quote(secs: float, bid: str, ask: str) -> QuoteTick:
    return QuoteTick(
        symbol=SYMBOL,
        bid=Decimal(bid),
        bid_size=Decimal(1),
        ask=Decimal(ask),
        ask_size=Decimal(3),
        update_id=0,
        ts_event=round(secs * NANOS_PER_SEC),
        ts_init=0,
    )


@pytest.mark.parametrize(
    ("spec", "volumes", "left"),
    [
        ("2-TICK-LAST", [3, 3], 4),
        ("3-VOLUME-LAST", [3, 3, 4], 0),
        ("50-VALUE-LAST", [6], 4),
    ],
)
def test_a_bar_is_finished_by_the_trade_that_fills_it(
    spec: str, volumes: list[int], left: int
) -> None:
    builder = BarBuilder(SYMBOL, BarSpec.parse(spec))
    sizes = ["1", "2", "1", "2", "4"]

    bars = [builder.on_trade(trade(n, n, "10", size)) for n, size in enumerate(sizes)]

    assert [bar.volume for bar in bars if bar is not None] == volumes
    unfinished = builder.unfinished
    assert (unfinished.volume if unfinished is not None else 0) == left


def test_a_bar_of_ticks_has_the_times_of_its_first_and_last() -> None:
    bars = built(
        [trade(1, 10), trade(2, 11), trade(3, 19), trade(4, 23)], BarSpec.parse("2-TICK-LAST")
    )

    assert [(bar.ts_open, bar.ts_close) for bar in bars] == [
        (10 * NANOS_PER_SEC, 11 * NANOS_PER_SEC),
        (19 * NANOS_PER_SEC, 23 * NANOS_PER_SEC),
    ]


def test_a_tick_from_before_a_bar_of_ticks_that_is_finished_is_left_out() -> None:
    builder = BarBuilder(SYMBOL, BarSpec.parse("1-TICK-LAST"))
    builder.on_trade(trade(1, 10))

    late = builder.on_trade(trade(2, 9))

    assert late is None
    assert builder.left_out == 1


@pytest.mark.parametrize(
    ("price", "ohlc"),
    [("BID", (10, 12, 9, 9)), ("ASK", (12, 14, 11, 11)), ("MID", (11, 13, 10, 10))],
)
def test_bars_of_quotes_follow_their_price(price: str, ohlc: tuple[int, ...]) -> None:
    builder = BarBuilder(SYMBOL, BarSpec.parse(f"5-SECOND-{price}"))
    quotes = [
        quote(10, "10", "12"),
        quote(11, "12", "14"),
        quote(14, "9", "11"),
        quote(15, "1", "2"),
    ]

    bars = [builder.on_quote(q) for q in quotes]

    bar = bars[-1]
    assert bars[:-1] == [None] * 3
    assert bar is not None
    assert [bar.open, bar.high, bar.low, bar.close] == list(ohlc)
    assert bar.volume == 0
    assert bar.trades == 3


def test_trades_are_nothing_to_bars_of_quotes_and_the_reverse() -> None:
    of_quotes = BarSeries(SYMBOL, BarSpec.parse("1-TICK-MID"), limit=9)
    of_trades = BarSeries(SYMBOL, BarSpec.parse("1-TICK-LAST"), limit=9)

    assert of_quotes.on_trade(trade(1, 1)) is None
    assert of_quotes.on_quote(quote(1, "1", "2")) is not None
    assert of_trades.on_quote(quote(1, "1", "2")) is None
    assert of_trades.on_trade(trade(1, 1)) is not None


@pytest.mark.parametrize("spec", ["3-TICK-LAST", "5-SECOND-MID"])
def test_bars_that_no_venue_keeps_never_want_history(spec: str) -> None:
    series = BarSeries(SYMBOL, BarSpec.parse(spec), limit=9)

    for n in range(20):
        series.on_trade(trade(n, n))
        series.on_quote(quote(n, "1", "2"))
        assert not series.wants_history

    assert series.bars


@given(trade_lists, st.integers(1, 7))
def test_bars_of_ticks_hold_every_trade_in_groups(trades: list[TradeTick], step: int) -> None:
    bars = built(trades, BarSpec(step, BarUnit.TICK))

    assert [bar.trades for bar in bars] == [step] * (len(trades) // step)
    held = trades[: len(bars) * step]
    assert sum(bar.volume for bar in bars) == sum(t.size for t in held)


@given(trade_lists, st.integers(1, 3000))
def test_a_bar_of_volume_is_full_only_with_its_last_trade(
    trades: list[TradeTick], step: int
) -> None:
    bars = built(trades, BarSpec(step, BarUnit.VOLUME))

    held = iter(trades)
    for bar in bars:
        assert bar.trades is not None
        sizes = [next(held).size for _ in range(bar.trades)]
        assert sum(sizes) == bar.volume >= step > sum(sizes[:-1])
