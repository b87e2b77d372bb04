from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from krator_actors.adapters.postgres import (
    JournalConflictError,
    JournalStore,
    JournalUnavailableError,
    StaleJournalError,
)
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages.orders import OrderRejected, OrderSubmitted
from supervisors.messages import Message

AS_AN_INTRUDER = "SET session_replication_role = replica; "
"""Without triggers, which only a superuser can do."""
Pair = tuple[str, RawRecord]
NOW_NS = 1_763_800_000_000_000_000
AT_5, AT_6 = NOW_NS + 5, NOW_NS + 6


def submitted(name: str = "o-1") -> OrderSubmitted:
    return OrderSubmitted(client_order_id=name, symbol="BTC-USDT.SIM", ts_event=7)


def pair(writer: str, number: int, event: Message | None = None) -> Pair:
    event = event or submitted(f"{writer}-{number}")
    body = msgspec.msgpack.encode(event)
    return writer, RawRecord(number, 2, 1_000 + number, type(event).__name__, body)


def pairs(writer: str, numbers: range) -> list[Pair]:
    return [pair(writer, number) for number in numbers]


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[JournalStore]:
    store = await connected(postgres_dsn)
    yield store
    store.terminate()


async def connected(dsn: str, *, generation: int = 1) -> JournalStore:
    return await JournalStore.connect(dsn, generation=generation, now_ns=NOW_NS)


async def stored(dsn: str) -> list[tuple[int, str, int]]:
    reader = await JournalStore.connect_reader(dsn)
    try:
        return [(e.seq, e.writer, e.number) async for e in reader.events()]
    finally:
        await reader.close()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_what_is_appended_is_read_in_order(store: JournalStore) -> None:
    seq = await store.append([pair("a", 1), pair("b", 1), pair("a", 2)], ts_written=AT_5)

    events = [event async for event in store.events()]

    assert seq == 3
    assert [(e.seq, e.writer, e.number) for e in events] == [(1, "a", 1), (2, "b", 1), (3, "a", 2)]
    assert events[2].event == submitted("a-2")
    assert (events[2].generation, events[2].ts_logged, events[2].ts_written) == (
        2,
        1_002,
        NOW_NS + 5,
    )


async def test_watermarks_move_with_the_records(store: JournalStore) -> None:
    await store.append(pairs("a", range(1, 4)), ts_written=AT_5)
    await store.append([*pairs("a", range(4, 6)), pair("b", 1)], ts_written=AT_5)

    marks = await store.watermarks()

    assert {writer: mark.number for writer, mark in marks.items()} == {"a": 5, "b": 1}
    assert (marks["a"].generation, marks["a"].ts_logged) == (2, 1_005)


async def test_records_that_are_there_are_not_stored_again(
    store: JournalStore, postgres_dsn: str
) -> None:
    await store.append(pairs("a", range(1, 4)), ts_written=AT_5)

    assert await store.append(pairs("a", range(1, 4)), ts_written=AT_6) == 3
    assert await store.append(pairs("a", range(2, 6)), ts_written=AT_6) == 5

    assert [number for *_, number in await stored(postgres_dsn)] == [1, 2, 3, 4, 5]
    assert (await store.verify()).fault is None


async def test_gap_is_refused_and_nothing_of_the_batch_is_stored(
    store: JournalStore, postgres_dsn: str
) -> None:
    with pytest.raises(JournalConflictError, match="record 3 of a stands where 2 belongs"):
        await store.append([pair("a", 1), pair("a", 3)], ts_written=AT_5)

    assert await stored(postgres_dsn) == []


async def test_nothing_is_stored_before_commit(store: JournalStore, postgres_dsn: str) -> None:
    blocker = await asyncpg.connect(postgres_dsn)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE krator.writers IN EXCLUSIVE MODE")
        task = asyncio.create_task(store.append([pair("a", 1)], ts_written=AT_5))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not await blocker.fetchval(waiting):
            await asyncio.sleep(0.01)

        assert await stored(postgres_dsn) == []
        assert not task.done()
    await blocker.close()

    assert await task == 1
    assert await stored(postgres_dsn) == [(1, "a", 1)]


async def test_older_journal_is_fenced(store: JournalStore, postgres_dsn: str) -> None:
    await store.append([pair("a", 1)], ts_written=AT_5)
    newer = await connected(postgres_dsn, generation=2)

    with pytest.raises(StaleJournalError, match="generation 2 owns the journal; this is 1"):
        await store.append([pair("a", 2)], ts_written=AT_5)
    await newer.append([pair("a", 2)], ts_written=AT_5)

    with pytest.raises(StaleJournalError):
        await connected(postgres_dsn)
    assert len(await stored(postgres_dsn)) == 2
    newer.terminate()


