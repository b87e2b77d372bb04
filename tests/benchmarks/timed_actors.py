"""The real actors, with a look at the clock where the logs have none.

What they note is kept in memory and written to ``data_dir/bench/<name>.json`` when they stop.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

import msgspec

from krator_actors.adapters.redis_store import RedisStore
from krator_actors.journal import JournalActor
from krator_actors.messages.market import QuoteTick, TradeTick
from krator_actors.messages.orders import OrderEvent, OrderEventTold, OrderInitialized, SubmitOrder
from krator_actors.messages.risk import OrderApproved
from krator_actors.order import OrderActor
from krator_actors.order_ledger import OrderLedger
from krator_actors.publisher import PublisherActor
from krator_actors.risk import RiskActor
from krator_actors.strategy import StrategyActor
from supervisors.brain import Brain
from supervisors.messages import Message


def write_notes(data_dir: Path, name: str, notes: Any) -> None:
    folder = data_dir / "bench"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(notes))


def read_notes(data_dir: Path, name: str) -> Any:
    return msgspec.json.decode((data_dir / "bench" / f"{name}.json").read_bytes())


class TimedOrderActor(OrderActor):
    """Notes when ``OrderInitialized`` was in its log: client order id to UTC ns."""

    async def on_start(self) -> None:
        self._logged: dict[str, int] = {}
        await super().on_start()
        ledger: Any = self._ledger
        ledger.record = self._timed(self._ledger)

    async def on_stop(self) -> None:
        await super().on_stop()
        write_notes(self.config.data_dir, "order", self._logged)

    def _timed(self, ledger: OrderLedger) -> Any:
        record = ledger.record

        def timed(event: OrderEvent) -> OrderEventTold:
            told = record(event)
            if isinstance(event, OrderInitialized):
                self._logged[event.order.client_order_id] = time.time_ns()
            return told

        return timed


class TimedRiskActor(RiskActor):
    """Notes how long (ns) each approval took, from the message's bytes to the reservation."""

    async def on_start(self) -> None:
        self._took_ns: list[int] = []
        self._began_ns = 0
        await super().on_start()
        brain: Any = self.surroundings
        assert isinstance(brain, Brain)
        decode, ledger = brain._decode, self._ledger
        record = ledger.record

        def timed_decode(body: bytes) -> Message:
            began_ns = time.perf_counter_ns()
            message = decode(body)
            if isinstance(message, SubmitOrder):
                self._began_ns = began_ns
            return message

        def timed_record(event: Any) -> bool:
            recorded = record(event)
            if isinstance(event, OrderApproved):
                self._took_ns.append(time.perf_counter_ns() - self._began_ns)
            return recorded

        brain._decode = timed_decode
        ledger.record = timed_record  # type: ignore[method-assign] # only for the clock

    async def on_stop(self) -> None:
        await super().on_stop()
        write_notes(self.config.data_dir, "risk", self._took_ns)


class TimedJournalActor(JournalActor):
    """Notes how long (ns) each commit took that had something to write, and how much it was."""

    async def on_start(self) -> None:
        self._commits: list[tuple[int, int]] = []
        await super().on_start()

    async def on_stop(self) -> None:
        await super().on_stop()
        write_notes(self.config.data_dir, "journal", self._commits)

    async def _commit(self) -> int:
        began_ns = time.perf_counter_ns()
        written = await super()._commit()
        if written:
            self._commits.append((time.perf_counter_ns() - began_ns, written))
        return written


class TimedPublisherActor(PublisherActor):
    """Notes how long (ns) each transaction with events took, until Redis had answered."""

    async def on_start(self) -> None:
        self._took_ns: list[int] = []
        await super().on_start()

    async def on_stop(self) -> None:
        # First, because on a busy machine letting go may take as long as it has.
        write_notes(self.config.data_dir, "publisher", self._took_ns)
        await super().on_stop()

    async def _publish(self, store: RedisStore) -> bool:
        began_ns = time.perf_counter_ns()
        wrote = await super()._publish(store)
        if wrote:
            self._took_ns.append(time.perf_counter_ns() - began_ns)
        return wrote


class CountingStrategyActor(StrategyActor):
    """Counts the ticks it has handled where the venue can see them: ``data_dir/counter``."""

    async def on_start(self) -> None:
        with (self.config.data_dir / "counter").open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        # Each strategy has a place of its own, by its symbol's place among the configured ones.
        self._offset = 8 * int(os.environ[f"KRATOR_BENCH_{self.config.strategy.symbol}"])
        (self._ticks,) = struct.unpack_from("<Q", self._memory, self._offset)
        await super().on_start()

    async def receive(self, message: Message, sender: str) -> None:
        await super().receive(message, sender)
        if isinstance(message, TradeTick | QuoteTick):
            self._ticks += 1
            struct.pack_into("<Q", self._memory, self._offset, self._ticks)
