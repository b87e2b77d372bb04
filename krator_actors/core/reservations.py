"""What open orders could still do to the account: reserved from approval to the order's end. Pure.

Running sums per symbol and in all, so that a decision costs the same with one open order and with
a thousand.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import assert_never

import msgspec

from krator_actors.core.order_life import TABLE, step_of
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
    OrderModifyRejected,
    OrderPendingCancel,
    OrderPendingUpdate,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
    ReconciliationDifference,
    SubmitOrder,
)
from krator_actors.model import BUY, SELL, OrderSide, OrderStatus, OrderType

GIVEN_UP_LIMIT = 1_000
"""So many denied and rejected orders are remembered, should the venue work one after all."""

_ZERO = Decimal(0)
_ANY_PRICE = {BUY: Decimal("Infinity"), SELL: _ZERO}
"""What an order without a limit price would trade at, at worst."""


class Reservation(msgspec.Struct, kw_only=True):
    """One order that may still change a position. Changed by ``Reservations`` only."""

    client_order_id: str
    strategy: str
    """empty for an external order"""
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    """the limit price; None for a market order"""
    reference_price: Decimal
    """what a unit is reserved at"""
    remaining: Decimal
    """what may still trade"""
    is_in_book: bool
    """False: a stop order that has not triggered, which nothing can meet"""
    status: OrderStatus = OrderStatus.INITIALIZED
    approval: int = 0
    """number of the approval in risk's log; 0 when there is none"""
    generation: int = 0
    """of the risk actor that approved it"""
    is_begun: bool = False
    """True when the order actor has it in its log"""

    def to_open_order(self) -> OpenOrder:
        """Return what strategies and people are told of it."""
        return OpenOrder(
            client_order_id=self.client_order_id,
            strategy=self.strategy,
            symbol=self.symbol,
            side=self.side,
            order_type=self.order_type,
            quantity=self.quantity,
            filled=self.quantity - self.remaining,
            price=self.price,
            status=self.status,
        )


