"""How a feed tells without waiting: at once who has room, the others from a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from krator_actors.core.tick_queue import TickQueue
from krator_actors.messages.market import BookTop, QuoteTick
from supervisors.messages import Message

_QUEUE_LIMIT = 20_000
"""messages that wait to be told: many seconds of the busiest recorded market"""
_CONFLATE_ABOVE = 1_000
"""waiting messages, from which on only the newest quote and book of a symbol waits"""


class Teller:
    """For callbacks of a socket, which may not wait. Run ``keep_telling`` in a task.

    A lane of its own leads to each receiver, and what it does when it is full is a property of the
    message class; quotes, book tops and statuses conflate there and trades and gaps are left out
    and declared, so that nobody who is slow is waited for.
    """

    def __init__(
        self,
        *,
        offer: Callable[[str, Message], bool],
        tell: Callable[[str, Message], Awaitable[None]],
    ) -> None:
        self._offer = offer
        self._tell = tell
        self.queue = TickQueue(limit=_QUEUE_LIMIT, conflate_above=_CONFLATE_ABOVE)
        self._queued = asyncio.Event()
        # True while the task waits for a receiver, whose message is in the queue no more.
        self._telling = False

    def put(self, receivers: Sequence[str], message: Message) -> None:
        """Tell it, in the order of the calls."""
        if not (self._telling or self.queue):
            # Nobody overtakes a queue.
            receivers = [name for name in receivers if not self._offer(name, message)]
            if not receivers:
                return
        if isinstance(message, QuoteTick | BookTop):
            self.queue.put_newest(receivers, message)
        else:
            self.queue.put(receivers, message)
        self._queued.set()

    async def keep_telling(self) -> None:
        """Tell what is queued, for ever."""
        while True:
            self._telling = False
            await self._queued.wait()
            self._queued.clear()
            self._telling = True
            while self.queue:
                receivers, message = self.queue.take()
                for receiver in receivers:
                    await self._tell(receiver, message)
