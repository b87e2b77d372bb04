"""What the order actor records when a request was refused, not answered, or asked for in vain."""

from __future__ import annotations

from typing import assert_never

from krator_actors.clock import utc_ns
from krator_actors.core import order_rules as rules
from krator_actors.core.orders import Order
from krator_actors.messages.orders import OrderEventTold
from krator_actors.model import OrderStatus
from krator_actors.order_ledger import OrderLedger
from krator_actors.order_sender import ModifyFailed, PlaceFailed
from krator_actors.reconciliation import NoSuchOrder, StillThere


def judged(
    ledger: OrderLedger, message: PlaceFailed | ModifyFailed | NoSuchOrder | StillThere
) -> list[OrderEventTold]:
    """Record what ``message`` says of its order; return what is to be told.

    Nothing when the user stream was faster and knows better, or when it is too early to be sure.
    """
    order = ledger.table.orders.get(message.client_order_id)
    if order is None:
        return []  # it has ended meanwhile, long ago
    match message:
        case PlaceFailed():
            return _place_failed(ledger, order, message)
        case ModifyFailed():
            if message.refused and rules.is_being_changed(order):
                return [_unchanged(ledger, order, message.reason)]
        case NoSuchOrder(asked_at_ms=asked_at_ms):
            if rules.never_arrived(order, asked_at_ms=asked_at_ms):
                return [ledger.record(rules.rejected(order, "NEVER_ARRIVED", utc_ns()))]
            if rules.is_answer_final(order, asked_at_ms=asked_at_ms):
                return ledger.vanished(order)
        case StillThere(asked_at_ms=asked_at_ms):
            if rules.change_never_arrived(order, asked_at_ms=asked_at_ms):
                return [_unchanged(ledger, order, "NEVER_ARRIVED")]
        case _:
            assert_never(message)
    return []


def _place_failed(ledger: OrderLedger, order: Order, message: PlaceFailed) -> list[OrderEventTold]:
    if not order.is_unanswered:
        return []
    if message.refused:
        return [ledger.record(rules.rejected(order, message.reason, utc_ns()))]
    if order.status is OrderStatus.UNKNOWN:
        return []
    return [ledger.record(rules.unknown(order, message.reason, utc_ns()))]


def _unchanged(ledger: OrderLedger, order: Order, reason: str) -> OrderEventTold:
    return ledger.record(rules.modify_rejected(order, reason, utc_ns()))
