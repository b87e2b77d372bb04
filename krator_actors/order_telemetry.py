"""The log lines of orders: one per event, with the fields that people search for."""

from __future__ import annotations

import re
from typing import Any, get_args

from loguru import logger

from krator_actors.core.orders import Order
from krator_actors.messages.orders import (
    AccountReport,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    OrderUnknown,
    ReconciliationDifference,
)

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_EVENT_TYPES = {kind: _WORDS.sub("_", kind.__name__).lower() for kind in get_args(OrderEvent)}
_MESSAGES = {kind: name.replace("_", " ") for kind, name in _EVENT_TYPES.items()}

_BAD_NEWS = (OrderUnknown, OrderRejected, ReconciliationDifference)


def log_order_event(event: OrderEvent, order: Order | None, number: int) -> None:
    """Write one line; ``order`` is the event's, None for what is about the account."""
    event_type = _EVENT_TYPES[type(event)]
    fields: dict[str, Any] = {"event_type": event_type, "number": number}
    if isinstance(event, AccountReport):
        fields["assets"] = len(event.balances)
    if isinstance(event, ReconciliationDifference):
        fields |= {"what": event.what.value, "subject": event.subject}
        fields |= {"ours": event.ours, "venue": event.venue}
    if order is not None:
        fields |= {
            "order_id": order.client_order_id,
            "symbol": order.symbol,
            "side": order.side.value,
            "quantity": order.quantity,
            "price": order.price,
        }
    if isinstance(event, OrderFilled):
        fields |= {"quantity": event.last_quantity, "price": event.last_price}
        fields["trade_id"] = event.trade_id
    reason = getattr(event, "reason", "")
    if reason:
        fields["reason"] = reason
    level = "WARNING" if isinstance(event, _BAD_NEWS) else "INFO"
    logger.bind(**fields).log(level, _MESSAGES[type(event)])
