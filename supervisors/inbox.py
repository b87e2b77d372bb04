"""The one bounded queue of an actor: what peers, its own timers and broken lanes put in."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, Protocol

from supervisors.frames import Frame
from supervisors.messages import InboxFullError, Message

OWN: Final = 100
"""Kind of an item that the actor told itself; its body is the message."""

UNDELIVERED: Final = 101
"""Kind of an item that came back; its body is (receiver, message)."""

TICK: Final = 102
"""Kind of an item of a periodic timer; its body is the timer."""


class Origin(Protocol):
    """Where a message came from, and where its outcome goes."""

    sender: str

    def acknowledge(self, seq: int) -> None:
        """Say that the handler has returned."""

    def answer(self, seq: int, message: Message | None) -> None:
        """Return the handler's answer to an ask."""

    def refuse(self, seq: int, reason: str) -> None:
        """Say that the message was not handled and never will be."""


class Source(Protocol):
    """A connection that holds back what finds no room."""

    def resume(self) -> None:
        """There is room again."""


Item = tuple[Origin | None, int, int, Any]
"""(origin, kind, seq, body): a frame and its connection; the origin is None when no peer's"""


class Inbox:
    """First in, first out. At most ``limit`` frames of peers and ``limit`` own messages.

    What came back from broken lanes must not be lost and is bounded by the lanes' windows; a
    periodic timer has one item at a time: both are always admitted. All methods are for the
    brain's loop; ``len`` is for any thread.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._own = 0
        # Set while the serving task sleeps.
        self._waiter: asyncio.Future[None] | None = None
        self._held_back: set[Source] = set()

    def __len__(self) -> int:
        return len(self._items)

    def admit(self, origin: Origin, frames: deque[Frame]) -> bool:
        """Take frames from the left while there is room; False when some had to stay."""
        items = self._items
        room = self._limit - len(items)
        while frames and room > 0:
            kind, seq, body = frames.popleft()
            items.append((origin, kind, seq, body))
            room -= 1
        self.wake()
        return not frames

    def hold_back(self, source: Source) -> None:
        """Call ``source.resume`` when half of the inbox is free."""
        self._held_back.add(source)

    def forget(self, source: Source) -> None:
        """Do not resume a source that is gone."""
        self._held_back.discard(source)

    def put_own(self, message: Message) -> None:
        """Add what the actor tells itself; raises ``InboxFullError``."""
        if self._own >= self._limit:
            text = f"{self._own} own messages wait, {type(message).__name__} finds no room"
            raise InboxFullError(text)
        self._own += 1
        self._items.append((None, OWN, 0, message))
        self.wake()

    def put(self, kind: int, body: Any) -> None:
        """Add an UNDELIVERED or TICK item."""
        self._items.append((None, kind, 0, body))
        self.wake()

    def take(self) -> Item:
        """Remove and return the first item; raises IndexError when there is none."""
        item = self._items.popleft()
        if item[1] == OWN:
            self._own -= 1
        if self._held_back and len(self._items) <= self._limit // 2:
            sources, self._held_back = self._held_back, set()
            for source in sources:
                source.resume()
        return item

    async def wait(self) -> None:
        """Return when there may be something to take, or when woken."""
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def wake(self) -> None:
        """Let the serving task look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
