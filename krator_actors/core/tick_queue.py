"""What a feed has decoded and not told yet, bounded. No I/O: one side puts, the other takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from krator_actors.messages.market import BookTop, QuoteTick
from supervisors.messages import Message


class _Entry:
    __slots__ = ("message", "receivers")

    def __init__(self, receivers: Sequence[str], message: Message) -> None:
        self.receivers = receivers
        self.message = message


class TickQueue:
    """Messages in order, each with its receivers. Not thread-safe.

    Below ``conflate_above`` waiting messages nothing is merged; above it a quote or a book takes
    the place of the one of its symbol that waits. At ``limit`` it is full: then whoever puts trades
    leaves them out and says so. Quotes and statuses are few by then and always find a place.
    """

    def __init__(self, *, limit: int, conflate_above: int) -> None:
        self.limit = limit
        self._conflate_above = conflate_above
        # Quotes and books that a newer one has replaced.
        self.conflated = 0
        self._entries: deque[_Entry] = deque()
        # The newest quote and book of each symbol that wait.
        self._newest: dict[tuple[type[Message], str], _Entry] = {}

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """True when there is no room for another trade."""
        return len(self._entries) >= self.limit

    def put(self, receivers: Sequence[str], message: Message) -> None:
        """Append a message that may not be merged."""
        self._entries.append(_Entry(receivers, message))

    def put_newest(self, receivers: Sequence[str], message: QuoteTick | BookTop) -> None:
        """Append a quote or a book, or replace the one of its symbol that waits."""
        key = (type(message), message.symbol)
        waiting = self._newest.get(key)
        if waiting is not None and len(self._entries) > self._conflate_above:
            waiting.message = message
            # Of the older one some may have been told already.
            waiting.receivers = receivers
            self.conflated += 1
            return
        entry = self._newest[key] = _Entry(receivers, message)
        self._entries.append(entry)

    def take(self) -> tuple[Sequence[str], Message]:
        """Remove and return the first; IndexError when nothing waits."""
        entry = self._entries.popleft()
        message = entry.message
        if isinstance(message, QuoteTick | BookTop):
            key = (type(message), message.symbol)
            if self._newest.get(key) is entry:
                del self._newest[key]
        return entry.receivers, message
