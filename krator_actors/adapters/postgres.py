"""The journal in PostgreSQL: one writer, a global sequence, a hash chain.

``JournalStore.append`` is one transaction: it takes the owner's row, and with it refuses an older
journal; leaves out what is there already; stores rows, watermarks and the head of the chain. What
the caller knows of the database it knows from the database: after any error it asks again.
"""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import asyncpg
import msgspec

from krator_actors.core.chain import (
    ChainFault,
    ChainVerifier,
    JournalRow,
    next_hash,
    row_of,
)
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages import CATALOGUE
from supervisors.messages import Message
from supervisors.redaction import redacted

CONNECT_TIMEOUT_SECS = 5.0
COMMAND_TIMEOUT_SECS = 15.0
_PAGE_ROWS = 1_000
_CLIENT_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError)

_COLUMNS: Final = (*JournalRow.__struct_fields__, "hash")
_MIGRATIONS = (
    """
    CREATE TABLE krator.journal (
        seq bigint PRIMARY KEY,
        writer text NOT NULL,
        generation bigint NOT NULL,
        number bigint NOT NULL,
        ts_logged bigint NOT NULL,
        ts_written bigint NOT NULL,
        ts_event bigint,
        type text NOT NULL,
        symbol text,
        client_order_id text,
        body bytea NOT NULL,
        hash bytea NOT NULL,
        UNIQUE (writer, number)
    );
    CREATE INDEX journal_by_type ON krator.journal (type, seq);
    CREATE INDEX journal_by_order ON krator.journal (client_order_id)
        WHERE client_order_id IS NOT NULL;
    CREATE TABLE krator.writers (
        writer text PRIMARY KEY,
        number bigint NOT NULL,
        generation bigint NOT NULL,
        ts_logged bigint NOT NULL
    );
    CREATE TABLE krator.owner (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        generation bigint NOT NULL,
        seq bigint NOT NULL,
        hash bytea NOT NULL
    );
    INSERT INTO krator.owner (generation, seq, hash) VALUES (0, 0, decode(repeat('00', 32), 'hex'));
    """,
)
# Only one process migrates at a time; the number is arbitrary, and Krator's.
_MIGRATION_LOCK = 7_025_719_446


class JournalUnavailableError(Exception):
    """The database did not answer as it should. What was under way may or may not be committed.

    Connect again and read the watermarks.
    """


class StaleJournalError(Exception):
    """A journal of a newer generation owns the database: this one must end, and write no more."""


class JournalConflictError(Exception):
    """What is to be stored does not continue what is stored; nothing of it was stored."""


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """The last record of a writer that is committed."""

    number: int
    generation: int
    ts_logged: int


