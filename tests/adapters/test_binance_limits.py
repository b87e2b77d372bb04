"""Binance's limits: what is sent, what waits, and what is kept for cancels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.binance_errors import CODES, Meaning, error_of
from krator_actors.adapters.binance_limits import BinanceLimits, RateLimit
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueRefusedError,
    VenueUnavailableError,
)

NOW_MS = 60_000 * 1_000_000


def weight(count: int, limit: int = 6_000) -> RateLimit:
    return RateLimit("REQUEST_WEIGHT", "MINUTE", 1, limit, count)


def orders(count: int, limit: int, interval: str = "SECOND", number: int = 10) -> RateLimit:
    return RateLimit("ORDERS", interval, number, limit, count)


def test_last_fifth_of_the_weight_is_kept_for_cancels() -> None:
    limits = BinanceLimits()
    limits.learn((weight(4_800),), NOW_MS)

    assert limits.wait_secs("order.place", NOW_MS) == 60
    assert limits.wait_secs("order.cancel", NOW_MS) == 0
    assert limits.wait_secs("order.place", NOW_MS + 60_000) == 0


def test_questions_leave_room_for_orders() -> None:
    limits = BinanceLimits()
    limits.learn((weight(3_600),), NOW_MS)

    assert limits.wait_secs("myTrades", NOW_MS) == 60
    assert limits.wait_secs("order.status", NOW_MS) == 60
    assert limits.wait_secs("order.place", NOW_MS) == 0


def test_reconciling_a_thousand_orders_of_fifty_symbols_leaves_a_thousand_cancels() -> None:
    limits = BinanceLimits()
    reconciliation = (
        ["time", "userDataStream.subscribe.signature", "account.status"]
        + ["openOrders.status"] * 50
        + ["order.status", "myTrades"] * 1_000
        + ["myTrades"] * 50
        + ["ticker.book"] * 60
    )

    refused = [method for method in reconciliation if limits.wait_secs(method, NOW_MS)]
    canceled = [limits.wait_secs("order.cancel", NOW_MS) for _ in range(1_000)]

    assert refused
    assert set(canceled) == {0.0}


def test_orders_are_counted_before_the_venue_has_told_its_limits() -> None:
    limits = BinanceLimits()

    sent = [method for method in ["order.place"] * 300 if not limits.wait_secs(method, NOW_MS)]

    assert len(sent) == 100


def test_cancels_stop_at_the_limit_itself() -> None:
    limits = BinanceLimits()
    limits.learn((weight(6_000),), NOW_MS)

    assert limits.wait_secs("order.cancel", NOW_MS + 1_000) == 59


def test_orders_wait_for_their_window_and_cancels_do_not() -> None:
    limits = BinanceLimits()
    limits.learn((orders(49, 50), orders(7, 160_000, "DAY", 1)), NOW_MS)

    assert limits.wait_secs("order.place", NOW_MS) == 0
    assert limits.wait_secs("order.cancelReplace", NOW_MS + 4_000) == 6
    assert limits.wait_secs("order.cancel", NOW_MS + 4_000) == 0
    assert limits.wait_secs("order.place", NOW_MS + 10_000) == 0


def test_ban_stops_everything_until_it_is_over() -> None:
    limits = BinanceLimits()
    limits.refused(secs=120, now_ms=NOW_MS, orders_only=False)

    assert limits.wait_secs("order.cancel", NOW_MS + 119_000) == 1
    assert limits.wait_secs("order.cancel", NOW_MS + 120_000) == 0


def test_order_limit_that_the_venue_names_stops_orders_only() -> None:
    limits = BinanceLimits()
    limits.refused(secs=5, now_ms=NOW_MS, orders_only=True)

    assert limits.wait_secs("order.place", NOW_MS) == 5
    assert limits.wait_secs("order.status", NOW_MS) == 0


def test_window_that_is_not_documented_is_left_alone() -> None:
    limits = BinanceLimits()
    limits.learn((RateLimit("ORDERS", "FORTNIGHT", 1, 1, 1),), NOW_MS)
    limits.learn((RateLimit("RAW_REQUESTS", "MINUTE", 5, 1, 1),), NOW_MS)

    assert limits.wait_secs("order.place", NOW_MS) == 0


@given(st.lists(st.sampled_from(["order.place", "order.status", "order.cancel"]), max_size=200))
def test_no_more_is_sent_than_the_limit_allows(methods: list[str]) -> None:
    limits = BinanceLimits()
    limits.learn((weight(0, 100), orders(0, 20)), NOW_MS)
    weights = {"order.place": 1, "order.status": 4, "order.cancel": 1}

    sent = [method for method in methods if not limits.wait_secs(method, NOW_MS)]

    assert sum(weights[method] for method in sent) <= 100
    assert sum(weights[method] for method in sent if method != "order.cancel") <= 80
    assert sent.count("order.status") * 4 <= 60
    assert sent.count("order.place") <= 20


# -- the table of errors ---------------------------------------------------------------------------

_CLASSES = {
    Meaning.REFUSED: VenueRefusedError,
    Meaning.LATER: VenueUnavailableError,
    Meaning.UNKNOWN: OutcomeUnknownError,
}


@pytest.mark.parametrize("code", CODES)
def test_every_documented_code_has_its_remedy(code: int) -> None:
    name, meaning = CODES[code]

    error = error_of(400, code, "text", {})

    assert type(error) is _CLASSES[meaning]
    assert name in str(error)


@pytest.mark.parametrize("code", [*CODES, -9_999])
def test_server_error_means_that_nobody_knows_whatever_its_code(code: int) -> None:
    assert isinstance(error_of(503, code, "text", {}), OutcomeUnknownError)


@pytest.mark.parametrize("status", [403, 418, 429])
def test_limits_of_the_venue_mean_later(status: int) -> None:
    error = error_of(status, -9_999, "", {"serverTime": 1_000, "retryAfter": 3_500})

    assert isinstance(error, VenueUnavailableError)
    assert error.retry_after_secs == 2.5


def test_code_that_is_not_documented_is_a_refusal() -> None:
    assert isinstance(error_of(400, -9_999, "", {}), VenueRefusedError)


def test_duplicate_is_no_refusal_because_the_venue_has_the_order() -> None:
    assert isinstance(error_of(400, -2010, "Duplicate order sent.", {}), OutcomeUnknownError)


@pytest.mark.parametrize("status", [418, 429])
def test_limit_that_names_no_time_is_obeyed_for_a_minute(status: int) -> None:
    error = error_of(status, -1003, "", {})

    assert isinstance(error, VenueUnavailableError)
    assert error.retry_after_secs == 60
