"""A backup of the whole journal in one file, sealed when there is a data key.

The bytes are ``KRBAK`` · version u8 · key id 8 bytes · salt 32 bytes (zeros: plain), then pieces:
length u32 · MessagePack, sealed and bound to its number. The first piece is ``Contents``, then come
lists of rows with their hashes, and a nil, without which the file is not whole.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from krator_actors.adapters import journal_schema
from krator_actors.adapters.at_rest import DataKeyError, Keys, Sealer
from krator_actors.adapters.journal_reader import (
    COLUMNS,
    JournalHead,
    JournalReader,
    Watermark,
    connected,
    translated,
)
from krator_actors.core.chain import Anchor, ChainVerifier, JournalRow

_HEADER = struct.Struct("<5sB8s32s")
_LENGTH = struct.Struct("<I")
_MAGIC, _VERSION = b"KRBAK", 1
_PIECE_ROWS = 1_000


class BackupError(Exception):
    """The file is no whole backup, or what is in it is not what was written."""


class Seal(msgspec.Struct, frozen=True):
    """A row of ``krator.seals``."""

    id: int
    key_id: bytes
    salt: bytes


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup has besides its rows."""

    head: JournalHead
    writers: dict[str, Watermark]
    seals: tuple[Seal, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_contents = msgspec.msgpack.Decoder(Contents).decode
_decode_rows = msgspec.msgpack.Decoder(list[tuple[JournalRow, bytes]] | None).decode


async def back_up(dsn: str, path: Path, anchors: Sequence[Anchor]) -> Contents:
    """Write all that the journal has, as of one moment, into ``path``; the file is new or replaced.

    Raises JournalUnavailableError, BackupError when the chain does not hold (nothing is written
    then), DataKeyError, OSError.
    """
    draft = path.with_name(f"{path.name}.new")
    reader = await JournalReader.connect_reader(dsn)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            contents = await _write(reader, _PieceWriter(file), anchors)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
        reader.terminate()
    return contents


async def restore(dsn: str, path: Path, anchors: Sequence[Anchor], *, now_ns: int) -> Contents:
    """Put a backup in the place of the journal, in one transaction.

    Only when its whole chain holds, also against the anchors up to its end. What was there is kept
    as the schema ``krator_before_<now_ns>``. No system may run on it. Raises BackupError,
    DataKeyError, JournalUnavailableError, OSError; nothing was changed then.
    """
    contents = check(path, anchors)
    connection = await connected(dsn)
    try:
        async with translated(), connection.transaction():
            if await connection.fetchval("SELECT to_regnamespace('krator')") is not None:
                await connection.execute(f"ALTER SCHEMA krator RENAME TO krator_before_{now_ns}")
            await journal_schema.migrate(connection, now_ns=max(now_ns, contents.head.ts_written))
            for rows in _rows(path):
                await connection.copy_records_to_table(
                    "journal",
                    schema_name="krator",
                    columns=COLUMNS,
                    records=[(*msgspec.structs.astuple(row), digest) for row, digest in rows],
                )
            await _restore_contents(connection, contents)
    finally:
        connection.terminate()
    return contents


def check(path: Path, anchors: Sequence[Anchor]) -> Contents:
    """Read a backup from its begin to its end and verify it. Raises as ``restore`` does."""
    pieces = _pieces(path)
    try:
        contents = _decode_contents(next(pieces))
    except (msgspec.DecodeError, StopIteration) as error:
        raise BackupError(f"{path} does not begin as a backup does") from error
    finally:
        pieces.close()
    head = contents.head
    known = [a for a in anchors if a.journal_id == head.journal_id and a.seq <= head.seq]
    verifier = ChainVerifier(known)
    for rows in _rows(path):
        for row, digest in rows:
            fault = verifier.check(row, digest)
            if fault is not None:
                raise BackupError(f"{path}: row {fault.seq}: {fault.reason}")
    numbers = {writer: mark.number for writer, mark in contents.writers.items()}
    fault = verifier.check_end(head.seq, head.hash, numbers)
    if fault is not None:
        raise BackupError(f"{path}: row {fault.seq}: {fault.reason}")
    return contents


async def _write(
    reader: JournalReader, pieces: _PieceWriter, anchors: Sequence[Anchor]
) -> Contents:
    async with reader.snapshot() as connection:
        seals = await connection.fetch("SELECT id, key_id, salt FROM krator.seals ORDER BY id")
        contents = Contents(
            head=await reader.last(),
            writers=await reader.watermarks(),
            seals=tuple(Seal(*row) for row in seals),
        )
        pieces.write(_encode(contents))
        verifier = ChainVerifier(a for a in anchors if a.journal_id == contents.head.journal_id)
        rows: list[tuple[JournalRow, bytes]] = []
        async for row, digest in reader.rows():
            fault = verifier.check(row, digest)
            if fault is not None:
                raise BackupError(f"the journal's row {fault.seq}: {fault.reason}")
            rows.append((row, digest))
            if len(rows) == _PIECE_ROWS:
                pieces.write(_encode(rows))
                rows = []
        pieces.write(_encode(rows))
        pieces.write(_encode(None))
    return contents


async def _restore_contents(connection: Any, contents: Contents) -> None:
    head = contents.head
    await connection.execute(
        "UPDATE krator.owner SET generation = $1, seq = $2, hash = $3, ts_written = $4,"
        " journal_id = $5::text::uuid",
        head.generation,
        head.seq,
        head.hash,
        head.ts_written,
        head.journal_id,
    )
    await connection.executemany(
        "INSERT INTO krator.writers (writer, number, generation, ts_logged)"
        " VALUES ($1, $2, $3, $4)",
        [(w, m.number, m.generation, m.ts_logged) for w, m in contents.writers.items()],
    )
    await connection.executemany(
        "INSERT INTO krator.seals (id, key_id, salt) VALUES ($1, $2, $3)",
        [(seal.id, seal.key_id, seal.salt) for seal in contents.seals],
    )


class _PieceWriter:
    """Seals pieces, each bound to its place, so that none can be left out or moved."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._count = 0
        sealing = Keys.of_environment().new_sealer()
        key_id, salt = sealing[:2] if sealing else (bytes(8), bytes(32))
        # None: the pieces stay plain.
        self._sealer = sealing[2] if sealing else None
        file.write(_HEADER.pack(_MAGIC, _VERSION, key_id, salt))

    def write(self, piece: bytes) -> None:
        if self._sealer is not None:
            piece = self._sealer.seal(piece, self._count.to_bytes(8, "little"))
        self._file.write(_LENGTH.pack(len(piece)) + piece)
        self._count += 1


def _rows(path: Path) -> Iterator[list[tuple[JournalRow, bytes]]]:
    """Yield the rows; raises BackupError at the end when the file is not whole."""
    pieces = _pieces(path)
    next(pieces)
    for piece in pieces:
        try:
            rows = _decode_rows(piece)
        except msgspec.DecodeError as error:
            raise BackupError(f"{path} is damaged: {error}") from error
        if rows is None:
            return
        yield rows
    raise BackupError(f"{path} is cut off")


def _pieces(path: Path) -> Generator[bytes]:
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise BackupError(f"{path} is no backup of Krator's")
        magic, version, key_id, salt = _HEADER.unpack(header)
        if magic != _MAGIC or version != _VERSION:
            raise BackupError(f"{path} is no backup that this program reads")
        sealer: Sealer | None = None
        if any(key_id):
            try:
                sealer = Keys.of_environment().sealer(key_id, salt)
            except DataKeyError as error:
                raise BackupError(f"{path}: {error}") from error
        number = 0
        while prefix := file.read(_LENGTH.size):
            piece = file.read(_LENGTH.unpack(prefix)[0]) if len(prefix) == _LENGTH.size else b""
            plain = sealer.unseal(piece, number.to_bytes(8, "little")) if sealer else piece
            if not plain:
                raise BackupError(f"{path} is damaged or cut off at its piece {number}")
            yield plain
            number += 1
