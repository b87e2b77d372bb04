"""The recorder actor: keeps trades and one-minute bars in PostgreSQL, when that is configured.

The feed tells it what it tells strategies. It never makes the feed wait: what the database does not
take in time makes room for what is newer, and is counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors.adapters.embedded_postgres import embedded_dsn
from krator_actors.adapters.journal_reader import JournalUnavailableError
from krator_actors.adapters.market_store import MarketStore
from krator_actors.core.bars import BarBuilder
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import (
    Bar,
    Instruments,
    MarketDataGap,
    MarketStatus,
    QuoteTick,
    TradeTick,
)
from supervisors.actor import Actor
from supervisors.messages import Message

_BARS = BarSpec(1, BarUnit.MINUTE)
_RETRY_SECS = 5.0


class RecorderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is kept."""

    data_dir: Path
    dsn: str | None = None
    """None: the embedded server in this system's runtime folder"""
    flush_secs: float = 1.0
    """how long trades gather before they are written together"""
    waiting_limit: int = 100_000
    """trades that wait for the database; more make room from the oldest on"""


class RecorderActor(Actor):
    """Ready at once; PostgreSQL may come later."""

    inbox: ClassVar[Any] = TradeTick | QuoteTick | MarketStatus | MarketDataGap | Instruments
    config: RecorderConfig

    async def on_start(self) -> None:
        """Begin to gather."""
        self._ticks: deque[TradeTick] = deque(maxlen=self.config.waiting_limit)
        self._bars: deque[Bar] = deque(maxlen=self.config.waiting_limit)
        self._builders: dict[str, BarBuilder] = {}
        # Trades that made room, and those that are in the database.
        self.left_out = 0
        self.written = 0
        self.start_task(self._run(), name="record")

    async def receive(self, message: Message, sender: str) -> None:  # noqa: ARG002 - names are in the messages
        """Keep a trade; the rest is for strategies."""
        if isinstance(message, TradeTick):
            self.left_out += len(self._ticks) == self.config.waiting_limit
            self._ticks.append(message)
            builder = self._builders.get(message.symbol)
            if builder is None:
                builder = self._builders[message.symbol] = BarBuilder(message.symbol, _BARS)
            if (bar := builder.on_trade(message)) is not None:
                self._bars.append(bar)
        elif isinstance(message, MarketDataGap):
            # A bar with a hole in it would pass for a whole one.
            self._builders.pop(message.symbol, None)

    async def _run(self) -> None:
        dsn = self.config.dsn or embedded_dsn(self.runtime)
        reported = False
        while True:
            try:
                store = await MarketStore.connect(dsn)
                try:
                    reported = False
                    await self._write(store)
                finally:
                    store.terminate()
            except JournalUnavailableError as error:
                if not reported:
                    logger.bind(event_type="market_not_kept", reason=str(error)).warning(
                        "trades are not kept until PostgreSQL answers"
                    )
                reported = True
                await asyncio.sleep(_RETRY_SECS)

    async def _write(self, store: MarketStore) -> None:
        while True:
            ticks, bars = list(self._ticks), list(self._bars)
            if ticks or bars:
                left_out = self.left_out
                await store.write(ticks, bars)
                self.written += len(ticks)
                # While it was written, newer ones may have pushed the first of them out.
                pushed = self.left_out - left_out
                for _ in range(min(len(ticks) - pushed, len(self._ticks))):
                    self._ticks.popleft()
                for _ in bars:
                    self._bars.popleft()
                self.left_out -= min(pushed, len(ticks))
            await asyncio.sleep(self.config.flush_secs)
