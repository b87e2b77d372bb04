"""What the order actor decides: what it does not send, what it doubts, when it gives up."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from krator_actors.core.orders import Order
from krator_actors.messages.orders import (
    CancelAllOrders,
    OrderDenied,
    OrderEvent,
    OrderModifyRejected,
    OrderPendingCancel,
    OrderPendingUpdate,
    OrderRejected,
    OrderUnknown,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderStatus, TimeInForce

NEVER_SENT = 0
"""``request_valid_until_ms`` of an order that is logged only to be denied."""

WORKING = frozenset({OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED})
"""The venue works it and nothing of ours is on its way to it."""

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
    old: Order | None,
    now_ns: int,
) -> tuple[str, str] | None:
    """Return reason code and detail why this order must not be sent, or None.

    ``risk_generation`` is that of the newest SyncOrders; ``unreachable`` says why the venue cannot
    be reached, None when it can; ``old`` is the order that it replaces, None when there is none;
    ``now_ns`` is UTC.
    """
    order = message.order
    if message.risk_generation < risk_generation:
        return (
            "RISK_RESTARTED",
            f"approved by risk generation {message.risk_generation}, now is {risk_generation}",
        )
    if order.symbol not in symbols:
        return "UNKNOWN_SYMBOL", f"{order.symbol} is not configured"
    malformed = _malformed(order)
    if malformed is not None:
        return "INVALID_ORDER", malformed
    if order.expires_ns is not None and now_ns >= order.expires_ns:
        return "EXPIRED", f"its time was over at {order.expires_ns}"
    if order.replaces and (old is None or old.status not in WORKING):
        return "NOTHING_TO_REPLACE", f"{order.replaces} is not at work"
    if dry_run:
        return "DRY_RUN", "system.dry_run is on: nothing is sent to a real venue"
    if unreachable is not None:
        return "VENUE_UNREACHABLE", unreachable
    return None


def _malformed(order: SubmitOrder) -> str | None:
    kind = order.order_type
    if kind.has_price and order.price is None:
        return f"a {kind.value} order has no price"
    if kind.has_stop and order.stop_price is None:
        return f"a {kind.value} order has no stop price"
    if (order.time_in_force is TimeInForce.GTD) != (order.expires_ns is not None):
        return f"{order.time_in_force.value} order that expires at {order.expires_ns}"
    bracket = order.bracket
    if bracket is None:
        return None
    if order.side is OrderSide.SELL:
        return "a bracket protects what is bought"
    if bracket.stop_price >= bracket.take_profit_price:
        return f"stop {bracket.stop_price} not below take profit {bracket.take_profit_price}"
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


def pending_cancel(order: Order, requester: str, now_ns: int) -> OrderPendingCancel:
    """Return the event that a cancel is asked for."""
    return OrderPendingCancel(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        requester=requester,
        ts_event=now_ns,
    )


def is_meant(order: Order, message: CancelAllOrders) -> bool:
    """Return whether ``message`` is about ``order``."""
    return message.symbol in {None, order.symbol} and message.strategy in {None, order.strategy}


def can_be_reduced(order: Order, quantity: Decimal) -> bool:
    """Return whether the venue can be asked to make ``order`` ``quantity`` large."""
    return order.status in WORKING and order.filled < quantity < order.quantity


def is_being_changed(order: Order) -> bool:
    """Return whether nobody has said yet what became of a change of ``order``."""
    return order.status is OrderStatus.PENDING_UPDATE


def pending_update(
    order: Order, quantity: Decimal, valid_until_ms: int, now_ns: int
) -> OrderPendingUpdate:
    """Return the event that a change is on its way; quantity 0: it is replaced."""
    return OrderPendingUpdate(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        quantity=quantity,
        request_valid_until_ms=valid_until_ms,
        ts_event=now_ns,
    )


def modify_rejected(order: Order, reason: str, now_ns: int) -> OrderModifyRejected:
    """Return the event that a change did not happen."""
    return OrderModifyRejected(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        reason=reason,
        ts_event=now_ns,
    )


def change_never_arrived(order: Order, *, asked_at_ms: int) -> bool:
    """Return whether "unchanged", asked at ``asked_at_ms`` of the venue's clock, is final."""
    arrives_until_ms = order.update_valid_until_ms + CERTAINTY_MARGIN_MS
    return is_being_changed(order) and asked_at_ms > arrives_until_ms


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
    return order.is_unanswered and is_answer_final(order, asked_at_ms=asked_at_ms)


def is_answer_final(order: Order, *, asked_at_ms: int) -> bool:
    """Return whether "no such order", asked at ``asked_at_ms`` of the venue's clock, is believed.

    Not of one that may have arrived after it was asked for, or that the copies from which venues
    answer queries do not have yet.
    """
    return asked_at_ms > order.valid_until_ms + CERTAINTY_MARGIN_MS
