"""What open orders reserve, and when it is given back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from krator_actors.core import reservations as module
from krator_actors.core.rates import RateWindow
from krator_actors.core.reservations import Reservations
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    SubmitOrder,
)
from krator_actors.model import NANOS_PER_SEC, OrderSide, OrderStatus, OrderType

D = Decimal
BTC = "BTC-USDT.SIM"
ID: dict[str, Any] = {"client_order_id": "k1", "symbol": BTC, "ts_event": 1}
SUBMITTED = OrderSubmitted(**ID)
UNKNOWN = OrderUnknown(reason="", **ID)
ACCEPTED = OrderAccepted(venue_order_id="1", **ID)
REJECTED = OrderRejected(reason="", **ID)
PENDING_CANCEL = OrderPendingCancel(**ID)
CANCELED = OrderCanceled(**ID)
EXPIRED = OrderExpired(**ID)
DENIED = OrderDenied(strategy="", reason="", detail="", **ID)


def order(client_order_id: str = "k1", side: OrderSide = OrderSide.BUY) -> SubmitOrder:
    return SubmitOrder(
        client_order_id=client_order_id,
        strategy="strategy:x",
        symbol=BTC,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(3),
        cause="",
        ts_event=1,
        ts_init=1,
    )


def filled(quantity: str) -> OrderFilled:
    return OrderFilled(
        venue_order_id="1",
        trade_id="1",
        strategy="",
        side=OrderSide.BUY,
        last_quantity=D(quantity),
        last_price=D(100),
        fee=D(0),
        fee_currency="USDT",
        ts_init=1,
        **ID,
    )


def reserved(*events: OrderEvent, side: OrderSide = OrderSide.BUY) -> Reservations:
    made = Reservations()
    made.reserve(order(side=side), reference_price=D(100), approval=1, generation=1)
    for event in events:
        made.apply(event, mark=D(7))
    return made


def test_approval_reserves() -> None:
    made = reserved()

    assert len(made) == 1
    assert made.buy_notional == made.exposure(BTC).buy_notional == 300
    assert made.exposure(BTC).buy_quantity == 3
    assert made.exposure(BTC).sell_quantity == 0


def test_sell_reserves_quantity_and_no_cash() -> None:
    made = reserved(side=OrderSide.SELL)

    assert made.buy_notional == 0
    assert made.exposure(BTC).sell_quantity == 3


@pytest.mark.parametrize("end", [DENIED, REJECTED, CANCELED, EXPIRED])
def test_end_releases_the_rest_once(end: OrderEvent) -> None:
    made = reserved(filled("1"), end, end)

    assert len(made) == 0
    assert made.buy_notional == 0
    assert made.exposure(BTC).buy_quantity == 0


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], OrderStatus.INITIALIZED),
        ([SUBMITTED], OrderStatus.SUBMITTED),
        ([SUBMITTED, UNKNOWN], OrderStatus.UNKNOWN),
        ([SUBMITTED, ACCEPTED], OrderStatus.ACCEPTED),
        ([SUBMITTED, ACCEPTED, filled("1")], OrderStatus.PARTIALLY_FILLED),
        ([SUBMITTED, PENDING_CANCEL, ACCEPTED], OrderStatus.PENDING_CANCEL),
        ([ACCEPTED, UNKNOWN], OrderStatus.ACCEPTED),
        ([AccountReport(balances={}, ts_event=1)], OrderStatus.INITIALIZED),
    ],
)
def test_open_order_stays_reserved(events: list[OrderEvent], status: OrderStatus) -> None:
    (standing,) = reserved(*events).open_orders(BTC)

    assert standing.status is status


def test_fills_release_what_they_traded_and_no_more() -> None:
    made = reserved(filled("1"))
    after_one = made.exposure(BTC).buy_notional, made.open_orders()[0].filled
    made.apply(filled("9"), mark=D(0))

    assert after_one == (D(200), D(1))
    assert made.buy_notional == 0
    assert len(made) == 0


def test_late_fill_of_a_canceled_order_reserves_nothing() -> None:
    made = reserved(CANCELED, filled("1"))

    assert len(made) == 0
    assert made.buy_notional == 0


@pytest.mark.parametrize("end", [DENIED, REJECTED])
@pytest.mark.parametrize(("news", "left"), [(ACCEPTED, 3), (filled("1"), 2)])
def test_order_that_was_given_up_and_lives_is_reserved_again(
    end: OrderEvent, news: OrderEvent, left: int
) -> None:
    made = reserved(SUBMITTED, end, news)

    assert made.exposure(BTC).buy_quantity == left


def test_canceled_order_does_not_rise_from_a_late_acceptance() -> None:
    assert len(reserved(CANCELED, ACCEPTED)) == 0


def test_given_up_orders_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVEN_UP_LIMIT", 1)
    made = reserved(REJECTED)
    made.reserve(order("k2"), reference_price=D(1), approval=2, generation=1)
    made.apply(OrderRejected(client_order_id="k2", symbol=BTC, reason="", ts_event=1), mark=D(0))

    made.apply(ACCEPTED, mark=D(0))

    assert len(made) == 0


@pytest.mark.parametrize("before", [(), (DENIED,)])
def test_order_without_a_reservation_is_counted_from_its_first_event(
    before: tuple[OrderEvent, ...],
) -> None:
    made = reserved(*before) if before else Reservations()
    begun = OrderInitialized(order=order(), risk_generation=1, request_valid_until_ms=1, ts_event=1)

    made.apply(begun, mark=D(7))

    assert made.buy_notional == 21
    assert made.unbegun(approval=99) == []


def test_busy_assets_are_those_of_open_orders() -> None:
    assert reserved().busy_assets() == {"BTC", "USDT"}
    assert reserved(CANCELED).busy_assets() == frozenset()


def test_restored_reservations_do_not_share_what_changes() -> None:
    made = reserved()
    restored = Reservations()
    restored.restore(made.state())

    made.apply(filled("1"), mark=D(0))

    assert restored.exposure(BTC).buy_quantity == 3
    assert restored.buy_notional == 300


def test_rate_window_tells_how_old_its_events_are() -> None:
    window = RateWindow(2)
    for time_ns in (1, 2, 3):
        window.add(time_ns)

    assert window.ages(10) == (8, 7)
    assert window.full_until_ns == 2 + NANOS_PER_SEC


def external_buy_at_market() -> OrderExternal:
    return OrderExternal(
        venue_order_id="1",
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=D(3),
        price=None,
        **ID,
    )


def test_buy_without_any_price_is_unpriced_until_there_is_one() -> None:
    made = Reservations()
    made.apply(external_buy_at_market(), mark=None)
    before = (set(made.unpriced), made.buy_notional)

    made.value("ETH-USDT.SIM", D(9))
    made.value(BTC, D(7))
    made.value(BTC, D(8))

    assert before == ({"k1"}, D(0))
    assert (list(made.unpriced), made.buy_notional) == ([], D(21))


def test_unpriced_buy_is_priced_by_its_fill_and_forgotten_with_its_end() -> None:
    made = Reservations()
    made.apply(external_buy_at_market(), mark=None)
    made.apply(filled("1"), mark=D(7))
    priced = (list(made.unpriced), made.buy_notional)
    ended = Reservations()
    ended.apply(external_buy_at_market(), mark=None)
    ended.apply(CANCELED, mark=None)

    assert priced == ([], D(14))
    assert (list(ended.unpriced), ended.buy_notional) == ([], D(0))


def test_unpriced_buy_outlives_a_snapshot() -> None:
    made = Reservations()
    made.apply(external_buy_at_market(), mark=None)
    again = Reservations()
    again.restore(made.state())

    again.value(BTC, D(7))

    assert again.buy_notional == 21
