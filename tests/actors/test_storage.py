from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from pathlib import Path

import asyncpg
import psutil
import pytest

from krator_actors.adapters.embedded_postgres import EmbeddedPostgresError, embedded_dsn
from krator_actors.storage import PostgresDiedError, StorageActor, StorageConfig, StorageMessage
from supervisors.testing import ActorHarness


def storage(folder: Path) -> ActorHarness:
    return ActorHarness(
        StorageActor,
        name="storage",
        config=StorageConfig(data_dir=folder / "data"),
        runtime=folder / "run",
    )


async def answering(harness: ActorHarness, folder: Path) -> asyncpg.Connection:
    """Return a connection, once the server takes it."""
    connections: list[asyncpg.Connection] = []

    async def connect() -> None:
        while not connections:
            try:
                connections.append(await asyncpg.connect(embedded_dsn(folder / "run")))
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)

    task = asyncio.ensure_future(connect())
    await harness.eventually(task.done, timeout_secs=30)
    return connections[0]


async def test_first_start_is_ready_when_postgres_answers_and_stop_when_it_has_gone(
    short_dir: Path,
) -> None:
    async with storage(short_dir) as harness:
        connection = await asyncpg.connect(embedded_dsn(short_dir / "run"))
        pid = harness.actor._server.pid
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()

    assert not psutil.pid_exists(pid)


async def test_death_of_postgres_crashes_the_actor_and_the_next_one_recovers(
    short_dir: Path,
) -> None:
    async with storage(short_dir) as harness:
        os.kill(harness.actor._server.pid, signal.SIGKILL)

        with pytest.raises(PostgresDiedError, match="status -9"):
            await harness.eventually(lambda: False)

    async with storage(short_dir) as harness:
        await (await answering(harness, short_dir)).close()


async def test_later_starts_wait_for_no_server(short_dir: Path) -> None:
    async with storage(short_dir):
        pass
    # What is left of an earlier server, and hangs, keeps the cluster locked.
    with (short_dir / "data" / "postgres.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        async with storage(short_dir) as harness:
            assert harness.actor._server.pid == 0

            fcntl.flock(lock, fcntl.LOCK_UN)
            await (await answering(harness, short_dir)).close()


async def test_postgres_that_cannot_start_says_why(short_dir: Path) -> None:
    (short_dir / "data" / "postgres").mkdir(parents=True)

    with pytest.raises(EmbeddedPostgresError, match="is not a PostgreSQL cluster"):
        async with storage(short_dir):
            pass


async def test_nobody_has_anything_to_say_to_it(short_dir: Path) -> None:
    harness = storage(short_dir)

    async with harness:
        with pytest.raises(TypeError, match="storage has no use for StorageMessage of cli"):
            await harness.deliver(StorageMessage(), sender="cli")

    # A crashed actor's process ends, and PostgreSQL with it; this one is the test's.
    await harness.actor._server.kill()
