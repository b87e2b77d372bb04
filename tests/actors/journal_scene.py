"""A journal under load before a real PostgreSQL that its tests may break."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from krator_actors.adapters.anchors import anchors_file, public_key_file, read_anchors
from krator_actors.adapters.embedded_postgres import EmbeddedPostgres, embedded_dsn
from krator_actors.adapters.local_log import LocalLog, log_path
from krator_actors.adapters.postgres import JournalReader
from krator_actors.journal import JournalActor, JournalConfig
from krator_actors.messages.operations import JournalStatus, JournalStatusRequest
from krator_actors.messages.orders import OrderSubmitted
from supervisors.testing import ActorHarness

WRITERS = ("order:SIM", "risk", "strategy:BTC-USDT.SIM/sma_cross")
SEGMENT_BYTES = 20_000
SECS = 40


class Load:
    """Three writers that append all the time, in small segments."""

    def __init__(self, data_dir: Path) -> None:
        self.logs = {
            writer: LocalLog.open(
                log_path(data_dir, writer),
                writer=writer,
                generation=1,
                durability="process",
                segment_bytes=SEGMENT_BYTES,
            )
            for writer in WRITERS
        }

    @property
    def acknowledged(self) -> dict[str, int]:
        return {writer: log.last_number for writer, log in self.logs.items()}

    async def append(self, count: int) -> None:
        for _ in range(count):
            for log in self.logs.values():
                name = f"o-{log.last_number + 1}"
                event = OrderSubmitted(client_order_id=name, symbol="BTC-USDT.SIM", ts_event=1)
                log.append(event, ts_ns=log.last_number + 1)
                log.release(log.last_number)
            await asyncio.sleep(0)

    async def go_on(self) -> None:
        while True:
            await self.append(5)
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def loaded(data_dir: Path) -> AsyncIterator[Load]:
    """A load that goes on until the context ends."""
    load = Load(data_dir)
    task = asyncio.create_task(load.go_on())
    try:
        yield load
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for log in load.logs.values():
            log.close()


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own over ``folder``."""
    made = EmbeddedPostgres(folder / "data", folder / "run")
    await made.start(timeout_secs=30)
    try:
        await execute(folder, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield made
    finally:
        await made.kill()


def dsn_of(folder: Path) -> str:
    return embedded_dsn(folder / "run")


def journal(folder: Path, *, generation: int = 1, dsn: str | None = None) -> ActorHarness:
    """A journal over ``folder``; None: into the embedded server there."""
    config = JournalConfig(
        data_dir=folder / "data",
        dsn=dsn,
        commit_interval_ms=1,
        batch_limit=50,
        anchor_secs=0.05,
    )
    return ActorHarness(
        JournalActor,
        name="journal",
        config=config,
        generation=generation,
        runtime=folder / "run",
    )


async def execute(folder: Path, *statements: str) -> None:
    connection = await asyncpg.connect(dsn_of(folder))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def status(harness: ActorHarness) -> JournalStatus:
    answer = await harness.deliver(JournalStatusRequest(), sender="cli")
    assert isinstance(answer, JournalStatus)
    return answer


async def caught_up(harness: ActorHarness, numbers: dict[str, int]) -> None:
    """Wait until the database has at least ``numbers``."""
    async with asyncio.timeout(SECS):
        while True:
            answer = await status(harness)
            if all(answer.watermarks.get(w, 0) >= n for w, n in numbers.items()):
                return
            await asyncio.sleep(0.02)


async def outage(harness: ActorHarness, load: Load) -> None:
    """Wait until the journal has noticed it, and then until much more was appended."""
    await harness.eventually(lambda: harness.actor._outage_began is not None, timeout_secs=SECS)
    await load.append(200)


async def everything_is_there_once(folder: Path, numbers: dict[str, int]) -> None:
    """Fail unless the database has these records of each writer, in order, and the chain holds."""
    reader = await JournalReader.connect_reader(dsn_of(folder))
    try:
        data_dir = folder / "data"
        anchors = read_anchors(anchors_file(data_dir), public_key_file(data_dir))
        verdict = await reader.verify(anchors)
        found: dict[str, list[str]] = {writer: [] for writer in WRITERS}
        async for entry in reader.events(types=OrderSubmitted):
            assert isinstance(entry.event, OrderSubmitted)
            found[entry.writer].append(entry.event.client_order_id)
    finally:
        await reader.close()
    assert verdict.fault is None
    assert verdict.anchored_seq > 0
    assert found == {
        writer: [f"o-{n}" for n in range(1, number + 1)] for writer, number in numbers.items()
    }


@contextlib.asynccontextmanager
async def scene(folder: Path, dsn: str | None = None) -> AsyncIterator[tuple[ActorHarness, Load]]:
    """A journal under load; afterwards everything must be in the database, once and in order."""
    async with loaded(folder / "data") as load, journal(folder, dsn=dsn) as harness:
        await caught_up(harness, dict.fromkeys(WRITERS, 20))

        yield harness, load

        await caught_up(harness, load.acknowledged)
    async with journal(folder, generation=9) as harness:
        await caught_up(harness, load.acknowledged)
    await everything_is_there_once(folder, load.acknowledged)
