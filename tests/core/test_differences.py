"""Where an order at the venue is not what our record says."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from krator_actors.core.differences import busy_assets, doubled, overcounted, vanished
from krator_actors.core.orders import Order, OrderTable
from krator_actors.core.venue_reports import OrderReport
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderExternal,
    OrderInitialized,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType

D = Decimal
SYMBOL = "BTC-USDT.SIM"


def table(*, accepted: bool = True) -> OrderTable:
    made = OrderTable()
    order = SubmitOrder(
        client_order_id="k1",
        strategy="strategy:x",
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=D(3),
        price=D(1),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )
    made.apply(
        OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=1, ts_event=1), 1
    )
    if accepted:
        made.apply(
            OrderAccepted(client_order_id="k1", venue_order_id="7", symbol=SYMBOL, ts_event=1), 2
        )
    return made


def order(*, filled: int = 2, accepted: bool = True) -> Order:
    return msgspec.structs.replace(table(accepted=accepted).orders["k1"], filled=D(filled))


def report(status: OrderStatus = OrderStatus.CANCELED, filled: int = 2) -> OrderReport:
    return OrderReport(
        client_order_id="k1",
        venue_order_id="7",
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=D(3),
        price=D(1),
        status=status,
        filled=D(filled),
        ts_event=1,
    )


@pytest.mark.parametrize(
    ("status", "filled", "differs"),
    [
        (OrderStatus.CANCELED, 1, True),
        (OrderStatus.CANCELED, 2, False),
        (OrderStatus.CANCELED, 3, False),
        (OrderStatus.PARTIALLY_FILLED, 1, False),
    ],
)
def test_only_an_end_with_less_than_we_counted_differs(
    status: OrderStatus, filled: int, *, differs: bool
) -> None:
    found = overcounted(order(), report(status, filled), 9)

    assert (found is not None) is differs
    assert found is None or (found.ours, found.venue, found.ts_event) == (D(2), D(filled), 9)


def test_external_order_counts_from_where_it_was_taken_over() -> None:
    taken = OrderTable()
    external = OrderExternal(
        client_order_id="external-7",
        venue_order_id="7",
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=D(1),
        price=D(1),
        ts_event=1,
    )
    taken.apply(external, 1)

    assert overcounted(taken.orders["external-7"], report(filled=2), 9) is None


def test_order_that_was_accepted_and_is_open_can_vanish() -> None:
    found = vanished(order(), 9)

    assert found is not None
    assert (found.subject, found.ours, found.venue) == ("k1", D(1), D(0))


def test_order_that_was_never_answered_or_is_over_cannot_vanish() -> None:
    over = msgspec.structs.replace(order(), status=OrderStatus.FILLED)

    assert vanished(order(accepted=False), 9) is None
    assert vanished(over, 9) is None


def test_second_order_of_one_of_our_ids_is_doubled() -> None:
    theirs = msgspec.structs.replace(report(), client_order_id="web-1")

    found = doubled(table(), report(), 9)

    assert found is not None
    assert (found.subject, found.venue) == ("k1", D(3))
    assert doubled(table(), theirs, 9) is None


def test_assets_of_unanswered_orders_are_busy() -> None:
    assert busy_assets([order(accepted=False)]) == {"BTC", "USDT"}
    assert busy_assets([order()]) == frozenset()