async def test_two_journals_at_once_double_nothing(postgres_dsn: str) -> None:
    stores = [await connected(postgres_dsn) for _ in range(2)]

    await asyncio.gather(
        *(store.append(pairs("a", range(1, 200)), ts_written=AT_5) for store in stores)
    )

    assert await stored(postgres_dsn) == [(n, "a", n) for n in range(1, 200)]
    assert (await stores[0].verify()).fault is None
    for store in stores:
        store.terminate()


async def test_events_are_read_in_pages_behind_a_number_and_by_type(store: JournalStore) -> None:
    rejected = OrderRejected(client_order_id="o", symbol="S", reason="R", ts_event=1)
    await store.append([*pairs("a", range(1, 2_500)), pair("a", 2_500, rejected)], ts_written=AT_5)

    assert [e.seq async for e in store.events(after_seq=1_200)] == list(range(1_201, 2_501))
    assert [e.seq async for e in store.events(types=OrderRejected)] == [2_500]
    assert [e.event async for e in store.events(2_499, OrderRejected | OrderSubmitted)] == [
        rejected
    ]


async def test_types_outside_the_vocabulary_are_left_out(store: JournalStore) -> None:
    private = RawRecord(1, 1, 1, "PrivateState", msgspec.msgpack.encode({"_": "PrivateState"}))
    await store.append([("a", private), pair("a", 2)], ts_written=AT_5)

    assert [e.number async for e in store.events()] == [2]
    assert (await store.verify()).fault is None


async def test_row_that_cannot_be_decoded_is_named(store: JournalStore) -> None:
    body = msgspec.msgpack.encode({"_": "OrderSubmitted", "of": "another version"})
    await store.append([("a", RawRecord(1, 1, 1, "OrderSubmitted", body))], ts_written=AT_5)

    with pytest.raises(JournalUnavailableError, match=r"row 1 \(OrderSubmitted\) cannot be read"):
        [event async for event in store.events()]


async def test_head_is_the_last_row(store: JournalStore) -> None:
    assert (await store.last()).seq == 0

    await store.append(pairs("a", range(1, 4)), ts_written=AT_5)

    head = await store.last()
    assert (head.seq, head.generation, len(head.hash)) == (3, 1, 32)


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE krator.journal SET body = body || '\\x00' WHERE seq = 2", 2),
        ("UPDATE krator.journal SET client_order_id = 'other' WHERE seq = 3", 3),
        ("UPDATE krator.journal SET ts_event = NULL WHERE seq = 1", 1),
        ("UPDATE krator.journal SET hash = '\\x00' WHERE seq = 1", 1),
        ("DELETE FROM krator.journal WHERE seq = 2", 2),
        ("DELETE FROM krator.journal WHERE seq = 5", 5),
        ("UPDATE krator.writers SET number = 4", 5),
        ("UPDATE krator.owner SET seq = 4", 6),
    ],
)
async def test_tampering_is_found(
    store: JournalStore, postgres_dsn: str, statement: str, seq: int
) -> None:
    await store.append(pairs("a", range(1, 6)), ts_written=AT_5)
    assert (await store.verify()).fault is None

    await execute(postgres_dsn, AS_AN_INTRUDER + statement)

    fault = (await store.verify()).fault
    assert fault is not None
    assert fault.seq == seq


async def test_schema_is_made_once(store: JournalStore, postgres_dsn: str) -> None:
    await store.append([pair("a", 1)], ts_written=AT_5)

    again = await connected(postgres_dsn, generation=2)

    assert (await again.last()).seq == 1
    again.terminate()


async def test_schema_of_a_newer_program_is_refused(store: JournalStore, postgres_dsn: str) -> None:
    await execute(postgres_dsn, "INSERT INTO krator.migrations (version) VALUES (99)")

    with pytest.raises(JournalConflictError, match="schema has version 99"):
        await connected(postgres_dsn, generation=2)


async def test_database_without_a_journal_cannot_be_read(postgres_dsn: str) -> None:
    with pytest.raises(JournalUnavailableError, match="no journal in this database"):
        await JournalStore.connect_reader(postgres_dsn)


async def test_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(JournalUnavailableError):
        await JournalStore.connect(
            "postgresql://krator@/postgres?host=/nowhere", generation=1, now_ns=NOW_NS
        )


async def test_lost_connection_is_unavailable_and_stores_nothing(
    store: JournalStore, postgres_dsn: str
) -> None:
    await store.append([pair("a", 1)], ts_written=AT_5)
    await execute(
        postgres_dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )

    with pytest.raises(JournalUnavailableError):
        await store.append([pair("a", 2)], ts_written=AT_5)
    with pytest.raises(JournalUnavailableError):
        await store.watermarks()

    assert await stored(postgres_dsn) == [(1, "a", 1)]


async def test_password_is_in_no_error(postgres_dsn: str) -> None:
    dsn = postgres_dsn.replace("krator@", "nobody:very-secret@")

    with pytest.raises(JournalUnavailableError) as raised:
        await connected(dsn)

    assert "very-secret" not in str(raised.value)
