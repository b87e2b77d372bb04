"""The book that a recording displays, and what our own orders have taken of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from krator_actors.exchange.fixed import parse_recorded
from krator_actors.exchange.market import Level
from krator_actors.exchange.recording import DepthEvent, Levels, Snapshot, TickerEvent
from krator_actors.model import OrderSide


class DisplayedSide:
    """One side: displayed sizes, and the part of each that our orders have used up."""

    def __init__(self, side: OrderSide) -> None:
        # keys are sign * price, ascending, so that the best price is last on both sides
        self._sign = side.sign
        self._keys: list[int] = []
        self._sizes: dict[int, int] = {}
        self._consumed: dict[int, int] = {}

    def update(self, price: int, size: int) -> None:
        """Set a level; what was consumed of it is there again. Size 0 removes it."""
        self._consumed.pop(price, None)
        known = price in self._sizes
        if size:
            self._sizes[price] = size
            if not known:
                insort(self._keys, self._sign * price)
        elif known:
            del self._sizes[price]
            del self._keys[bisect_left(self._keys, self._sign * price)]

    def replace(self, levels: Iterable[Level]) -> None:
        """Set all levels anew."""
        self._sizes = {price: size for price, size in levels if size}
        self._keys = sorted(self._sign * price for price in self._sizes)
        self._consumed = {}

    def set_best(self, price: int, size: int) -> None:
        """Make this the best level: better ones are gone. No update when it is so already."""
        keep = bisect_right(self._keys, self._sign * price)
        for key in self._keys[keep:]:
            del self._sizes[self._sign * key]
            self._consumed.pop(self._sign * key, None)
        del self._keys[keep:]
        if self._sizes.get(price) != size:
            self.update(price, size)

    def consume(self, price: int, quantity: int) -> None:
        """Use up part of a level until its next update."""
        self._consumed[price] = self._consumed.get(price, 0) + quantity

    def size_at(self, price: int) -> int:
        """Return the displayed size."""
        return self._sizes.get(price, 0)

    def displayed(self) -> Iterator[Level]:
        """Yield the levels as displayed, best first."""
        for key in reversed(self._keys):
            yield self._sign * key, self._sizes[self._sign * key]

    def available(self) -> Iterator[Level]:
        """Yield what is left of the levels for our orders, best first."""
        for price, size in self.displayed():
            left = size - self._consumed.get(price, 0)
            if left:
                yield price, left


class DisplayedBook:
    """Both sides, kept by snapshots, differences and the ticker of the best prices."""

    def __init__(self) -> None:
        self.bids = DisplayedSide(OrderSide.BUY)
        self.asks = DisplayedSide(OrderSide.SELL)
        self.update_id = 0
        # the newest ticker: a difference that is older than it must not undo it
        self._ticker: TickerEvent | None = None

    def opposite(self, side: OrderSide) -> DisplayedSide:
        """Return the side that an order of ``side`` trades against."""
        return self.asks if side is OrderSide.BUY else self.bids

    def own(self, side: OrderSide) -> DisplayedSide:
        """Return the side where an order of ``side`` rests."""
        return self.bids if side is OrderSide.BUY else self.asks

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Begin anew, unless the book is newer than the snapshot."""
        if snapshot.last_update_id <= self.update_id:
            return
        self.update_id = snapshot.last_update_id
        self.bids.replace(_parsed(snapshot.bids))
        self.asks.replace(_parsed(snapshot.asks))

    def apply_depth(self, event: DepthEvent) -> None:
        """Set the levels that changed, unless the book is newer."""
        ticker = self._ticker
        known = self.update_id if ticker is None else max(self.update_id, ticker.update_id)
        if event.last_id <= self.update_id:
            return
        for price, size in _parsed(event.bids):
            self.bids.update(price, size)
        for price, size in _parsed(event.asks):
            self.asks.update(price, size)
        self.update_id = event.last_id
        if ticker is not None and known > event.last_id:
            self._show(ticker)

    def apply_ticker(self, event: TickerEvent) -> None:
        """Set the best levels, unless the book is newer."""
        if event.update_id <= self.update_id:
            return
        self._ticker = event
        self._show(event)

    def last_id(self) -> int:
        """Return the newest update id that the book has seen."""
        return max(self.update_id, self._ticker.update_id if self._ticker else 0)

    def _show(self, event: TickerEvent) -> None:
        self.bids.set_best(parse_recorded(event.bid), parse_recorded(event.bid_size))
        self.asks.set_best(parse_recorded(event.ask), parse_recorded(event.ask_size))


def _parsed(levels: Levels) -> Iterator[Level]:
    for price, size in levels:
        yield parse_recorded(price), parse_recorded(size)
