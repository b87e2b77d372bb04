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
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from loguru import logger

from krator_actors.adapters import journal_reader
from krator_actors.adapters.embedded_postgres import EmbeddedPostgres
from krator_actors.adapters.local_log import LogFullError, log_path
from krator_actors.adapters.log_segments import segments_of
from krator_actors.adapters.postgres import (
    JournalReader,
    JournalUnavailableError,
    StaleJournalError,
)
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
    status,
)

if TYPE_CHECKING:
    from loguru import Record

ROOT = Path(__file__).parent.parent.parent


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


async def test_server_restarted_in_order(short_dir: Path, server: EmbeddedPostgres) -> None:
    async with scene(short_dir) as (harness, load):
        await server.stop(timeout_secs=10)
        await outage(harness, load)
        await server.start(timeout_secs=30)


JOURNAL = """
import asyncio, sys
from pathlib import Path
from tests.actors.journal_scene import journal


async def main():
    async with journal(Path(sys.argv[1]), generation=int(sys.argv[2])):
        await asyncio.Event().wait()


asyncio.run(main())
"""


async def test_journal_and_server_killed_together(
    short_dir: Path, server: EmbeddedPostgres
) -> None:
    async with loaded(short_dir / "data") as load:
        for generation in range(1, 4):
            before = load.acknowledged
            killed = subprocess.Popen(
                [sys.executable, "-c", JOURNAL, str(short_dir), str(generation)], cwd=ROOT
            )
            try:
                await stored(short_dir, before)
            finally:
                killed.kill()
            os.kill(server.pid, signal.SIGKILL)
            killed.wait()
            await server.exited()
            await server.kill()
            await server.start(timeout_secs=30)
        async with journal(short_dir, generation=9) as harness:
            await caught_up(harness, load.acknowledged)
    async with journal(short_dir, generation=10) as harness:
        await caught_up(harness, load.acknowledged)
    await everything_is_there_once(short_dir, load.acknowledged)


async def stored(folder: Path, numbers: dict[str, int]) -> None:
    """Wait until the database has more than ``numbers``, asking it itself."""
    async with asyncio.timeout(SECS):
        while True:
            with contextlib.suppress(JournalUnavailableError):
                reader = await JournalReader.connect_reader(dsn_of(folder))
                try:
                    marks = await reader.watermarks()
                finally:
                    reader.terminate()
                if all(w in marks and marks[w].number > n for w, n in numbers.items()):
                    return
            await asyncio.sleep(0.02)


async def test_bit_that_flips_in_a_log_is_reported_and_nothing_behind_it_is_journaled(
    short_dir: Path, server: EmbeddedPostgres
) -> None:
    reports: list[Record] = []
    sink = logger.add(lambda message: reports.append(message.record), level="ERROR")
    try:
        async with loaded(short_dir / "data") as load:
            async with journal(short_dir) as harness:
                await caught_up(harness, dict.fromkeys(WRITERS, 20))
            await load.append(800)
            damaged = segments_of(log_path(short_dir / "data", "risk"))[-2]
            flip_in_the_middle(damaged.path)
            async with journal(short_dir, generation=2) as harness:
                await harness.eventually(lambda: bool(reports), timeout_secs=SECS)
                await load.append(200)
                await caught_up(harness, {**load.acknowledged, "risk": damaged.first})
        whole = load.acknowledged
        async with journal(short_dir, generation=3) as harness:
            await caught_up(harness, {**whole, "risk": damaged.first})
            whole["risk"], newest = (await status(harness)).watermarks["risk"], whole["risk"]
    finally:
        logger.remove(sink)

    assert damaged.first <= whole["risk"] < newest - 200
    assert {report["extra"]["event_type"] for report in reports} == {"log_stopped"}
    assert {report["extra"]["writer"] for report in reports} == {"risk"}
    await everything_is_there_once(short_dir, whole)


def flip_in_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))


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
        try:
            async with asyncio.timeout(SECS):
                await take_every_connection(short_dir, taken)
            await outage(harness, load)
        finally:
            for connection in taken:
                await connection.close()


async def take_every_connection(
    folder: Path, taken: list[asyncpg.Connection[asyncpg.Record]]
) -> None:
    """Until all of them are in ``taken``: whoever had one comes back for it as fast as we do."""
    taken.append(await asyncpg.connect(dsn_of(folder)))
    number = int(await taken[0].fetchval("SHOW max_connections"))
    while len(taken) < number:
        await taken[0].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'krator'"
        )
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await asyncpg.connect(dsn_of(folder)))


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
    await everything_is_there_once(short_dir, load.acknowledged)


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
