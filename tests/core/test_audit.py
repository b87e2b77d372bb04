from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.audit import tell_story, time_stamp
from krator_actors.messages.incidents import IncidentClosed
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import OrderSide, OrderType
from supervisors.messages import Message

TS = 1_763_800_000_123_456_789
D = Decimal
ID: Any = {"client_order_id": "o-1", "symbol": "BTC-USDT.SIM"}


class Row(msgspec.Struct):
    event: Message
    seq: int = 1
    writer: str = "order:SIM"
    ts_logged: int = TS
    ts_written: int = TS
    causation_id: str | None = None


ORDER = SubmitOrder(
    **ID,
    strategy="strategy:BTC-USDT.SIM/sma_cross",
    side=OrderSide.BUY,
    order_type=OrderType.LIMIT,
    quantity=D(2),
    price=D(100),
    cause="bar:7",
    ts_event=1,
    ts_init=2,
)


def fill(quantity: str, trade_id: str) -> OrderFilled:
    return OrderFilled(
        **ID,
        venue_order_id="v",
        trade_id=trade_id,
        strategy="s",
        side=OrderSide.BUY,
        last_quantity=D(quantity),
        last_price=D(99),
        fee=D("0.1"),
        fee_currency="BTC",
        ts_event=3,
        ts_init=4,
    )


def approved() -> OrderApproved:
    return OrderApproved(
        order=ORDER,
        reference_price=D(100),
        reserved_notional=D(200),
        position_limit_notional=D(2000),
        equity=D(100000),
        ts_event=1,
    )


def codes(*events: Message) -> list[str | None]:
    return [step.order_event for step in tell_story("o-1", [Row(e) for e in events]).steps]


def initialized() -> OrderInitialized:
    return OrderInitialized(order=ORDER, risk_generation=1, request_valid_until_ms=9, ts_event=1)


def plain(kind: type[Message], **fields: object) -> Message:
    return kind(**ID, ts_event=1, **fields)


def test_fills_are_partial_until_the_quantity_is_reached() -> None:
    events = [approved(), initialized(), plain(OrderSubmitted), fill("1.5", "1"), fill("0.5", "2")]

    story = tell_story("o-1", [Row(event) for event in events])

    assert [step.order_event for step in story.steps] == [None, None, "NEWO", "PARF", "FILL"]
    assert (story.executed_quantity, story.remaining_quantity) == (D("2.0"), D("0.0"))
    assert (story.buy_sell_indicator, story.order_type, story.limit_price) == (
        "BUYI", "LMTO", D(100),
    )  # fmt: skip
    assert (story.instrument, story.validity_period) == ("BTC-USDT.SIM", "GTCV")
    assert story.investment_decision_within_firm == "strategy:BTC-USDT.SIM/sma_cross"


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([plain(OrderAccepted, venue_order_id="v")], "CHMO"),
        ([plain(OrderRejected, reason="R")], "REMO"),
        ([plain(OrderExpired)], "EXPI"),
        ([plain(OrderCanceled)], "CAMO"),
        ([plain(OrderPendingCancel), plain(OrderCanceled)], "CAME"),
    ],
)
def test_each_event_has_its_code(events: list[Message], code: str) -> None:
    assert codes(initialized(), *events)[-1] == code


def test_external_order_is_told_from_what_the_venue_said() -> None:
    external = OrderExternal(
        **ID,
        venue_order_id="v",
        side=OrderSide.SELL,
        order_type=OrderType.MARKET,
        quantity=D(1),
        price=None,
        ts_event=1,
    )

    story = tell_story("o-1", [Row(external), Row(fill("1", "1"))])

    assert [step.order_event for step in story.steps] == ["NEWO", "FILL"]
    assert (story.buy_sell_indicator, story.order_type, story.validity_period) == (
        "SELL", None, None,
    )  # fmt: skip


def test_numbers_that_were_compared_are_in_the_story() -> None:
    signal = SignalRaised(
        **ID,
        strategy="s",
        side=OrderSide.BUY,
        cause="bar:7",
        price=D(100),
        quantity=D(2),
        ts_event=1,
        ts_init=2,
    )

    raised, verdict = tell_story("o-1", [Row(signal), Row(approved(), causation_id="bar:7")]).steps

    assert raised.details["price"] == D(100)
    assert verdict.details["position_limit_notional"] == D(2000)
    assert verdict.details["equity"] == D(100000)
    assert verdict.causation_id == "bar:7"
    assert "client_order_id" not in raised.details


def test_story_of_an_incident_has_steps_only() -> None:
    closed = IncidentClosed(incident_id="i", component="c", outage_secs=1.0, ts_event=5)

    story = tell_story("i", [Row(closed)])

    assert (story.instrument, story.initial_quantity) == (None, None)
    assert story.steps[0].date_and_time == "1970-01-01T00:00:00.000000Z"


def test_time_stamp_is_cut_to_microseconds() -> None:
    assert time_stamp(TS) == "2025-11-22T08:26:40.123456Z"


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_every_time_stamp_has_the_form_of_rts_24(ts_ns: int) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time_stamp(ts_ns))
