"""The order table that forgets what is long over, and remembers where to read it again. Pure.

Memory and recovery grow with the open orders and not with the log. Whatever is forgotten can be
found by its id or by the venue's, exactly: ``ClosedOrders`` says where in the archive an order is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec
import numpy as np

from krator_actors.core.order_life import TABLE
from krator_actors.core.orders import Order, OrderTable
from krator_actors.messages.orders import AccountReport

KEEP_CLOSED = 256
"""So many closed orders stay in memory: what the venue says late is mostly about one of them."""
KEEP_FILLS = 200
"""So many fills of each symbol stay known; more than are read again after a start."""

_MERGE_AT_LEAST = 4_096
_MERGE_SHARE = 4
_COLUMNS = 3
_WORD_BYTES = 8
# A view of no bytes cannot be cast.
_NO_WORDS = memoryview(array("Q"))


class MemoryState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an OrderMemory knows; what a snapshot holds."""

    orders: tuple[Order, ...]
    brackets: dict[str, tuple[str, ...]]
    """entry to legs: all of them, or the next leg would get the id of an earlier one"""
    fills: dict[str, tuple[tuple[str, str], ...]]
    opening: AccountReport | None
    account: AccountReport | None


class OrderMemory(OrderTable):
    """An OrderTable of the orders that are open or were closed lately."""

    def closed_beyond(self, *, keep: int) -> list[Order]:
        """Return all but the last ``keep`` closed orders: what may be forgotten.

        A bracket's orders are forgotten together, and not before it was left.
        """
        closed = [order for order in self.orders.values() if not order.status.is_open]
        closed.sort(key=lambda order: order.number)
        over = {order.client_order_id: order for order in closed[: max(0, len(closed) - keep)]}
        for entry, legs in self._brackets.items():
            bracket = {entry, *(leg.client_order_id for leg in legs)}
            if entry not in self._left or not bracket <= over.keys():
                for client_order_id in bracket:
                    over.pop(client_order_id, None)
        return list(over.values())

    def trade_ids(self, orders: Iterable[Order]) -> list[tuple[str, ...]]:
        """Return the ids of each order's trades: all of them, while it is in memory."""
        trades: dict[tuple[str, str], list[str]] = {}
        for symbol, fills in self._fills.items():
            for trade_id, venue_order_id in fills:
                trades.setdefault((symbol, venue_order_id), []).append(trade_id)
        return [tuple(trades.get((o.symbol, o.venue_order_id), ())) for o in orders]

    def forget(self, orders: Iterable[Order]) -> None:
        """Forget closed orders, as ``closed_beyond`` returned them.

        Fills stay known: of each symbol the last ones, and all of an order that is in memory.
        """
        forgotten = set()
        for order in orders:
            forgotten.add(order.client_order_id)
            del self.orders[order.client_order_id]
            self._by_venue_id.pop((order.symbol, order.venue_order_id), None)
        for symbol, fills in self._fills.items():
            for fill in list(fills)[:-KEEP_FILLS]:
                if (symbol, fill[1]) not in self._by_venue_id:
                    del fills[fill]
        for entry in forgotten & self._brackets.keys():
            del self._brackets[entry]
            self._left.discard(entry)

    def adopt(self, order: Order, trade_ids: Sequence[str]) -> None:
        """Know a forgotten order and its trades again."""
        if trade_ids:
            again = {(trade_id, order.venue_order_id): None for trade_id in trade_ids}
            # In front, because the last ones say from where on trades are read after a start.
            self._fills[order.symbol] = again | self._fills.get(order.symbol, {})
        self._insert(order)

    def state(self) -> MemoryState:
        """Return what ``restore`` needs; its orders go on changing: encode it at once."""
        return MemoryState(
            orders=tuple(self.orders.values()),
            brackets={
                entry: tuple(leg.client_order_id for leg in legs)
                for entry, legs in self._brackets.items()
            },
            fills={symbol: tuple(fills) for symbol, fills in self._fills.items()},
            opening=self.opening,
            account=self.account,
        )

    def restore(self, state: MemoryState) -> None:
        """Become what ``state`` says; only for a table that is new."""
        self._fills = {symbol: dict.fromkeys(fills) for symbol, fills in state.fills.items()}
        self.opening, self.account = state.opening, state.account
        for order in state.orders:
            self._insert(order)
        self._brackets = {
            entry: [self.orders[leg] for leg in legs] for entry, legs in state.brackets.items()
        }


