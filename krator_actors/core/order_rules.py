"""What the order actor decides: what it does not send, what it doubts, when it gives up."""

from __future__ import annotations

from collections.abc import Iterable

from krator_actors.core.orders import Order
from krator_actors.messages.orders import (
    OrderDenied,
    OrderEvent,
    OrderPendingCancel,
    OrderRejected,
    OrderUnknown,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.model import OrderStatus, OrderType

NEVER_SENT = 0
"""``request_valid_until_ms`` of an order that is logged only to be denied."""

CERTAINTY_MARGIN_MS = 2_000
"""How far the venue's clock must be past a request's validity before "no such order" is final:
its servers' clocks differ, and what it answers queries from lags behind what it matches."""


def obstacle(
    message: PlaceOrder,
    *,
    symbols: Iterable[str],
    risk_generation: int,
    dry_run: bool,
    unreachable: str | None,
) -> tuple[str, str] | None:
    """Return reason code and detail why this order must not be sent, or None.

    ``risk_generation`` is that of the newest SyncOrders; ``unreachable`` says why the venue cannot
    be reached, None when it can.
    """
    order = message.order
    if message.risk_generation < risk_generation:
        return (
            "RISK_RESTARTED",
            f"approved by risk generation {message.risk_generation}, now is {risk_generation}",
        )
    if order.symbol not in symbols:
        return "UNKNOWN_SYMBOL", f"{order.symbol} is not configured"
    if order.order_type is OrderType.LIMIT and order.price is None:
        return "INVALID_ORDER", "a limit order has no price"
    if dry_run:
        return "DRY_RUN", "system.dry_run is on: nothing is sent to a real venue"
    if unreachable is not None:
        return "VENUE_UNREACHABLE", unreachable
    return None


def denied(order: SubmitOrder, reason: str, detail: str, now_ns: int) -> OrderDenied:
    """Return the event that ends an order which is not sent."""
    return OrderDenied(
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        reason=reason,
        detail=detail,
        ts_event=now_ns,
    )


def doubts_at_start(open_orders: Iterable[Order], *, now_ns: int) -> list[OrderEvent]:
    """Return the events with which a new incarnation begins.

    An order whose sending or answer the last incarnation did not live to log may be at the venue:
    it is unknown, and asked for. One that was being denied is denied.
    """
    events: list[OrderEvent] = []
    for order in open_orders:
        if order.status is OrderStatus.INITIALIZED and order.valid_until_ms == NEVER_SENT:
            events.append(
                OrderDenied(
                    client_order_id=order.client_order_id,
                    strategy=order.strategy,
                    symbol=order.symbol,
                    reason="ORDER_RESTARTED",
                    detail="the order actor restarted while it denied this order",
                    ts_event=now_ns,
                )
            )
        elif order.is_unanswered and order.status is not OrderStatus.UNKNOWN:
            events.append(unknown(order, "RESTARTED", now_ns))
    return events


def unknown(order: Order, reason: str, now_ns: int) -> OrderUnknown:
    """Return the event that says that nobody knows what became of a request."""
    return OrderUnknown(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        reason=reason,
        ts_event=now_ns,
    )


def pending_cancel(order: Order, now_ns: int) -> OrderPendingCancel:
    """Return the event that a cancel is asked for."""
    return OrderPendingCancel(
        client_order_id=order.client_order_id, symbol=order.symbol, ts_event=now_ns
    )


def rejected(order: Order, reason: str, now_ns: int) -> OrderRejected:
    """Return the event that the venue did not take the order."""
    return OrderRejected(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        reason=reason,
        ts_event=now_ns,
    )


def never_arrived(order: Order, *, asked_at_ms: int) -> bool:
    """Return whether "no such order", asked at ``asked_at_ms`` of the venue's clock, is final.

    Not before the request's validity has passed, because a killed process's bytes still arrive.
    """
    return order.is_unanswered and asked_at_ms > order.valid_until_ms + CERTAINTY_MARGIN_MS
