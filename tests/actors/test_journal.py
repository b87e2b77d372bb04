from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from loguru import logger

from krator_actors.adapters.anchors import anchors_file, public_key_file, read_anchors
from krator_actors.adapters.embedded_postgres import EmbeddedPostgres, embedded_dsn
from krator_actors.adapters.journal_schema import DAY_NS
from krator_actors.adapters.local_log import LocalLog, log_path
from krator_actors.adapters.log_segments import committed_number
from krator_actors.adapters.postgres import JournalStore, StaleJournalError
from krator_actors.clock import utc_ns
from krator_actors.core.chain import Anchor
from krator_actors.core.log_frames import RawRecord
from krator_actors.journal import JournalActor, JournalConfig
from krator_actors.messages.operations import (
    JournalStatus,
    JournalStatusRequest,
    LogGrew,
    SystemStarted,
)
from krator_actors.messages.orders import OrderSubmitted
from supervisors.testing import ActorHarness, eventually

WRITERS = ("order:SIM", "risk", "strategy:BTC-USDT.SIM/sma_cross")


def journal(
    folder: Path, dsn: str | None, *, generation: int = 1, batch_limit: int = 50
) -> ActorHarness:
    config = JournalConfig(
        data_dir=folder / "data", dsn=dsn, commit_interval_ms=1, batch_limit=batch_limit
    )
    return ActorHarness(
        JournalActor,
        name="journal",
        config=config,
        generation=generation,
        runtime=folder / "run",
    )


def log_of(folder: Path, writer: str = WRITERS[0], generation: int = 1) -> LocalLog:
    path = log_path(folder / "data", writer)
    return LocalLog.open(path, writer=writer, generation=generation, durability="process")


def append(log: LocalLog, count: int = 1) -> None:
    for _ in range(count):
        name = f"o-{log.last_number + 1}"
        log.append(OrderSubmitted(client_order_id=name, symbol="BTC-USDT.SIM", ts_event=1), ts_ns=1)


async def status(harness: ActorHarness) -> JournalStatus:
    answer = await harness.deliver(JournalStatusRequest(), sender="cli")
    assert isinstance(answer, JournalStatus)
    return answer


def others(watermarks: dict[str, int]) -> dict[str, int]:
    """Leave out the journal's own log."""
    return {writer: number for writer, number in watermarks.items() if writer != "journal"}


