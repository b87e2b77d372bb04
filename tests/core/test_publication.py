from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from krator_actors.core.backlog import LogName, Waiting
from krator_actors.core.log_frames import RawRecord
from krator_actors.core.publication import entry_of, publisher_state, states_of
from krator_actors.messages.operations import PublisherStatus
from krator_actors.messages.orders import AccountReport, SubmitOrder
from krator_actors.messages.risk import OrderApproved, PortfolioReport, PositionReport
from krator_actors.model import OrderSide, OrderType, TradingState
from supervisors.messages import Message

BTC = "BTC-USDT.SIM"


def waiting(event: Message) -> Waiting:
    body = msgspec.msgpack.encode(event)
    return Waiting(LogName("risk", 5), RawRecord(7, 2, 99, type(event).__name__, body))


def position(**changes: Any) -> PositionReport:
    fields: dict[str, Any] = {
        "symbol": BTC,
        "quantity": Decimal("0.10"),
        "average_price": Decimal(100),
        "mark_price": Decimal("101.50"),
        "realized_pnl": Decimal(0),
        "unrealized_pnl": Decimal("0.15"),
        "fees": Decimal(0),
        "reserved_buy": Decimal(0),
        "reserved_sell": Decimal(0),
        "quote_ts_init": 41,
    }
    return PositionReport(**{**fields, **changes})


def report(*positions: PositionReport) -> PortfolioReport:
    return PortfolioReport(
        state=TradingState.ACTIVE,
        recovered=True,
        cash=Decimal(900),
        equity=Decimal("910.15"),
        day_start_equity=Decimal(900),
        positions=positions,
        open_orders=(),
        orders_approved=3,
        orders_denied=1,
        fills=2,
        ts_event=42,
    )


def test_entry_names_the_record_and_holds_the_event_with_exact_numbers() -> None:
    order = SubmitOrder(
        client_order_id="abc",
        strategy="strategy:x",
        symbol=BTC,
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.10"),
        cause="bar:1",
        ts_event=1,
        ts_init=2,
    )
    event = OrderApproved(
        order=order,
        reference_price=Decimal("61000.10"),
        reserved_notional=Decimal(1),
        position_limit_notional=Decimal(2),
        equity=Decimal(3),
        ts_event=11,
    )

    entry = entry_of(waiting(event))

    body = entry.pop("body")
    assert entry == {
        "writer": "risk",
        "number": 7,
        "generation": 2,
        "type": "OrderApproved",
        "ts": 99,
        "ts_event": 11,
        "symbol": BTC,
        "client_order_id": "abc",
    }
    assert isinstance(body, bytes)
    assert msgspec.json.decode(body)["reference_price"] == "61000.10"
    assert msgspec.json.decode(body)["order"]["quantity"] == "0.10"


def test_what_an_event_does_not_have_is_empty() -> None:
    entry = entry_of(waiting(AccountReport(balances={"BTC": Decimal(1)}, ts_event=3)))

    assert (entry["symbol"], entry["client_order_id"]) == ("", "")


def test_event_without_a_time_of_its_own_has_an_empty_one() -> None:
    body = msgspec.msgpack.encode({"_": "Odd"})

    entry = entry_of(Waiting(LogName("risk", 5), RawRecord(1, 1, 1, "Odd", body)))

    assert entry["ts_event"] == ""


def test_states_have_price_position_and_state_with_their_times() -> None:
    states = {
        key: msgspec.json.decode(value) for key, value in states_of(report(position())).items()
    }

    assert states.keys() == {f"price:{BTC}", f"position:{BTC}", "state"}
    assert states[f"price:{BTC}"] == {"symbol": BTC, "price": "101.50", "quote_ts": 41, "ts": 42}
    assert states[f"position:{BTC}"]["quantity"] == "0.10"
    assert states[f"position:{BTC}"]["ts"] == 42
    assert states["state"]["state"] == "ACTIVE"
    assert states["state"]["symbols"] == [BTC]
    assert states["state"]["equity"] == "910.15"
    assert states["state"]["ts"] == 42


def test_price_that_no_quote_has_given_is_not_told() -> None:
    without_mark = position(mark_price=None)
    marked_by_a_fill = position(symbol="ETH-USDT.SIM", quote_ts_init=None)

    states = states_of(report(without_mark, marked_by_a_fill))

    assert not [key for key in states if key.startswith("price:")]


def test_publisher_tells_of_itself() -> None:
    status = PublisherStatus(
        connected=True,
        breaker="closed",
        waiting=1,
        published=2,
        left_out=3,
        outages=4,
        reason="",
    )

    state = msgspec.json.decode(publisher_state(status, 5))

    assert state == {
        "connected": True,
        "breaker": "closed",
        "waiting": 1,
        "published": 2,
        "left_out": 3,
        "outages": 4,
        "reason": "",
        "ts": 5,
    }