class ReservationsState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that Reservations know; what a snapshot holds."""

    open_orders: tuple[Reservation, ...]
    given_up: tuple[Reservation, ...]
    """denied and rejected orders, should the venue work one after all"""


class Exposure(msgspec.Struct, kw_only=True):
    """Sums over the open orders of one symbol."""

    buy_quantity: Decimal = _ZERO
    """all open buys"""
    buy_notional: Decimal = _ZERO
    """each at its own reference price"""
    sell_quantity: Decimal = _ZERO
    orders: int = 0
    """open orders of both sides"""
    prices: dict[OrderSide, list[Decimal]] = msgspec.field(
        default_factory=lambda: {BUY: [], SELL: []}
    )
    """the worst price that each order of a side would take that is in the book, ascending"""

    def facing(self, side: OrderSide) -> Decimal | None:
        """Return the price of the open order that an order of ``side`` would meet first.

        The lowest of the sells, or the highest of the buys; 0 or Infinity is one without a limit
        price. None: there is no open order on the other side.
        """
        if side is BUY:
            sells = self.prices[SELL]
            return sells[0] if sells else None
        buys = self.prices[BUY]
        return buys[-1] if buys else None


class Reservations:
    """The open orders and their sums. An order's end releases it exactly once. Not thread-safe."""

    def __init__(self) -> None:
        # Sum of ``buy_notional`` over all symbols.
        self.buy_notional = _ZERO
        # Open buys that count as nothing until ``value``, because their symbol has no price.
        self.unpriced: dict[str, Reservation] = {}
        self._open: dict[str, Reservation] = {}
        self._exposures: defaultdict[str, Exposure] = defaultdict(Exposure)
        # Denied and rejected orders by id, the latest last.
        self._given_up: dict[str, Reservation] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open_orders(self, symbol: str | None = None) -> tuple[OpenOrder, ...]:
        """Return the open orders, oldest first; of one symbol or of all."""
        return tuple(
            r.to_open_order() for r in self._open.values() if symbol is None or r.symbol == symbol
        )

    def exposure(self, symbol: str) -> Exposure:
        """Return the sums of ``symbol``; they go on changing."""
        return self._exposures[symbol]

    def reserve(
        self,
        order: SubmitOrder,
        *,
        reference_price: Decimal,
        approval: int,
        generation: int,
    ) -> None:
        """Count an order from now on. Its id must not be open."""
        self._insert(_of_order(order, reference_price, approval=approval, generation=generation))

    def apply(self, event: OrderEvent, *, mark: Decimal | None) -> None:
        """Follow what became of an order. A fill must be applied once only.

        An order that the order actor has and we have not (its approval is lost, or it is not
        ours) is counted from its first event, at its limit price or else at ``mark``; None: no
        price of the symbol is known, and a buy stays ``unpriced``.
        """
        at_mark = mark or _ZERO
        match event:
            case AccountReport() | ReconciliationDifference():
                pass
            case OrderInitialized():
                self._begin(event.order.client_order_id, lambda: _of_order(event.order, at_mark))
            case OrderExternal():
                self._begin(event.client_order_id, lambda: _of_external(event, at_mark))
            case OrderFilled():
                self._fill(event)
                if mark is not None:
                    self.value(event.symbol, mark)
            case OrderDenied() | OrderRejected():
                self._give_up(event)
            case OrderCanceled() | OrderExpired():
                self.release(event.client_order_id)
            case OrderUpdated():
                self._update(event)
            case (
                OrderSubmitted()
                | OrderUnknown()
                | OrderPendingCancel()
                | OrderAccepted()
                | OrderTriggered()
                | OrderPendingUpdate()
                | OrderModifyRejected()
            ):
                reservation = self._open.get(event.client_order_id)
                if reservation is None and isinstance(event, OrderAccepted):
                    reservation = self._rise(event.client_order_id)
                if reservation is not None:
                    _advance(reservation, event)
                    if isinstance(event, OrderTriggered):
                        self._enter_book(reservation)
            case _:
                assert_never(event)

    def value(self, symbol: str, mark: Decimal) -> None:
        """Count the buys of ``symbol`` that had no price at the first one there is."""
        for reservation in [r for r in self.unpriced.values() if r.symbol == symbol]:
            del self.unpriced[reservation.client_order_id]
            self._add(reservation, -reservation.remaining)
            reservation.reference_price = mark
            self._add(reservation, reservation.remaining)

    def release(self, client_order_id: str) -> Reservation | None:
        """Stop counting an order; None when it was not open."""
        reservation = self._open.get(client_order_id)
        if reservation is not None:
            self._add(reservation, -reservation.remaining)
            self._remove(reservation)
        return reservation

    def working(self) -> tuple[Reservation, ...]:
        """Return the open orders whose cancel nobody has asked for; not to be changed."""
        return tuple(r for r in self._open.values() if r.status is not OrderStatus.PENDING_CANCEL)

    def busy_assets(self) -> frozenset[str]:
        """Return the base and quote assets of the symbols that have open orders."""
        pairs = {r.symbol.rpartition(".")[0] for r in self._open.values()}
        return frozenset(asset for pair in pairs for asset in pair.split("-"))

    def unbegun(self, approval: int) -> list[Reservation]:
        """Return the approvals up to number ``approval`` that the order actor never began."""
        return [r for r in self._open.values() if not r.is_begun and r.approval <= approval]

    def state(self) -> ReservationsState:
        """Return what ``restore`` needs; it shares nothing that is changed later."""
        copy = msgspec.structs.replace
        return ReservationsState(
            open_orders=tuple(copy(reservation) for reservation in self._open.values()),
            given_up=tuple(copy(reservation) for reservation in self._given_up.values()),
        )

    def restore(self, state: ReservationsState) -> None:
        """Count what ``state`` says. Only when nothing is counted yet."""
        for reservation in state.open_orders:
            self._insert(msgspec.structs.replace(reservation))
        for reservation in state.given_up:
            self._given_up[reservation.client_order_id] = msgspec.structs.replace(reservation)

    def _begin(self, client_order_id: str, build: Callable[[], Reservation]) -> None:
        reservation = self._open.get(client_order_id)
        if reservation is None:
            self._given_up.pop(client_order_id, None)
            reservation = build()
            self._insert(reservation)
        reservation.is_begun = True

    def _fill(self, fill: OrderFilled) -> None:
        reservation = self._open.get(fill.client_order_id) or self._rise(fill.client_order_id)
        if reservation is None:
            return  # canceled or expired before: nothing is reserved any more
        _advance(reservation, fill)
        self._enter_book(reservation)
        traded = min(fill.last_quantity, reservation.remaining)
        self._add(reservation, -traded)
        reservation.remaining -= traded
        if not reservation.remaining:
            self._remove(reservation)

    def _update(self, event: OrderUpdated) -> None:
        reservation = self._open.get(event.client_order_id)
        if reservation is None:
            return
        _advance(reservation, event)
        less = min(reservation.quantity - event.quantity, reservation.remaining)
        self._add(reservation, -less)
        reservation.remaining -= less
        reservation.quantity = event.quantity
        if not reservation.remaining:
            self._remove(reservation)

    def _give_up(self, event: OrderDenied | OrderRejected) -> None:
        reservation = self.release(event.client_order_id)
        if reservation is not None:
            _advance(reservation, event)
            self._given_up[event.client_order_id] = reservation
            if len(self._given_up) > GIVEN_UP_LIMIT:
                del self._given_up[next(iter(self._given_up))]

    def _rise(self, client_order_id: str) -> Reservation | None:
        """Reserve an order again that was given up and that the venue works all the same."""
        reservation = self._given_up.pop(client_order_id, None)
        if reservation is not None:
            self._insert(reservation)
        return reservation

    def _insert(self, reservation: Reservation) -> None:
        assert reservation.client_order_id not in self._open
        self._open[reservation.client_order_id] = reservation
        if reservation.side is BUY and not reservation.reference_price:
            self.unpriced[reservation.client_order_id] = reservation
        self._add(reservation, reservation.remaining)
        exposure = self._exposures[reservation.symbol]
        exposure.orders += 1
        if reservation.is_in_book:
            insort(exposure.prices[reservation.side], _worst_price(reservation))

    def _remove(self, reservation: Reservation) -> None:
        del self._open[reservation.client_order_id]
        self.unpriced.pop(reservation.client_order_id, None)
        exposure = self._exposures[reservation.symbol]
        exposure.orders -= 1
        if reservation.is_in_book:
            prices = exposure.prices[reservation.side]
            del prices[bisect_left(prices, _worst_price(reservation))]

    def _enter_book(self, reservation: Reservation) -> None:
        if not reservation.is_in_book:
            reservation.is_in_book = True
            prices = self._exposures[reservation.symbol].prices[reservation.side]
            insort(prices, _worst_price(reservation))

    def _add(self, reservation: Reservation, quantity: Decimal) -> None:
        exposure = self._exposures[reservation.symbol]
        if reservation.side is SELL:
            exposure.sell_quantity += quantity
            return
        notional = quantity * reservation.reference_price
        exposure.buy_quantity += quantity
        exposure.buy_notional += notional
        self.buy_notional += notional