class JournalHead(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the journal: its last sequence number (0 when empty), hash and owner."""

    seq: int
    hash: bytes
    generation: int


class JournalEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One row with its event decoded; times are UTC ns."""

    seq: int
    writer: str
    generation: int
    number: int
    ts_logged: int
    ts_written: int
    event: Message


class JournalStore:
    """One connection to the journal. Not for use by two tasks at once.

    Every method raises JournalUnavailableError when the database cannot be asked. After any error
    of ``append`` the connection has gone: connect again.
    """

    def __init__(self, connection: Any, generation: int) -> None:
        self._connection = connection
        # 0 for a reader.
        self._generation = generation

    @classmethod
    async def connect(cls, dsn: str, *, generation: int) -> Self:
        """Connect as the one writer: bring the schema up to date and take the journal over.

        Raises StaleJournalError when a newer generation has it.
        """
        store = cls(await _connect(dsn), generation)
        try:
            async with store._transaction():
                await store._migrate()
                await store._own()
        except BaseException:
            store.terminate()
            raise
        return store

    @classmethod
    async def connect_reader(cls, dsn: str) -> Self:
        """Connect to read; also while a journal writes, and after it has gone."""
        store = cls(await _connect(dsn), 0)
        try:
            await store._check_schema()
        except BaseException:
            store.terminate()
            raise
        return store

    async def close(self) -> None:
        """Say goodbye to the server."""
        async with _translated():
            await self._connection.close(timeout=CONNECT_TIMEOUT_SECS)

    def terminate(self) -> None:
        """Drop the connection at once: for after an error."""
        self._connection.terminate()

    async def watermarks(self) -> dict[str, Watermark]:
        """Return the last committed record of each writer."""
        async with _translated():
            rows = await self._connection.fetch(
                "SELECT writer, number, generation, ts_logged FROM krator.writers"
            )
        return {
            row["writer"]: Watermark(
                number=row["number"], generation=row["generation"], ts_logged=row["ts_logged"]
            )
            for row in rows
        }

    async def append(self, batch: Sequence[tuple[str, RawRecord]], *, ts_written: int) -> int:
        """Store (writer, record) pairs in this order; return the last sequence number.

        Committed when it returns. Records that are there already are left out. Raises
        StaleJournalError, JournalConflictError.
        """
        async with self._transaction():
            head = await self._own()
            writers = list({writer for writer, _ in batch})
            stored = await self._connection.fetch(
                "SELECT writer, number FROM krator.writers WHERE writer = ANY($1)", writers
            )
            numbers = {row["writer"]: row["number"] for row in stored}
            rows, head_hash = _chained(batch, numbers, head, ts_written)
            if not rows:
                return head.seq
            await self._connection.copy_records_to_table(
                "journal", schema_name="krator", columns=_COLUMNS, records=rows
            )
            await self._move_watermarks(batch)
            seq = head.seq + len(rows)
            await self._connection.execute(
                "UPDATE krator.owner SET seq = $1, hash = $2", seq, head_hash
            )
        return seq

    async def last(self) -> JournalHead:
        """Return where the journal ends."""
        async with _translated():
            row = await self._connection.fetchrow("SELECT seq, hash, generation FROM krator.owner")
        return JournalHead(seq=row["seq"], hash=row["hash"], generation=row["generation"])

    async def events(self, after_seq: int = 0, types: Any = None) -> AsyncIterator[JournalEvent]:
        """Yield the events behind ``after_seq`` in order, in pages: memory is bounded.

        ``types`` is a message class or a union of them, None the whole vocabulary of
        ``krator_actors.messages``; rows of other types are left out. A row that this program
        cannot decode raises JournalUnavailableError.
        """
        wanted = _classes(types)
        names = [cls.__name__ for cls in wanted]
        decode = msgspec.msgpack.Decoder(typing.Union[tuple(wanted)]).decode  # noqa: UP007 - made at run time
        async for row, _ in self._rows(after_seq, names):
            try:
                event = decode(row.body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise JournalUnavailableError(
                    f"row {row.seq} ({row.type}) cannot be read by this program: {error}"
                ) from error
            yield JournalEvent(
                seq=row.seq,
                writer=row.writer,
                generation=row.generation,
                number=row.number,
                ts_logged=row.ts_logged,
                ts_written=row.ts_written,
                event=event,
            )

    async def verify(self) -> ChainFault | None:
        """Recompute the chain over all rows; return the first fault, None when there is none."""
        async with self._snapshot():
            verifier = ChainVerifier()
            async for row, stored_hash in self._rows(0, None):
                fault = verifier.check(row, stored_hash)
                if fault is not None:
                    return fault
            head = await self.last()
            numbers = {writer: mark.number for writer, mark in (await self.watermarks()).items()}
            return verifier.check_end(head.seq, head.hash, numbers)

    async def _rows(
        self, after_seq: int, names: list[str] | None
    ) -> AsyncIterator[tuple[JournalRow, bytes]]:
        query = (
            f"SELECT {', '.join(_COLUMNS)} FROM krator.journal"  # noqa: S608 - constant names
            " WHERE seq > $1 AND ($2::text[] IS NULL OR type = ANY($2)) ORDER BY seq LIMIT $3"
        )
        while True:
            async with _translated():
                page = await self._connection.fetch(query, after_seq, names, _PAGE_ROWS)
            for values in page:
                *columns, stored_hash = values
                row = JournalRow(**dict(zip(_COLUMNS, columns, strict=False)))
                yield row, stored_hash
            if len(page) < _PAGE_ROWS:
                return
            after_seq = page[-1]["seq"]

    async def _check_schema(self) -> None:
        async with _translated():
            there = await self._connection.fetchval("SELECT to_regclass('krator.owner')")
        if there is None:
            raise JournalUnavailableError("there is no journal in this database")

    async def _migrate(self) -> None:
        execute = self._connection.execute
        await execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await execute("CREATE SCHEMA IF NOT EXISTS krator")
        await execute(
            "CREATE TABLE IF NOT EXISTS krator.migrations"
            " (version int PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        )
        version = await self._connection.fetchval(
            "SELECT coalesce(max(version), 0) FROM krator.migrations"
        )
        if version > len(_MIGRATIONS):
            raise JournalConflictError(
                f"the journal's schema has version {version}, this program knows"
                f" {len(_MIGRATIONS)}: run the newer program"
            )
        for number in range(version, len(_MIGRATIONS)):
            await execute(_MIGRATIONS[number])
            await execute("INSERT INTO krator.migrations (version) VALUES ($1)", number + 1)

    async def _own(self) -> JournalHead:
        """Lock the owner's row until the transaction ends; raise its generation to ours."""
        row = await self._connection.fetchrow(
            "SELECT generation, seq, hash FROM krator.owner FOR UPDATE"
        )
        if row["generation"] > self._generation:
            raise StaleJournalError(
                f"generation {row['generation']} owns the journal; this is {self._generation}"
            )
        if row["generation"] < self._generation:
            await self._connection.execute(
                "UPDATE krator.owner SET generation = $1", self._generation
            )
        return JournalHead(seq=row["seq"], hash=row["hash"], generation=self._generation)

    async def _move_watermarks(self, batch: Sequence[tuple[str, RawRecord]]) -> None:
        newest = dict(batch)  # the last record of each writer wins
        await self._connection.executemany(
            "INSERT INTO krator.writers (writer, number, generation, ts_logged)"
            " VALUES ($1, $2, $3, $4) ON CONFLICT (writer) DO UPDATE SET number = excluded.number,"
            " generation = excluded.generation, ts_logged = excluded.ts_logged"
            " WHERE writers.number < excluded.number",
            [(w, record.number, record.generation, record.ts_ns) for w, record in newest.items()],
        )

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        async with _translated():
            transaction = self._connection.transaction()
            await transaction.start()
            try:
                yield
                await transaction.commit()
            except BaseException:
                # No rollback, because a server that hangs would not answer it: it rolls back
                # when the connection has gone.
                self.terminate()
                raise

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[None]:
        transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
        async with _translated(), transaction:
            yield


def _chained(
    batch: Sequence[tuple[str, RawRecord]],
    numbers: dict[str, int],
    head: JournalHead,
    ts_written: int,
) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the rows to insert with their hashes, and the new head's hash."""
    rows: list[tuple[Any, ...]] = []
    head_hash = head.hash
    for writer, record in batch:
        expected = numbers.get(writer, 0) + 1
        if record.number < expected:
            continue
        if record.number > expected:
            raise JournalConflictError(
                f"record {record.number} of {writer} stands where {expected} belongs"
            )
        numbers[writer] = expected
        row = row_of(record, seq=head.seq + len(rows) + 1, writer=writer, ts_written=ts_written)
        head_hash = next_hash(head_hash, row)
        rows.append((*msgspec.structs.astuple(row), head_hash))
    return rows, head_hash


def _classes(types: Any) -> tuple[type[Message], ...]:
    if types is None:
        return CATALOGUE
    return typing.get_args(types) or (types,)


async def _connect(dsn: str) -> Any:
    async with _translated():
        return await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_SECS, command_timeout=COMMAND_TIMEOUT_SECS
        )


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (OSError, asyncpg.PostgresError, *_CLIENT_ERRORS) as error:
        # A server repeats the row it refused, and a client the DSN it could not reach.
        raise JournalUnavailableError(redacted(f"{type(error).__name__}: {error}")) from error
