"""Order books from snapshots and deltas, held to each venue's rule of continuity.

A book is either right, or says why it is not. What breaks it (a hole in the update ids, a wrong
checksum, a best bid at or above the best ask) makes it worthless until the next snapshot.
"""

from __future__ import annotations

import enum
import zlib
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from krator_actors.messages.market import BookDelta, BookLevel, BookSnapshot, BookTop

_WAITING_LIMIT: Final = 10_000
"""Deltas kept while the snapshot is on its way: minutes of the busiest recorded market."""
_CHECKSUM_LEVELS: Final = 10


class BookRule(enum.Enum):
    """How a venue lets us see that no delta is missing."""

    NEXT_ID = "next id"
    """``first_id`` is the last ``last_id`` + 1 (Binance spot)"""
    PREVIOUS_ID = "previous id"
    """``previous_id`` is the last ``last_id`` (Binance USD-M)"""
    CHECKSUM = "checksum"
    """each message has the checksum of the best levels after it (Kraken)"""
    CONNECTION = "connection"
    """the frames of the connection are numbered, and the codec tells what is missing (Coinbase)"""


class BookState(enum.Enum):
    """Whether a book can be believed, and why not."""

    LIVE = "LIVE"
    NO_SNAPSHOT = "NO_SNAPSHOT"
    """Deltas are kept until a snapshot comes that they continue."""
    GAP = "GAP"
    BAD_CHECKSUM = "BAD_CHECKSUM"
    CROSSED = "CROSSED"
    """The best bid is not below the best ask."""


class OrderBook:
    """The book of one symbol. Not thread-safe."""

    def __init__(self, symbol: str, rule: BookRule) -> None:
        self.symbol = symbol
        self.rule = rule
        self.state = BookState.NO_SNAPSHOT
        # The last update that is in it, and when that was; 0 before the first snapshot.
        self.last_id = 0
        self.ts_event = self.ts_init = 0
        self._bids = _Side(best=-1)
        self._asks = _Side(best=0)
        self._depth: int | None = None
        # True until the first delta after a snapshot, whose ids may begin before it.
        self._is_first = True
        # Deltas that came while there was no snapshot.
        self._waiting: deque[BookDelta] = deque(maxlen=_WAITING_LIMIT)

    def on_snapshot(self, snapshot: BookSnapshot) -> BookState:
        """Begin anew with it, and with the deltas that waited for it.

        GAP when it is older than the first of those: ask for a newer one.
        """
        self._bids = _Side(best=-1, levels=snapshot.bids)
        self._asks = _Side(best=0, levels=snapshot.asks)
        self._depth = snapshot.depth
        self._is_first = True
        self.last_id = snapshot.last_id
        self.ts_event, self.ts_init = snapshot.ts_event, snapshot.ts_init
        self.state = self._judged(snapshot.checksum)
        waiting, self._waiting = self._waiting, deque(maxlen=_WAITING_LIMIT)
        for delta in waiting:
            self.on_delta(delta)
        return self.state

    def on_delta(self, delta: BookDelta) -> BookState:
        """Apply it, if it is the next one; one that is in the book already changes nothing."""
        if self.state is not BookState.LIVE:
            self._keep_for_snapshot(delta)
            return self.state
        if self._is_old(delta):
            return self.state
        if not self._continues(delta):
            self.state = BookState.GAP
            self._keep_for_snapshot(delta)
            return self.state
        self._is_first = False
        self._bids.apply(delta.bids)
        self._asks.apply(delta.asks)
        if self._depth is not None:
            self._bids.truncate(self._depth)
            self._asks.truncate(self._depth)
        self.last_id = delta.last_id
        self.ts_event, self.ts_init = delta.ts_event, delta.ts_init
        self.state = self._judged(delta.checksum)
        return self.state

    def on_gap(self) -> None:
        """Something of this book's stream is missing: wait for a new snapshot."""
        self.state = BookState.NO_SNAPSHOT
        self._waiting.clear()

    def top(self, levels: int) -> BookTop | None:
        """Return the best levels, at most so many a side; None while it is not to be believed."""
        if self.state is not BookState.LIVE:
            return None
        bids, asks = self._bids.best_levels(levels), self._asks.best_levels(levels)
        if not bids or not asks:
            return None
        return BookTop(
            symbol=self.symbol,
            bids=bids,
            asks=asks,
            update_id=self.last_id,
            ts_event=self.ts_event,
            ts_init=self.ts_init,
        )

    def __len__(self) -> int:
        """Return how many levels there are, on both sides."""
        return len(self._bids) + len(self._asks)

    def _keep_for_snapshot(self, delta: BookDelta) -> None:
        # A snapshot that comes in the stream is newer than all that came before it.
        if self.rule in {BookRule.NEXT_ID, BookRule.PREVIOUS_ID}:
            self._waiting.append(delta)

    def _is_old(self, delta: BookDelta) -> bool:
        match self.rule:
            case BookRule.NEXT_ID:
                return delta.last_id <= self.last_id
            case BookRule.PREVIOUS_ID:
                # The delta that ends at the snapshot is the first to apply, as Binance says.
                return delta.last_id < self.last_id or (
                    not self._is_first and delta.last_id == self.last_id
                )
            case BookRule.CHECKSUM | BookRule.CONNECTION:
                return False

    def _continues(self, delta: BookDelta) -> bool:
        match self.rule:
            case BookRule.NEXT_ID if self._is_first:
                return delta.first_id <= self.last_id + 1
            case BookRule.NEXT_ID:
                return delta.first_id == self.last_id + 1
            case BookRule.PREVIOUS_ID if self._is_first:
                return delta.first_id <= self.last_id or delta.previous_id == self.last_id
            case BookRule.PREVIOUS_ID:
                return delta.previous_id == self.last_id
            case BookRule.CHECKSUM | BookRule.CONNECTION:
                return True

    def _judged(self, checksum: int | None) -> BookState:
        bid, ask = self._bids.best, self._asks.best
        if bid is not None and ask is not None and bid >= ask:
            return BookState.CROSSED
        if self.rule is BookRule.CHECKSUM and checksum is not None:
            asks = self._asks.best_levels(_CHECKSUM_LEVELS)
            bids = self._bids.best_levels(_CHECKSUM_LEVELS)
            if checksum_of(bids, asks) != checksum:
                return BookState.BAD_CHECKSUM
        return BookState.LIVE


