"""When an order's time is over: GTD and DAY, which spot venues do not have and Krator holds.

It is judged by the order's own record and the time that the caller gives, so that a restart in
between changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from krator_actors.core.orders import Order
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import NANOS_PER_SEC, TimeInForce

REQUESTER = "expiry"
"""``OrderPendingCancel.requester`` of an order whose time is over"""

_DAY_NS = 86_400 * NANOS_PER_SEC


def expires_at_ns(order: SubmitOrder, initialized_ns: int) -> int | None:
    """Return when ``order``, logged at ``initialized_ns``, is to be taken off; None: never."""
    match order.time_in_force:
        case TimeInForce.GTD:
            return order.expires_ns
        case TimeInForce.DAY:
            return (initialized_ns // _DAY_NS + 1) * _DAY_NS
        case _:
            return None


def is_over(order: Order, now_ns: int) -> bool:
    """Return whether the time of ``order`` is over at ``now_ns``, UTC."""
    if order.submitted is None:
        return False
    at_ns = expires_at_ns(order.submitted, order.initialized_ns)
    return at_ns is not None and now_ns >= at_ns


def due(open_orders: Iterable[Order], now_ns: int) -> tuple[Order, ...]:
    """Return the open orders whose time is over and that nobody has taken off yet."""
    return tuple(
        order for order in open_orders if not order.cancel_requested and is_over(order, now_ns)
    )
