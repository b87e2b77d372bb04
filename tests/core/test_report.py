"""The report as a fold of the journal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from krator_actors.core.report import Report, build_report
from krator_actors.messages.incidents import IncidentClosed, IncidentDiagnosed, IncidentOpened
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    SubmitOrder,
)
from krator_actors.messages.risk import (
    DayStarted,
    DuplicateRefused,
    OrderApproved,
    TradingStateChanged,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType, TradingState
from supervisors.messages import Message

D = Decimal
BTC = "BTC-USDT.SIM"


def order(client_order_id: str = "k1", side: OrderSide = OrderSide.BUY) -> SubmitOrder:
    return SubmitOrder(
        client_order_id=client_order_id,
        strategy="strategy:x",
        symbol=BTC,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(3),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


def approved(submitted: SubmitOrder) -> OrderApproved:
    return OrderApproved(
        order=submitted,
        reference_price=D(100),
        reserved_notional=D(300),
        position_limit_notional=D(1000),
        equity=D(1000),
        ts_event=5,
    )


def initialized(submitted: SubmitOrder) -> OrderInitialized:
    return OrderInitialized(
        order=submitted, risk_generation=1, request_valid_until_ms=1, ts_event=6
    )


def submitted(client_order_id: str = "k1") -> OrderSubmitted:
    return OrderSubmitted(client_order_id=client_order_id, symbol=BTC, ts_event=7)


def filled(
    quantity: str, price: str, trade_id: str, side: OrderSide = OrderSide.BUY, **fields: Any
) -> OrderFilled:
    values: dict[str, Any] = {
        "client_order_id": "k1",
        "symbol": BTC,
        "fee": D("0.1"),
        "fee_currency": "USDT",
    }
    return OrderFilled(
        venue_order_id="1",
        trade_id=trade_id,
        strategy="strategy:x",
        side=side,
        last_quantity=D(quantity),
        last_price=D(price),
        ts_event=8,
        ts_init=8,
        **(values | fields),
    )


def opening(**balances: str) -> AccountReport:
    return AccountReport(balances={a: D(total) for a, total in balances.items()}, ts_event=1)


def halted(state: TradingState = TradingState.HALTED) -> TradingStateChanged:
    return TradingStateChanged(state=state, by="ada", reason="test", ts_event=1)


def incident(kind: str) -> IncidentOpened:
    return IncidentOpened(
        incident_id=f"inc-{kind}", kind=kind, component="risk", evidence=(), ts_event=1
    )


def test_nothing_gives_an_empty_report() -> None:
    report = build_report([])

    assert (report.orders, report.fills, report.positions) == ([], [], [])
    assert report.totals.orders == 0


def test_filled_order_is_reported_with_its_average_price() -> None:
    report = build_report(
        [
            opening(USDT="1000"),
            approved(order()),
            initialized(order()),
            submitted(),
            filled("1", "100", "1"),
            filled("2", "103", "2"),
        ]
    )

    (reported,) = report.orders
    assert reported.status is OrderStatus.FILLED
    assert (reported.filled_quantity, reported.average_price) == (D(3), D(102))
    assert (reported.side, reported.quantity, reported.ts_event) == (OrderSide.BUY, D(3), 5)
    assert [fill.trade_id for fill in report.fills] == ["1", "2"]
    assert report.positions[0].quantity == 3
    assert report.positions[0].average_price == 102
    assert report.totals.fees == D("0.2")


def test_profit_is_realized_by_the_sell_and_the_rest_valued_at_the_last_fill() -> None:
    report = build_report(
        [
            filled("3", "100", "1"),
            filled("2", "110", "2", OrderSide.SELL, client_order_id="k2"),
        ]
    )

    assert report.totals.realized_pnl == 20
    assert report.totals.unrealized_pnl == 10
    assert report.positions[0].mark_price == 110


def test_numbers_are_written_for_people() -> None:
    report = build_report([opening(USDT="1000"), filled("3.00", "100.0000", "1", fee=D("0.00"))])

    (position,) = report.positions
    numbers = (position.quantity, position.mark_price, position.unrealized_pnl, position.fees)
    assert [str(number) for number in numbers] == ["3", "100", "0", "0"]


def test_given_mark_values_the_rest() -> None:
    report = build_report([filled("3", "100", "1")], marks={BTC: D(101)})

    assert report.totals.unrealized_pnl == 3
    assert report.positions[0].mark_price == 101


def test_part_filled_order_that_was_canceled_is_canceled() -> None:
    report = build_report(
        [
            initialized(order()),
            OrderAccepted(client_order_id="k1", venue_order_id="1", symbol=BTC, ts_event=1),
            filled("1", "100", "1"),
            OrderCanceled(client_order_id="k1", symbol=BTC, ts_event=1),
        ]
    )

    assert report.orders[0].status is OrderStatus.CANCELED
    assert report.orders[0].filled_quantity == 1


def test_denied_order_has_its_reason_and_no_details() -> None:
    denied = OrderDenied(
        client_order_id="k1",
        strategy="strategy:x",
        symbol=BTC,
        reason="MAX_POSITION",
        detail="2 exceeds 1",
        ts_event=1,
    )

    report = build_report([denied])

    (reported,) = report.orders
    assert (reported.status, reported.reason) == (OrderStatus.DENIED, "MAX_POSITION: 2 exceeds 1")
    assert (reported.strategy, reported.side, reported.quantity) == ("strategy:x", None, None)
    assert report.totals.denied == 1


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (
            OrderRejected(client_order_id="k1", symbol=BTC, reason="NO", ts_event=1),
            OrderStatus.REJECTED,
        ),
        (
            OrderUnknown(client_order_id="k1", symbol=BTC, reason="NO", ts_event=1),
            OrderStatus.UNKNOWN,
        ),
    ],
)
def test_venue_reason_is_reported(event: Message, status: OrderStatus) -> None:
    report = build_report([initialized(order()), submitted(), event])

    assert (report.orders[0].status, report.orders[0].reason) == (status, "NO")


def test_event_without_a_row_in_the_table_leaves_the_status() -> None:
    late = OrderUnknown(client_order_id="k1", symbol=BTC, reason="NO", ts_event=1)

    report = build_report([initialized(order()), filled("3", "100", "1"), late])

    assert report.orders[0].status is OrderStatus.FILLED


def test_writers_may_be_mixed() -> None:
    before = build_report([approved(order()), initialized(order()), submitted()])
    after = build_report([initialized(order()), submitted(), approved(order())])

    assert before.orders[0].status is after.orders[0].status is OrderStatus.SUBMITTED


def test_fill_that_is_there_twice_counts_once() -> None:
    report = build_report([filled("1", "100", "1"), filled("1", "100", "1")])

    assert report.totals.fills == 1
    assert report.positions[0].quantity == 1


def test_external_order_is_reported_without_a_strategy() -> None:
    external = OrderExternal(
        client_order_id="web",
        venue_order_id="1",
        symbol=BTC,
        side=OrderSide.SELL,
        order_type=OrderType.LIMIT,
        quantity=D(1),
        price=D(99),
        ts_event=1,
    )

    (reported,) = build_report([external]).orders

    assert (reported.strategy, reported.status) == ("", OrderStatus.ACCEPTED)
    assert (reported.price, reported.quantity) == (D(99), D(1))


def test_only_the_first_account_report_opens() -> None:
    report = build_report(
        [
            opening(USDT="10", BTC="2"),
            opening(USDT="10", BTC="9"),
            filled("1", "100", "1"),
            filled("1", "1", "1", symbol="ETH-BTC.SIM", fee_currency="BTC"),
        ]
    )

    held = {position.symbol: position.quantity for position in report.positions}
    assert held[BTC] == 3


def test_halts_incidents_and_duplicates_are_counted() -> None:
    report = build_report(
        [
            halted(),
            halted(TradingState.ACTIVE),
            incident("crash"),
            incident("hang"),
            incident("stall"),
            DuplicateRefused(client_order_id="k1", strategy="s", symbol=BTC, ts_event=1),
            DayStarted(day="2026-11-22", equity=D(1), ts_event=1),
        ]
    )

    totals = report.totals
    assert (totals.halts, totals.incidents, totals.restarts) == (1, 3, 2)
    assert totals.duplicates_refused == 1


def test_report_becomes_json_and_back() -> None:
    report = build_report([initialized(order()), filled("3", "100.5", "1")])

    encoded = msgspec.json.encode(report)

    assert json.loads(encoded)["orders"][0]["average_price"] == "100.5"
    assert msgspec.json.decode(encoded, type=Report) == report


def test_incident_is_told_with_its_cause_what_to_do_and_how_long_it_lasted() -> None:
    report = build_report(
        [
            incident("crash"),
            incident("stall"),
            IncidentDiagnosed(
                incident_id="inc-crash",
                cause="process_crash",
                confidence=0.9,
                evidence_ids=(),
                suggestion="Read the crash file.",
                ts_event=2,
            ),
            IncidentClosed(incident_id="inc-crash", component="risk", outage_secs=1.5, ts_event=3),
            IncidentClosed(incident_id="inc-older", component="risk", outage_secs=1.5, ts_event=3),
        ]
    )

    crash, stall = report.incidents
    assert (crash.cause, crash.suggestion, crash.outage_secs) == (
        "process_crash", "Read the crash file.", 1.5,
    )  # fmt: skip
    assert (stall.cause, stall.outage_secs) == ("", None)
