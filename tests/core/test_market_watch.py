"""What is missing and what is stale, by numbers alone."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.market_watch import Freshness, Tape, TradeSequence
from krator_actors.messages.market import MarketDataGap, TradeSummary, TradeTick
from krator_actors.model import OrderSide

SECOND_NS = 1_000_000_000


def trade(trade_id: int, ts_event: int | None = None) -> TradeTick:
    return TradeTick(
        symbol="BTC-USDT.SIM",
        price=Decimal(1),
        size=Decimal(1),
        aggressor=OrderSide.BUY,
        trade_id=trade_id,
        ts_event=trade_id * SECOND_NS if ts_event is None else ts_event,
        ts_init=1,
    )


def take(sequence: TradeSequence, *trades: TradeTick) -> list[MarketDataGap | int]:
    """Return what a feed would tell: gaps, and the ids of trades that are not repeated."""
    told: list[MarketDataGap | int] = []
    for one in trades:
        if sequence.is_repeated(one):
            continue
        gap = sequence.gap_before(one)
        if gap is not None:
            told.append(gap)
        told.append(one.trade_id)
    return told


def gap(first_id: int, last_id: int, count: int, reason: str, ts_event: int) -> MarketDataGap:
    return MarketDataGap(
        symbol="BTC-USDT.SIM",
        stream="trade",
        first_id=first_id,
        last_id=last_id,
        count=count,
        reason=reason,
        ts_event=ts_event,
        ts_init=1,
    )


def test_consecutive_trades_have_no_gap() -> None:
    assert take(TradeSequence(continues=False), trade(7), trade(8), trade(9)) == [7, 8, 9]


def test_hole_is_declared_with_its_extent_before_the_trade_after_it() -> None:
    told = take(TradeSequence(continues=False), trade(7), trade(11))

    assert told == [7, gap(8, 10, 3, "HOLE", 11 * SECOND_NS), 11]


def test_repeated_and_older_trades_are_left_out_and_counted() -> None:
    sequence = TradeSequence(continues=False)

    told = take(sequence, trade(7), trade(8), trade(8), trade(7), trade(9))

    assert told == [7, 8, 9]
    assert sequence.repeated == 2


def test_first_trade_of_a_feed_that_follows_another_declares_a_gap_of_unknown_extent() -> None:
    told = take(TradeSequence(continues=True), trade(7), trade(8))

    assert told == [gap(0, 0, 0, "FEED_STARTED", 7 * SECOND_NS), 7, 8]


def test_ids_that_begin_anew_are_a_gap_and_no_repetition() -> None:
    told = take(TradeSequence(continues=False), trade(700, 5), trade(1, 6), trade(2, 7))

    assert told == [700, gap(0, 0, 0, "SEQUENCE_RESTARTED", 6), 1, 2]


@given(ids=st.lists(st.integers(min_value=0, max_value=60), max_size=40))
def test_every_id_is_told_once_or_declared_missing(ids: list[int]) -> None:
    told = take(TradeSequence(continues=False), *(trade(trade_id) for trade_id in ids))

    accounted: list[int] = []
    for item in told:
        if isinstance(item, MarketDataGap):
            assert item.count == item.last_id - item.first_id + 1
            accounted.extend(range(item.first_id, item.last_id + 1))
        else:
            accounted.append(item)
    assert accounted == list(range(ids[0], max(ids) + 1) if ids else [])


@pytest.fixture
def freshness() -> Freshness:
    return Freshness(quote_stale_secs=5, trade_stale_secs=60)


def at(secs: float) -> int:
    return 1_000 * SECOND_NS + int(secs * SECOND_NS)


def test_nothing_is_known_before_the_first_connection(freshness: Freshness) -> None:
    assert freshness.reason(at(0)) == "CONNECTING"
    assert freshness.silent_ns(at(9)) == 0


def test_attempt_that_failed_is_disconnected(freshness: Freshness) -> None:
    freshness.on_disconnected()

    assert freshness.reason(at(0)) == "DISCONNECTED"


def test_first_quote_makes_it_live_and_the_first_trade_may_come_later(freshness: Freshness) -> None:
    freshness.on_connected(at(0))
    freshness.on_trade(at(1))
    assert freshness.reason(at(1)) == "CONNECTING"

    freshness.on_quote(at(2))

    assert freshness.reason(at(2)) == "LIVE"
    assert freshness.reason(at(7)) == "LIVE"


def test_quotes_older_than_the_limit_are_stale_until_the_next(freshness: Freshness) -> None:
    freshness.on_connected(at(0))
    freshness.on_quote(at(1))
    assert freshness.reason(at(6.1)) == "STALE_QUOTES"

    freshness.on_quote(at(7))

    assert freshness.reason(at(7)) == "LIVE"


def test_connection_without_any_quote_becomes_stale(freshness: Freshness) -> None:
    freshness.on_connected(at(0))

    assert freshness.reason(at(5)) == "CONNECTING"
    assert freshness.reason(at(5.1)) == "STALE_QUOTES"


def test_trades_older_than_their_own_limit_are_stale(freshness: Freshness) -> None:
    freshness.on_connected(at(0))
    freshness.on_trade(at(1))

    freshness.on_quote(at(61.1))

    assert freshness.reason(at(61.1)) == "STALE_TRADES"


def test_lost_connection_is_known_at_once_and_the_next_begins_anew(freshness: Freshness) -> None:
    freshness.on_connected(at(0))
    freshness.on_quote(at(1))

    freshness.on_disconnected()
    assert freshness.reason(at(1)) == "DISCONNECTED"
    freshness.on_connected(at(2))

    assert freshness.reason(at(2)) == "CONNECTING"


def test_silence_is_counted_from_the_last_event_of_any_stream(freshness: Freshness) -> None:
    freshness.on_connected(at(0))
    assert freshness.silent_ns(at(1)) == SECOND_NS

    freshness.on_quote(at(1))
    freshness.on_trade(at(3))

    assert freshness.silent_ns(at(7)) == 4 * SECOND_NS


def test_tape_says_last_price_and_volume_once_for_each_news() -> None:
    tape = Tape("BTC-USDT.SIM", 5 * SECOND_NS)
    before = tape.summary(6 * SECOND_NS)
    for trade_id in (1, 2):
        tape.on_trade(trade(trade_id))

    news, again = tape.news(7 * SECOND_NS), tape.news(8 * SECOND_NS)
    asked = tape.summary(9 * SECOND_NS)

    assert before is None
    assert again is None
    assert news == TradeSummary(
        symbol="BTC-USDT.SIM",
        last_price=Decimal(1),
        volume=Decimal(2),
        counted_secs=2.0,
        ts_event=2 * SECOND_NS,
    )
    assert asked is not None
    assert asked.counted_secs == 4.0
