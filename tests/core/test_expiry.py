"""GTD and DAY: when an order's time is over."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.expiry import due, expires_at_ns, is_over
from krator_actors.core.orders import Order, OrderTable
from krator_actors.messages.orders import (
    OrderExternal,
    OrderInitialized,
    OrderPendingCancel,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.model import NANOS_PER_SEC, OrderSide, OrderType, TimeInForce

SYMBOL = "BTC-USDT.SIM"
DAY_NS = 86_400 * NANOS_PER_SEC
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


def submit(time_in_force: TimeInForce, expires_ns: int | None = None) -> SubmitOrder:
    return SubmitOrder(
        client_order_id="k1",
        strategy="strategy:x",
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(1),
        price=Decimal(100),
        time_in_force=time_in_force,
        expires_ns=expires_ns,
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


def logged(order: SubmitOrder) -> tuple[OrderTable, Order]:
    table = OrderTable()
    first = OrderInitialized(
        order=order, risk_generation=1, request_valid_until_ms=1, ts_event=NOON_NS
    )
    made = table.apply(first, 1)
    assert made is not None
    return table, made


@pytest.mark.parametrize("forever", [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
def test_order_without_a_time_never_expires(forever: TimeInForce) -> None:
    _, order = logged(submit(forever))

    assert not is_over(order, NOON_NS + 1_000 * DAY_NS)


@given(st.integers(0, 10**9))
def test_good_till_date_expires_at_its_date_and_not_before(expires_ns: int) -> None:
    _, order = logged(submit(TimeInForce.GTD, expires_ns))

    assert not is_over(order, expires_ns - 1)
    assert is_over(order, expires_ns)


@given(st.integers(0, 10**19))
def test_day_order_expires_at_the_next_midnight_utc(initialized_ns: int) -> None:
    at_ns = expires_at_ns(submit(TimeInForce.DAY), initialized_ns)

    assert at_ns is not None
    assert at_ns % DAY_NS == 0
    assert 0 < at_ns - initialized_ns <= DAY_NS


def test_order_that_is_over_is_due_until_a_cancel_was_asked_for() -> None:
    table, _ = logged(submit(TimeInForce.GTD, NOON_NS + 5))

    before = due(table.open_orders, NOON_NS + 4)
    then = due(table.open_orders, NOON_NS + 5)
    table.apply(OrderSubmitted(client_order_id="k1", symbol=SYMBOL, ts_event=1), 2)
    table.apply(
        OrderPendingCancel(client_order_id="k1", symbol=SYMBOL, requester="expiry", ts_event=1), 3
    )

    assert before == ()
    assert [order.client_order_id for order in then] == ["k1"]
    assert due(table.open_orders, NOON_NS + 6) == ()


def test_external_order_has_no_time_of_ours() -> None:
    external = OrderExternal(
        client_order_id="external-1",
        venue_order_id="1",
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(1),
        price=Decimal(1),
        ts_event=1,
    )
    order = OrderTable().apply(external, 1)

    assert order is not None
    assert not is_over(order, NOON_NS)
