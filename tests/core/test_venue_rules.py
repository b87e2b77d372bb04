"""The venue's own rules: at, below and above each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from krator_actors.core.venue_rules import broken_rule
from krator_actors.messages.orders import Bracket, SubmitOrder
from krator_actors.model import Instrument, OrderSide, OrderType, PriceBand, TimeInForce

SYMBOL = "BTC-USDT.SIM"
D = Decimal
LISTED: dict[str, Any] = {
    "symbol": SYMBOL,
    "venue_symbol": "BTCUSDT",
    "base": "BTC",
    "quote": "USDT",
    "tick_size": D("0.01"),
    "lot_size": D("0.001"),
    "min_quantity": D("0.001"),
    "max_quantity": D(100),
    "min_notional": D(5),
    "max_notional": D(1_000),
    "min_price": D(1),
    "max_price": D(10_000),
    "price_band": PriceBand(buy_down=D("0.5"), buy_up=D("1.2"), sell_down=D("0.8"), sell_up=D(2)),
    "market_lot_size": D("0.01"),
    "market_min_quantity": D("0.02"),
    "market_max_quantity": D(5),
    "max_open_orders": 3,
    "max_stop_orders": 2,
    "max_position": D(20),
    "order_types": frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.STOP_MARKET}),
}
BRACKET = Bracket(stop_price=D(90), take_profit_price=D(110), instrument=Instrument(**LISTED))


def broken(rules: dict[str, Any] | None = None, **changes: Any) -> str | None:
    facts: dict[str, Any] = {
        "average_price": D(100),
        "open_orders": 0,
        "stop_orders": 0,
        "position": D(0),
    }
    facts = {name: changes.pop(name, value) for name, value in facts.items()}
    terms: dict[str, Any] = {
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": D(1),
        "price": D(100),
    }
    if changes.get("order_type") in {OrderType.MARKET, OrderType.STOP_MARKET}:
        del terms["price"]
    order = SubmitOrder(
        client_order_id="k1",
        strategy="s",
        symbol=SYMBOL,
        cause="c",
        ts_event=1,
        ts_init=1,
        **(terms | changes),
    )
    return broken_rule(order, Instrument(**(LISTED | (rules or {}))), **facts)


STOP = {"order_type": OrderType.STOP_MARKET, "stop_price": D(110)}
MARKET = {"order_type": OrderType.MARKET}


@pytest.mark.parametrize(
    "fine",
    [
        {},
        MARKET,
        STOP,
        {"price": D(50)},
        {"price": D(120)},
        {"side": OrderSide.SELL, "price": D(80)},
        {"side": OrderSide.SELL, "price": D(200)},
        {"average_price": D(0), "price": D(10_000), "quantity": D("0.1")},
        {"quantity": D("0.05")},
        {"quantity": D(10)},
        {**MARKET, "quantity": D(5), "average_price": D(1_000)},
        {"open_orders": 2},
        {**STOP, "stop_orders": 1},
        {"position": D(19)},
        {"side": OrderSide.SELL, "position": D(20)},
        {"post_only": True},
        {"bracket": BRACKET},
        {"time_in_force": TimeInForce.GTD, "expires_ns": 5},
    ],
)
def test_order_at_the_venues_limits_is_fine(fine: dict[str, Any]) -> None:
    assert broken(**fine) is None


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"order_type": OrderType.STOP_LIMIT, "stop_price": D(110)}, "not taken"),
        ({"price": None}, "with price None"),
        ({**MARKET, "price": D(100)}, "MARKET order with price 100"),
        ({"order_type": OrderType.STOP_MARKET}, "with stop price None"),
        ({"stop_price": D(100)}, "with stop price 100"),
        ({"time_in_force": TimeInForce.GTD}, "expires at None"),
        ({"expires_ns": 5}, "expires at 5"),
        ({**MARKET, "post_only": True}, "can never rest"),
        ({"post_only": True, "time_in_force": TimeInForce.IOC}, "can never rest"),
        ({"side": OrderSide.SELL, "bracket": BRACKET}, "what is bought"),
        ({"price": D("0.99"), "average_price": D(1)}, "below 1"),
        ({"price": D("10000.01"), "average_price": D(0)}, "exceeds 10000"),
        ({"price": D("49.99")}, "band"),
        ({"price": D("120.01")}, "band"),
        ({"side": OrderSide.SELL, "price": D("79.99")}, "band"),
        ({"side": OrderSide.SELL, "price": D("200.01")}, "band"),
        ({**MARKET, "quantity": D("0.01")}, "at market below"),
        ({**MARKET, "quantity": D("5.01")}, "at market exceeds"),
        ({**MARKET, "quantity": D("0.025")}, "at market not in steps"),
        ({"quantity": D("0.049")}, "notional 4.900 below 5"),
        ({**MARKET, "quantity": D("0.04")}, "notional 4.00 below 5"),
        ({"quantity": D("10.001")}, "exceeds 1000"),
        ({"open_orders": 3}, "3 open orders"),
        ({**STOP, "stop_orders": 2}, "2 open stop orders"),
        ({"position": D("19.001")}, "position 20.001 exceeds 20"),
    ],
)
def test_order_past_a_limit_of_the_venue_is_told_which(changes: dict[str, Any], fact: str) -> None:
    found = broken(**changes)

    assert found is not None
    assert fact in found


def test_notional_rules_hold_for_market_orders_as_the_venue_says() -> None:
    small, large = {**MARKET, "quantity": D("0.04")}, {**MARKET, "quantity": D(5)}

    assert broken({"is_min_notional_for_market": False}, **small) is None
    assert broken({"max_notional": D(100)}, **large) is None
    assert broken({"max_notional": D(100), "is_max_notional_for_market": True}, **large)


def test_venue_without_a_rule_has_none() -> None:
    none = dict.fromkeys(
        [
            *("max_notional", "min_price", "max_price", "price_band", "market_max_quantity"),
            *("max_open_orders", "max_stop_orders", "max_position", "order_types"),
        ]
    )

    assert broken(none, open_orders=999, position=D(10**6)) is None
