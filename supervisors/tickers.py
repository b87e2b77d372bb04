"""The periodic timers of one actor."""

from __future__ import annotations

import asyncio

from supervisors.inbox import TICK, Inbox
from supervisors.messages import Message


class Ticker:
    """One periodic timer: when it is due next, and whether its last message still waits."""

    __slots__ = ("due", "message", "period_secs", "waits")

    def __init__(self, period_secs: float, message: Message, due: float) -> None:
        self.period_secs = period_secs
        self.message = message
        self.due = due
        self.waits = False


class Tickers:
    """Puts each timer's message into the inbox when it is due. For the brain's loop."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._stopped = False

    def start(self, period_secs: float, message: Message) -> None:
        """See ``Actor.every``."""
        loop = asyncio.get_running_loop()
        ticker = Ticker(period_secs, message, loop.time() + period_secs)
        loop.call_at(ticker.due, self._on_tick, loop, ticker)

    def stop(self) -> None:
        """Put nothing into the inbox any more."""
        self._stopped = True

    def _on_tick(self, loop: asyncio.AbstractEventLoop, ticker: Ticker) -> None:
        if self._stopped:
            return
        if not ticker.waits:
            ticker.waits = True
            self._inbox.put(TICK, ticker)
        behind = loop.time() - ticker.due
        ticker.due += ticker.period_secs * (1 + max(0, int(behind / ticker.period_secs)))
        loop.call_at(ticker.due, self._on_tick, loop, ticker)
