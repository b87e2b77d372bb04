"""The fold of an order log, and what reports of a venue add to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.order_life import OrderTransitionError
from krator_actors.core.orders import Order, OrderTable
from krator_actors.core.venue_reports import FillReport, OrderReport, external_of, news_of
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderModifyRejected,
    OrderPendingCancel,
    OrderPendingUpdate,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType, TimeInForce
from tests.core.order_events import ID, SYMBOL, accepted, filled, initialized, plain

S = OrderStatus


def report(
    status: OrderStatus, done: str = "0", *, quantity: str = "10", ts_event: int = 4
) -> OrderReport:
    return OrderReport(
        client_order_id=ID,
        venue_order_id="7",
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=Decimal(100),
        status=status,
        filled=Decimal(done),
        reason="LIQUIDATED" if status is S.REJECTED else "",
        ts_event=ts_event,
    )


def fill(trade_id: str, quantity: str, *, ts_event: int = 4) -> FillReport:
    return FillReport(
        venue_order_id="7",
        trade_id=trade_id,
        symbol=SYMBOL,
        side=OrderSide.BUY,
        quantity=Decimal(quantity),
        price=Decimal(100),
        fee=Decimal(0),
        fee_currency="BTC",
        ts_event=ts_event,
    )


def table_of(*events: OrderEvent) -> OrderTable:
    table = OrderTable()
    for number, event in enumerate(events, 1):
        table.apply(event, number)
    return table


def hear(
    table: OrderTable,
    said: OrderReport | None,
    fills: Sequence[FillReport] = (),
    order: Order | None = None,
) -> tuple[list[OrderEvent], bool]:
    order = order or table.orders[ID]
    news = news_of(table, order, said, fills, ts_init=9)
    for event in news.events:
        table.apply(event, order.number + 1)
    return list(news.events), news.complete


# -- the table ---------------------------------------------------------------------------------


# -- the fold ----------------------------------------------------------------------------------


def test_order_filled_in_two_parts_is_filled() -> None:
    table = table_of(
        initialized(), plain(OrderSubmitted), accepted(), filled("1", "4"), filled("2", "6")
    )

    order = table.orders[ID]
    assert (order.status, order.filled, order.venue_order_id) == (S.FILLED, Decimal(10), "7")
    assert table.open_orders == ()


def test_order_filled_after_cancel_is_filled() -> None:
    table = table_of(initialized(), accepted(), plain(OrderCanceled), filled("1", "10"))

    assert table.orders[ID].status is S.FILLED


def test_order_partly_filled_after_cancel_stays_canceled_with_the_fill() -> None:
    table = table_of(initialized(), accepted(), plain(OrderCanceled), filled("1", "3"))

    assert (table.orders[ID].status, table.orders[ID].filled) == (S.CANCELED, Decimal(3))


def test_fill_before_accept_leaves_a_partly_filled_order() -> None:
    table = table_of(initialized(), plain(OrderSubmitted), filled("1", "3"), accepted())

    assert table.orders[ID].status is S.PARTIALLY_FILLED


def test_duplicate_fill_changes_nothing() -> None:
    table = table_of(initialized(), accepted(), filled("1", "3"), filled("1", "3"))

    assert table.orders[ID].filled == 3
    assert table.orders[ID].number == 3


def test_trade_between_two_of_our_orders_fills_both() -> None:
    table = table_of(
        initialized(),
        initialized("k2"),
        accepted(),
        accepted("k2", "8"),
        filled("1", "10"),
        filled("1", "10", "k2", "8"),
    )

    assert [order.status for order in table.orders.values()] == [S.FILLED, S.FILLED]


def test_overfill_counts_what_was_traded() -> None:
    table = table_of(initialized(), accepted(), filled("1", "10"), filled("2", "1"))

    assert (table.orders[ID].status, table.orders[ID].filled) == (S.FILLED, Decimal(11))


def test_cancel_of_an_unknown_order_is_remembered() -> None:
    table = table_of(
        initialized(), plain(OrderSubmitted), plain(OrderUnknown), plain(OrderPendingCancel)
    )

    assert table.orders[ID].status is S.UNKNOWN
    assert table.orders[ID].cancel_requested


def test_event_without_a_row_names_order_status_and_step() -> None:
    table = table_of(initialized(), plain(OrderDenied))

    with pytest.raises(OrderTransitionError, match="order k1: no row for SUBMITTED in status DENI"):
        table.apply(plain(OrderSubmitted), 3)


def test_order_initialized_twice_is_an_error() -> None:
    with pytest.raises(OrderTransitionError, match="initialized again"):
        table_of(initialized(), initialized())


def test_event_of_an_order_that_was_never_initialized_is_an_error() -> None:
    with pytest.raises(OrderTransitionError, match="before it was initialized"):
        table_of(accepted())


def test_external_order_is_at_work_and_has_no_strategy() -> None:
    external = OrderExternal(
        client_order_id="external-1",
        venue_order_id="1",
        symbol=SYMBOL,
        side=OrderSide.SELL,
        order_type=OrderType.LIMIT,
        quantity=Decimal(1),
        price=Decimal(1),
        ts_event=1,
    )

    (order,) = table_of(external).open_orders

    assert (order.status, order.strategy) == (S.ACCEPTED, "")
    assert order.to_open_order().client_order_id == "external-1"


def test_first_account_report_is_the_opening() -> None:
    first = AccountReport(balances={"USDT": Decimal(1)}, ts_event=1)
    second = AccountReport(balances={"USDT": Decimal(2)}, ts_event=2)

    table = table_of(first, second)

    assert (table.opening, table.account) == (first, second)


def test_client_order_id_finds_only_an_order_without_a_venue_id() -> None:
    table = table_of(initialized(), initialized("k2"), accepted("k2", "8"))

    assert table.find(SYMBOL, "7", ID) is table.orders[ID]
    assert table.find(SYMBOL, "8") is table.orders["k2"]
    assert table.find(SYMBOL, "9", "k2") is None
    assert table.find("ETH-USDT.SIM", "7", ID) is None
    assert table.find(SYMBOL, "9") is None


def test_recent_trade_id_looks_back_as_far_as_there_are_fills() -> None:
    table = table_of(initialized(), accepted(), filled("1", "1"), filled("2", "1"))

    assert table.recent_trade_id(SYMBOL, 1) == "2"
    assert table.recent_trade_id(SYMBOL, 100) == "1"
    assert table.recent_trade_id("ETH-USDT.SIM", 1) is None


# -- what a report adds ------------------------------------------------------------------------


def test_answer_with_all_fills_accepts_and_fills() -> None:
    table = table_of(initialized(), plain(OrderSubmitted))

    events, complete = hear(table, report(S.FILLED, "10"), [fill("1", "4"), fill("2", "6")])

    assert [type(e) for e in events] == [OrderAccepted, OrderFilled, OrderFilled]
    assert complete
    assert table.orders[ID].status is S.FILLED


def test_same_report_again_is_no_news() -> None:
    table = table_of(initialized(), plain(OrderSubmitted))
    hear(table, report(S.PARTIALLY_FILLED, "4"), [fill("1", "4")])

    assert hear(table, report(S.PARTIALLY_FILLED, "4"), [fill("1", "4")]) == ([], True)


def test_cancel_is_held_back_until_the_missing_fill_is_known() -> None:
    table = table_of(initialized(), plain(OrderSubmitted), accepted())

    first = hear(table, report(S.CANCELED, "4"))
    second, complete = hear(table, report(S.CANCELED, "4"), [fill("1", "4")])

    assert first == ([], False)
    assert [type(e) for e in second] == [OrderFilled, OrderCanceled]
    assert complete


def test_fills_alone_are_news_of_a_known_order() -> None:
    table = table_of(initialized(), plain(OrderSubmitted), accepted())

    events, _ = hear(table, None, [fill("2", "6", ts_event=6), fill("1", "4", ts_event=5)])

    assert [e.trade_id for e in events if isinstance(e, OrderFilled)] == ["1", "2"]


def test_unfilled_expiry_of_an_unknown_order_ends_it() -> None:
    table = table_of(initialized(), plain(OrderSubmitted), plain(OrderUnknown))

    events, _ = hear(table, report(S.EXPIRED))

    assert [type(e) for e in events] == [OrderAccepted, OrderExpired]


def test_rejection_report_rejects_only_what_was_not_accepted() -> None:
    fresh = table_of(initialized(), plain(OrderSubmitted))
    working = table_of(initialized(), plain(OrderSubmitted), accepted())

    assert [type(e) for e in hear(fresh, report(S.REJECTED))[0]] == [OrderRejected]
    assert hear(working, report(S.REJECTED))[0] == []


def test_order_given_up_that_trades_after_all_is_tracked() -> None:
    table = table_of(initialized(), plain(OrderSubmitted), plain(OrderRejected))

    hear(table, report(S.PARTIALLY_FILLED, "4"), [fill("1", "4")])

    assert table.orders[ID].status is S.PARTIALLY_FILLED


def test_order_given_up_that_was_canceled_unfilled_stays_given_up() -> None:
    table = table_of(initialized(), plain(OrderSubmitted), plain(OrderRejected))

    assert hear(table, report(S.CANCELED)) == ([], True)


def test_late_new_report_does_not_reopen_a_canceled_order() -> None:
    table = table_of(initialized(), accepted(), plain(OrderCanceled))

    assert hear(table, report(S.ACCEPTED)) == ([], True)


def test_pending_cancel_before_the_answer_learns_the_venue_id() -> None:
    table = table_of(initialized(), plain(OrderSubmitted), plain(OrderPendingCancel))

    hear(table, report(S.ACCEPTED))

    assert table.orders[ID].status is S.PENDING_CANCEL
    assert table.orders[ID].venue_order_id == "7"


# -- changes, triggers, time ---------------------------------------------------------------------


def pending_update(quantity: str = "6") -> OrderPendingUpdate:
    return OrderPendingUpdate(
        client_order_id=ID,
        symbol=SYMBOL,
        quantity=Decimal(quantity),
        request_valid_until_ms=9_000,
        ts_event=3,
    )


def updated(quantity: str) -> OrderUpdated:
    return OrderUpdated(client_order_id=ID, symbol=SYMBOL, quantity=Decimal(quantity), ts_event=3)


def test_smaller_order_at_the_venue_is_an_update() -> None:
    table = table_of(initialized(), accepted(), pending_update())

    events, _ = hear(table, report(S.ACCEPTED, quantity="6"))

    order = table.orders[ID]
    assert [type(event) for event in events] == [OrderUpdated]
    assert (order.status, order.quantity) == (S.ACCEPTED, Decimal(6))


def test_older_report_does_not_make_an_order_larger_again() -> None:
    table = table_of(initialized(), accepted(), pending_update(), updated("6"))

    assert hear(table, report(S.ACCEPTED, quantity="10")) == ([], True)


def test_fills_of_the_smaller_order_that_overtake_the_update_fill_it() -> None:
    table = table_of(initialized(), accepted(), pending_update(), filled("1", "6"))

    hear(table, report(S.FILLED, "6", quantity="6"), [fill("1", "6")])

    order = table.orders[ID]
    assert (order.status, order.filled) == (S.FILLED, Decimal(6))
    assert table.open_orders == ()


def test_update_that_was_refused_after_a_fill_leaves_the_order_partly_filled() -> None:
    table = table_of(
        initialized(), accepted(), pending_update(), filled("1", "4"), plain(OrderModifyRejected)
    )

    assert table.orders[ID].status is S.PARTIALLY_FILLED


def test_order_replaced_while_it_was_being_changed_is_canceled() -> None:
    table = table_of(initialized(), accepted(), pending_update("0"))

    hear(table, report(S.CANCELED))

    assert table.orders[ID].status is S.CANCELED


def test_stop_order_is_triggered_once() -> None:
    table = table_of(initialized(), accepted())
    triggered = msgspec.structs.replace(report(S.ACCEPTED), is_triggered=True)

    first, _ = hear(table, triggered)
    second, _ = hear(table, triggered)

    assert [type(event) for event in first] == [OrderTriggered]
    assert second == []
    assert table.orders[ID].status is S.TRIGGERED


def test_stop_order_that_filled_at_its_trigger_is_filled() -> None:
    table = table_of(initialized(), plain(OrderSubmitted))
    said = msgspec.structs.replace(report(S.FILLED, "10"), is_triggered=True)

    hear(table, said, [fill("1", "10")])

    assert table.orders[ID].status is S.FILLED


def test_order_canceled_after_its_time_has_expired() -> None:
    first = initialized()
    good_till = msgspec.structs.replace(
        first.order, time_in_force=TimeInForce.GTD, expires_ns=1_000
    )
    first = msgspec.structs.replace(first, order=good_till)

    late = table_of(first, accepted())
    hear(late, report(S.CANCELED, ts_event=1_000))
    early = table_of(first, accepted())
    hear(early, report(S.CANCELED, ts_event=999))

    assert late.orders[ID].status is S.EXPIRED
    assert early.orders[ID].status is S.CANCELED


def test_fee_in_the_bought_asset_cannot_be_sold_again() -> None:
    bought = msgspec.structs.replace(filled("1", "4"), fee=Decimal("0.004"))

    table = table_of(initialized(), accepted(), bought)

    assert table.orders[ID].base_fee == Decimal("0.004")


# -- orders of others --------------------------------------------------------------------------


def test_external_order_from_before_the_opening_is_taken_over_with_its_rest() -> None:
    fills = [fill("1", "4", ts_event=50), fill("2", "1", ts_event=150)]

    taken = external_of(report(S.PARTIALLY_FILLED, "5"), fills, opened_at=100)

    assert taken is not None
    external, since = taken
    assert external.quantity == 6
    assert [f.trade_id for f in since] == ["2"]
    assert external.client_order_id == f"external-{SYMBOL}-7"


def test_external_order_that_ended_before_the_opening_is_none_of_our_business() -> None:
    assert (
        external_of(report(S.FILLED, "10"), [fill("1", "10", ts_event=50)], opened_at=100) is None
    )


def test_external_order_taken_over_in_part_is_canceled_when_its_rest_is() -> None:
    fills = [fill("1", "4", ts_event=50), fill("2", "1", ts_event=150)]
    taken = external_of(report(S.PARTIALLY_FILLED, "5"), fills, opened_at=100)
    assert taken is not None
    table = table_of(taken[0])
    (order,) = table.open_orders
    hear(table, report(S.PARTIALLY_FILLED, "5"), taken[1], order)

    hear(table, report(S.CANCELED, "5"), order=order)

    assert (order.status, order.filled) == (S.CANCELED, Decimal(1))


# -- any mixture -------------------------------------------------------------------------------


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[FillReport], OrderStatus]:
    parts = draw(st.lists(st.integers(1, 4), max_size=4))
    while sum(parts) > 10:
        parts.pop()
    fills = [fill(str(n), str(part), ts_event=10 + n) for n, part in enumerate(parts)]
    if sum(parts) == 10:
        return fills, S.FILLED
    return fills, draw(st.sampled_from([S.CANCELED, S.EXPIRED, S.ACCEPTED]))


def sayings(
    fills: list[FillReport], end: OrderStatus
) -> list[tuple[OrderReport | None, list[FillReport]]]:
    """Everything that a venue may say in the course of that life."""
    said: list[tuple[OrderReport | None, list[FillReport]]] = [(report(S.ACCEPTED), [])]
    done = Decimal(0)
    for n, part in enumerate(fills):
        done += part.quantity
        status = S.FILLED if done == 10 else S.PARTIALLY_FILLED
        said += [
            (report(status, str(done)), [part]),
            (report(status, str(done)), fills[: n + 1]),
            (report(status, str(done)), []),
            (None, [part]),
        ]
    if end not in {S.FILLED, S.ACCEPTED}:
        said += [(report(end, str(done)), []), (report(end, str(done)), fills)]
    return said


PREFIXES: list[list[OrderEvent]] = [
    [initialized()],
    [initialized(), plain(OrderSubmitted)],
    [initialized(), plain(OrderSubmitted), plain(OrderUnknown)],
    [initialized(), plain(OrderUnknown), plain(OrderPendingCancel)],
    [initialized(), plain(OrderSubmitted), plain(OrderPendingCancel)],
    [initialized(), plain(OrderSubmitted), plain(OrderRejected)],
]


@given(st.data(), lives(), st.sampled_from(PREFIXES))
def test_any_mixture_of_reports_ends_consistent_with_the_fills(
    data: st.DataObject, life: tuple[list[FillReport], OrderStatus], prefix: list[OrderEvent]
) -> None:
    fills, end = life
    total = sum((f.quantity for f in fills), Decimal(0))
    table = table_of(*prefix)
    mixture = data.draw(st.lists(st.sampled_from(sayings(fills, end)), max_size=12))

    for said, some in mixture:
        hear(table, said, some)
        order = table.orders[ID]
        seen = [f for f in fills if table.knows_fill(SYMBOL, f.trade_id, "7")]
        assert order.filled == sum(f.quantity for f in seen)
        if order.status in {S.CANCELED, S.EXPIRED}:
            assert len(seen) == len(fills)
    whole = end if end is not S.ACCEPTED else (S.PARTIALLY_FILLED if fills else S.ACCEPTED)
    _, complete = hear(table, report(whole, str(total)), fills)

    order = table.orders[ID]
    assert complete
    assert order.filled == total
    if end is S.ACCEPTED:
        assert order.status in {S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL}
    elif plain(OrderRejected) in prefix and not fills:
        assert order.status in {S.REJECTED, end}
    else:
        assert order.status is end
    assert hear(table, report(whole, str(total)), fills) == ([], True)