async def until(harness: ActorHarness, watermarks: dict[str, int], secs: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + secs
    while others((await status(harness)).watermarks) != watermarks:
        assert asyncio.get_running_loop().time() < deadline, await status(harness)
        await asyncio.sleep(0.01)


async def stored(dsn: str) -> dict[str, list[int]]:
    """Return the numbers of each writer in the order of the journal; the chain must hold."""
    reader = await JournalStore.connect_reader(dsn)
    try:
        assert (await reader.verify()).fault is None
        found: dict[str, list[int]] = {}
        async for event in reader.events(types=OrderSubmitted):
            found.setdefault(event.writer, []).append(event.number)
            assert isinstance(event.event, OrderSubmitted)
            assert event.event.client_order_id == f"o-{event.number}"
    finally:
        await reader.close()
    return found


@pytest.fixture
async def own_postgres(short_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server that the test may kill."""
    server = EmbeddedPostgres(short_dir / "data", short_dir / "run")
    await server.start(timeout_secs=30)
    try:
        yield server
    finally:
        await server.kill()


async def test_what_the_logs_have_and_get_is_journaled(short_dir: Path, postgres_dsn: str) -> None:
    logs = [log_of(short_dir, writer) for writer in WRITERS[:2]]
    append(logs[0], 120)

    async with journal(short_dir, postgres_dsn) as harness:
        append(logs[1], 10)
        await harness.deliver(LogGrew(writer=WRITERS[1]), sender=WRITERS[1])
        await until(harness, {WRITERS[0]: 120, WRITERS[1]: 10})
        with log_of(short_dir, WRITERS[2]) as late:
            append(late, 3)
        await until(harness, {WRITERS[0]: 120, WRITERS[1]: 10, WRITERS[2]: 3})

        answer = await status(harness)
        state = harness.actor.describe_state()

    assert (answer.connected, answer.seq, answer.lag_records) == (True, 134, 0)
    assert (state["connected"], state["seq"], state["watermarks"]) == (True, 134, answer.watermarks)
    assert "postgresql" not in str(state)
    assert await stored(postgres_dsn) == {
        WRITERS[0]: list(range(1, 121)),
        WRITERS[1]: list(range(1, 11)),
        WRITERS[2]: [1, 2, 3],
    }
    for log in logs:
        log.close()


async def test_next_incarnation_continues_where_the_last_one_was(
    short_dir: Path, postgres_dsn: str
) -> None:
    with log_of(short_dir) as log:
        append(log, 70)
        for generation in (1, 2, 3):
            async with journal(short_dir, postgres_dsn, generation=generation) as harness:
                append(log, 30)
                await until(harness, {WRITERS[0]: log.last_number})
            append(log, 5)

        async with journal(short_dir, postgres_dsn, generation=4) as harness:
            await until(harness, {WRITERS[0]: log.last_number})

    assert await stored(postgres_dsn) == {WRITERS[0]: list(range(1, 176))}


async def test_segments_go_when_the_journal_and_their_writer_are_done_with_them(
    short_dir: Path, postgres_dsn: str
) -> None:
    path = log_path(short_dir / "data", WRITERS[0])
    with LocalLog.open(
        path, writer=WRITERS[0], generation=1, durability="process", segment_bytes=2_000
    ) as log:
        append(log, 200)
        before = log.size_bytes
        log.release(200)
        assert log.size_bytes == before
        async with journal(short_dir, postgres_dsn) as harness:
            await until(harness, {WRITERS[0]: 200})
            await harness.stop()
        log.release(200)
        assert log.size_bytes < before
        append(log, 100)

    async with journal(short_dir, postgres_dsn, generation=2) as harness:
        await until(harness, {WRITERS[0]: 300})
    assert await stored(postgres_dsn) == {WRITERS[0]: list(range(1, 301))}


async def test_new_database_is_told_before_anything_is_removed(
    short_dir: Path, postgres_dsn: str
) -> None:
    path = log_path(short_dir / "data", WRITERS[0])
    with log_of(short_dir) as log:
        append(log, 3)
        async with journal(short_dir, postgres_dsn) as harness:
            await until(harness, {WRITERS[0]: 3})
        assert committed_number(path) == 3

        async with journal(short_dir, None, generation=2):
            assert committed_number(path) == 0


async def test_days_that_need_not_be_kept_are_dropped_and_what_is_left_is_proven(
    short_dir: Path, postgres_dsn: str
) -> None:
    data_dir = short_dir / "data"
    old_ns = utc_ns() - 5 * DAY_NS
    store = await JournalStore.connect(postgres_dsn, generation=1, now_ns=old_ns)
    event = OrderSubmitted(client_order_id="o-1", symbol="BTC-USDT.SIM", ts_event=1)
    record = RawRecord(1, 1, 1, "OrderSubmitted", msgspec.msgpack.encode(event))
    await store.append([("gone", record)], ts_written=old_ns)
    store.terminate()
    config = JournalConfig(
        data_dir=data_dir, dsn=postgres_dsn, commit_interval_ms=1, anchor_secs=0.01, keep_days=2
    )
    actor = ActorHarness(
        JournalActor, name="journal", config=config, generation=2, runtime=short_dir / "run"
    )
    async with actor as harness:
        await harness.eventually(lambda: _kinds(data_dir)[-1:] == ["dropped"], timeout_secs=30)
        with log_of(short_dir) as log:
            append(log, 3)
            await until(harness, {WRITERS[0]: 3, "gone": 1})

    reader = await JournalStore.connect_reader(postgres_dsn)
    verdict = await reader.verify(_anchors(data_dir))
    assert verdict.fault is None
    assert "gone" not in [event.writer async for event in reader.events()]
    await reader.close()


def _anchors(data_dir: Path) -> list[Anchor]:
    return read_anchors(anchors_file(data_dir), public_key_file(data_dir))


def _kinds(data_dir: Path) -> list[str]:
    return sorted((a.kind for a in _anchors(data_dir)), key=lambda kind: kind == "dropped")


async def test_configuration_in_force_is_on_record(short_dir: Path, postgres_dsn: str) -> None:
    async with journal(short_dir, postgres_dsn) as harness:
        await harness.eventually(lambda: harness.actor._seq > 0, timeout_secs=30)

    reader = await JournalStore.connect_reader(postgres_dsn)
    (started,) = [event.event async for event in reader.events(types=SystemStarted)]
    await reader.close()

    assert isinstance(started, SystemStarted)
    assert started.configuration_sha256 == hashlib.sha256(b"{}").hexdigest()


async def test_full_disk_keeps_no_event_out_of_the_database(
    short_dir: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with log_of(short_dir) as log:
        append(log, 20)
    (short_dir / "data" / "keys").mkdir(mode=0o700)
    monkeypatch.setattr("krator_actors.journal.write_committed", full)
    monkeypatch.setattr("krator_actors.journal.LocalLog.open", full)
    monkeypatch.setattr("krator_actors.journal.AnchorBook.write", full)

    async with journal(short_dir, postgres_dsn) as harness:
        await until(harness, {WRITERS[0]: 20})


async def test_stop_writes_what_the_logs_still_have(short_dir: Path, postgres_dsn: str) -> None:
    with log_of(short_dir) as log:
        async with journal(short_dir, postgres_dsn) as harness:
            await until(harness, {WRITERS[0]: 0})
            append(log, 500)
            await harness.stop()

    assert await stored(postgres_dsn) == {WRITERS[0]: list(range(1, 501))}


async def test_absent_database_stops_nobody_and_loses_nothing(
    short_dir: Path, postgres_dsn: str
) -> None:
    with log_of(short_dir) as log:
        append(log, 20)
        async with journal(short_dir, None) as harness:
            answer = await status(harness)
            assert (answer.connected, answer.seq) == (False, 0)
            assert others(answer.watermarks) == {WRITERS[0]: 0}
            assert answer.lag_records == 21

    async with journal(short_dir, postgres_dsn, generation=2) as harness:
        await until(harness, {WRITERS[0]: 20})


async def test_breaker_of_an_absent_database_opens_and_is_in_the_status(short_dir: Path) -> None:
    async with journal(short_dir, None) as harness:
        await harness.eventually(lambda: harness.actor._breaker.snapshot().opened > 1)

        assert (await status(harness)).breaker in {"open", "half_open"}
        assert harness.actor._breaker.snapshot().refused > 0


async def test_outage_is_reported_once(short_dir: Path) -> None:
    reported: list[str] = []
    sink = logger.add(lambda message: reported.append(message.record["extra"]["event_type"]))
    try:
        async with journal(short_dir, None) as harness:
            await harness.eventually(lambda: harness.actor._breaker.snapshot().opened > 3)
    finally:
        logger.remove(sink)

    assert reported == ["journal_unavailable", "journal_not_drained"]


async def test_postgres_killed_under_load_costs_nothing_and_doubles_nothing(
    short_dir: Path, own_postgres: EmbeddedPostgres
) -> None:
    server = own_postgres
    logs = [log_of(short_dir, writer) for writer in WRITERS]
    async with journal(short_dir, None, batch_limit=20) as harness:
        for _ in range(4):
            for log in logs:
                append(log, 150)
            seq = (await status(harness)).seq
            await eventually(lambda seq=seq: harness.actor._seq > seq, timeout_secs=30)  # type: ignore[misc]

            os.kill(server.pid, signal.SIGKILL)
            await server.exited()
            for log in logs:
                append(log, 50)
            await eventually(lambda: harness.actor._store is None, timeout_secs=30)
            await server.kill()
            await server.start(timeout_secs=30)

        await until(harness, dict.fromkeys(WRITERS, 800))

    assert await stored(embedded_dsn(short_dir / "run")) == {
        writer: list(range(1, 801)) for writer in WRITERS
    }
    for log in logs:
        log.close()


async def test_hanging_postgres_does_not_keep_the_journal_from_stopping(
    short_dir: Path, own_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krator_actors.journal._DRAIN_SECS", 0.2)
    with log_of(short_dir) as log:
        async with journal(short_dir, None) as harness:
            append(log)
            await until(harness, {WRITERS[0]: 1})
            children = await asyncio.to_thread(stop_all, own_postgres.pid)
            append(log)
            await eventually(lambda: len(harness.actor._follower.batch()) > 0)

            async with asyncio.timeout(10):
                await harness.stop()

        for child in children:
            os.kill(child, signal.SIGCONT)
        async with journal(short_dir, None, generation=2) as harness:
            await until(harness, {WRITERS[0]: 2})


def stop_all(pid: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], check=True, capture_output=True, text=True
    )
    pids = [pid, *map(int, listing.stdout.split())]
    for each in pids:
        os.kill(each, signal.SIGSTOP)
    return pids


async def test_killed_journal_is_continued_by_the_next(short_dir: Path, postgres_dsn: str) -> None:
    with log_of(short_dir) as log:
        append(log, 5_000)
        for generation in range(1, 6):
            await run_and_kill(short_dir, postgres_dsn, generation)
        async with journal(short_dir, postgres_dsn, generation=9) as harness:
            await until(harness, {WRITERS[0]: 5_000})

    assert await stored(postgres_dsn) == {WRITERS[0]: list(range(1, 5_001))}


async def run_and_kill(folder: Path, dsn: str, generation: int) -> None:
    """Run a journal in a process of its own and kill it soon after its first commit."""
    code = f"""
import asyncio, pathlib
from krator_actors.clock import utc_ns
from krator_actors.core.chain import Anchor
from krator_actors.core.log_frames import RawRecord
from krator_actors.journal import JournalActor, JournalConfig
from supervisors.testing import ActorHarness
async def main():
    config = JournalConfig(data_dir=pathlib.Path({str(folder / "data")!r}), dsn={dsn!r},
                           commit_interval_ms=1, batch_limit=100)
    async with ActorHarness(JournalActor, name="journal", config=config,
                            generation={generation}) as harness:
        seq = harness.actor._seq
        await harness.eventually(lambda: harness.actor._seq > seq, timeout_secs=30)
        print("committed", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()


async def test_older_journal_ends_when_a_newer_one_owns_the_database(
    short_dir: Path, postgres_dsn: str
) -> None:
    with log_of(short_dir) as log:
        async with journal(short_dir, postgres_dsn, generation=1) as old:
            append(log)
            await until(old, {WRITERS[0]: 1})
            newer = await JournalStore.connect(postgres_dsn, generation=2, now_ns=1)
            newer.terminate()

            append(log)
            with pytest.raises(StaleJournalError):
                await old.eventually(lambda: False)

    assert await stored(postgres_dsn) == {WRITERS[0]: [1]}


async def test_damaged_log_does_not_keep_the_others_back(
    short_dir: Path, postgres_dsn: str
) -> None:
    with log_of(short_dir, "a") as damaged, log_of(short_dir, "b") as log:
        append(damaged, 3)
        append(log, 1)
        path = log_path(short_dir / "data", "a")
        whole = bytearray(path.read_bytes())
        whole[-1] ^= 1
        path.write_bytes(whole)

        async with journal(short_dir, postgres_dsn) as harness:
            await until(harness, {"a": 2, "b": 1})
            append(log, 1)
            await until(harness, {"a": 2, "b": 2})
