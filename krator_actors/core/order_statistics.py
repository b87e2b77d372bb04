"""Counts, times and costs of orders, folded from what risk and the order actor have logged. Pure.

The way of an order is measured from the logs, where its times stand anyway, so that nothing is
added to that way. All times are of this machine's UTC clock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from krator_actors.core.slippage import Slippage
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from krator_actors.messages.risk import OrderApproved
from supervisors.messages import Message
from supervisors.times import Times

LIVE_LIMIT: Final = 50_000
"""So many orders without an end are followed; the oldest are let go, and counted."""

STATES: Final[Mapping[type[Message], str]] = {
    OrderApproved: "approved",
    OrderInitialized: "initialized",
    OrderDenied: "denied",
    OrderSubmitted: "submitted",
    OrderUnknown: "unknown",
    OrderAccepted: "accepted",
    OrderRejected: "rejected",
    OrderCanceled: "canceled",
    OrderExpired: "expired",
    OrderExternal: "external",
}
"""The events that are counted as what they say; an order that is filled in full is ``filled``."""

STAGES: Final = ("risk_to_order", "order_write", "order_to_ack", "ack_to_fill")
"""From risk's approval to the order actor; to the bytes at the kernel, the log record before them;
to the venue's first word; from there to the first fill."""


class _Live(msgspec.Struct):
    """An order that has not ended; times are UTC ns, 0 while it has not come so far."""

    quantity: Decimal = Decimal(0)
    filled: Decimal = Decimal(0)
    mid: Decimal | None = None
    approved_ns: int = 0
    initialized_ns: int = 0
    submitted_ns: int = 0
    answered_ns: int = 0


class OrderStatistics:
    """Takes the records of risk's and the order actor's logs; each log's in its order."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.denials: Counter[str] = Counter()
        self.fills: Counter[str] = Counter()
        """by symbol"""
        self.stages: dict[str, Times] = {stage: Times() for stage in STAGES}
        self.slippage: defaultdict[str, Slippage] = defaultdict(Slippage)
        """by symbol"""
        self.let_go = 0
        # Of the orders that the venue has ended: how many, and the sum of their filled shares.
        self._ended = 0
        self._filled_shares = Decimal(0)
        # By client order id, the oldest first.
        self._live: dict[str, _Live] = {}

    @property
    def fill_ratio(self) -> float | None:
        """The mean filled share of the orders that have ended at the venue; None before one has."""
        return float(self._filled_shares / self._ended) if self._ended else None

    def take(self, event: Message, ts_logged: int) -> None:
        """Take the next record; what is no order's is passed over."""
        state = STATES.get(type(event))
        if state is not None:
            self.states[state] += 1
        match event:
            case OrderApproved(order=order):
                live = self._follow(order.client_order_id)
                live.quantity, live.mid, live.approved_ns = (
                    order.quantity,
                    event.mid_price,
                    ts_logged,
                )
            case OrderInitialized(order=order):
                live = self._follow(order.client_order_id)
                live.quantity, live.initialized_ns = order.quantity, event.ts_event
                self._stage("risk_to_order", live.approved_ns, event.ts_event)
            case OrderExternal():
                self._follow(event.client_order_id).quantity = event.quantity
            case OrderDenied():
                self.denials[event.reason] += 1
                self._live.pop(event.client_order_id, None)
            case OrderSubmitted():
                live = self._follow(event.client_order_id)
                live.submitted_ns = event.ts_event
                self._stage("order_write", live.initialized_ns, event.ts_event)
            case OrderAccepted():
                self._answered(event.client_order_id, ts_logged)
            case OrderFilled():
                self._fill(event, ts_logged)
            case OrderRejected() | OrderCanceled() | OrderExpired():
                self._answered(event.client_order_id, ts_logged)
                self._end(event.client_order_id)
            case _:
                pass

    def _follow(self, client_order_id: str) -> _Live:
        live = self._live.get(client_order_id)
        if live is None:
            live = self._live[client_order_id] = _Live()
            if len(self._live) > LIVE_LIMIT:
                del self._live[next(iter(self._live))]
                self.let_go += 1
        return live

    def _answered(self, client_order_id: str, ts_logged: int) -> None:
        live = self._live.get(client_order_id)
        if live is not None and not live.answered_ns:
            live.answered_ns = ts_logged
            self._stage("order_to_ack", live.submitted_ns, ts_logged)

    def _fill(self, fill: OrderFilled, ts_logged: int) -> None:
        self.fills[fill.symbol] += 1
        self._answered(fill.client_order_id, ts_logged)
        live = self._live.get(fill.client_order_id)
        if live is None:
            # It had ended already, e.g. canceled: the fill counts, and has no decision of its own.
            return
        if not live.filled:
            self._stage("ack_to_fill", live.answered_ns, ts_logged)
        if live.mid is not None:
            self.slippage[fill.symbol].take(fill, live.mid)
        live.filled += fill.last_quantity
        if live.quantity and live.filled >= live.quantity:
            self.states["filled"] += 1
            self._end(fill.client_order_id)

    def _end(self, client_order_id: str) -> None:
        live = self._live.pop(client_order_id, None)
        if live is not None and live.quantity:
            self._ended += 1
            self._filled_shares += min(live.filled / live.quantity, Decimal(1))

    def _stage(self, stage: str, began_ns: int, ended_ns: int) -> None:
        if began_ns:
            self.stages[stage].add((ended_ns - began_ns) // 1_000)
