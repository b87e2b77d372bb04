"""Whatever PostgreSQL does under load, every acknowledged event ends up there once and in order.

A real server, which the tests break; events go on being appended while it is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from krator_actors.adapters import journal_reader
from krator_actors.adapters.embedded_postgres import EmbeddedPostgres
from krator_actors.adapters.local_log import LogFullError
from krator_actors.adapters.postgres import StaleJournalError
from krator_actors.messages.orders import OrderSubmitted
from tests.actors.journal_scene import (
    SECS,
    WRITERS,
    Load,
    caught_up,
    dsn_of,
    everything_is_there_once,
    execute,
    journal,
    loaded,
    outage,
    scene,
    served,
)


@pytest.fixture
async def server(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EmbeddedPostgres]:
    """A server of the test's own; what hangs is given up soon."""
    monkeypatch.setattr(journal_reader, "COMMAND_TIMEOUT_SECS", 1.0)
    async with served(short_dir) as made:
        yield made


async def test_server_killed_and_started_again(short_dir: Path, server: EmbeddedPostgres) -> None:
    async with scene(short_dir) as (harness, load):
        for _ in range(2):
            os.kill(server.pid, signal.SIGKILL)
            await server.exited()
            await outage(harness, load)
            await server.kill()
            await server.start(timeout_secs=30)
            await caught_up(harness, load.acknowledged)


async def test_server_that_hangs(short_dir: Path, server: EmbeddedPostgres) -> None:
    async with scene(short_dir) as (harness, load):
        pids = stopped(server.pid)
        try:
            await outage(harness, load)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


async def test_server_that_is_slow(short_dir: Path, server: EmbeddedPostgres) -> None:
    async with scene(short_dir) as (harness, load):
        await execute(
            short_dir,
            "CREATE FUNCTION krator.dawdle() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$",
            "CREATE TRIGGER dawdle AFTER INSERT ON krator.journal"
            " FOR EACH STATEMENT EXECUTE FUNCTION krator.dawdle()",
        )
        before = load.acknowledged
        await load.append(100)
        await caught_up(harness, before)
        await execute(short_dir, "DROP TRIGGER dawdle ON krator.journal")


@pytest.mark.parametrize("table", ["journal", "owner", "writers"])
async def test_table_that_another_session_has_locked(
    short_dir: Path, server: EmbeddedPostgres, table: str
) -> None:
    async with scene(short_dir) as (harness, load):
        connection = await asyncpg.connect(dsn_of(short_dir))
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE krator.{table} IN ACCESS EXCLUSIVE MODE")
            await outage(harness, load)
        await connection.close()


async def test_server_without_a_connection_to_spare(
    short_dir: Path, server: EmbeddedPostgres
) -> None:
    async with scene(short_dir) as (harness, load):
        taken: list[asyncpg.Connection[asyncpg.Record]] = []
        await execute(
            short_dir,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'krator'",
        )
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await asyncpg.connect(dsn_of(short_dir)))
        await taken[0].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'krator'"
        )
        taken += [
            await asyncpg.connect(dsn_of(short_dir))
            for _ in range(await free_connections(taken[0]))
        ]
        try:
            await outage(harness, load)
        finally:
            for connection in taken:
                await connection.close()


async def free_connections(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    free: int = await connection.fetchval(
        "SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend'"
    )
    return free


async def test_server_that_became_read_only(short_dir: Path, server: EmbeddedPostgres) -> None:
    async with scene(short_dir) as (harness, load):
        await execute(
            short_dir,
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        )
        await outage(harness, load)
        await execute(
            short_dir,
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )


async def test_connection_that_is_ended_again_and_again(
    short_dir: Path, server: EmbeddedPostgres
) -> None:
    async with scene(short_dir) as (_, load):
        for _ in range(20):
            await execute(
                short_dir,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND application_name = 'krator'",
            )
            await load.append(10)


async def test_two_journals_by_mistake(short_dir: Path, server: EmbeddedPostgres) -> None:
    async with loaded(short_dir / "data") as load:
        with pytest.raises(StaleJournalError):
            await overtaken(short_dir, load)
    async with journal(short_dir, generation=3) as harness:
        await caught_up(harness, load.acknowledged)
    await everything_is_there_once(short_dir, load)


async def overtaken(folder: Path, load: Load) -> None:
    """Run a journal until a newer one has taken its place; raises what ends it."""
    async with journal(folder) as older:
        await caught_up(older, dict.fromkeys(WRITERS, 20))
        async with journal(folder, generation=2) as newer:
            await caught_up(newer, load.acknowledged)
            await older.eventually(lambda: False, timeout_secs=SECS)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 96 MB; skips where one may not be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="krd", dir="/tmp"))
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        shutil.rmtree(folder)
        pytest.skip("a small file system cannot be mounted here (needs the right to mount)")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "-l", str(folder)], check=True)
        folder.rmdir()


def stopped(pid: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], check=True, capture_output=True, text=True
    )
    pids = [pid, *map(int, listing.stdout.split())]
    for each in pids:
        os.kill(each, signal.SIGSTOP)
    return pids


async def test_server_whose_disk_is_full(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_reader, "COMMAND_TIMEOUT_SECS", 2.0)
    logs = Path(tempfile.mkdtemp(prefix="krl", dir="/tmp"))
    (small_disk / "data").mkdir()
    for name in ("log", "anchors", "keys"):
        (logs / name).mkdir()
        (small_disk / "data" / name).symlink_to(logs / name)
    server = EmbeddedPostgres(small_disk / "data", small_disk / "run")
    await server.start(timeout_secs=30)
    try:
        async with scene(small_disk) as (harness, load):
            filler = small_disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            for _ in range(400):
                if harness.actor._outage_began is not None:
                    break
                await load.append(100)
                await asyncio.sleep(0.02)
            await outage(harness, load)
            filler.unlink()
            if server._server is None or server._server.has_exited:
                await server.kill()
                await server.start(timeout_secs=30)
    finally:
        await server.kill()
        shutil.rmtree(logs)


async def test_log_disk_that_is_full_acknowledges_nothing_and_tears_nothing(
    short_dir: Path, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(short_dir) as (_, load):
        log = load.logs["risk"]
        event = OrderSubmitted(client_order_id="never", symbol="S", ts_event=1)
        write = os.write

        def full(descriptor: int, data: bytes) -> int:
            return write(descriptor, data[:7])

        for _ in range(50):
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", full)
                with pytest.raises(LogFullError):
                    log.append(event, ts_ns=1)
            await load.append(3)
