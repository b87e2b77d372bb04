from __future__ import annotations

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


async def test_ready_means_that_postgres_answers_and_stop_that_it_has_gone(short_dir: Path) -> None:
    async with storage(short_dir) as harness:
        connection = await asyncpg.connect(embedded_dsn(short_dir / "run"))
        pid = harness.actor._server.pid
        state = harness.actor.describe_state()
        assert state["server_pid"] == pid
        assert state["start_secs"] > 0
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

    async with storage(short_dir):
        connection = await asyncpg.connect(embedded_dsn(short_dir / "run"))
        await connection.close()


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
