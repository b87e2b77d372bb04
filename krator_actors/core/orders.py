"""The life of an order as a table of (status, step) to status, and the fold of an order log.

What the venue says is turned into events in ``core.venue_reports``.
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    ReconciliationDifference,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType

_ZERO = Decimal(0)


class OrderTransitionError(ValueError):
    """The table has no row for this event in this status: a defect, not an accident."""


class Step(enum.Enum):
    """What can happen to an order. A fill is two: with and without something left to trade."""

    INITIALIZED = "INITIALIZED"
    EXTERNAL = "EXTERNAL"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    PARTIAL_FILL = "PARTIAL_FILL"
    LAST_FILL = "LAST_FILL"


class Row(msgspec.Struct, frozen=True):
    """Where a step leads; ``note`` says why a row exists that a textbook would not have."""

    status: OrderStatus
    note: str = ""


_S = OrderStatus
_E = Step
_UNSENT = "the process was killed between sending and logging that it sent"
_LATE_ACCEPT = "the acceptance was overtaken by what followed it"
_AFTER_END = "the venue traded before it took the order off, and said so later"
_OVERFILL = "overfill: the position is what was traded, not what was asked for"
_RISEN = "we had given it up, and the venue works it all the same"

TABLE: dict[tuple[OrderStatus | None, Step], Row] = {
    (None, _E.INITIALIZED): Row(_S.INITIALIZED),
    (None, _E.EXTERNAL): Row(_S.ACCEPTED, "the venue had it before we knew of it"),
    # logged, not known to be sent
    (_S.INITIALIZED, _E.DENIED): Row(_S.DENIED),
    (_S.INITIALIZED, _E.SUBMITTED): Row(_S.SUBMITTED),
    (_S.INITIALIZED, _E.UNKNOWN): Row(_S.UNKNOWN, _UNSENT),
    (_S.INITIALIZED, _E.ACCEPTED): Row(_S.ACCEPTED, _UNSENT),
    (_S.INITIALIZED, _E.REJECTED): Row(_S.REJECTED, _UNSENT),
    (_S.INITIALIZED, _E.CANCELED): Row(_S.CANCELED, _UNSENT),
    (_S.INITIALIZED, _E.EXPIRED): Row(_S.EXPIRED, _UNSENT),
    (_S.INITIALIZED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, _UNSENT),
    (_S.INITIALIZED, _E.LAST_FILL): Row(_S.FILLED, _UNSENT),
    # sent, not answered yet
    (_S.SUBMITTED, _E.UNKNOWN): Row(_S.UNKNOWN),
    (_S.SUBMITTED, _E.ACCEPTED): Row(_S.ACCEPTED),
    (_S.SUBMITTED, _E.REJECTED): Row(_S.REJECTED),
    (_S.SUBMITTED, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.SUBMITTED, _E.CANCELED): Row(_S.CANCELED),
    (_S.SUBMITTED, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.SUBMITTED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, "the fill overtook the acceptance"),
    (_S.SUBMITTED, _E.LAST_FILL): Row(_S.FILLED, "the fill overtook the acceptance"),
    # sent, and we do not know
    (_S.UNKNOWN, _E.ACCEPTED): Row(_S.ACCEPTED),
    (_S.UNKNOWN, _E.REJECTED): Row(_S.REJECTED),
    (_S.UNKNOWN, _E.PENDING_CANCEL): Row(_S.UNKNOWN, "nobody knows yet what there is to cancel"),
    (_S.UNKNOWN, _E.CANCELED): Row(_S.CANCELED),
    (_S.UNKNOWN, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.UNKNOWN, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED),
    (_S.UNKNOWN, _E.LAST_FILL): Row(_S.FILLED),
    # the venue works it
    (_S.ACCEPTED, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.ACCEPTED, _E.CANCELED): Row(_S.CANCELED),
    (_S.ACCEPTED, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.ACCEPTED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED),
    (_S.ACCEPTED, _E.LAST_FILL): Row(_S.FILLED),
    # traded in part
    (_S.PARTIALLY_FILLED, _E.ACCEPTED): Row(_S.PARTIALLY_FILLED, _LATE_ACCEPT),
    (_S.PARTIALLY_FILLED, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.PARTIALLY_FILLED, _E.CANCELED): Row(_S.CANCELED),
    (_S.PARTIALLY_FILLED, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.PARTIALLY_FILLED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED),
    (_S.PARTIALLY_FILLED, _E.LAST_FILL): Row(_S.FILLED),
    # we asked for its end
    (_S.PENDING_CANCEL, _E.UNKNOWN): Row(_S.UNKNOWN, "the answer to the order itself was lost"),
    (_S.PENDING_CANCEL, _E.ACCEPTED): Row(_S.PENDING_CANCEL, _LATE_ACCEPT),
    (_S.PENDING_CANCEL, _E.REJECTED): Row(_S.REJECTED, "the cancel was sent before the answer"),
    (_S.PENDING_CANCEL, _E.CANCELED): Row(_S.CANCELED),
    (_S.PENDING_CANCEL, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.PENDING_CANCEL, _E.PARTIAL_FILL): Row(_S.PENDING_CANCEL),
    (_S.PENDING_CANCEL, _E.LAST_FILL): Row(_S.FILLED),
    # over, but for what the venue says late
    (_S.FILLED, _E.ACCEPTED): Row(_S.FILLED, _LATE_ACCEPT),
    (_S.FILLED, _E.PARTIAL_FILL): Row(_S.FILLED, _OVERFILL),
    (_S.FILLED, _E.LAST_FILL): Row(_S.FILLED, _OVERFILL),
    (_S.CANCELED, _E.PARTIAL_FILL): Row(_S.CANCELED, _AFTER_END),
    (_S.CANCELED, _E.LAST_FILL): Row(_S.FILLED, _AFTER_END),
    (_S.EXPIRED, _E.PARTIAL_FILL): Row(_S.EXPIRED, _AFTER_END),
    (_S.EXPIRED, _E.LAST_FILL): Row(_S.FILLED, _AFTER_END),
    # given up
    (_S.REJECTED, _E.ACCEPTED): Row(_S.ACCEPTED, _RISEN),
    (_S.REJECTED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, _RISEN),
    (_S.REJECTED, _E.LAST_FILL): Row(_S.FILLED, _RISEN),
    (_S.DENIED, _E.ACCEPTED): Row(_S.ACCEPTED, _RISEN),
    (_S.DENIED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, _RISEN),
    (_S.DENIED, _E.LAST_FILL): Row(_S.FILLED, _RISEN),
}
"""(status, step) to what follows. A row that is missing is an error."""


def next_status(status: OrderStatus | None, step: Step) -> OrderStatus:
    """Return the status after ``step``; OrderTransitionError naming both when there is no row."""
    row = TABLE.get((status, step))
    if row is None:
        before = "NONE" if status is None else status.value
        raise OrderTransitionError(f"no row for {step.value} in status {before}")
    return row.status


_UNANSWERED = frozenset({_S.INITIALIZED, _S.SUBMITTED, _S.UNKNOWN})


class Order(msgspec.Struct, kw_only=True):
    """What is known of one order: the fold of its events. Changed by ``OrderTable`` only."""

    client_order_id: str
    strategy: str
    """empty for an external order"""
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    status: OrderStatus
    valid_until_ms: int = 0
    """``OrderInitialized.request_valid_until_ms``; 0: it was never going to be sent"""
    venue_order_id: str = ""
    """empty until the venue has told"""
    filled: Decimal = _ZERO
    cancel_requested: bool = False
    first_number: int
    """log record of its first event"""
    number: int
    """log record of ``last_event``"""
    last_event: OrderEvent

    @property
    def is_unanswered(self) -> bool:
        """True while the venue has not said anything about it that we know of."""
        pending = self.status is OrderStatus.PENDING_CANCEL and not self.venue_order_id
        return pending or self.status in _UNANSWERED

    def to_open_order(self) -> OpenOrder:
        """Return what risk is told of it."""
        return OpenOrder(
            client_order_id=self.client_order_id,
            strategy=self.strategy,
            symbol=self.symbol,
            side=self.side,
            order_type=self.order_type,
            quantity=self.quantity,
            filled=self.filled,
            price=self.price,
            status=self.status,
        )


class OrderTable:
    """The fold of all order events of one log: every order ever, and which are open."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        # (symbol, the venue's id) to order, once the venue has told its id
        self._by_venue_id: dict[tuple[str, str], Order] = {}
        # symbol to (trade id, venue order id) in the order in which they were logged. A trade id
        # alone is not enough because two of our orders may trade with each other.
        self._fills: dict[str, dict[tuple[str, str], None]] = {}
        # the first and the latest AccountReport; None before the opening one
        self.opening: AccountReport | None = None
        self.account: AccountReport | None = None

    @property
    def open_orders(self) -> tuple[Order, ...]:
        """Orders that may still change a position, oldest first."""
        return tuple(self._open.values())

    def knows_fill(self, symbol: str, trade_id: str, venue_order_id: str) -> bool:
        """True when this side of this trade has been applied."""
        return (trade_id, venue_order_id) in self._fills.get(symbol, ())

    def recent_trade_id(self, symbol: str, back: int) -> str | None:
        """Return the id of the ``back``-th last fill, the first if there are fewer, or None."""
        fills = self._fills.get(symbol)
        return list(fills)[-back:][0][0] if fills else None

    def find(self, symbol: str, venue_order_id: str, client_order_id: str = "") -> Order | None:
        """Return the order that the venue means.

        Its own id decides; the client order id only for an order whose venue id is not known,
        because venues keep client order ids unique among open orders only.
        """
        order = self._by_venue_id.get((symbol, venue_order_id))
        if order is None and client_order_id:
            order = self.orders.get(client_order_id)
            if order is not None and (order.venue_order_id or order.symbol != symbol):
                return None
        return order

    def apply(self, event: OrderEvent, number: int) -> Order | None:
        """Take one event of the log; return its order as it is now.

        None for what is about the account: AccountReport, ReconciliationDifference.

        A fill that is already known changes nothing. OrderTransitionError names the order, its
        status and the event when the table has no row.
        """
        match event:
            case AccountReport():
                self.opening = self.opening or event
                self.account = event
                return None
            case ReconciliationDifference():
                return None
            case OrderInitialized():
                return self._insert(_own_order(event, number))
            case OrderExternal():
                return self._insert(_external_order(event, number))
            case OrderFilled():
                if self.knows_fill(event.symbol, event.trade_id, event.venue_order_id):
                    return self.orders[event.client_order_id]
                fills = self._fills.setdefault(event.symbol, {})
                fills[event.trade_id, event.venue_order_id] = None
            case _:
                pass
        order = self.orders.get(event.client_order_id)
        if order is None:
            raise OrderTransitionError(
                f"order {event.client_order_id}: {type(event).__name__} before it was initialized"
            )
        _advance(order, event, number)
        self._index(order)
        return order

    def _insert(self, order: Order) -> Order:
        if order.client_order_id in self.orders:
            known = self.orders[order.client_order_id].status.value
            raise OrderTransitionError(
                f"order {order.client_order_id}: initialized again in status {known}"
            )
        self.orders[order.client_order_id] = order
        self._index(order)
        return order

    def _index(self, order: Order) -> None:
        if order.venue_order_id:
            self._by_venue_id[order.symbol, order.venue_order_id] = order
        if order.status.is_open:
            self._open[order.client_order_id] = order
        else:
            self._open.pop(order.client_order_id, None)


