"""Builders of events for tests about days, orders and their costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderFilled,
    OrderInitialized,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import OrderSide, OrderType

BTC = "BTC-USDT.SIM"
MS = 1_000_000
D = Decimal


def order(identity: str, quantity: str = "1", side: OrderSide = OrderSide.BUY) -> SubmitOrder:
    return SubmitOrder(
        client_order_id=identity,
        strategy="strategy:x",
        symbol=BTC,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(quantity),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


def approved(identity: str, mid: str | None = "100", **changes: Any) -> OrderApproved:
    fields: dict[str, Any] = {
        "order": order(identity),
        "reference_price": D(100),
        "reserved_notional": D(100),
        "position_limit_notional": D(2_000),
        "equity": D(100_000),
        "mid_price": None if mid is None else D(mid),
        "ts_event": 1,
    }
    return OrderApproved(**{**fields, **changes})


def initialized(identity: str, quantity: str = "1", ts_event: int = 1) -> OrderInitialized:
    return OrderInitialized(
        order=order(identity, quantity),
        risk_generation=1,
        request_valid_until_ms=1,
        ts_event=ts_event,
    )


def submitted(identity: str, ts_event: int = 1) -> OrderSubmitted:
    return OrderSubmitted(client_order_id=identity, symbol=BTC, ts_event=ts_event)


def accepted(identity: str) -> OrderAccepted:
    return OrderAccepted(client_order_id=identity, venue_order_id="1", symbol=BTC, ts_event=1)


def canceled(identity: str) -> OrderCanceled:
    return OrderCanceled(client_order_id=identity, symbol=BTC, ts_event=1)


def denied(identity: str, reason: str = "MAX_POSITION") -> OrderDenied:
    return OrderDenied(
        client_order_id=identity,
        strategy="strategy:x",
        symbol=BTC,
        reason=reason,
        detail="",
        ts_event=1,
    )


def filled(identity: str, trade: int = 1, **changes: Any) -> OrderFilled:
    fields: dict[str, Any] = {
        "client_order_id": identity,
        "venue_order_id": identity,
        "trade_id": str(trade),
        "symbol": BTC,
        "strategy": "strategy:x",
        "side": OrderSide.BUY,
        "last_quantity": D(1),
        "last_price": D(100),
        "fee": D("0.1"),
        "fee_currency": "USDT",
        "ts_event": 1,
        "ts_init": 1,
    }
    return OrderFilled(**{**fields, **changes})
