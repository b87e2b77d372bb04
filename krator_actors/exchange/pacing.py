"""What makes the synthetic markets go on in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from krator_actors.exchange.synthetic import SyntheticMarket
from krator_actors.exchange.venue import Venue

DEPTH_PERIOD_SECS = 0.1
_SHORTEST_SLEEP_SECS = 0.001
_BATCH = 200
"""actions without letting anybody else run"""
_MOST_BEHIND_SECS = 1.0
"""what is lost when the machine cannot keep up"""


async def pace_synthetic(
    markets: Sequence[SyntheticMarket],
    venue: Venue,
    *,
    ticks_per_sec: float,
    announce: Callable[[], None],
) -> None:
    """Let each market act ``ticks_per_sec`` times a second, for ever."""
    rate = ticks_per_sec * len(markets)
    done = 0
    began = time.monotonic()
    depth_due = began
    while True:
        now = time.monotonic()
        due = int((now - began) * rate) - done
        if due > rate * _MOST_BEHIND_SECS + _BATCH:
            began, done, due = now, 0, 1
        for _ in range(min(due, _BATCH)):
            market = markets[done % len(markets)]
            venue.absorb(market.act())
            done += 1
        if due:
            announce()
        if now >= depth_due:
            depth_due = now + DEPTH_PERIOD_SECS
            for market in markets:
                market.flush_depth()
        wait = 0.0 if due > _BATCH else (done + 1) / rate - (time.monotonic() - began)
        wait = min(wait, depth_due - now)
        await asyncio.sleep(max(wait, 0.0 if due > _BATCH else _SHORTEST_SLEEP_SECS))
