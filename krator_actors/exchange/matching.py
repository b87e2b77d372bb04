"""The matching engine: one symbol's book in price-time priority.

Pure: no clock, no I/O, no randomness. Prices and quantities are units of 1e-8; order ids are the
caller's.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

from krator_actors.model import OrderSide


@dataclass(slots=True)
class RestingOrder:
    """An order in the book."""

    order_id: int
    side: OrderSide
    price: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Match:
    """One trade, at the resting order's price."""

    price: int
    quantity: int
    maker_id: int
    taker_id: int
    taker_side: OrderSide


class Ladder:
    """One side of the book. Within a price, orders stand in the order of their arrival."""

    def __init__(self, side: OrderSide) -> None:
        self.side = side
        # keys are sign * price, ascending, so that the best price is last on both sides
        self._sign = side.sign
        self._keys: list[int] = []
        self._queues: dict[int, dict[int, RestingOrder]] = {}
        self._sizes: dict[int, int] = {}
        # prices whose total size changed since take_changes()
        self._changed: set[int] = set()

    def best_price(self) -> int | None:
        """Return the highest bid or lowest offer, None when this side is empty."""
        return self._sign * self._keys[-1] if self._keys else None

    def size_at(self, price: int) -> int:
        """Return the total quantity at a price, 0 when there is none."""
        return self._sizes.get(price, 0)

    def levels(self) -> Iterator[tuple[int, int]]:
        """Yield (price, total quantity), best first."""
        for key in reversed(self._keys):
            price = self._sign * key
            yield price, self._sizes[price]

    def orders(self) -> Iterator[RestingOrder]:
        """Yield the orders in their priority."""
        for key in reversed(self._keys):
            yield from self._queues[self._sign * key].values()

    def accepts(self, limit: int | None) -> bool:
        """Return whether an opposite order with this limit (None: any price) would trade here."""
        if not self._keys:
            return False
        return limit is None or self._keys[-1] >= self._sign * limit

    def first(self) -> RestingOrder:
        """Return the order with priority; the side must not be empty."""
        return next(iter(self._queues[self._sign * self._keys[-1]].values()))

    def add(self, order: RestingOrder) -> None:
        """Put an order behind all others of its price."""
        queue = self._queues.get(order.price)
        if queue is None:
            queue = self._queues[order.price] = {}
            insort(self._keys, self._sign * order.price)
        queue[order.order_id] = order
        self._sizes[order.price] = self._sizes.get(order.price, 0) + order.remaining
        self._changed.add(order.price)

    def reduce(self, order: RestingOrder, quantity: int) -> None:
        """Take ``quantity`` off an order; an order with nothing left leaves the book."""
        price = order.price
        order.remaining -= quantity
        self._sizes[price] -= quantity
        self._changed.add(price)
        if order.remaining:
            return
        queue = self._queues[price]
        del queue[order.order_id]
        if not queue:
            del self._queues[price], self._sizes[price]
            del self._keys[bisect_left(self._keys, self._sign * price)]

    def take_changes(self) -> dict[int, int]:
        """Return {price: size now} for prices that changed since the last call."""
        changed, self._changed = self._changed, set()
        return {price: self._sizes.get(price, 0) for price in sorted(changed)}


class MatchingEngine:
    """The book of one symbol."""

    def __init__(self) -> None:
        self.bids = Ladder(OrderSide.BUY)
        self.asks = Ladder(OrderSide.SELL)
        self._orders: dict[int, RestingOrder] = {}

    def ladder(self, side: OrderSide) -> Ladder:
        """Return the side of the book where orders of ``side`` rest."""
        return self.bids if side is OrderSide.BUY else self.asks

    def crosses(self, side: OrderSide, limit: int | None) -> bool:
        """Return whether an order would trade at once."""
        return self._opposite(side).accepts(limit)

    def quote_fill(
        self, side: OrderSide, quantity: int, limit: int | None
    ) -> list[tuple[int, int]]:
        """Return the (price, quantity) that an order would trade at once, changing nothing."""
        taken: list[tuple[int, int]] = []
        for price, size in self._opposite(side).levels():
            if quantity == 0 or (limit is not None and (price - limit) * side.sign > 0):
                break
            part = min(quantity, size)
            taken.append((price, part))
            quantity -= part
        return taken

    def submit(
        self, *, order_id: int, side: OrderSide, quantity: int, limit: int | None, rests: bool
    ) -> list[Match]:
        """Trade an order against the book; the rest of it stays in the book when ``rests``.

        ``limit`` None takes any price, and cannot rest.
        """
        assert quantity > 0
        assert order_id not in self._orders
        matches: list[Match] = []
        opposite = self._opposite(side)
        while quantity and opposite.accepts(limit):
            maker = opposite.first()
            part = min(quantity, maker.remaining)
            opposite.reduce(maker, part)
            if not maker.remaining:
                del self._orders[maker.order_id]
            quantity -= part
            matches.append(Match(maker.price, part, maker.order_id, order_id, side))
        if quantity and rests:
            assert limit is not None
            order = RestingOrder(order_id, side, limit, quantity)
            self._orders[order_id] = order
            self.ladder(side).add(order)
        return matches

    def cancel(self, order_id: int) -> int:
        """Remove an order; return what was left of it, 0 when it is not in the book."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return 0
        remaining = order.remaining
        self.ladder(order.side).reduce(order, remaining)
        return remaining

    def reduce(self, order_id: int, quantity: int) -> None:
        """Take ``quantity`` off an order in the book, which keeps its place."""
        order = self._orders.get(order_id)
        if order is not None:
            assert quantity < order.remaining
            self.ladder(order.side).reduce(order, quantity)

    def _opposite(self, side: OrderSide) -> Ladder:
        return self.asks if side is OrderSide.BUY else self.bids
