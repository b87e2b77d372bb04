"""All connections to a venue's market streams: redundancy, and replacement without a hole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from typing import Any, Final

from loguru import logger

from krator_actors.market_line import LineListener, LineSpec, MarketLine
from krator_actors.model import NANOS_PER_SEC
from krator_actors.ports import Stream
from krator_actors.symbol_watch import SymbolWatch
from krator_actors.venue_errors import VenueUnavailableError

_LIFE_FRACTION: Final = 0.95
"""A connection is replaced before so much of the venue's limit on its life has passed."""
_LIFE_STEP: Final = 0.05
"""So much earlier for each further one, so that not all are replaced at once."""
_FRESH_SECS: Final = 60.0
"""A replacement that has not spoken by then is given up; the old connection stays."""
_SILENT_FACTOR: Final = 2.0
"""A connection on which no symbol speaks for so many times its limit is made anew."""
_RENEW_FACTOR: Final = 5.0
"""A connection on which one symbol is stalled is replaced when it is older than so many limits."""

Start = Callable[..., "asyncio.Task[None]"]


class MarketLines:
    """``count`` connections to the same streams. The caller drops what comes twice.

    Args:
        start: ``Actor.start_task``: what a connection raises ends the actor.
    """

    def __init__(self, spec: LineSpec, listener: LineListener, *, count: int, start: Start) -> None:
        self._spec = spec
        self._listener = listener
        self._start_task = start
        self._lines = [MarketLine(spec, listener) for _ in range(count)]
        # A line to the one that is to replace it.
        self._successors: dict[MarketLine, MarketLine] = {}

    @property
    def live(self) -> int:
        """How many connections are confirmed now."""
        return sum(line.is_live for line in self._all())

    @property
    def are_several(self) -> bool:
        """True when what comes may come twice."""
        return len(self._lines) + len(self._successors) > 1

    @property
    def leader(self) -> MarketLine | None:
        """The one that is listened to where the venue numbers nothing; None: none is live."""
        return next((line for line in self._all() if line.is_live), None)

    def refusal(self, symbol: str) -> str:
        """Return why the venue tells a symbol on no connection; empty when it does on one."""
        reasons = [line.refused.get(symbol, "") for line in self._all() if line.is_live]
        return reasons[0] if reasons and all(reasons) else ""

    async def change(self, stream: Stream, *, begin: bool) -> str:
        """Begin or end a stream on every connection, those to come included.

        Returns why the venue will not; empty when it is done. Raises VenueUnavailableError when a
        connection is lost meanwhile, or none is live: nothing has changed then.
        """
        before = self._spec
        after = before.streams | {stream} if begin else before.streams - {stream}
        self._want(after)
        error = "interrupted"
        try:
            lines = [line for line in self._all() if line.is_live]
            if not lines:
                raise VenueUnavailableError("no connection is live")
            answers = [await line.change(stream, begin=begin) for line in lines]
            error = next(filter(None, answers), "")
        finally:
            if error:
                self._want(before.streams)
        return error

    def _want(self, streams: frozenset[Stream]) -> None:
        self._spec = replace(self._spec, streams=streams)
        for line in self._all():
            line.streams = streams

    def is_news(self, line: MarketLine, update_id: int, last_id: int) -> bool:
        """True when what ``line`` said was not said yet: first arrival wins.

        Where the venue numbers nothing (``update_id`` 0) only the leader is listened to.
        """
        return update_id > last_id if update_id else line is self.leader

    def each_live(self, act: Callable[[MarketLine], None]) -> None:
        """Call it with every connection that is confirmed now."""
        for line in self._all():
            if line.is_live:
                act(line)

    def start(self) -> None:
        """Begin to connect."""
        for line in self._lines:
            self._start(line.run(), "line")

    async def close(self) -> None:
        """End all."""
        await asyncio.gather(*(line.close() for line in self._all()))

    def renew(self, line: MarketLine, reason: str) -> bool:
        """Replace it by a connection that is confirmed and has spoken; until then it goes on.

        False: that is under way already, or ``line`` is no more.
        """
        if line not in self._lines or line in self._successors:
            return False
        logger.bind(
            component=f"feed:{self._spec.config.name}", event_type="feed_renewing", reason=reason
        ).info("making a new connection")
        successor = self._successors[line] = MarketLine(self._spec, self._listener)
        self._start(successor.run(), "line")
        self._start(self._replace(line, successor), "replace")
        return True

    def renew_old(self) -> None:
        """Replace connections that the venue would end soon."""
        for place, line in enumerate(tuple(self._lines)):
            lifetime_secs = line.codec.lifetime_secs
            if lifetime_secs is None:
                continue
            if line.age_secs > lifetime_secs * (_LIFE_FRACTION - place * _LIFE_STEP):
                self.renew(line, "it is old")

    def mend(self, watches: Collection[SymbolWatch], now_ns: int) -> None:
        """Make connections anew on which symbols are silent that should speak."""
        fresh = [w.freshness for w in watches if not w.freshness.refused]
        if fresh and all(f.silent_ns(now_ns) > _SILENT_FACTOR * f.patience_ns for f in fresh):
            self._drop("connected, and every symbol is silent")
            return
        for watch in watches:
            if watch.is_stalled:
                limit_secs = watch.freshness.patience_ns / NANOS_PER_SEC
                self._renew_older(_RENEW_FACTOR * limit_secs, f"{watch.symbol} is stalled")

    def _renew_older(self, secs: float, reason: str) -> None:
        # A younger one has been tried just now.
        for line in tuple(self._lines):
            if line.age_secs > secs:
                self.renew(line, reason)

    def _drop(self, reason: str) -> None:
        for line in self._all():
            line.drop(reason)

    def _all(self) -> list[MarketLine]:
        return [*self._lines, *self._successors.values()]

    def _start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        self._start_task(coroutine, name=name)

    async def _replace(self, line: MarketLine, successor: MarketLine) -> None:
        try:
            async with asyncio.timeout(_FRESH_SECS):
                await successor.fresh.wait()
        except TimeoutError:
            del self._successors[line]
            await successor.close()
            return
        self._lines[self._lines.index(line)] = successor
        del self._successors[line]
        await line.close()
