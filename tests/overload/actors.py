"""Who listens to a feed, as fast as told, and writes down what it heard."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from krator_actors.messages.incidents import StallDetected
from krator_actors.messages.market import (
    Instruments,
    MarketDataGap,
    MarketStatus,
    QuoteTick,
    TradeSummary,
    TradeTick,
)
from supervisors.actor import Actor
from supervisors.messages import Message

_WRITE_SECS = 0.1


class Heard(msgspec.Struct, kw_only=True):
    """What a listener has handled so far."""

    quotes: int = 0
    newest_quote: int = 0
    """its update id, which counts all ticks of the venue"""
    trades: int = 0
    left_out: int = 0
    """trades that were declared missing"""
    gaps: int = 0
    unsaid: int = 0
    """trades that are missing, and nobody said so"""
    next_id: int = 0


class ListenerConfig(msgspec.Struct, frozen=True):
    folder: Path
    pause_secs: float = 0.0
    """how long each message takes"""


class Listener(Actor):
    """A strategy as the feed sees it."""

    inbox: ClassVar[Any] = (
        QuoteTick
        | TradeTick
        | MarketDataGap
        | MarketStatus
        | Instruments
        | TradeSummary
        | StallDetected
    )
    config: ListenerConfig

    async def on_start(self) -> None:
        self._heard = Heard()
        self.start_task(self._keep_writing(), name="write")

    async def receive(self, message: Message, sender: str) -> None:
        heard = self._heard
        if isinstance(message, QuoteTick):
            heard.quotes += 1
            heard.newest_quote = message.update_id
        elif isinstance(message, TradeTick):
            heard.unsaid += message.trade_id - (heard.next_id or message.trade_id)
            heard.trades += 1
            heard.next_id = message.trade_id + 1
        elif isinstance(message, MarketDataGap):
            heard.unsaid += message.first_id - (heard.next_id or message.first_id)
            heard.gaps += 1
            heard.left_out += message.count
            heard.next_id = message.last_id + 1
        if self.config.pause_secs:
            await asyncio.sleep(self.config.pause_secs)

    async def _keep_writing(self) -> None:
        path = self.config.folder / f"{self.name.rpartition('/')[2]}.json"
        while True:
            fresh = path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(self._heard))
            fresh.rename(path)
            await asyncio.sleep(_WRITE_SECS)