def _worst_price(reservation: Reservation) -> Decimal:
    return _ANY_PRICE[reservation.side] if reservation.price is None else reservation.price


def _advance(reservation: Reservation, event: OrderEvent) -> None:
    # The order actor guards the table. Here a missing row must not stop the counting.
    filled = reservation.quantity - reservation.remaining
    step = step_of(event, filled=filled, quantity=reservation.quantity)
    row = TABLE.get((reservation.status, step))
    if row is not None:
        reservation.status = row.status
    reservation.is_begun = True


def _of_order(
    order: SubmitOrder, reference_price: Decimal, *, approval: int = 0, generation: int = 0
) -> Reservation:
    return Reservation(
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        price=order.price,
        reference_price=order.price or order.stop_price or reference_price,
        remaining=order.quantity,
        is_in_book=not order.order_type.has_stop,
        approval=approval,
        generation=generation,
    )


def _of_external(event: OrderExternal, mark: Decimal) -> Reservation:
    return Reservation(
        client_order_id=event.client_order_id,
        strategy="",
        symbol=event.symbol,
        side=event.side,
        order_type=event.order_type,
        quantity=event.quantity,
        price=event.price,
        reference_price=mark if event.price is None else event.price,
        remaining=event.quantity,
        is_in_book=not event.order_type.has_stop,
        status=OrderStatus.ACCEPTED,
    )
