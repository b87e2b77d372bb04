"""Trades that are missing: waited for, fetched from the venue, or declared as lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from krator_actors import clock
from krator_actors.core.trade_flow import unseen_gap
from krator_actors.market_reader import MarketReader
from krator_actors.symbol_watch import SymbolWatch

_GRACE_SECS: Final = 0.05
"""For so long a hole may be mere disorder, or on its way on another connection."""
_AGAIN_SECS: Final = 0.2
"""A venue's REST API may be a moment behind its streams."""

_CATCH_UP: Final = 1_000
"""So many trades are asked for; as many in the answer may not be all."""


class GapFiller:
    """One task a hole. While a hole is open its symbol is not fresh.

    Args:
        limit_secs: a hole that is not filled by then stays.
        start: ``Actor.start_task``.
    """

    def __init__(
        self,
        reader: MarketReader,
        *,
        limit_secs: float,
        start: Callable[[Coroutine[Any, Any, None], str], object],
    ) -> None:
        self._reader = reader
        self._limit_secs = limit_secs
        self._start = start
        # Symbols that a task is at work for.
        self._filling: set[str] = set()

    def on_hole(self, watch: SymbolWatch) -> None:
        """Begin to fill it, unless that is under way."""
        if watch.symbol not in self._filling:
            self._filling.add(watch.symbol)
            self._start(self._fill(watch), f"fill {watch.symbol}")

    def on_reconnected(self, watch: SymbolWatch) -> None:
        """Fetch what was missed where ids do not say what is missing."""
        self._start(self._catch_up(watch), f"catch up {watch.symbol}")

    async def _fill(self, watch: SymbolWatch) -> None:
        flow = watch.flow
        await asyncio.sleep(_GRACE_SECS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limit_secs
        while flow.hole_since_ns is not None:
            watch.freshness.has_hole = True
            watch.review(clock.monotonic_ns())
            last = flow.last
            assert last is not None
            found = await self._reader.trades_after(last, flow.missing)
            watch.tell(flow.on_fetched(found or ()))
            if found is None or loop.time() > deadline:
                watch.tell(flow.give_up())
                deadline = loop.time() + self._limit_secs
            elif flow.hole_since_ns is not None:
                await asyncio.sleep(_AGAIN_SECS)
        self._filling.discard(watch.symbol)
        watch.freshness.has_hole = False
        watch.review(clock.monotonic_ns())

    async def _catch_up(self, watch: SymbolWatch) -> None:
        last = watch.flow.last
        if last is None:
            return
        found = await self._reader.trades_after(last, _CATCH_UP)
        if found is None or len(found) >= _CATCH_UP:
            watch.tell((unseen_gap(last, "RECONNECTED"),))
        watch.tell(watch.flow.on_fetched(found or ()))
