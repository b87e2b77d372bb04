"""The life of an order: the table over every pair, and any sequence of events through the fold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.order_life import TABLE, OrderTransitionError, Step, next_status
from krator_actors.core.orders import OrderTable
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderModifyRejected,
    OrderPendingCancel,
    OrderPendingUpdate,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
)
from krator_actors.model import OrderStatus, OrderType
from tests.core.order_events import ID, filled, initialized, plain

S = OrderStatus
EVERY_STATUS: list[OrderStatus | None] = [None, *OrderStatus]


@pytest.mark.parametrize("status", EVERY_STATUS)
@pytest.mark.parametrize("step", Step)
def test_every_pair_is_a_row_or_an_error_with_both_names(
    status: OrderStatus | None, step: Step
) -> None:
    if (status, step) in TABLE:
        assert next_status(status, step) is TABLE[status, step].status
        return

    with pytest.raises(OrderTransitionError) as raised:
        next_status(status, step)

    assert step.value in str(raised.value)
    assert (status.value if status else "NONE") in str(raised.value)


def test_every_status_is_reached_and_every_step_is_used() -> None:
    assert {row.status for row in TABLE.values()} == set(OrderStatus)
    assert {step for _, step in TABLE} == set(Step)


def test_only_a_fill_or_a_note_leaves_a_final_status() -> None:
    leaving = {
        (status, step): row
        for (status, step), row in TABLE.items()
        if status is not None and status.is_final and row.status is not status
    }

    assert all(row.note for row in leaving.values())


def test_a_final_status_is_left_by_trading_or_rising_only() -> None:
    leaving = {
        (status, step)
        for (status, step), row in TABLE.items()
        if status is not None and status.is_final and row.status is not status
    }

    assert leaving == {
        (S.CANCELED, Step.LAST_FILL),
        (S.EXPIRED, Step.LAST_FILL),
        (S.REJECTED, Step.ACCEPTED),
        (S.REJECTED, Step.PARTIAL_FILL),
        (S.REJECTED, Step.LAST_FILL),
        (S.DENIED, Step.ACCEPTED),
        (S.DENIED, Step.PARTIAL_FILL),
        (S.DENIED, Step.LAST_FILL),
    }


def test_an_order_that_is_being_changed_can_always_be_canceled_and_filled() -> None:
    for step in (Step.PENDING_CANCEL, Step.CANCELED, Step.EXPIRED, Step.LAST_FILL):
        assert (S.PENDING_UPDATE, step) in TABLE


def test_a_denied_or_rejected_order_is_never_submitted() -> None:
    for status in (S.DENIED, S.REJECTED):
        assert (status, Step.SUBMITTED) not in TABLE


# -- any sequence ------------------------------------------------------------------------------


def first_event() -> OrderInitialized:
    return initialized(order_type=OrderType.STOP_LIMIT, stop_price=Decimal(99))


def fill(number: int) -> OrderFilled:
    return filled(str(number), "3")


PLAIN: list[type[OrderEvent]] = [
    OrderDenied,
    OrderSubmitted,
    OrderUnknown,
    OrderAccepted,
    OrderRejected,
    OrderTriggered,
    OrderPendingUpdate,
    OrderUpdated,
    OrderModifyRejected,
    OrderPendingCancel,
    OrderCanceled,
    OrderExpired,
]

events = st.one_of(st.sampled_from(PLAIN).map(plain), st.builds(fill, st.integers(1, 6)))


@given(st.lists(events, max_size=30))
def test_any_sequence_keeps_the_promises_of_the_table(sequence: list[OrderEvent]) -> None:
    table = OrderTable()
    order = table.apply(first_event(), 1)
    assert order is not None
    traded: set[str] = set()

    for number, event in enumerate(sequence, start=2):
        status, done = order.status, order.filled
        try:
            table.apply(event, number)
        except OrderTransitionError as error:
            refused = str(error)
            assert status.value in refused
            assert (order.status, order.filled) == (status, done)
            continue
        if isinstance(event, OrderFilled):
            traded.add(event.trade_id)
        assert order.filled >= done
        assert order.filled == 3 * len(traded)
        assert order.remaining == max(order.quantity - order.filled, 0)
        assert (order in table.open_orders) == order.status.is_open
        if status.is_final and order.status is not status:
            assert isinstance(event, OrderFilled | OrderAccepted)


@given(st.permutations([1, 2, 3, 1, 2]))
def test_duplicate_fills_in_any_order_count_once(numbers: list[int]) -> None:
    table = OrderTable()
    table.apply(first_event(), 1)

    for number, trade in enumerate(numbers, start=2):
        table.apply(fill(trade), number)

    assert table.orders[ID].filled == 9
    assert table.orders[ID].status is S.PARTIALLY_FILLED
