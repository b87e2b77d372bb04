"""A session of synthetic markets: seeded order flow, in real time, without an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from krator_actors.exchange.errors import ExchangeStartError
from krator_actors.exchange.market import Market
from krator_actors.exchange.rules import rules_of
from krator_actors.exchange.session import Surroundings
from krator_actors.exchange.synthetic import MarketIds, SyntheticMarket
from krator_actors.exchange.venue import Venue

DEPTH_PERIOD_SECS = 0.1
_SHORTEST_SLEEP_SECS = 0.001
_BATCH = 200
"""actions without letting anybody else run"""
_MOST_BEHIND_SECS = 1.0
"""what is left out when the machine cannot keep up"""


class SyntheticSession:
    """Markets of the named symbols, each acting ``ticks_per_sec`` times a second."""

    mode = "synthetic"

    def __init__(self, symbols: tuple[str, ...], *, seed: int, ticks_per_sec: float) -> None:
        """ExchangeStartError when a symbol is not listed."""
        self.symbols = symbols
        self._rules = [rules_of(symbol) for symbol in symbols]
        self._seed = seed
        self._ticks_per_sec = ticks_per_sec
        self._markets: list[SyntheticMarket] = []
        self._skipped = 0

    def open_markets(self, surroundings: Surroundings) -> Mapping[str, Market]:
        """Return the markets, with books and fifteen minutes of klines."""
        for rules in self._rules:
            market = SyntheticMarket(
                rules,
                seed=self._seed,
                epoch_ns=surroundings.epoch_ns,
                ids=MarketIds(
                    trades=surroundings.ids(f"{rules.symbol}.trade", 1),
                    updates=surroundings.ids(f"{rules.symbol}.update", 1),
                ),
                clock_ns=time.time_ns,
                publish=surroundings.publish,
            )
            market.begin()
            self._markets.append(market)
        return {market.rules.symbol: market for market in self._markets}

    async def pace(
        self, venue: Venue, *, heard: asyncio.Event, announce: Callable[[], None]
    ) -> None:
        """Let each market act in turn, for ever; it does not wait for listeners."""
        del heard
        rate = self._ticks_per_sec * len(self._markets)
        done = 0
        began = depth_due = time.monotonic()
        while True:
            now = time.monotonic()
            due = int((now - began) * rate) - done
            if due > rate * _MOST_BEHIND_SECS + _BATCH:
                self._skipped += due
                began, done, due = now, 0, 0
            for _ in range(min(due, _BATCH)):
                market = self._markets[done % len(self._markets)]
                venue.absorb(market.rules.symbol, market.act())
                done += 1
            announce()
            if now >= depth_due:
                depth_due = now + DEPTH_PERIOD_SECS
                for market in self._markets:
                    market.flush_depth()
            if due > _BATCH:
                await asyncio.sleep(0)
                continue
            wait = min(began + (done + 1) / rate, depth_due) - time.monotonic()
            await asyncio.sleep(max(wait, _SHORTEST_SLEEP_SECS))

    async def step(self) -> dict[str, Any]:
        """Refuse: its clock is real."""
        raise ExchangeStartError("a synthetic market takes no steps")

    def status(self) -> dict[str, Any]:
        """Return that it goes on, and how many ticks the machine was too slow for."""
        return {"ended": False, "position": 0.0, "skipped_ticks": self._skipped}