def checksum_of(bids: Iterable[BookLevel], asks: Iterable[BookLevel]) -> int:
    """Return Kraken's CRC32 of the ten best levels a side, best first.

    Prices and sizes must have the digits that were on the wire, zeros at the end included.
    docs.kraken.com/api/docs/guides/spot-ws-book-v2
    """
    text = "".join(_digits(price) + _digits(size) for side in (asks, bids) for price, size in side)
    return zlib.crc32(text.encode())


def _digits(value: Decimal) -> str:
    return f"{value:f}".replace(".", "").lstrip("0")


class _Side:
    """Prices in ascending order beside a dict of their sizes.

    ``best`` is the place of the best price: 0 for asks, -1 for bids.
    """

    def __init__(self, *, best: int, levels: Iterable[BookLevel] = ()) -> None:
        self._best = best
        # Of a price that is there twice the last word counts.
        self._sizes = {price: size for price, size in dict(levels).items() if size}
        self._prices = sorted(self._sizes)

    def __len__(self) -> int:
        return len(self._prices)

    @property
    def best(self) -> Decimal | None:
        return self._prices[self._best] if self._prices else None

    def apply(self, levels: Iterable[BookLevel]) -> None:
        prices, sizes = self._prices, self._sizes
        for price, size in levels:
            known = price in sizes
            if size:
                if known:
                    # The key keeps the digits of its first writing, because 1.0 equals 1.00.
                    sizes[price] = size
                else:
                    insort(prices, price)
                    sizes[price] = size
            elif known:
                del sizes[price]
                del prices[bisect_left(prices, price)]

    def truncate(self, depth: int) -> None:
        while len(self._prices) > depth:
            # The worst is at the other end.
            del self._sizes[self._prices.pop(-1 - self._best)]

    def best_levels(self, count: int) -> tuple[BookLevel, ...]:
        prices = self._prices[:count] if self._best == 0 else self._prices[: -count - 1 : -1]
        return tuple((price, self._sizes[price]) for price in prices)