def _layout() -> int:
    schema = msgspec.json.encode(msgspec.json.schema(MemoryState), order="sorted")
    rows = repr(sorted((repr(row), after.status.value) for row, after in TABLE.items()))
    digest = blake2b(schema + rows.encode(), digest_size=2).digest()
    return int.from_bytes(digest, "little")


LAYOUT = _layout()
"""What a snapshot's bytes mean, in 16 bits: fields, types, and the order table. A version of the
program whose fold may differ does not believe the snapshot. Made here, because it takes 20 ms."""


class Place(NamedTuple):
    """Where an order is in the archive, and the number of its last record then."""

    offset: int
    number: int


Recent = tuple[tuple[int, int, int], ...]
"""Key, offset and number of names that are not sorted yet."""


class ClosedOrders:
    """Where every forgotten order is archived: sorted columns, and what came after them.

    24 bytes a name; an order has two, its own id and the venue's. A name is known by 64 bits of a
    hash: one that is not here was never forgotten, one that is here is looked up there.
    """

    def __init__(self) -> None:
        # Keys, offsets and numbers of the sorted part, 64 bits each; a file's bytes, mapped.
        self._columns = [_NO_WORDS] * _COLUMNS
        # Highest record that the sorted part covers: a snapshot says from which on it needs it.
        self.merged_number = 0
        # Not sorted yet, by key; a name may come again when a late event has moved its last record.
        self._recent: dict[int, list[Place]] = {}

    def __len__(self) -> int:
        return len(self._columns[0]) + sum(map(len, self._recent.values()))

    def add(self, order: Order, offset: int) -> None:
        """Take a forgotten order that is archived at ``offset``."""
        for key in _keys_of(order):
            self._recent.setdefault(key, []).append(Place(offset, order.number))

    def has(self, order: Order) -> bool:
        """Return whether the order is archived as it is now."""
        return any(place.number == order.number for place in self.find(order.client_order_id))

    def find(self, name: str, symbol: str = "") -> tuple[Place, ...]:
        """Return where an order of this name may be, the latest first.

        With ``symbol``, ``name`` is the venue's id. () is certain; a place has to be looked at.
        """
        key = _key(name, symbol)
        places = {*self._sorted(key), *self._recent.get(key, ())}
        return tuple(sorted(places, key=lambda place: -place.number))

    @property
    def is_merge_due(self) -> bool:
        """True when so much is not sorted that sorting it again is worth its time."""
        return len(self._recent) > max(_MERGE_AT_LEAST, len(self._columns[0]) // _MERGE_SHARE)

    def recent(self) -> Recent:
        """Return what is not in the sorted part: a snapshot holds it."""
        return tuple((key, *place) for key, places in self._recent.items() for place in places)

    def restore(
        self,
        sorted_part: bytes | memoryview,
        recent: Recent,
        *,
        number: int,
    ) -> None:
        """Become the bytes that ``merged`` has made, and ``recent``; ``number`` is what they cover.

        Raises ValueError for bytes that cannot be such columns.
        """
        words = memoryview(sorted_part).cast("Q") if len(sorted_part) else _NO_WORDS
        size, rest = divmod(len(words), _COLUMNS)
        if rest:
            raise ValueError(f"{len(words)} words are no {_COLUMNS} columns")
        self._columns = [words[n * size : (n + 1) * size] for n in range(_COLUMNS)]
        self.merged_number = number
        self._recent = {}
        for key, offset, last in recent:
            self._recent.setdefault(key, []).append(Place(offset, last))

    def merged(self, recent: Recent) -> bytes:
        """Return the sorted part with ``recent`` in it, as bytes.

        Milliseconds of work; changes nothing, so it may run in another thread.
        """
        old = [np.asarray(column) for column in self._columns]
        new = np.array(recent, dtype=np.uint64).reshape(-1, _COLUMNS).T
        columns = [np.concatenate(pair) for pair in zip(old, new, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return b"".join(column[order].tobytes() for column in columns)

    def _sorted(self, key: int) -> Iterator[Place]:
        keys, offsets, numbers = self._columns
        at = bisect_left(keys, key)
        while at < len(keys) and keys[at] == key:
            yield Place(offsets[at], numbers[at])
            at += 1


def _keys_of(order: Order) -> Iterator[int]:
    yield _key(order.client_order_id, "")
    if order.venue_order_id:
        yield _key(order.venue_order_id, order.symbol)


def _key(name: str, symbol: str) -> int:
    digest = blake2b(f"{symbol} {name}".encode(), digest_size=_WORD_BYTES).digest()
    return int.from_bytes(digest, "little")
