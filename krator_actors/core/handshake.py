"""How risk and an order actor agree on what is open after either has restarted. Pure.

The order actor's log is the truth. Risk says up to which record it knows it, is told the rest, and
is told when there is no more. Several requests may be under way, so each has its own number.
"""

from __future__ import annotations

import enum

import msgspec

from krator_actors.messages.handshake import OrdersSynced, SyncOrders


class Order(enum.Enum):
    """How the number of a told event follows what is known."""

    NEXT = "next"
    KNOWN = "known"
    GAP = "gap"


class Answer(enum.Enum):
    """What an ``OrdersSynced`` is worth."""

    SYNCED = "synced"
    """recovered; approvals up to ``Handshake.settled_approval`` are settled"""
    FOREIGN = "foreign"
    """it answers an earlier incarnation of risk"""
    GAP = "gap"
    """events before it are missing: ask again"""
    LOG_SHRANK = "log_shrank"
    """the order actor's log is shorter than what risk knows of it: it was lost or replaced"""


class _Request(msgspec.Struct, frozen=True):
    approval: int
    watermark: int


class Handshake:
    """Risk's side of the handshake with one order actor. Not thread-safe."""

    def __init__(self, *, generation: int, watermark: int) -> None:
        # Highest number of the order actor's log that has been absorbed.
        self.watermark = watermark
        # True when one answer to this generation has been read.
        self.is_recovered = False
        # Approvals up to this number in risk's own log can no longer be on their way.
        self.settled_approval = 0
        self._generation = generation
        self._last_sync_id = 0
        # What was true when a request, still unanswered, was made.
        self._requests: dict[int, _Request] = {}

    @property
    def is_pending(self) -> bool:
        """True while the latest request has not been answered."""
        return self._last_sync_id in self._requests

    def request(self, approval: int) -> SyncOrders:
        """Return what to tell the order actor now; ``approval`` is the last one told before."""
        self._last_sync_id += 1
        self._requests[self._last_sync_id] = _Request(approval, self.watermark)
        return SyncOrders(
            risk_generation=self._generation,
            watermark=self.watermark,
            sync_id=self._last_sync_id,
        )

    def place(self, number: int) -> Order:
        """Judge a told event. NEXT moves the watermark: the caller must absorb it at once."""
        if number <= self.watermark:
            return Order.KNOWN
        if number > self.watermark + 1:
            return Order.GAP
        self.watermark = number
        return Order.NEXT

    def answer(self, synced: OrdersSynced) -> Answer:
        """Judge the end of what was told again."""
        if synced.risk_generation != self._generation:
            return Answer.FOREIGN
        # An answer that does not say which: taken for one to the oldest request, which can only
        # settle too little.
        sync_id = synced.sync_id or min(self._requests, default=0)
        request = self._requests.get(sync_id)
        if request is None:
            return Answer.FOREIGN
        if synced.number < request.watermark:
            return Answer.LOG_SHRANK
        if synced.number > self.watermark:
            return Answer.GAP
        self._requests = {i: r for i, r in self._requests.items() if i > sync_id}
        self.settled_approval = request.approval
        self.is_recovered = True
        return Answer.SYNCED
