"""The risk engine: an order against the account, and what open orders reserve of it."""

from __future__ import annotations

import pytest

from krator_actors.messages.orders import (
    OrderAccepted,
    OrderExternal,
    OrderRejected,
)
from krator_actors.messages.risk import (
    DuplicateRefused,
    OrderApproved,
)
from krator_actors.model import (
    NANOS_PER_SEC,
    OrderSide,
    OrderType,
)
from tests.core.risk_desk import (
    BTC,
    BUY,
    ETH,
    NOON_NS,
    SELL,
    D,
    Desk,
    limit,
    order,
)


@pytest.mark.parametrize(("quantity", "reason"), [("20", "APPROVED"), ("20.001", "MAX_POSITION")])
def test_position_has_a_maximum(quantity: str, reason: str) -> None:
    assert Desk().reason(limit("100", quantity)) == reason


@pytest.mark.parametrize(("quantity", "reason"), [("5", "APPROVED"), ("5.001", "MAX_POSITION")])
def test_position_limit_counts_holding_and_open_buys(quantity: str, reason: str) -> None:
    desk = Desk()
    held, open_buy = order("held", quantity="5"), limit("100", "10", client_order_id="open")
    desk.submit(held)
    desk.fill(held, "5")
    desk.submit(open_buy)

    assert desk.reason(limit("100", quantity)) == reason


def test_position_limit_of_one_symbol_leaves_the_other_its_own() -> None:
    desk = Desk()
    desk.submit(limit("100", "20", client_order_id="btc"))

    assert desk.reason(limit("100", "20", symbol=ETH)) == "APPROVED"


def test_sell_passes_with_a_position_past_its_limit() -> None:
    desk = Desk(balances={"USDT": "0", "BTC": "10"})

    assert desk.reason(order(side=SELL, quantity="10")) == "APPROVED"


@pytest.mark.parametrize(
    ("quantity", "reason"), [("0.6", "APPROVED"), ("0.601", "INSUFFICIENT_POSITION")]
)
def test_what_is_not_held_or_is_being_sold_cannot_be_sold(quantity: str, reason: str) -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"})
    desk.submit(limit("100.50", "0.4", SELL, client_order_id="open"))

    assert desk.reason(order(side=SELL, quantity=quantity)) == reason


@pytest.mark.parametrize(
    ("quantity", "reason"), [("3", "APPROVED"), ("3.001", "INSUFFICIENT_CASH")]
)
def test_cash_is_reserved_by_open_buys_of_all_symbols(quantity: str, reason: str) -> None:
    desk = Desk(balances={"USDT": "1000"}, max_position_fraction=D(1))
    desk.submit(limit("100", "7", symbol=ETH, client_order_id="open"))

    assert desk.reason(limit("100", quantity)) == reason


@pytest.mark.parametrize("side", [BUY, SELL])
def test_nothing_passes_before_the_balances_are_known(side: OrderSide) -> None:
    desk = Desk(balances={})

    assert desk.reason(order(side=side)) == "EQUITY_UNKNOWN"


def test_nothing_passes_while_a_holding_has_no_price() -> None:
    desk = Desk(balances={"USDT": "1000", "ETH": "1"}, quoted=(BTC,))

    unknown = desk.reason(order())
    desk.quote(symbol=ETH)

    assert unknown == "EQUITY_UNKNOWN"
    assert desk.reason(limit("100", "0.1")) == "APPROVED"


def test_tenth_order_of_a_second_passes_and_the_eleventh_does_not() -> None:
    desk = Desk()
    for number in range(9):
        desk.submit(order(f"k{number}", quantity=f"0.10{number}"))

    tenth = desk.submit(order("k9", quantity="0.109"))
    eleventh = desk.reason(order("k10", quantity="0.2"))

    assert isinstance(tenth, OrderApproved)
    assert eleventh == "ORDER_RATE"


