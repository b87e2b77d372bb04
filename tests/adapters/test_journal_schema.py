from __future__ import annotations

from pathlib import Path

import asyncpg
import msgspec
import pytest

from krator_actors.adapters.anchors import AnchorBook, public_key_file, read_anchors
from krator_actors.adapters.journal_schema import (
    DAY_NS,
    DAYS_AHEAD,
    MIGRATIONS,
    make_partitions,
    migrate,
    partitions,
)
from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.chain import GENESIS, next_hash, row_of
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages.orders import OrderSubmitted

NOW_NS = 1_763_800_000_000_000_000
TODAY_NS = NOW_NS // DAY_NS * DAY_NS


def record(number: int) -> RawRecord:
    event = OrderSubmitted(client_order_id=f"o-{number}", symbol="BTC-USDT.SIM", ts_event=number)
    return RawRecord(number, 1, number, "OrderSubmitted", msgspec.msgpack.encode(event))


def batch(*numbers: int) -> list[tuple[str, RawRecord]]:
    return [("a", record(number)) for number in numbers]


async def connect(dsn: str, now_ns: int = NOW_NS) -> JournalStore:
    return await JournalStore.connect(dsn, generation=1, now_ns=now_ns)


async def make_version_1(dsn: str, rows: int) -> None:
    """Make the journal that the program before this one has left."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE SCHEMA krator; CREATE TABLE krator.migrations"
        " (version int PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now());"
        + MIGRATIONS[0]
        + "INSERT INTO krator.migrations (version) VALUES (1)"
    )
    digest = GENESIS
    for number in range(1, rows + 1):
        row = msgspec.structs.replace(
            row_of(record(number), seq=number, writer="a", ts_written=NOW_NS),
            correlation_id=None,
            causation_id=None,
            format=1,
        )
        digest = next_hash(digest, row)
        values = msgspec.structs.astuple(row)[:11]
        await connection.execute(
            "INSERT INTO krator.journal VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            *values,
            digest,
        )
    await connection.execute("UPDATE krator.owner SET seq = $1, hash = $2", rows, digest)
    if rows:
        await connection.execute(
            "INSERT INTO krator.writers VALUES ('a', $1::bigint, 1, $1::bigint)", rows
        )
    await connection.close()


@pytest.mark.parametrize("rows", [0, 5])
async def test_journal_of_version_1_goes_on_and_its_chain_holds(
    postgres_dsn: str, rows: int
) -> None:
    await make_version_1(postgres_dsn, rows)

    store = await connect(postgres_dsn)
    await store.append(batch(*range(1, rows + 4)), ts_written=NOW_NS + 1)

    verdict = await store.verify()
    assert (verdict.fault, verdict.rows) == (None, rows + 3)
    assert [e.number async for e in store.events()] == list(range(1, rows + 4))
    assert [e.number for e in await store.story("o-2")] == [2]
    store.terminate()


async def test_migrating_twice_changes_nothing(postgres_dsn: str) -> None:
    (await connect(postgres_dsn)).terminate()
    connection = await asyncpg.connect(postgres_dsn)
    before = await partitions(connection)

    async with connection.transaction():
        await migrate(connection, now_ns=NOW_NS)
        await make_partitions(connection, now_ns=NOW_NS)

    assert await partitions(connection) == before
    await connection.close()


async def test_days_ahead_have_their_partitions_without_a_gap(postgres_dsn: str) -> None:
    (await connect(postgres_dsn)).terminate()
    connection = await asyncpg.connect(postgres_dsn)

    found = await partitions(connection)

    assert found[0].begin_ns is None
    assert [p.begin_ns for p in found[1:]] == [p.end_ns for p in found[:-1]]
    assert found[-1].end_ns == TODAY_NS + (DAYS_AHEAD + 1) * DAY_NS
    await connection.close()


async def test_journal_goes_on_over_days_and_after_a_long_pause(postgres_dsn: str) -> None:
    store = await connect(postgres_dsn)
    for number, day in enumerate((0, 1, 5, 9, 40), 1):
        await store.append(batch(number), ts_written=NOW_NS + day * DAY_NS)

    assert [e.number async for e in store.events()] == [1, 2, 3, 4, 5]
    assert (await store.verify()).fault is None
    store.terminate()


async def test_clock_that_was_set_back_does_not_set_the_journal_back(postgres_dsn: str) -> None:
    store = await connect(postgres_dsn)
    await store.append(batch(1), ts_written=NOW_NS + DAY_NS)

    await store.append(batch(2), ts_written=NOW_NS)

    assert [e.ts_written async for e in store.events()] == [NOW_NS + DAY_NS] * 2
    assert (await store.verify()).fault is None
    store.terminate()


async def test_old_days_are_dropped_and_the_rest_is_verified_from_the_anchor(
    postgres_dsn: str, tmp_path: Path
) -> None:
    book = AnchorBook(tmp_path, {})
    store = await connect(postgres_dsn)
    dropped = []
    for number, day in enumerate((0, 1, 2, 3, 4), 1):
        await store.append([*batch(number), (f"w-{day}", record(1))], ts_written=day_ns(day))
        book.write(await store.anchor(now_ns=day_ns(day)))

    for before in (2, 3):
        known = [a for a in anchors_of(tmp_path) if a.kind == "dropped"]
        anchor = await store.dropped_by(TODAY_NS + before * DAY_NS, known[-1] if known else None)
        assert anchor is not None
        book.write(anchor)
        dropped.append(await store.drop(anchor))

    assert dropped == [2, 1]
    assert [e.seq async for e in store.events()] == [7, 8, 9, 10]
    verdict = await store.verify(anchors_of(tmp_path))
    assert (verdict.fault, verdict.rows, verdict.anchored_seq) == (None, 4, 10)
    fault = (await store.verify()).fault
    assert fault is not None
    assert fault.reason == "rows 1 to 6 are missing; row 7 follows"
    store.terminate()


async def test_day_is_not_dropped_before_its_anchor_says_so(postgres_dsn: str) -> None:
    store = await connect(postgres_dsn)
    await store.append(batch(1), ts_written=NOW_NS)
    await store.append(batch(2), ts_written=NOW_NS + DAY_NS)
    anchor = await store.dropped_by(TODAY_NS + DAY_NS, None)
    assert anchor is not None

    too_early = msgspec.structs.replace(anchor, seq=0)

    assert await store.drop(too_early) == 0
    assert await store.dropped_by(TODAY_NS, None) is None
    assert [e.seq async for e in store.events()] == [1, 2]
    store.terminate()


async def test_times_are_read_in_microseconds(postgres_dsn: str) -> None:
    store = await connect(postgres_dsn)
    await store.append(batch(1), ts_written=1_763_800_000_123_456_789)

    row = await store._connection.fetchrow(
        "SELECT write_time::text, correlation_id FROM krator.audit"
    )

    assert tuple(row) == ("2025-11-22 08:26:40.123456+00", "o-1")
    store.terminate()


async def test_an_order_and_a_span_of_time_are_found_by_index(postgres_dsn: str) -> None:
    store = await connect(postgres_dsn)
    await store.append(batch(*range(1, 2_001)), ts_written=NOW_NS)
    await store._connection.execute("ANALYZE krator.journal; SET enable_seqscan = off")

    plans = [
        "\n".join(row[0] for row in await store._connection.fetch(f"EXPLAIN {query}"))
        for query in (
            "SELECT seq, type, ts_event FROM krator.journal WHERE correlation_id = 'o-7'",
            "SELECT seq FROM krator.journal WHERE type = 'OrderSubmitted' AND seq > 1990",
            "SELECT seq FROM krator.journal WHERE ts_event BETWEEN 5 AND 9",
        )
    ]

    assert "correlation_id_seq_type_ts_event_idx" in plans[0]
    assert "type_seq_idx" in plans[1]
    assert "ts_event_idx" in plans[2]
    store.terminate()


def day_ns(day: int) -> int:
    return TODAY_NS + day * DAY_NS + 1


def anchors_of(data_dir: Path) -> list:  # type: ignore[type-arg]
    return read_anchors(data_dir / "anchors" / "journal.jsonl", public_key_file(data_dir))
