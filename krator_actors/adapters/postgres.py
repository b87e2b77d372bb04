"""The journal in PostgreSQL: one writer, a global sequence, a hash chain.

``JournalStore.append`` is one transaction: it takes the owner's row, and with it refuses an older
journal; leaves out what is there already; stores rows, watermarks and the head of the chain. What
the caller knows of the database it knows from the database: after any error it asks again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from krator_actors.adapters import journal_schema
from krator_actors.adapters.at_rest import DataKeyError, Keys, Sealer
from krator_actors.adapters.journal_reader import (
    COLUMNS,
    COMMAND_TIMEOUT_SECS,
    CONNECT_TIMEOUT_SECS,
    JournalEvent,
    JournalHead,
    JournalNotVerifiedError,
    JournalReader,
    JournalUnavailableError,
    Verdict,
    Watermark,
    connected,
    translated,
)
from krator_actors.core.chain import Anchor, JournalRow, next_hash, row_of
from krator_actors.core.log_frames import RawRecord

__all__ = [
    "COMMAND_TIMEOUT_SECS",
    "CONNECT_TIMEOUT_SECS",
    "JournalConflictError",
    "JournalEvent",
    "JournalHead",
    "JournalNotVerifiedError",
    "JournalReader",
    "JournalStore",
    "JournalUnavailableError",
    "StaleJournalError",
    "Verdict",
    "Watermark",
]

_MOVE = """
    WITH moved AS (
        INSERT INTO krator.writers (writer, number, generation, ts_logged)
        SELECT * FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
        ON CONFLICT (writer) DO UPDATE SET number = excluded.number,
            generation = excluded.generation, ts_logged = excluded.ts_logged
    )
    UPDATE krator.owner SET seq = $1, hash = $2, ts_written = $3
"""
_HEAD = """
    SELECT seq, hash, generation, ts_written, journal_id::text AS journal_id
    FROM krator.owner FOR UPDATE
