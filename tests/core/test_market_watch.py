"""What is fresh and what is stale, by numbers alone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from krator_actors.core.market_watch import Freshness, StreamClock, Tape
from krator_actors.messages.market import TradeSummary, TradeTick
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


@pytest.fixture
def freshness() -> Freshness:
    return Freshness(
        quotes=StreamClock(stale_secs=5, stale_max_secs=900),
        trades=StreamClock(stale_secs=60, stale_max_secs=900),
    )


def connect(freshness: Freshness, now_ns: int) -> None:
    freshness.on_connected(now_ns)
    freshness.on_confirmed(now_ns)


def at(secs: float) -> int:
    return 1_000 * SECOND_NS + int(secs * SECOND_NS)


def test_nothing_is_known_before_the_first_connection(freshness: Freshness) -> None:
    assert freshness.reason(at(0)) == "CONNECTING"
    assert freshness.silent_ns(at(9)) == 0


def test_attempt_that_failed_is_disconnected(freshness: Freshness) -> None:
    freshness.on_disconnected()

    assert freshness.reason(at(0)) == "DISCONNECTED"


def test_first_quote_makes_it_live_and_the_first_trade_may_come_later(freshness: Freshness) -> None:
    connect(freshness, at(0))
    freshness.on_trade(at(1))
    assert freshness.reason(at(1)) == "CONNECTING"

    freshness.on_quote(at(2))

    assert freshness.reason(at(2)) == "LIVE"
    assert freshness.reason(at(7)) == "LIVE"


def test_quotes_older_than_the_limit_are_stale_until_the_next(freshness: Freshness) -> None:
    connect(freshness, at(0))
    freshness.on_quote(at(1))
    assert freshness.reason(at(6.1)) == "STALE_QUOTES"

    freshness.on_quote(at(7))

    assert freshness.reason(at(7)) == "LIVE"


def test_connection_without_any_quote_becomes_stale(freshness: Freshness) -> None:
    connect(freshness, at(0))

    assert freshness.reason(at(5)) == "CONNECTING"
    assert freshness.reason(at(5.1)) == "STALE_QUOTES"


def test_trades_older_than_their_own_limit_are_stale(freshness: Freshness) -> None:
    connect(freshness, at(0))
    freshness.on_trade(at(1))

    freshness.on_quote(at(61.1))

    assert freshness.reason(at(61.1)) == "STALE_TRADES"


def test_lost_connection_is_known_at_once_and_the_next_begins_anew(freshness: Freshness) -> None:
    connect(freshness, at(0))
    freshness.on_quote(at(1))

    freshness.on_disconnected()
    assert freshness.reason(at(1)) == "DISCONNECTED"
    freshness.on_connected(at(2))

    assert freshness.reason(at(2)) == "CONNECTING"


def test_silence_is_counted_from_the_last_event_of_any_stream(freshness: Freshness) -> None:
    connect(freshness, at(0))
    assert freshness.silent_ns(at(1)) == SECOND_NS

    freshness.on_quote(at(1))
    freshness.on_trade(at(3))

    assert freshness.silent_ns(at(7)) == 4 * SECOND_NS


def test_nothing_is_live_before_the_venue_has_confirmed(freshness: Freshness) -> None:
    freshness.on_connected(at(0))
    freshness.on_quote(at(1))
    assert freshness.reason(at(1)) == "CONNECTING"

    freshness.on_confirmed(at(1))

    assert freshness.reason(at(1)) == "LIVE"


def test_halt_and_hole_come_before_silence(freshness: Freshness) -> None:
    connect(freshness, at(0))
    freshness.on_quote(at(1))
    freshness.has_hole = True
    assert freshness.reason(at(99)) == "GAP"

    freshness.halted = True

    assert freshness.reason(at(99)) == "HALTED"


def test_silence_outside_of_trading_hours_is_no_stall(freshness: Freshness) -> None:
    connect(freshness, at(0))
    freshness.on_quote(at(1))

    assert freshness.reason(at(99), is_open=False) == "CLOSED"
    assert freshness.reason(at(2), is_open=False) == "LIVE"


def clock_of(intervals: list[float]) -> StreamClock:
    clock = StreamClock(stale_secs=5, stale_max_secs=900)
    secs = 0.0
    for interval in [0.0, *intervals]:
        secs += interval
        clock.on_message(at(secs))
    clock.is_stale(at(0), at(secs))
    return clock


@pytest.mark.parametrize(
    ("intervals", "limit_secs"),
    [
        ([20.0] * 19, 5),  # not enough to learn from
        ([20.0] * 20, 60),
        ([20.0] * 19 + [3_000.0], 60),  # one may have been a stall
        ([0.01] * 200, 5),
        ([800.0] * 20, 900),
    ],
)
def test_limit_of_a_stream_is_learned_within_bounds(
    intervals: list[float], limit_secs: float
) -> None:
    assert clock_of(intervals).limit_ns == limit_secs * SECOND_NS


def test_what_is_normal_stays_known_on_a_new_connection() -> None:
    clock = clock_of([20.0] * 20)

    clock.restart()

    assert not clock.is_stale(at(1_000), at(1_059))
    assert clock.is_stale(at(1_000), at(1_061))


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


def test_symbol_that_the_venue_refuses_is_refused_until_the_next_connection(
    freshness: Freshness,
) -> None:
    connect(freshness, at(0))
    freshness.refused = True
    freshness.halted = True
    assert freshness.reason(at(1)) == "REFUSED"

    connect(freshness, at(2))

    assert freshness.reason(at(2)) == "CONNECTING"


def test_last_trade_that_is_taken_back_is_no_last_price_and_no_volume() -> None:
    tape = Tape("BTC-USDT.SIM", 0)
    tape.on_revised(1)
    for number in (1, 2):
        tape.on_trade(trade(number))

    tape.on_revised(1)  # not the last one: what was made of it is not undone
    before = tape.summary(at(0))
    tape.on_revised(2)
    after = tape.news(at(0))

    assert before is not None
    assert after is not None
    assert (before.volume, before.ts_event) == (Decimal(2), 2 * SECOND_NS)
    assert (after.volume, after.ts_event) == (Decimal(1), SECOND_NS)
