"""Every kind of change to a journal of 10,000 rows is found, and where."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from krator_actors.adapters.anchors import AnchorBook, anchors_file, public_key_file, read_anchors
from krator_actors.adapters.journal_reader import JournalReader, Verdict, row_from
from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.chain import GENESIS, Anchor, next_hash
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages.orders import OrderSubmitted

ROWS = 10_000
ANCHOR_EVERY = 1_000
NOW_NS = 1_763_800_000_000_000_000
WRITERS = ("order:SIM", "risk", "strategy:BTC-USDT.SIM/sma_cross")


def record(number: int) -> RawRecord:
    event = OrderSubmitted(client_order_id=f"o-{number}", symbol="BTC-USDT.SIM", ts_event=number)
    return RawRecord(number, 1, number, "OrderSubmitted", msgspec.msgpack.encode(event))


async def write_journal(dsn: str, data_dir: Path) -> None:
    store = await JournalStore.connect(dsn, generation=1, now_ns=NOW_NS)
    book = AnchorBook(data_dir, {})
    book.write(await store.anchor(now_ns=NOW_NS))
    batch = [(WRITERS[n % 3], record(n // 3 + 1)) for n in range(ROWS)]
    for begin in range(0, ROWS, ANCHOR_EVERY):
        await store.append(batch[begin : begin + ANCHOR_EVERY], ts_written=NOW_NS + begin)
        book.write(await store.anchor(now_ns=NOW_NS + begin))
    await store.close()


class Journal:
    """A database that is put back after each test, by never committing what an intruder does."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], data_dir: Path) -> None:
        self.connection = connection
        self.data_dir = data_dir

    async def change(self, *statements: str) -> None:
        for statement in statements:
            await self.connection.execute(statement)

    async def verify(self, anchors: list[Anchor] | None = None) -> Verdict:
        reader = JournalReader(self.connection)
        # The snapshot is that of the intruder's own transaction.
        reader.snapshot = contextlib.nullcontext  # type: ignore[assignment, method-assign]
        return await reader.verify(self.anchors() if anchors is None else anchors)

    def anchors(self) -> list[Anchor]:
        return read_anchors(anchors_file(self.data_dir), public_key_file(self.data_dir))