"""


class StaleJournalError(Exception):
    """A journal of a newer generation owns the database: this one must end, and write no more."""


class JournalConflictError(Exception):
    """What is to be stored does not continue what is stored; nothing of it was stored."""


class JournalStore(JournalReader):
    """One connection to the journal, to write; ``connect_reader`` gives one to read.

    After any error of ``append`` the connection has gone: connect again.
    """

    def __init__(self, connection: Any, generation: int = 0) -> None:
        super().__init__(connection)
        # 0 for a reader.
        self._generation = generation
        # The end of the journal, and each writer's last number there, as of our last commit. None
        # before the first: then, and when another journal has written, they are read.
        self._head: JournalHead | None = None
        self._numbers: dict[str, int] = {}
        # Rows written at this time or later have no partition yet, UTC ns.
        self._partitioned_until_ns = 0
        # What this connection seals bodies with; None when they are stored plain.
        self._seal: tuple[int, Sealer] | None = None

    @classmethod
    async def connect(cls, dsn: str, *, generation: int, now_ns: int) -> Self:
        """Connect as the one writer: bring the schema up to date and take the journal over.

        ``now_ns`` is UTC: partitions are made for it and for the days ahead. Raises
        StaleJournalError when a newer generation has it, JournalConflictError when a newer program
        has written it.
        """
        store = cls(await connected(dsn), generation)
        try:
            async with store._transaction():
                try:
                    await journal_schema.migrate(store._connection, now_ns=now_ns)
                except journal_schema.SchemaTooNewError as error:
                    raise JournalConflictError(str(error)) from error
                await store._own()
                await store._make_partitions(now_ns)
                await store._begin_seal()
        except BaseException:
            store.terminate()
            raise
        return store

    async def append(self, batch: Sequence[tuple[str, RawRecord]], *, ts_written: int) -> int:
        """Store (writer, record) pairs in this order; return the last sequence number.

        Committed when it returns. Records that are there already are left out. ``ts_written`` is
        UTC ns; rows have that of the row before them when it is later. Raises StaleJournalError,
        JournalConflictError.
        """
        async with self._transaction():
            head = await self._own()
            if head != self._head:
                self._numbers = await self._stored_numbers()
            ts_written = max(ts_written, head.ts_written)
            if ts_written >= self._partitioned_until_ns - journal_schema.DAY_NS:
                await self._make_partitions(ts_written)
            numbers = dict(self._numbers)
            rows, head_hash = self._chained(batch, numbers, head, ts_written)
            if rows:
                head = msgspec.structs.replace(
                    head, seq=head.seq + len(rows), hash=head_hash, ts_written=ts_written
                )
                await self._connection.copy_records_to_table(
                    "journal", schema_name="krator", columns=COLUMNS, records=rows
                )
                await self._move(batch, head)
        self._head, self._numbers = head, numbers
        return head.seq

    async def anchor(self, *, now_ns: int) -> Anchor:
        """Return an anchor of the end of the journal as our last ``append`` has left it."""
        head = self._head or await self.last()
        return Anchor(journal_id=head.journal_id, seq=head.seq, hash=head.hash, ts=now_ns)

    async def dropped_by(self, before_ns: int, previous: Anchor | None) -> Anchor | None:
        """Return the anchor to make before the days that ended by ``before_ns`` are dropped.

        None when they have no rows. It says where the chain begins then; ``previous`` is the one
        that says where it begins now.
        """
        names = [p.name for p in await self._partitions() if p.end_ns <= before_ns]
        async with translated():
            row = await self._connection.fetchrow(
                "SELECT seq, hash FROM krator.journal WHERE tableoid = ANY("
                " SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'krator'::regnamespace"
                " AND c.relname = ANY($1)) ORDER BY seq DESC LIMIT 1",
                names,
            )
            if row is None:
                return None
            marks = await self._connection.fetch(
                "SELECT writer, max(number) AS number FROM krator.journal WHERE seq <= $1"
                " GROUP BY writer",
                row["seq"],
            )
        head = await self.last()
        return Anchor(
            journal_id=head.journal_id,
            seq=row["seq"],
            hash=row["hash"],
            ts=before_ns,
            kind="dropped",
            watermarks={
                **(previous.watermarks if previous else {}),
                **{mark["writer"]: mark["number"] for mark in marks},
            },
        )

    async def drop(self, anchor: Anchor) -> int:
        """Drop the days that ended by the anchor's time; return how many.

        The anchor, of ``dropped_by``, must be on its disk already: without it the journal could not
        be verified any more.
        """
        dropped = 0
        async with self._transaction():
            await self._own()
            for partition in await journal_schema.partitions(self._connection):
                newest = await self._connection.fetchval(
                    f"SELECT max(seq) FROM krator.{partition.name}"  # noqa: S608 - a name of our own
                )
                if partition.end_ns > anchor.ts or (newest or 0) > anchor.seq:
                    break
                await self._connection.execute(f"DROP TABLE krator.{partition.name}")
                dropped += 1
        return dropped

    async def _partitions(self) -> list[journal_schema.Partition]:
        async with translated():
            return await journal_schema.partitions(self._connection)

    async def _make_partitions(self, now_ns: int) -> None:
        self._partitioned_until_ns = await journal_schema.make_partitions(
            self._connection, now_ns=now_ns
        )

    async def _begin_seal(self) -> None:
        try:
            sealing = Keys.of_environment().new_sealer()
        except DataKeyError as error:
            raise JournalConflictError(str(error)) from error
        if sealing is not None:
            key_id, salt, sealer = sealing
            number = await self._connection.fetchval(
                "INSERT INTO krator.seals (id, key_id, salt)"
                " SELECT coalesce(max(id), 0) + 1, $1, $2 FROM krator.seals RETURNING id",
                key_id,
                salt,
            )
            self._seal = (number, sealer)

    async def _own(self) -> JournalHead:
        """Lock the owner's row until the transaction ends; raise its generation to ours."""
        row = await self._connection.fetchrow(_HEAD)
        if row["generation"] > self._generation:
            raise StaleJournalError(
                f"generation {row['generation']} owns the journal; this is {self._generation}: "
                "another krator writes it, or a new machine needs krator journal rebuild first"
            )
        if row["generation"] < self._generation:
            await self._connection.execute(
                "UPDATE krator.owner SET generation = $1", self._generation
            )
        return JournalHead(**{**row, "generation": self._generation})

    async def _stored_numbers(self) -> dict[str, int]:
        rows = await self._connection.fetch("SELECT writer, number FROM krator.writers")
        return {row["writer"]: row["number"] for row in rows}

    async def _move(self, batch: Sequence[tuple[str, RawRecord]], head: JournalHead) -> None:
        # The last record of each writer wins; one that is stored already does not go back.
        newest = {w: r for w, r in batch if r.number > self._numbers.get(w, 0)}
        records = newest.values()
        await self._connection.execute(
            _MOVE,
            head.seq,
            head.hash,
            head.ts_written,
            list(newest),
            [record.number for record in records],
            [record.generation for record in records],
            [record.ts_ns for record in records],
        )

    def _chained(
        self,
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
            row = self._sealed(row)
            head_hash = next_hash(head_hash, row)
            rows.append((*msgspec.structs.astuple(row), head_hash))
        return rows, head_hash

    def _sealed(self, row: JournalRow) -> JournalRow:
        if self._seal is None:
            return row
        number, sealer = self._seal
        return msgspec.structs.replace(row, body=sealer.seal(row.body), seal=number)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        async with translated():
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
