"""What a venue's report adds to what is known of an order.

A venue says the same thing in its answer, on the user stream and when it is asked again; twice,
late and out of order. ``news_of`` returns only the events that are new, so that any mixture of
reports ends in the same state.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from krator_actors.core.expiry import is_over
from krator_actors.core.orders import Order, OrderTable
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    OrderUpdated,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType

_ZERO = Decimal(0)

_GIVEN_UP = frozenset({OrderStatus.DENIED, OrderStatus.REJECTED})


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue sees it at one moment."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    status: OrderStatus
    """ACCEPTED, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED or REJECTED"""
    filled: Decimal
    """cumulative, also of fills that we have not seen"""
    is_triggered: bool = False
    """of a stop order: its stop price has been reached"""
    reason: str = ""
    ts_event: int


class FillReport(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of one order, as the venue reports it."""

    venue_order_id: str
    trade_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    ts_event: int


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says that was not known."""

    events: tuple[OrderEvent, ...]
    complete: bool
    """False: the venue has traded more than the fills we know. The order's end is held back, so
    that nobody releases its exposure early; ask for all its trades."""


def news_of(
    table: OrderTable,
    order: Order,
    report: OrderReport | None,
    fills: Iterable[FillReport] = (),
    *,
    ts_init: int,
) -> News:
    """Return the events that ``report`` and ``fills``, both of ``order``, add to ``table``.

    ``ts_init`` is now, UTC nanoseconds. Never raises for anything a venue may say; events are to
    be applied in order before the next call for the same order.
    """
    unseen = {fill.trade_id: fill for fill in fills}
    fresh = [
        fill
        for fill in unseen.values()
        if not table.knows_fill(order.symbol, fill.trade_id, fill.venue_order_id)
    ]
    fresh.sort(key=lambda fill: fill.ts_event)
    events: list[OrderEvent] = []
    accepted = report is not None and _is_accepted_by(order, report)
    if report is not None and accepted:
        events.append(
            OrderAccepted(
                client_order_id=order.client_order_id,
                venue_order_id=report.venue_order_id,
                symbol=order.symbol,
                ts_event=report.ts_event,
            )
        )
    alive = accepted or order.status.is_open
    if report is not None and alive and _is_triggered_by(order, report):
        events.append(
            OrderTriggered(
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                ts_event=report.ts_event,
            )
        )
    events += [_filled(order, fill, ts_init) for fill in fresh]
    if report is None:
        return News(events=tuple(events), complete=True)
    filled = sum((fill.quantity for fill in fresh), order.filled)
    quantity = order.quantity
    # Venues make orders smaller and never larger, so that a larger one is older news.
    if alive and filled < quantity and report.quantity - order.filled_before < quantity:
        quantity = report.quantity - order.filled_before
        events.append(
            OrderUpdated(
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                quantity=quantity,
                ts_event=report.ts_event,
            )
        )
    complete = filled >= report.filled - order.filled_before
    if complete and filled < quantity and alive:
        events += _end_of(order, report)
    return News(events=tuple(events), complete=complete)


def external_id(report: OrderReport) -> str:
    """Return the id that an order has here which the venue has and we never sent."""
    return f"external-{report.symbol}-{report.venue_order_id}"


def external_of(
    report: OrderReport, fills: Iterable[FillReport], *, opened_at: int
) -> tuple[OrderExternal, tuple[FillReport, ...]] | None:
    """Return the first event of an order that the venue has and we never sent, with its fills.

    ``fills`` are all its trades. Those before ``opened_at`` (the account's opening, UTC ns) are in
    the opening balances already: the order is taken over with the quantity that was left. None
    when nothing happened since, because then it is none of our business. Its id is made of the
    venue's, so that it is the same whenever it is found.
    """
    since = tuple(fill for fill in fills if fill.ts_event >= opened_at)
    before = report.filled - sum((fill.quantity for fill in since), _ZERO)
    if not report.status.is_open and not since:
        return None
    event = OrderExternal(
        client_order_id=external_id(report),
        venue_order_id=report.venue_order_id,
        symbol=report.symbol,
        side=report.side,
        order_type=report.order_type,
        quantity=report.quantity - before,
        price=report.price,
        filled_before=before,
        ts_event=report.ts_event,
    )
    return event, since


def _is_accepted_by(order: Order, report: OrderReport) -> bool:
    if report.status is OrderStatus.REJECTED:
        return False
    if order.status in _GIVEN_UP:
        return report.status.is_open or report.filled > 0
    return order.is_unanswered


def _is_triggered_by(order: Order, report: OrderReport) -> bool:
    return report.is_triggered and not order.is_triggered and not order.filled


def _end_of(order: Order, report: OrderReport) -> list[OrderEvent]:
    client_order_id, symbol, ts_event = order.client_order_id, order.symbol, report.ts_event
    match report.status:
        case OrderStatus.CANCELED if not is_over(order, ts_event):
            return [
                OrderCanceled(client_order_id=client_order_id, symbol=symbol, ts_event=ts_event)
            ]
        case OrderStatus.CANCELED | OrderStatus.EXPIRED:
            return [OrderExpired(client_order_id=client_order_id, symbol=symbol, ts_event=ts_event)]
        case OrderStatus.REJECTED if order.is_unanswered:
            return [
                OrderRejected(
                    client_order_id=client_order_id,
                    symbol=symbol,
                    reason=report.reason,
                    ts_event=ts_event,
                )
            ]
        case _:
            return []


def _filled(order: Order, fill: FillReport, ts_init: int) -> OrderFilled:
    return OrderFilled(
        client_order_id=order.client_order_id,
        venue_order_id=fill.venue_order_id,
        trade_id=fill.trade_id,
        symbol=order.symbol,
        strategy=order.strategy,
        side=fill.side,
        last_quantity=fill.quantity,
        last_price=fill.price,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        ts_event=fill.ts_event,
        ts_init=ts_init,
    )