def _own_order(event: OrderInitialized, number: int) -> Order:
    order = event.order
    return Order(
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        price=order.price,
        status=next_status(None, Step.INITIALIZED),
        valid_until_ms=event.request_valid_until_ms,
        first_number=number,
        number=number,
        last_event=event,
    )


def _external_order(event: OrderExternal, number: int) -> Order:
    return Order(
        client_order_id=event.client_order_id,
        strategy="",
        symbol=event.symbol,
        side=event.side,
        order_type=event.order_type,
        quantity=event.quantity,
        price=event.price,
        status=next_status(None, Step.EXTERNAL),
        venue_order_id=event.venue_order_id,
        first_number=number,
        number=number,
        last_event=event,
    )


_STEPS: dict[type[OrderEvent], Step] = {
    OrderDenied: Step.DENIED,
    OrderSubmitted: Step.SUBMITTED,
    OrderUnknown: Step.UNKNOWN,
    OrderAccepted: Step.ACCEPTED,
    OrderRejected: Step.REJECTED,
    OrderPendingCancel: Step.PENDING_CANCEL,
    OrderCanceled: Step.CANCELED,
    OrderExpired: Step.EXPIRED,
}


def _advance(order: Order, event: OrderEvent, number: int) -> None:
    filled = order.filled
    if isinstance(event, OrderFilled):
        filled += event.last_quantity
        step = Step.LAST_FILL if filled >= order.quantity else Step.PARTIAL_FILL
    else:
        step = _STEPS[type(event)]
    try:
        order.status = next_status(order.status, step)
    except OrderTransitionError as error:
        raise OrderTransitionError(f"order {order.client_order_id}: {error}") from None
    order.filled = filled
    order.number = number
    order.last_event = event
    if isinstance(event, OrderAccepted | OrderFilled):
        order.venue_order_id = event.venue_order_id
    elif isinstance(event, OrderPendingCancel):
        order.cancel_requested = True
