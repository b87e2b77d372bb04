"""What is not sent, what is doubted, when an order is given up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from krator_actors.core import order_rules as rules
from krator_actors.core.orders import OrderTable
from krator_actors.messages.orders import (
    CancelAllOrders,
    OrderAccepted,
    OrderDenied,
    OrderEvent,
    OrderInitialized,
    OrderPendingCancel,
    OrderSubmitted,
    OrderUnknown,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderType, TimeInForce

SYMBOL = "BTC-USDT.SIM"
ORDER = SubmitOrder(
    client_order_id="k1",
    strategy="strategy:x",
    symbol=SYMBOL,
    side=OrderSide.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal(1),
    price=Decimal(100),
    cause="bar:1",
    ts_event=1,
    ts_init=1,
)


def reason(order: SubmitOrder = ORDER, **changes: Any) -> str | None:
    facts: dict[str, Any] = {
        "symbols": (SYMBOL,),
        "risk_generation": 3,
        "dry_run": False,
        "unreachable": None,
        "old": None,
        "now_ns": 10,
    }
    found = rules.obstacle(PlaceOrder(order=order, risk_generation=3), **(facts | changes))
    return found[0] if found else None


def changed(**changes: Any) -> SubmitOrder:
    return msgspec.structs.replace(ORDER, **changes)


def test_order_without_obstacle_is_sent() -> None:
    assert reason() is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"risk_generation": 4}, "RISK_RESTARTED"),
        ({"symbols": ()}, "UNKNOWN_SYMBOL"),
        ({"order": msgspec.structs.replace(ORDER, price=None)}, "INVALID_ORDER"),
        ({"order": changed(order_type=OrderType.STOP_LIMIT)}, "INVALID_ORDER"),
        ({"order": changed(time_in_force=TimeInForce.GTD)}, "INVALID_ORDER"),
        ({"order": changed(expires_ns=11)}, "INVALID_ORDER"),
        ({"order": changed(time_in_force=TimeInForce.GTD, expires_ns=10)}, "EXPIRED"),
        ({"order": changed(replaces="k0")}, "NOTHING_TO_REPLACE"),
        ({"dry_run": True}, "DRY_RUN"),
        ({"unreachable": "connect failed"}, "VENUE_UNREACHABLE"),
    ],
)
def test_obstacle_has_its_reason_code(changes: dict[str, Any], expected: str) -> None:
    assert reason(**changes) == expected


def open_after(*events: OrderEvent, valid_until_ms: int = 5_000) -> OrderTable:
    table = OrderTable()
    first = OrderInitialized(
        order=ORDER, risk_generation=1, request_valid_until_ms=valid_until_ms, ts_event=1
    )
    for number, event in enumerate((first, *events), 1):
        table.apply(event, number)
    return table


SUBMITTED = OrderSubmitted(client_order_id="k1", symbol=SYMBOL, ts_event=1)
UNKNOWN = OrderUnknown(client_order_id="k1", symbol=SYMBOL, reason="R", ts_event=1)
CANCEL = OrderPendingCancel(client_order_id="k1", symbol=SYMBOL, ts_event=1)
ACCEPTED = OrderAccepted(client_order_id="k1", venue_order_id="7", symbol=SYMBOL, ts_event=1)


@pytest.mark.parametrize("events", [(), (SUBMITTED,), (SUBMITTED, CANCEL)])
def test_what_may_have_been_sent_is_unknown_at_start(events: tuple[OrderEvent, ...]) -> None:
    (doubt,) = rules.doubts_at_start(open_after(*events).open_orders, now_ns=2)

    assert isinstance(doubt, OrderUnknown)


@pytest.mark.parametrize("events", [(SUBMITTED, UNKNOWN), (SUBMITTED, ACCEPTED)])
def test_what_is_already_known_or_unknown_is_left_alone(events: tuple[OrderEvent, ...]) -> None:
    assert rules.doubts_at_start(open_after(*events).open_orders, now_ns=2) == []


def test_order_that_was_being_denied_is_denied_at_start() -> None:
    table = open_after(valid_until_ms=rules.NEVER_SENT)

    (event,) = rules.doubts_at_start(table.open_orders, now_ns=2)

    assert isinstance(event, OrderDenied)


def test_no_such_order_is_final_only_after_validity_and_margin() -> None:
    order = open_after(SUBMITTED, UNKNOWN).orders["k1"]

    last_moment_ms = 5_000 + rules.CERTAINTY_MARGIN_MS
    assert not rules.never_arrived(order, asked_at_ms=last_moment_ms)
    assert rules.never_arrived(order, asked_at_ms=last_moment_ms + 1)


def test_order_is_made_smaller_only_while_it_works_and_by_less_than_it_has_left() -> None:
    order = open_after(SUBMITTED, ACCEPTED).orders["k1"]
    waiting = open_after(SUBMITTED, UNKNOWN).orders["k1"]

    assert rules.can_be_reduced(order, Decimal("0.5"))
    assert not rules.can_be_reduced(order, Decimal(1))
    assert not rules.can_be_reduced(order, Decimal(0))
    assert not rules.can_be_reduced(waiting, Decimal("0.5"))


def test_unchanged_order_is_final_only_after_the_changes_validity_and_margin() -> None:
    order = open_after(SUBMITTED, ACCEPTED).orders["k1"]
    table = open_after(SUBMITTED, ACCEPTED, rules.pending_update(order, Decimal("0.5"), 7_000, 1))
    changing = table.orders["k1"]
    last_moment_ms = 7_000 + rules.CERTAINTY_MARGIN_MS

    assert not rules.change_never_arrived(changing, asked_at_ms=last_moment_ms)
    assert rules.change_never_arrived(changing, asked_at_ms=last_moment_ms + 1)
    assert not rules.change_never_arrived(order, asked_at_ms=last_moment_ms + 1)


@pytest.mark.parametrize(
    ("symbol", "strategy", "meant"),
    [(None, None, True), (SYMBOL, None, True), ("X-Y.SIM", None, False), (None, "other", False)],
)
def test_cancel_of_all_means_what_matches(
    symbol: str | None, strategy: str | None, *, meant: bool
) -> None:
    order = open_after(SUBMITTED, ACCEPTED).orders["k1"]
    message = CancelAllOrders(symbol=symbol, strategy=strategy, requester="anna")

    assert rules.is_meant(order, message) is meant


def test_accepted_order_never_counts_as_never_arrived() -> None:
    order = open_after(SUBMITTED, ACCEPTED).orders["k1"]

    assert not rules.never_arrived(order, asked_at_ms=10**12)