@pytest.fixture(scope="module")
def written(
    _postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The journal of these tests, in a database of its own."""
    data_dir = tmp_path_factory.mktemp("data")
    dsn = _postgres_server.replace("/postgres?", "/tampering?")

    async def make() -> None:
        connection = await asyncpg.connect(_postgres_server)
        await connection.execute("DROP DATABASE IF EXISTS tampering WITH (FORCE)")
        await connection.execute("CREATE DATABASE tampering")
        await connection.close()
        await write_journal(dsn, data_dir)

    asyncio.run(make())
    yield dsn, data_dir

    async def drop() -> None:
        connection = await asyncpg.connect(_postgres_server)
        await connection.execute("DROP DATABASE tampering WITH (FORCE)")
        await connection.close()

    asyncio.run(drop())


@pytest.fixture
async def journal(written: tuple[str, Path]) -> AsyncIterator[Journal]:
    dsn, data_dir = written
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SET LOCAL session_replication_role = replica")
    yield Journal(connection, data_dir)
    await transaction.rollback()
    await connection.close()


async def test_journal_as_it_was_written_holds_to_its_last_anchor(journal: Journal) -> None:
    verdict = await journal.verify()

    assert verdict.fault is None
    assert (verdict.rows, verdict.last_seq, verdict.anchored_seq) == (ROWS, ROWS, ROWS)


ANY_ROW = [1, 2, 999, 1_000, 1_001, 5_000, 9_999, 10_000]


@pytest.mark.parametrize("seq", [1, 5_000, ROWS])
@pytest.mark.parametrize(
    "change",
    [
        "body = set_byte(body, 10, get_byte(body, 10) # 1)",
        "client_order_id = 'another'",
        "correlation_id = NULL",
        "causation_id = 'bar:1'",
        "type = 'OrderFilled'",
        "ts_event = ts_event + 1",
        "ts_logged = ts_logged - 1",
        "ts_written = ts_written + 1",
        "generation = 2",
        "symbol = NULL",
        "seal = 1",
        "format = 1",
        "hash = sha256('x')",
    ],
)
async def test_changed_row_is_found(journal: Journal, seq: int, change: str) -> None:
    await journal.change(f"UPDATE krator.journal SET {change} WHERE seq = {seq}")

    fault = (await journal.verify()).fault

    assert fault is not None
    assert fault.seq == seq


@pytest.mark.parametrize("seq", ANY_ROW[:-1])
async def test_missing_row_is_found(journal: Journal, seq: int) -> None:
    await journal.change(f"DELETE FROM krator.journal WHERE seq = {seq}")

    fault = (await journal.verify()).fault

    assert fault is not None
    assert fault.seq == seq
    assert "missing" in fault.reason


@pytest.mark.parametrize("seq", ANY_ROW)
async def test_row_inserted_beside_another_is_found(journal: Journal, seq: int) -> None:
    await journal.change(
        "CREATE TEMP TABLE forged ON COMMIT DROP AS"
        f" SELECT * FROM krator.journal WHERE seq = {seq}",
        "UPDATE forged SET ts_written = ts_written + 7, body = body || '\\x00'",
        "INSERT INTO krator.journal SELECT * FROM forged",
    )

    fault = (await journal.verify()).fault

    assert fault is not None
    assert fault.seq == seq


async def test_row_inserted_behind_the_end_is_found(journal: Journal) -> None:
    await journal.change(
        "CREATE TEMP TABLE forged ON COMMIT DROP AS"
        f" SELECT * FROM krator.journal WHERE seq = {ROWS}",
        "UPDATE forged SET seq = seq + 1, number = number + 1",
        "INSERT INTO krator.journal SELECT * FROM forged",
    )

    fault = (await journal.verify()).fault

    assert fault is not None
    assert fault.seq == ROWS + 1


@pytest.mark.parametrize("seq", [1, 999, 5_000, 9_999])
async def test_swapped_rows_are_found(journal: Journal, seq: int) -> None:
    await journal.change(
        f"UPDATE krator.journal SET seq = -1 WHERE seq = {seq}",
        f"UPDATE krator.journal SET seq = {seq} WHERE seq = {seq + 1}",
        f"UPDATE krator.journal SET seq = {seq + 1} WHERE seq = -1",
    )

    fault = (await journal.verify()).fault

    assert fault is not None
    assert fault.seq == seq


@pytest.mark.parametrize("kept", [0, 1, 4_321, 9_000, 9_999])
async def test_cut_tail_is_found_also_when_head_and_watermarks_are_forged(
    journal: Journal, kept: int
) -> None:
    await journal.change(f"DELETE FROM krator.journal WHERE seq > {kept}")
    await forge_head(journal)

    verdict = await journal.verify()

    assert verdict.fault is not None
    assert verdict.fault.seq == kept + 1
    assert "a tail is cut" in verdict.fault.reason
    if kept:
        assert (await journal.verify([])).fault is None  # so it is the anchors that find it


@pytest.mark.parametrize("seq", [1, 500, 1_000, 1_001, 7_777, 10_000])
async def test_chain_computed_anew_is_found_between_two_anchors(journal: Journal, seq: int) -> None:
    await journal.change(f"UPDATE krator.journal SET client_order_id = 'forged' WHERE seq = {seq}")
    await compute_anew(journal, from_seq=seq)

    verdict = await journal.verify()

    assert verdict.fault is not None
    assert verdict.fault.seq == (seq - 1) // ANCHOR_EVERY * ANCHOR_EVERY + 1
    assert "computed anew" in verdict.fault.reason
    assert verdict.fault.seq <= seq
    assert (await journal.verify([])).fault is None


async def test_journal_put_in_the_place_of_another_is_found(journal: Journal) -> None:
    await journal.change("UPDATE krator.owner SET journal_id = gen_random_uuid()")

    fault = (await journal.verify()).fault

    assert fault is not None
    assert "another journal" in fault.reason


async def compute_anew(journal: Journal, *, from_seq: int) -> None:
    """Do what somebody does who knows how the chain is made, and has no key."""
    digest = GENESIS
    forged = []
    async for row, stored in JournalReader(journal.connection).rows():
        digest = next_hash(digest, row) if row.seq >= from_seq else stored
        forged.append((digest, row.seq))
    await journal.connection.execute(
        "UPDATE krator.journal SET hash = forged.hash"
        " FROM unnest($1::bytea[], $2::bigint[]) AS forged (hash, seq)"
        " WHERE journal.seq = forged.seq",
        [digest for digest, _ in forged],
        [seq for _, seq in forged],
    )
    await forge_head(journal)


async def forge_head(journal: Journal) -> None:
    await journal.change(
        "DELETE FROM krator.writers",
        "INSERT INTO krator.writers"
        " SELECT writer, max(number), 1, 1 FROM krator.journal GROUP BY writer",
        "UPDATE krator.owner SET seq = coalesce((SELECT max(seq) FROM krator.journal), 0)",
        "UPDATE krator.owner SET hash = (SELECT hash FROM krator.journal"
        " WHERE journal.seq = owner.seq) WHERE seq > 0",
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE krator.journal SET type = 'x' WHERE seq = 5",
        "DELETE FROM krator.journal WHERE seq = 5",
        "TRUNCATE krator.journal",
        "UPDATE krator.journal_before SET type = 'x' WHERE seq = 5",
        "DELETE FROM krator.journal_before WHERE seq = 5",
        "TRUNCATE krator.journal_before",
    ],
)
async def test_journal_refuses_to_be_changed(written: tuple[str, Path], statement: str) -> None:
    connection = await asyncpg.connect(written[0])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(statement)
    finally:
        await connection.close()


def test_row_that_is_read_is_the_row_that_was_hashed() -> None:
    columns = (1, "w", 1, 1, 1, 1, None, "T", None, None, b"x", None, None, None, 2, b"h")

    row, stored = row_from(columns)

    assert (row.seq, row.body, row.format, stored) == (1, b"x", 2, b"h")
