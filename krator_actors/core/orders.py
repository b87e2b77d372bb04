"""Every order of one account, as the fold of an order log.

The table of what may follow what is ``core.order_life``; what the venue says is turned into events
in ``core.venue_reports``.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.core.order_life import OrderTransitionError, Step, next_status, step_of
from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderEvent,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderPendingUpdate,
    OrderTriggered,
    OrderUpdated,
    ReconciliationDifference,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType

BRACKET_CAUSE = "bracket:"
"""``SubmitOrder.cause`` of a bracket's leg: this, and the client order id of its entry."""

_ZERO = Decimal(0)
_UNANSWERED = frozenset({OrderStatus.INITIALIZED, OrderStatus.SUBMITTED, OrderStatus.UNKNOWN})


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
    base_fee: Decimal = _ZERO
    """what of the bought quantity went as a fee: it cannot be sold again"""
    filled_before: Decimal = _ZERO
    """external orders: what had traded when they were taken over; not in ``quantity``"""
    is_triggered: bool = False
    cancel_requested: bool = False
    first_number: int
    """log record of its first event"""
    cancel_requester: str = ""
    """whose wish the cancel was; empty when nobody asked for one"""
    update_valid_until_ms: int = 0
    """``OrderPendingUpdate.request_valid_until_ms`` of the latest change; 0: there was none"""
    submitted: SubmitOrder | None = None
    """what was asked for; None for an external order"""
    initialized_ns: int = 0
    """UTC ns at which it was logged"""
    number: int
    """log record of ``last_event``"""
    last_event: OrderEvent

    @property
    def is_unanswered(self) -> bool:
        """True while the venue has not said anything about it that we know of."""
        pending = self.status is OrderStatus.PENDING_CANCEL and not self.venue_order_id
        return pending or self.status in _UNANSWERED

    @property
    def is_doubtful(self) -> bool:
        """True while an answer is missing that only the venue can give: ask for the order."""
        return self.status in {OrderStatus.UNKNOWN, OrderStatus.PENDING_UPDATE}

    @property
    def remaining(self) -> Decimal:
        """What may still trade."""
        return max(self.quantity - self.filled, _ZERO)

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
        # entry's client order id to its bracket's legs, oldest first
        self._brackets: dict[str, list[Order]] = {}
        # entries for whose brackets there is nothing to do until one of their orders changes
        self._left: set[str] = set()
        # the first and the latest AccountReport; None before the opening one
        self.opening: AccountReport | None = None
        self.account: AccountReport | None = None

    @property
    def open_orders(self) -> tuple[Order, ...]:
        """Orders that may still change a position, oldest first."""
        return tuple(self._open.values())

    def brackets(self) -> list[tuple[Order, tuple[Order, ...]]]:
        """Return every entry whose bracket was not left, with all its legs, oldest first."""
        return [
            (self.orders[entry], tuple(legs))
            for entry, legs in self._brackets.items()
            if entry not in self._left
        ]

    def leave_bracket(self, entry: Order) -> None:
        """Return this entry no more, until it or a leg of it changes."""
        self._left.add(entry.client_order_id)

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
                own = self._insert(_own_order(event, number))
                self._keep_bracket(own, event.order)
                return own
            case OrderExternal():
                return self._insert(_external_order(event, number))
            case OrderFilled():
                if self.knows_fill(event.symbol, event.trade_id, event.venue_order_id):
                    return self.orders[event.client_order_id]
            case _:
                pass
        order = self.orders.get(event.client_order_id)
        if order is None:
            raise OrderTransitionError(
                f"order {event.client_order_id}: {type(event).__name__} before it was initialized"
            )
        _advance(order, event, number)
        self._left.discard(_entry_of(order))
        if isinstance(event, OrderFilled):
            fills = self._fills.setdefault(event.symbol, {})
            fills[event.trade_id, event.venue_order_id] = None
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

    def _keep_bracket(self, order: Order, submitted: SubmitOrder) -> None:
        if submitted.bracket is not None:
            self._brackets[order.client_order_id] = []
        elif submitted.cause.startswith(BRACKET_CAUSE):
            # Without a bracket of this name, it only calls itself a leg.
            legs = self._brackets.get(_entry_of(order))
            if legs is not None:
                legs.append(order)

    def _index(self, order: Order) -> None:
        if order.venue_order_id:
            self._by_venue_id[order.symbol, order.venue_order_id] = order
        if order.status.is_open:
            self._open[order.client_order_id] = order
        else:
            self._open.pop(order.client_order_id, None)


def _entry_of(order: Order) -> str:
    """Return the entry of the bracket that ``order`` may belong to: its own id if it is no leg."""
    cause = "" if order.submitted is None else order.submitted.cause
    is_leg = cause.startswith(BRACKET_CAUSE)
    return cause.removeprefix(BRACKET_CAUSE) if is_leg else order.client_order_id


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
        submitted=order,
        initialized_ns=event.ts_event,
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
        filled_before=event.filled_before,
        initialized_ns=event.ts_event,
        number=number,
        last_event=event,
    )


def _advance(order: Order, event: OrderEvent, number: int) -> None:
    step = step_of(event, filled=order.filled, quantity=order.quantity)
    try:
        order.status = next_status(order.status, step)
    except OrderTransitionError as error:
        raise OrderTransitionError(f"order {order.client_order_id}: {error}") from None
    order.number = number
    order.last_event = event
    match event:
        case OrderAccepted():
            order.venue_order_id = event.venue_order_id
        case OrderFilled():
            order.venue_order_id = event.venue_order_id
            order.filled += event.last_quantity
            if event.side is OrderSide.BUY and event.fee_currency == _base_of(order.symbol):
                order.base_fee += event.fee
        case OrderTriggered():
            order.is_triggered = True
        case OrderPendingUpdate():
            order.update_valid_until_ms = event.request_valid_until_ms
        case OrderUpdated():
            order.quantity = event.quantity
        case OrderPendingCancel():
            order.cancel_requested = True
            order.cancel_requester = event.requester
        case _:
            pass


def _base_of(symbol: str) -> str:
    return symbol.partition("-")[0]
