"""Reading the journal in PostgreSQL: events, an order's rows, and whether the chain holds."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import asyncpg
import msgspec

from krator_actors.adapters.at_rest import DataKeyError, Keys, Sealer
from krator_actors.core.chain import Anchor, ChainFault, ChainVerifier, JournalRow
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages import CATALOGUE
from supervisors.messages import Message
from supervisors.redaction import redacted

CONNECT_TIMEOUT_SECS = 5.0
COMMAND_TIMEOUT_SECS = 15.0
COLUMNS: Final = (*JournalRow.__struct_fields__, "hash")

_PAGE_ROWS = 2_000
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM krator.journal"  # noqa: S608 - constant names
_EVENT_COLUMNS = (
    "seq", "writer", "generation", "number", "ts_logged", "ts_written", "correlation_id",
    "causation_id", "type", "seal", "body",
)  # fmt: skip
_EVENTS = f"SELECT {', '.join(_EVENT_COLUMNS)} FROM krator.journal"  # noqa: S608 - constant names
_CLIENT_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_SETTINGS = {"application_name": "krator", "timezone": "UTC"}


class JournalUnavailableError(Exception):
    """The database did not answer as it should. What was under way may or may not be committed.

    Connect again and read the watermarks.
    """


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
    ts_written: int
    """UTC ns, of the last row; 0 when empty"""
    journal_id: str
    """which journal this is: another database has another one"""


class JournalEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One row with its event decoded; times are UTC ns."""

    seq: int
    writer: str
    generation: int
    number: int
    ts_logged: int
    ts_written: int
    correlation_id: str | None
    causation_id: str | None
    event: Message


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What ``verify`` has found."""

    fault: ChainFault | None
    """None: the journal is what was written"""
    rows: int
    """how many were read"""
    last_seq: int
    anchored_seq: int
    """the last row that an anchor confirms; behind it the chain could have been computed anew"""


class JournalReader:
    """One connection to the journal, to read. Not for use by two tasks at once.

    Every method raises JournalUnavailableError when the database cannot be asked, and when a row is
    sealed with a key that is not configured.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # By the number that rows have; filled when a row of that seal is read.
        self._sealers: dict[int, Sealer] = {}

    @classmethod
    async def connect_reader(cls, dsn: str) -> Self:
        """Connect to read; also while a journal writes, and after it has gone."""
        reader = cls(await connected(dsn))
        try:
            await reader._check_schema()
        except BaseException:
            reader.terminate()
            raise
        return reader

    async def close(self) -> None:
        """Say goodbye to the server."""
        async with translated():
            await self._connection.close(timeout=CONNECT_TIMEOUT_SECS)

    def terminate(self) -> None:
        """Drop the connection at once: for after an error."""
        self._connection.terminate()

    async def watermarks(self) -> dict[str, Watermark]:
        """Return the last committed record of each writer."""
        async with translated():
            rows = await self._connection.fetch(
                "SELECT writer, number, generation, ts_logged FROM krator.writers"
            )
        return {
            row["writer"]: Watermark(
                number=row["number"], generation=row["generation"], ts_logged=row["ts_logged"]
            )
            for row in rows
        }

    async def last(self) -> JournalHead:
        """Return where the journal ends."""
        async with translated():
            row = await self._connection.fetchrow(
                "SELECT seq, hash, generation, ts_written, journal_id FROM krator.owner"
            )
        return JournalHead(**{**row, "journal_id": str(row["journal_id"])})

    async def events(self, after_seq: int = 0, types: Any = None) -> AsyncIterator[JournalEvent]:
        """Yield the events behind ``after_seq`` in order, in pages: memory is bounded.

        ``types`` is a message class or a union of them, None the whole vocabulary of
        ``krator_actors.messages``; rows of other types are left out. A row that this program
        cannot decode raises JournalUnavailableError.
        """
        wanted = _classes(types)
        names = [cls.__name__ for cls in wanted]
        decode = msgspec.msgpack.Decoder(typing.Union[tuple(wanted)]).decode  # noqa: UP007 - made at run time
        query = f"{_EVENTS} WHERE seq > $1 AND type = ANY($2) ORDER BY seq LIMIT $3"
        while True:
            async with translated():
                page = await self._connection.fetch(query, after_seq, names, _PAGE_ROWS)
            for values in page:
                yield await self._event(values, decode)
            if len(page) < _PAGE_ROWS:
                return
            after_seq = page[-1]["seq"]

    async def story(self, correlation_id: str) -> list[JournalEvent]:
        """Return all that belongs to an order or an incident, in order; [] for nothing."""
        decode = msgspec.msgpack.Decoder(typing.Union[CATALOGUE]).decode  # noqa: UP007 - made at run time
        names = [cls.__name__ for cls in CATALOGUE]
        query = (
            f"{_EVENTS} WHERE (correlation_id = $1 OR (format = 1 AND client_order_id = $1))"
            " AND type = ANY($2) ORDER BY seq"
        )
        async with translated():
            found = await self._connection.fetch(query, correlation_id, names)
        return [await self._event(values, decode) for values in found]

    async def correlations(self, prefix: str, *, limit: int) -> list[str]:
        """Return ids of orders and incidents that begin with ``prefix``, at most ``limit``."""
        query = (
            "SELECT DISTINCT coalesce(correlation_id, client_order_id) FROM krator.journal"
            " WHERE starts_with(coalesce(correlation_id, client_order_id), $1) ORDER BY 1 LIMIT $2"
        )
        async with translated():
            return [row[0] for row in await self._connection.fetch(query, prefix, limit)]

    async def verify(
        self,
        anchors: Iterable[Anchor] = (),
        visit: Callable[[JournalRow], Awaitable[None]] | None = None,
    ) -> Verdict:
        """Recompute the chain over all rows and compare it with the anchors of this journal.

        Needs no key, because the hashes are over what is stored. ``visit`` is given each row when
        it and all before it hold; what it raises ends this.
        """
        rows = 0
        async with self.snapshot():
            head = await self.last()
            numbers = {writer: mark.number for writer, mark in (await self.watermarks()).items()}
            known = list(anchors)
            if known and known[-1].journal_id != head.journal_id:
                foreign = ChainFault(1, "the newest anchor is of another journal than this one")
                return Verdict(fault=foreign, rows=0, last_seq=0, anchored_seq=0)
            verifier = ChainVerifier(a for a in known if a.journal_id == head.journal_id)
            fault = None
            async for row, stored_hash in self.rows():
                rows += 1
                fault = verifier.check(row, stored_hash)
                if fault is not None:
                    break
                if visit is not None:
                    await visit(row)
            else:
                fault = verifier.check_end(head.seq, head.hash, numbers)
        return Verdict(
            fault=fault, rows=rows, last_seq=verifier.seq, anchored_seq=verifier.anchored_seq
        )

    async def rows(self) -> AsyncIterator[tuple[JournalRow, bytes]]:
        """Yield every row with its hash, within a transaction; none is left out, also no double."""
        async with translated():
            cursor = await self._connection.cursor(f"{_SELECT} ORDER BY seq, ts_written, hash")
        while True:
            async with translated():
                page = await cursor.fetch(_PAGE_ROWS)
            for values in page:
                yield row_from(values)
            if not page:
                return

    async def record(self, row: JournalRow) -> RawRecord:
        """Return the record that ``row`` was in its writer's log, byte for byte."""
        body = row.body if row.seal is None else await self._unsealed(row.seq, row.seal, row.body)
        return RawRecord(row.number, row.generation, row.ts_logged, row.type, body)

    async def _event(self, values: Any, decode: Any) -> JournalEvent:
        fields = dict(zip(_EVENT_COLUMNS, values, strict=True))
        kind, seal, body = fields.pop("type"), fields.pop("seal"), fields.pop("body")
        seq = fields["seq"]
        if seal is not None:
            body = await self._unsealed(seq, seal, body)
        try:
            return JournalEvent(**fields, event=decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalUnavailableError(
                f"row {seq} ({kind}) cannot be read by this program: {error}"
            ) from error

    async def _unsealed(self, seq: int, seal: int, sealed: bytes) -> bytes:
        if seal not in self._sealers:
            async with translated():
                found = await self._connection.fetchrow(
                    "SELECT key_id, salt FROM krator.seals WHERE id = $1", seal
                )
            if found is None:
                raise JournalUnavailableError(f"row {seq} is under a seal that is not there")
            try:
                keys = Keys.of_environment()
                self._sealers[seal] = keys.sealer(found["key_id"], found["salt"])
            except DataKeyError as error:
                raise JournalUnavailableError(f"row {seq}: {error}") from error
        body = self._sealers[seal].unseal(sealed)
        if body is None:
            raise JournalUnavailableError(f"row {seq} is not what was sealed")
        return body

    async def _check_schema(self) -> None:
        async with translated():
            there = await self._connection.fetchval("SELECT to_regclass('krator.seals')")
        if there is None:
            raise JournalUnavailableError(
                "there is no journal in this database, or one that krator run has yet to bring up"
                " to date"
            )

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        """What is read within is of one moment; yields the connection."""
        async with translated():
            transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            try:
                yield self._connection
            finally:
                if not self._connection.is_closed():
                    await transaction.rollback()


def row_from(values: Any) -> tuple[JournalRow, bytes]:
    """Return the row and its hash of a record with ``COLUMNS``."""
    *columns, stored_hash = values
    return JournalRow(**dict(zip(COLUMNS, columns, strict=False))), stored_hash


def _classes(types: Any) -> tuple[type[Message], ...]:
    if types is None:
        return CATALOGUE
    return typing.get_args(types) or (types,)


async def connected(dsn: str) -> Any:
    """Return a new connection. Raises JournalUnavailableError."""
    async with translated():
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_SECS,
            command_timeout=COMMAND_TIMEOUT_SECS,
            server_settings=_SETTINGS,
        )


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn what a database that does not work raises into JournalUnavailableError."""
    try:
        yield
    except (OSError, asyncpg.PostgresError, *_CLIENT_ERRORS) as error:
        # A server repeats the row it refused, and a client the DSN it could not reach.
        raise JournalUnavailableError(redacted(f"{type(error).__name__}: {error}")) from error