@pytest.mark.parametrize(
    ("later_ns", "reason"),
    [(NANOS_PER_SEC - 1, "ORDER_RATE"), (NANOS_PER_SEC, "APPROVED")],
)
def test_rate_window_slides(later_ns: int, reason: str) -> None:
    desk = Desk(max_orders_per_sec=2)
    desk.submit(order("k1", quantity="0.1"))
    desk.now_ns += NANOS_PER_SEC // 2
    desk.submit(order("k2", quantity="0.1"))

    desk.now_ns += later_ns - NANOS_PER_SEC // 2

    assert desk.reason(order("k3", quantity="0.1")) == reason


def test_denied_orders_do_not_use_up_the_rate() -> None:
    desk = Desk(max_orders_per_sec=1)
    desk.submit(order("k1", quantity="0.1005"))

    assert desk.reason(order("k2")) == "APPROVED"


def test_rest_of_a_partly_filled_order_stays_reserved() -> None:
    desk = Desk()
    big = limit("100", "15", client_order_id="big")
    desk.submit(big)
    desk.begin(big)

    desk.fill(big, "5")

    assert desk.engine.reservations.exposure(BTC).buy_quantity == 10
    assert desk.reason(limit("100", "5")) == "APPROVED"
    assert desk.reason(limit("100", "5.001")) == "MAX_POSITION"


def test_rejected_order_is_released_and_comes_back_when_the_venue_works_it() -> None:
    desk = Desk()
    big = limit("100", "20", client_order_id="big")
    desk.submit(big)
    desk.begin(big)

    desk.engine.absorb(
        OrderRejected(client_order_id="big", symbol=BTC, reason="NEVER_ARRIVED", ts_event=1)
    )
    desk.now_ns += 1
    released = desk.reason(limit("100", "20"))
    desk.engine.absorb(
        OrderAccepted(client_order_id="big", venue_order_id="1", symbol=BTC, ts_event=1)
    )

    assert released == "APPROVED"
    assert desk.reason(limit("100", "0.1")) == "MAX_POSITION"


def test_external_order_counts() -> None:
    desk = Desk()

    desk.engine.absorb(
        OrderExternal(
            client_order_id="web_1",
            venue_order_id="1",
            symbol=BTC,
            side=BUY,
            order_type=OrderType.MARKET,
            quantity=D("15"),
            price=None,
            ts_event=1,
        )
    )

    assert desk.engine.reservations.buy_notional == 1500
    assert desk.reason(limit("100", "5")) == "APPROVED"
    assert desk.reason(limit("100", "5.001")) == "MAX_POSITION"


def test_fill_told_twice_releases_once() -> None:
    desk = Desk()
    big = limit("100", "15", client_order_id="big")
    desk.submit(big)

    desk.fill(big, "5", trade_id="1")
    desk.fill(big, "5", trade_id="1")

    assert desk.engine.reservations.exposure(BTC).buy_quantity == 10


def test_approval_that_never_began_is_lost_and_one_that_did_is_not() -> None:
    desk = Desk()
    begun, lost, later = order("begun"), order("lost", quantity="2"), order("later", quantity="3")
    desk.submit(begun)
    desk.begin(begun)
    desk.submit(lost)
    settled = desk.number
    desk.submit(later)

    denied = desk.engine.lost_approvals(settled, (), generation=1, utc_ns=NOON_NS)
    for event in denied:
        desk.record(event)

    assert [(d.client_order_id, d.reason) for d in denied] == [("lost", "LOST_APPROVAL")]
    left = desk.engine.reservations.open_orders()
    assert [o.client_order_id for o in left] == ["begun", "later"]
    assert isinstance(desk.submit(lost), DuplicateRefused)


def test_approval_of_an_earlier_incarnation_is_lost_by_its_restart() -> None:
    desk = Desk()
    desk.submit(order("lost"))

    (denied,) = desk.engine.lost_approvals(desk.number, (), generation=2, utc_ns=NOON_NS)

    assert denied.reason == "RISK_RESTARTED"


def test_approval_that_the_order_actor_has_open_is_not_lost() -> None:
    desk = Desk()
    desk.submit(order("queued"))

    assert (
        desk.engine.lost_approvals(
            desk.number, desk.engine.reservations.open_orders(), generation=1, utc_ns=NOON_NS
        )
        == []
    )
