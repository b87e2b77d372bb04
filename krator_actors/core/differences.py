"""Where an order at the venue is not what our record says; for balances, ``balances``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from krator_actors.core.orders import Order, OrderTable
from krator_actors.core.venue_reports import OrderReport
from krator_actors.messages.orders import Difference, ReconciliationDifference

_ZERO = Decimal(0)


def doubled(table: OrderTable, report: OrderReport, now_ns: int) -> ReconciliationDifference | None:
    """Return the difference when ``report`` is a second order of one of our client order ids."""
    if report.client_order_id not in table.orders:
        return None
    return ReconciliationDifference(
        what=Difference.DOUBLED,
        subject=report.client_order_id,
        symbol=report.symbol,
        ours=_ZERO,
        venue=report.quantity,
        ts_event=now_ns,
    )


def overcounted(order: Order, report: OrderReport, now_ns: int) -> ReconciliationDifference | None:
    """Return the difference when an order has ended with less traded than we have counted.

    Only its end tells, because an earlier report may be overtaken by the fills after it.
    """
    venue = report.filled - order.filled_before
    if report.status.is_open or venue >= order.filled:
        return None
    return ReconciliationDifference(
        what=Difference.FILLED,
        subject=order.client_order_id,
        symbol=order.symbol,
        ours=order.filled,
        venue=venue,
        ts_event=now_ns,
    )


def vanished(order: Order, now_ns: int) -> ReconciliationDifference | None:
    """Return the difference when the venue does not know ``order``, which it had accepted."""
    if not order.status.is_open or order.is_unanswered:
        return None
    return ReconciliationDifference(
        what=Difference.VANISHED,
        subject=order.client_order_id,
        symbol=order.symbol,
        ours=order.quantity - order.filled,
        venue=_ZERO,
        ts_event=now_ns,
    )


def busy_assets(open_orders: Iterable[Order]) -> frozenset[str]:
    """Return the assets of orders of which nobody knows yet what they have traded."""
    pairs = {o.symbol.rpartition(".")[0] for o in open_orders if o.is_unanswered}
    return frozenset(asset for pair in pairs for asset in pair.split("-"))
