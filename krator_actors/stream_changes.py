"""Streams to begin or to end at run time: such changes wait while no connection is out, and expire.

Only people ask for them; what the configuration wants is asked for anew on every connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from loguru import logger

from krator_actors import clock
from krator_actors.model import NANOS_PER_SEC
from krator_actors.ports import Stream
from krator_actors.venue_errors import VenueUnavailableError

ON: Final = "ON"
OFF: Final = "OFF"
WAITING: Final = "WAITING"
_LIMIT: Final = 100
"""Changes that wait; more are refused."""
_EXPIRES_SECS: Final = 30.0
"""What could not be carried out by then is not carried out any more: nobody waits for it."""
_LOOK_SECS: Final = 0.05


class CarryOut(Protocol):
    """``MarketLines.change``."""

    def __call__(self, stream: Stream, *, begin: bool) -> Awaitable[str]:
        """Return why the venue will not, empty when it is done."""


@dataclass(frozen=True)
class _Change:
    stream: Stream
    begin: bool
    # Monotonic.
    expires_ns: int


class StreamChanges:
    """One change after the other. Run ``keep_going`` in a task.

    Args:
        active: the streams that are wanted at the start.
        offered: all that may be asked for.
        carry_out: raises VenueUnavailableError while there is no connection.
        done: called after each change that was made.
        component: the feed's name.
    """

    def __init__(
        self,
        active: Iterable[Stream],
        *,
        offered: Iterable[Stream],
        carry_out: CarryOut,
        done: Callable[[], None],
        component: str,
    ) -> None:
        # ON, OFF or WAITING; or why the last change was not made: what is there is as before.
        self.states = dict.fromkeys(active, ON)
        self._offered = frozenset(offered)
        self._carry_out = carry_out
        self._done = done
        self._logger = logger.bind(component=component, event_type="stream_change")
        self._waiting: deque[_Change] = deque()
        self._some = asyncio.Event()

    def put(self, stream: Stream, *, begin: bool) -> str:
        """Ask for a change; ``states`` says what becomes of it.

        Returns why it is refused at once; empty when it waits.
        """
        if stream not in self._offered:
            return "REFUSED: this feed does not offer it"
        if len(self._waiting) >= _LIMIT:
            return f"FULL: {_LIMIT} changes wait already"
        expires_ns = clock.monotonic_ns() + int(_EXPIRES_SECS * NANOS_PER_SEC)
        self._waiting.append(_Change(stream, begin, expires_ns))
        self.states[stream] = WAITING
        self._some.set()
        return ""

    async def keep_going(self) -> None:
        """Carry out what is asked for, for ever."""
        while True:
            self._some.clear()
            while self._waiting:
                change = self._waiting[0]
                outcome = await self._outcome(change)
                self._waiting.popleft()
                self._note(change.stream, outcome)
            await self._some.wait()

    async def _outcome(self, change: _Change) -> str:
        while clock.monotonic_ns() < change.expires_ns:
            try:
                error = await self._carry_out(change.stream, begin=change.begin)
            except VenueUnavailableError:
                await asyncio.sleep(_LOOK_SECS)
            else:
                return f"REFUSED: {error}" if error else ON if change.begin else OFF
        return f"EXPIRED: no connection within {_EXPIRES_SECS:g} s"

    def _note(self, stream: Stream, outcome: str) -> None:
        self.states[stream] = outcome
        bound = self._logger.bind(symbol=stream.symbol, channel=stream.channel, outcome=outcome)
        if outcome in {ON, OFF}:
            bound.info("stream changed")
            self._done()
        else:
            bound.warning("stream not changed")
