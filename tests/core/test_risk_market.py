"""The risk engine: an order against its trading rules and its market, at each limit and past it."""

from __future__ import annotations

import msgspec
import pytest

from krator_actors.messages.orders import (
    SubmitOrder,
)
from krator_actors.model import (
    NANOS_PER_SEC,
    OrderType,
)
from tests.core.risk_desk import (
    BTC,
    ETH,
    D,
    Desk,
    instrument,
    limit,
    order,
)


@pytest.mark.parametrize(
    ("submitted", "reason"),
    [
        (order(quantity="0"), "QUANTITY_INVALID"),
        (order(quantity="-1"), "QUANTITY_INVALID"),
        (order(quantity="NaN"), "QUANTITY_INVALID"),
        (order(quantity="Infinity"), "QUANTITY_INVALID"),
        (order(quantity="0.0009"), "QUANTITY_INVALID"),
        (order(quantity="0.001", price=D("100")), "MIN_NOTIONAL"),
        (order(quantity="1000"), "MAX_ORDER_NOTIONAL"),
        (order(quantity="1000.001"), "QUANTITY_INVALID"),
        (order(quantity="0.1005"), "LOT_SIZE"),
        (order(quantity="0.101"), "APPROVED"),
        (order(order_type=OrderType.LIMIT), "PRICE_INVALID"),
        (order(order_type=OrderType.MARKET, price=D(100)), "PRICE_INVALID"),
        (limit("0"), "PRICE_INVALID"),
        (limit("NaN"), "PRICE_INVALID"),
        (limit("1E+16"), "PRICE_INVALID"),
        (limit("9E+15"), "PRICE_COLLAR"),
        (limit("99.995"), "TICK_SIZE"),
        (limit("99.99"), "APPROVED"),
        (limit("100", "0.1"), "APPROVED"),
        (limit("100", "0.099"), "MIN_NOTIONAL"),
    ],
)
def test_order_fits_the_trading_rules(submitted: SubmitOrder, reason: str) -> None:
    assert Desk().reason(submitted) == reason


def test_step_of_zero_is_no_rule() -> None:
    desk = Desk()
    free = msgspec.structs.replace(instrument(), lot_size=D(0), tick_size=D(0))
    desk.engine.markets[BTC].instrument = free

    assert desk.reason(limit("99.9999", "0.12345")) == "APPROVED"


@pytest.mark.parametrize(
    ("age_ns", "reason"),
    [(5 * NANOS_PER_SEC, "APPROVED"), (5 * NANOS_PER_SEC + 1, "STALE_PRICE")],
)
def test_quote_ages_by_the_monotonic_clock(age_ns: int, reason: str) -> None:
    desk = Desk()
    desk.now_ns += age_ns

    assert desk.reason(order()) == reason


def test_symbol_that_the_feed_calls_stale_is_denied_until_it_is_fresh() -> None:
    desk = Desk()

    desk.market_status(BTC, "GAP")
    stale = desk.reason(order()), desk.reason(order(symbol=ETH))
    desk.market_status(BTC, "LIVE")

    assert stale == ("STALE_PRICE", "APPROVED")
    assert desk.reason(order()) == "APPROVED"


def test_symbol_is_stale_before_the_feed_has_said_anything() -> None:
    desk = Desk()
    desk.engine.markets[BTC].is_fresh = None

    assert desk.reason(order()) == "STALE_PRICE"


def test_market_data_of_other_symbols_is_ignored() -> None:
    desk = Desk()

    desk.quote(symbol="XRP-USDT.SIM")
    desk.market_status("XRP-USDT.SIM", "GAP")

    assert desk.reason(order()) == "APPROVED"


@pytest.mark.parametrize(("bid", "ask"), [("0", "100"), ("100", "0"), ("NaN", "100")])
def test_quote_with_an_empty_side_is_no_quote(bid: str, ask: str) -> None:
    desk = Desk()

    desk.quote(bid, ask)

    assert desk.reason(order()) == "STALE_PRICE"


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        ("100.00", "100.01", "APPROVED"),
        ("100.00", "100.00", "CROSSED_MARKET"),
        ("100.01", "100.00", "CROSSED_MARKET"),
    ],
)
def test_crossed_market_is_denied(bid: str, ask: str, reason: str) -> None:
    desk = Desk()

    desk.quote(bid, ask)

    assert desk.reason(order()) == reason


def test_crossed_quote_does_not_value_positions() -> None:
    desk = Desk(balances={"USDT": "0", "BTC": "1"})

    desk.quote("200", "150")

    assert desk.engine.portfolio.equity == 100


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("99.00", "APPROVED"),
        ("98.99", "PRICE_COLLAR"),
        ("101.00", "APPROVED"),
        ("101.01", "PRICE_COLLAR"),
    ],
)
def test_limit_price_is_within_the_collar(price: str, reason: str) -> None:
    assert Desk().reason(limit(price)) == reason


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [("99", "101", "APPROVED"), ("98.99", "101.01", "PRICE_COLLAR")],
)
def test_touch_of_a_market_order_is_within_the_collar(bid: str, ask: str, reason: str) -> None:
    desk = Desk()

    desk.quote(bid, ask)

    assert desk.reason(order()) == reason


@pytest.mark.parametrize(
    ("quantity", "reason"), [("50", "APPROVED"), ("50.001", "MAX_ORDER_NOTIONAL")]
)
def test_order_notional_has_a_maximum(quantity: str, reason: str) -> None:
    desk = Desk(max_position_fraction=D(1))

    assert desk.reason(limit("100", quantity)) == reason
