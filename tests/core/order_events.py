"""Events of one order, as its log has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from krator_actors.messages.orders import (
    OrderAccepted,
    OrderEvent,
    OrderFilled,
    OrderInitialized,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderType

SYMBOL = "BTC-USDT.SIM"
STRATEGY = f"strategy:{SYMBOL}/sma_cross"
ID = "k1"


def initialized(client_order_id: str = ID, quantity: str = "10", **fields: Any) -> OrderInitialized:
    order = SubmitOrder(
        client_order_id=client_order_id,
        strategy=STRATEGY,
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=fields.pop("order_type", OrderType.LIMIT),
        quantity=Decimal(quantity),
        price=Decimal(100),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
        **fields,
    )
    return OrderInitialized(
        order=order, risk_generation=1, request_valid_until_ms=5_000, ts_event=1
    )


def accepted(client_order_id: str = ID, venue_order_id: str = "7") -> OrderAccepted:
    return OrderAccepted(
        client_order_id=client_order_id, venue_order_id=venue_order_id, symbol=SYMBOL, ts_event=2
    )


def filled(
    trade_id: str, quantity: str, client_order_id: str = ID, venue_order_id: str = "7"
) -> OrderFilled:
    return OrderFilled(
        client_order_id=client_order_id,
        venue_order_id=venue_order_id,
        trade_id=trade_id,
        symbol=SYMBOL,
        strategy=STRATEGY,
        side=OrderSide.BUY,
        last_quantity=Decimal(quantity),
        last_price=Decimal(100),
        fee=Decimal(0),
        fee_currency="BTC",
        ts_event=3,
        ts_init=3,
    )


def plain(kind: type[OrderEvent], client_order_id: str = ID) -> OrderEvent:
    fields = {"client_order_id": client_order_id, "symbol": SYMBOL, "ts_event": 3, "reason": "R"}
    fields |= {"strategy": STRATEGY, "detail": "D", "requester": "me", "venue_order_id": "7"}
    fields |= {"quantity": "6", "request_valid_until_ms": 9}
    known = {name: fields[name] for name in kind.__struct_fields__ if name in fields}
    return msgspec.convert(known | {"_": kind.__name__}, kind)
