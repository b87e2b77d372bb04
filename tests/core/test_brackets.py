"""Brackets: what the legs may do, whatever the venue does to them and whenever we restart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krator_actors.core.brackets import (
    MAX_REFUSED_LEGS,
    REQUESTER,
    Action,
    Left,
    PlaceLeg,
    TakeOff,
    decide,
)
from krator_actors.core.orders import Order, OrderTable
from krator_actors.messages.orders import (
    Bracket,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    SubmitOrder,
)
from krator_actors.model import Instrument, OrderSide, OrderStatus, OrderType, TimeInForce

SYMBOL = "BTC-USDT.SIM"
ENTRY = "k-entry"
STOP, PROFIT = Decimal(90), Decimal(110)
S = OrderStatus


def instrument(**changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "symbol": SYMBOL,
        "venue_symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "tick_size": Decimal(1),
        "lot_size": Decimal(1),
        "min_quantity": Decimal(1),
        "max_quantity": Decimal(1_000),
        "min_notional": Decimal(0),
    }
    return Instrument(**(fields | changes))


def entry_order(quantity: int = 10, *, limit: Decimal | None = None, **changes: Any) -> SubmitOrder:
    bracket = Bracket(
        stop_price=STOP,
        take_profit_price=PROFIT,
        stop_limit_price=limit,
        instrument=instrument(**changes),
    )
    return SubmitOrder(
        client_order_id=ENTRY,
        strategy="strategy:x",
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(100),
        bracket=bracket,
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


class Scene:
    """An order log, and a venue that does what the test says."""

    def __init__(self, entry: SubmitOrder | None = None) -> None:
        self.table = OrderTable()
        self.events: list[OrderEvent] = []
        self.trades = 0
        self.place(entry or entry_order())
        self.work(ENTRY)

    def record(self, event: OrderEvent) -> None:
        self.table.apply(event, len(self.events) + 1)
        self.events.append(event)

    def place(self, order: SubmitOrder) -> None:
        self.record(
            OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=1, ts_event=1)
        )
        self.say(OrderSubmitted, order.client_order_id)

    def say(self, kind: type[OrderEvent], client_order_id: str, **fields: Any) -> None:
        made = {"client_order_id": client_order_id, "symbol": SYMBOL, "ts_event": 1} | fields
        self.record(msgspec.convert(made | {"_": kind.__name__}, kind))

    def work(self, client_order_id: str) -> None:
        self.say(OrderAccepted, client_order_id, venue_order_id="v" + client_order_id)

    def fill(self, client_order_id: str, quantity: int, fee: str = "0") -> None:
        order = self.table.orders[client_order_id]
        self.trades += 1
        self.record(
            OrderFilled(
                client_order_id=client_order_id,
                venue_order_id="v" + client_order_id,
                trade_id=str(self.trades),
                symbol=SYMBOL,
                strategy="strategy:x",
                side=order.side,
                last_quantity=Decimal(quantity),
                last_price=Decimal(100),
                fee=Decimal(fee),
                fee_currency="BTC",
                ts_event=1,
                ts_init=1,
            )
        )

    def next(self, bid: int | None = None) -> Action:
        ((entry, legs),) = self.table.brackets()
        return decide(entry, legs, bid=None if bid is None else Decimal(bid), now_ns=1)

    def protect(self, bid: int | None = None) -> Order:
        action = self.next(bid)
        assert isinstance(action, PlaceLeg)
        self.place(action.order)
        self.work(action.order.client_order_id)
        return self.table.orders[action.order.client_order_id]

    def take_off(self, order: Order) -> None:
        self.say(OrderPendingCancel, order.client_order_id, requester=REQUESTER)
        self.say(OrderCanceled, order.client_order_id)


def test_nothing_is_placed_before_something_was_bought() -> None:
    assert Scene().next() is None


def test_stop_protects_what_was_bought_so_far_and_grows_with_it() -> None:
    scene = Scene()
    scene.fill(ENTRY, 4)

    stop = scene.protect()
    scene.fill(ENTRY, 3)
    action = scene.next()

    assert (stop.order_type, stop.quantity) == (OrderType.STOP_MARKET, Decimal(4))
    assert stop.submitted is not None
    assert (stop.submitted.stop_price, stop.submitted.reduce_only) == (STOP, True)
    assert action == TakeOff(stop)
    scene.take_off(stop)
    assert scene.protect().quantity == 7


def test_what_went_as_a_fee_is_not_sold() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10, fee="0.01")

    assert scene.protect().quantity == 9


def test_stop_with_a_limit_is_a_stop_limit_order() -> None:
    scene = Scene(entry_order(limit=Decimal(89)))
    scene.fill(ENTRY, 10)

    stop = scene.protect()

    assert (stop.order_type, stop.price) == (OrderType.STOP_LIMIT, Decimal(89))


def test_take_profit_is_sold_only_after_the_stop_is_off() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    stop = scene.protect()

    assert scene.next(bid=109) is None
    assert scene.next(bid=110) == TakeOff(stop)
    scene.say(OrderPendingCancel, stop.client_order_id, requester=REQUESTER)
    assert scene.next(bid=110) is None
    scene.say(OrderCanceled, stop.client_order_id)
    profit = scene.protect(bid=110)

    assert (profit.order_type, profit.price) == (OrderType.LIMIT, PROFIT)
    assert profit.submitted is not None
    assert profit.submitted.time_in_force is TimeInForce.IOC
    scene.fill(profit.client_order_id, 10)
    assert scene.next() == TakeOff(scene.table.orders[ENTRY]) or scene.next() == Left("CLOSED")


def test_rest_of_a_take_profit_is_protected_by_a_stop_again() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    scene.take_off(scene.protect())
    profit = scene.protect(bid=111)
    scene.fill(profit.client_order_id, 4)
    scene.say(OrderExpired, profit.client_order_id)

    again = scene.protect(bid=105)

    assert (again.order_type, again.quantity) == (OrderType.STOP_MARKET, Decimal(6))


def test_rest_of_the_entry_is_taken_off_when_the_position_is_being_left() -> None:
    scene = Scene()
    scene.fill(ENTRY, 4)
    stop = scene.protect()
    scene.say(OrderTriggered, stop.client_order_id)
    scene.fill(stop.client_order_id, 4)

    assert scene.next() == TakeOff(scene.table.orders[ENTRY])


def test_stop_filled_while_it_was_taken_off_closes_the_bracket() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    stop = scene.protect()
    scene.say(OrderPendingCancel, stop.client_order_id, requester=REQUESTER)
    scene.fill(stop.client_order_id, 10)

    assert scene.next(bid=120) == Left("CLOSED")


def test_refused_stop_means_out_at_market() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    action = scene.next()
    assert isinstance(action, PlaceLeg)
    scene.place(action.order)
    scene.say(OrderRejected, action.order.client_order_id, reason="would trigger immediately")

    assert scene.protect().order_type is OrderType.MARKET


def test_stop_that_never_arrived_is_placed_again_as_a_stop() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    first = scene.next()
    assert isinstance(first, PlaceLeg)
    scene.place(first.order)
    scene.say(OrderUnknown, first.order.client_order_id, reason="lost")
    assert scene.next() is None
    scene.say(OrderRejected, first.order.client_order_id, reason="NEVER_ARRIVED")

    second = scene.protect()

    assert second.order_type is OrderType.STOP_MARKET
    assert second.client_order_id != first.order.client_order_id


def test_bid_below_the_stop_means_out_at_market() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)

    assert scene.protect(bid=90).order_type is OrderType.MARKET


def test_position_that_the_venue_refuses_to_protect_is_left_to_a_person() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    for _ in range(MAX_REFUSED_LEGS):
        action = scene.next()
        assert isinstance(action, PlaceLeg)
        scene.place(action.order)
        scene.say(OrderRejected, action.order.client_order_id, reason="no balance")

    assert scene.next() == Left("UNPROTECTED")


def test_leg_that_somebody_else_canceled_is_not_placed_again() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    stop = scene.protect()
    scene.say(OrderPendingCancel, stop.client_order_id, requester="anna")
    scene.say(OrderCanceled, stop.client_order_id)

    assert scene.next() == Left("RELEASED")


def test_less_than_the_venue_takes_is_left() -> None:
    scene = Scene(entry_order(min_notional=Decimal(200)))
    scene.fill(ENTRY, 2)
    assert scene.next() is None
    scene.say(OrderCanceled, ENTRY)

    assert scene.next() == Left("DUST")


def test_entry_that_bought_nothing_leaves_nothing() -> None:
    scene = Scene()
    scene.say(OrderCanceled, ENTRY)

    assert scene.next() == Left("NOT_BOUGHT")


def test_decision_after_a_restart_is_the_same_order() -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    before = scene.next()
    again = OrderTable()
    for number, event in enumerate(scene.events, start=1):
        again.apply(event, number)
    ((entry, legs),) = again.brackets()

    after = decide(entry, legs, bid=None, now_ns=1)

    assert after == before


@settings(max_examples=300)
@given(st.data())
def test_legs_never_sell_more_than_was_bought(data: st.DataObject) -> None:
    scene = Scene()
    for _ in range(data.draw(st.integers(1, 40))):
        _anything_at_the_venue(scene, data)
        action = scene.next(data.draw(st.sampled_from([None, 85, 100, 115])))
        if isinstance(action, TakeOff):
            scene.say(OrderPendingCancel, action.order.client_order_id, requester=REQUESTER)
        elif isinstance(action, PlaceLeg):
            scene.place(action.order)
        ((entry, legs),) = scene.table.brackets()
        sold = sum((leg.filled for leg in legs), Decimal(0))
        may_sell = sum((leg.remaining for leg in legs if leg.status.is_open), Decimal(0))
        assert sold + may_sell <= entry.filled - entry.base_fee
        assert sum(leg.status.is_open for leg in legs) <= 1
        assert len({leg.client_order_id for leg in legs}) == len(legs)


def _anything_at_the_venue(scene: Scene, data: st.DataObject) -> None:
    alive = list(scene.table.open_orders)
    if not alive:
        return
    order = data.draw(st.sampled_from(alive))
    name = order.client_order_id
    match data.draw(st.sampled_from(["fill", "fill", "end", "accept", "refuse", "doubt", "none"])):
        case "fill" if order.remaining and order.venue_order_id:
            quantity = data.draw(st.integers(1, int(order.remaining)))
            fee = data.draw(st.sampled_from(["0", "0.5"])) if order.side is OrderSide.BUY else "0"
            scene.fill(name, quantity, fee)
        case "end" if order.venue_order_id:
            scene.say(OrderCanceled if order.cancel_requested else OrderExpired, name)
        case "accept" if order.status in {S.SUBMITTED, S.UNKNOWN}:
            scene.work(name)
        case "refuse" if order.status in {S.SUBMITTED, S.UNKNOWN}:
            scene.say(OrderRejected, name, reason="no")
        case "doubt" if order.status is S.SUBMITTED:
            scene.say(OrderUnknown, name, reason="lost")
        case _:
            pass


@pytest.mark.parametrize("bid", [None, 100])
def test_open_leg_that_is_not_known_to_work_is_waited_for(bid: int | None) -> None:
    scene = Scene()
    scene.fill(ENTRY, 10)
    action = scene.next(bid)
    assert isinstance(action, PlaceLeg)
    scene.place(action.order)

    assert scene.next(bid) is None
