"""A session that replays a recording at a multiple of its own pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from krator_actors.exchange.errors import ExchangeStartError
from krator_actors.exchange.market import Market, Publish
from krator_actors.exchange.recording import Frame, Recording
from krator_actors.exchange.replay_market import FIRST_OWN_TRADE_ID, ReplayMarket
from krator_actors.exchange.rules import rules_of
from krator_actors.exchange.session import Surroundings
from krator_actors.exchange.venue import Venue
from krator_actors.model import NANOS_PER_SEC

_SHORTEST_SLEEP_SECS = 0.001
_BATCH = 100
"""frames without letting anybody else run"""


class ReplaySession:
    """The recorded symbols. Pacing begins with the first subscriber, so that nothing is missed."""

    mode = "replay"

    def __init__(
        self, directory: Path, *, speed: float, start_at_once: bool, lockstep: bool = False
    ) -> None:
        """Read the recording through; ExchangeStartError names what is broken in it.

        ``lockstep``: no clock paces it; each frame waits for ``step``.
        """
        self._recording = Recording.scan(directory)
        self.symbols = self._recording.symbols
        self._rules = [rules_of(symbol) for symbol in self.symbols]
        self._speed = speed
        self._start_at_once = start_at_once
        self._lockstep = lockstep
        # Who waits for a frame to be sent: how many have heard it, or None at the end.
        self._steps: asyncio.Queue[asyncio.Future[int | None]] = asyncio.Queue()
        self._markets: dict[str, ReplayMarket] = {}
        self._publish: Publish | None = None
        self._started = False
        self._ended = False
        self._frames_done = 0
        self._position_ns = self._recording.first_ns
        self._lag_secs = 0.0

    def open_markets(self, surroundings: Surroundings) -> Mapping[str, Market]:
        """Return the markets, each with the recording's first snapshot as its book."""
        self._publish = surroundings.publish
        for rules in self._rules:
            own_trade_ids = surroundings.ids(f"{rules.symbol}.own", FIRST_OWN_TRADE_ID)
            market = ReplayMarket(rules, own_trade_ids=own_trade_ids)
            snapshot = self._recording.opening.get(rules.symbol)
            if snapshot is not None:
                market.absorb(snapshot)
            self._markets[rules.symbol] = market
        return dict(self._markets)

    async def pace(
        self, venue: Venue, *, heard: asyncio.Event, announce: Callable[[], None]
    ) -> None:
        """Send each frame in its time; returns after the last one."""
        if not self._start_at_once:
            await heard.wait()
        self._started = True
        if self._lockstep:
            await self._pace_by_steps(venue, announce)
            return
        began = time.monotonic()
        batch = 0
        for frame in self._recording.frames():
            due = began + (frame.ts_ns - self._recording.first_ns) / NANOS_PER_SEC / self._speed
            batch += 1
            early = due - time.monotonic()
            if early > 0 or batch >= _BATCH:
                announce()
                await asyncio.sleep(max(early, _SHORTEST_SLEEP_SECS) if early > 0 else 0.0)
                batch = 0
            self._lag_secs = max(0.0, time.monotonic() - due)
            self._send(frame, venue)
        announce()
        self._ended = True

    async def step(self) -> dict[str, Any]:
        """Have the next frame that somebody listens to sent; see ``Session.step``."""
        if not self._lockstep:
            raise ExchangeStartError("a step needs --lockstep")
        if self._ended:
            return {"sent": 0, "ended": True}
        waiting: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._steps.put_nowait(waiting)
        sent = await waiting
        return {"sent": sent or 0, "ended": sent is None}

    async def _pace_by_steps(self, venue: Venue, announce: Callable[[], None]) -> None:
        waiting: asyncio.Future[int | None] | None = None
        for frame in self._recording.frames():
            if waiting is None:
                waiting = await self._steps.get()
            heard = self._send(frame, venue)
            announce()
            if heard:
                waiting.set_result(heard)
                waiting = None
        self._ended = True
        if waiting is not None:
            waiting.set_result(None)
        while not self._steps.empty():
            self._steps.get_nowait().set_result(None)

    def status(self) -> dict[str, Any]:
        """Return how far it has come; ``lag_secs`` is how late the last frame was."""
        recording = self._recording
        length_ns = max(recording.last_ns - recording.first_ns, 1)
        return {
            "ended": self._ended,
            "started": self._started,
            "position": (self._position_ns - recording.first_ns) / length_ns,
            "position_ns": self._position_ns,
            "frames": self._frames_done,
            "frames_total": recording.frame_count,
            "lag_secs": self._lag_secs,
            "speed": self._speed,
        }

    def _send(self, frame: Frame, venue: Venue) -> int:
        self._position_ns = frame.ts_ns
        self._frames_done += 1
        if frame.event is not None:
            venue.absorb(frame.symbol, self._markets[frame.symbol].absorb(frame.event))
        if frame.stream and self._publish is not None:
            return self._publish(frame.stream, frame.raw, frame.combined)
        return 0
