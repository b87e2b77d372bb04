"""What waits to be written to a lane, and what happens when too much does. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from supervisors.answers import AnswerDecoder
from supervisors.frames import TELL, encode
from supervisors.messages import Delivery, Message


class Outgoing(Protocol):
    """What carries messages to others: ``Lanes``, or a test's recorder."""

    @property
    def stash(self) -> int:
        """How many messages wait."""

    def tell(self, receiver: str, message: Message) -> asyncio.Future[None] | None:
        """See ``Lanes.tell``."""

    async def ask(
        self, receiver: str, message: Message, decode: AnswerDecoder, *, timeout_secs: float
    ) -> Message:
        """See ``Lanes.ask``."""


class Counters(msgspec.Struct, kw_only=True):
    """What happened to messages, counted since the brain began. Written by its loop only."""

    handled: int = 0
    """messages whose handler has returned"""
    conflated: int = 0
    """waiting messages that a newer one of the same key replaced"""
    dropped: int = 0
    """messages left out and declared by a gap message"""
    undelivered: int = 0
    """messages of ours that came back: outcome unknown, or refused by the receiver"""
    refused: int = 0
    """messages from peers that the inbox does not list or that could not be decoded"""
    expired: int = 0
    """asks from peers that were not handled because their deadline had passed"""
    malformed: int = 0
    """connections closed because the peer did not speak the protocol"""
    fenced: int = 0
    """connections refused or closed because of an older generation"""


class Parcel:
    """One message on its way, until it is acknowledged, comes back, or is given up."""

    __slots__ = ("body", "decode", "future", "kind", "message", "seq")

    def __init__(
        self,
        kind: int,
        message: Message,
        body: bytes,
        future: asyncio.Future[Any] | None = None,
        decode: Callable[[bytes], Message] | None = None,
    ) -> None:
        self.kind = kind
        self.message = message
        self.body = body
        # Who waits for the answer (ASK) or the acknowledgement (TELL); None when nobody does.
        self.future = future
        self.decode = decode
        # 0 until it is written.
        self.seq = 0

    @property
    def delivery(self) -> Delivery:
        """What a full lane does with it: whoever waits for an outcome waits for room too."""
        return self.message.delivery if self.future is None else Delivery.WAIT

    @property
    def given_up(self) -> bool:
        """Whether the one who waited does so no more."""
        return self.future is not None and self.future.done()


class _Gap:
    """Stands in the outbox where messages were left out."""

    __slots__ = ("count", "first", "key", "last")

    def __init__(self, key: tuple[type[Message], str], first: Message) -> None:
        self.key = key
        self.first = first
        self.last = first
        self.count = 1


class Outbox:
    """A bounded queue of parcels in order, each delivery class with ``limit`` places of its own.

    Classes do not share places because then overflowing trades would make a command wait. Once a
    gap is open, messages of its stream are left out until the gap's turn to be written has come:
    one overload makes one gap.
    """

    def __init__(self, limit: int, counters: Counters) -> None:
        self._limit = limit
        self._counters = counters
        self._waiting: deque[Parcel | _Gap] = deque()
        self._used = dict.fromkeys(Delivery, 0)
        self._newest: dict[tuple[type[Message], str], Parcel] = {}
        self._gaps: dict[tuple[type[Message], str], _Gap] = {}
        # Parcels that found no place, each with the future its teller waits on.
        self._blocked: dict[Delivery, deque[tuple[Parcel, asyncio.Future[None]]]] = {
            delivery: deque() for delivery in Delivery
        }

    def __len__(self) -> int:
        """How many parcels and gaps have a place."""
        return len(self._waiting)

    def put(self, parcel: Parcel) -> asyncio.Future[None] | None:
        """Give the parcel a place. A future: there is none yet, await it; cancel it to give up."""
        delivery = parcel.delivery
        if delivery is Delivery.CONFLATE and self._conflate(parcel):
            return None
        if delivery is Delivery.GAP and self._leave_out(parcel.message):
            return None
        if self._used[delivery] < self._limit and not self._blocked[delivery]:
            self._place(parcel)
            return None
        blocked = self._blocked[delivery]
        while blocked and _gave_up(*blocked[-1]):
            blocked.pop()
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        blocked.append((parcel, admitted))
        return admitted

    def take(self) -> Parcel:
        """Remove and return the first parcel; a gap becomes its declaration."""
        head = self._waiting.popleft()
        if isinstance(head, _Gap):
            del self._gaps[head.key]
            message = head.first.gap_message(head.last, head.count)
            return Parcel(TELL, message, encode(message))
        self._release(head)
        return head

    def discard(self, parcel: Parcel) -> None:
        """Remove a parcel that nobody waits for any more; no matter when it is not here."""
        try:
            self._waiting.remove(parcel)
        except ValueError:
            return
        self._release(parcel)

    def clear(self) -> list[Parcel]:
        """Empty the outbox and return its parcels; tellers that are blocked are canceled."""
        parcels = [item for item in self._waiting if isinstance(item, Parcel)]
        for blocked in self._blocked.values():
            for parcel, admitted in blocked:
                parcels.append(parcel)
                admitted.cancel()
            blocked.clear()
        self._waiting.clear()
        self._newest.clear()
        self._gaps.clear()
        self._used = dict.fromkeys(Delivery, 0)
        return parcels

    def _place(self, parcel: Parcel) -> None:
        delivery = parcel.delivery
        self._waiting.append(parcel)
        self._used[delivery] += 1
        if delivery is Delivery.CONFLATE:
            self._newest[type(parcel.message), parcel.message.conflation_key()] = parcel

    def _release(self, parcel: Parcel) -> None:
        delivery = parcel.delivery
        self._used[delivery] -= 1
        if delivery is Delivery.CONFLATE:
            del self._newest[type(parcel.message), parcel.message.conflation_key()]
        blocked = self._blocked[delivery]
        while blocked and self._used[delivery] < self._limit:
            next_parcel, admitted = blocked.popleft()
            if _gave_up(next_parcel, admitted):
                continue
            if delivery is not Delivery.CONFLATE or not self._conflate(next_parcel):
                self._place(next_parcel)
            admitted.set_result(None)

    def _conflate(self, parcel: Parcel) -> bool:
        older = self._newest.get((type(parcel.message), parcel.message.conflation_key()))
        if older is None:
            return False
        older.message = parcel.message
        older.body = parcel.body
        self._counters.conflated += 1
        return True

    def _leave_out(self, message: Message) -> bool:
        key = (type(message), message.gap_key())
        gap = self._gaps.get(key)
        if gap is not None:
            gap.last = message
            gap.count += 1
        elif self._used[Delivery.GAP] < self._limit:
            return False
        else:
            # Declared once for nothing, because a class that cannot must fail its teller here
            # and not the loop later.
            encode(message.gap_message(message, 1))
            gap = self._gaps[key] = _Gap(key, message)
            self._waiting.append(gap)
        self._counters.dropped += 1
        return True


def _gave_up(parcel: Parcel, admitted: asyncio.Future[None]) -> bool:
    return admitted.cancelled() or parcel.given_up
