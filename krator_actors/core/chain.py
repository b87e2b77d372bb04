"""What a row of the journal is, and the hash chain over all of them. Pure.

``hash(n) = SHA-256(hash(n - 1) + bytes of row n)``, from 32 zero bytes. Every column is in the
bytes, with its length before it, so that no two rows have the same ones.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec

from krator_actors.core.log_frames import RawRecord

GENESIS = bytes(32)

_NUMBERS = struct.Struct(">QQQqqq")
_LENGTH = struct.Struct(">I")
_ABSENT = b"\xff\xff\xff\xff"
_NO_TIME = -(2**63)


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is stored, without its hash."""

    seq: int
    """global sequence; gapless from 1"""
    writer: str
    generation: int
    number: int
    """in the writer's own log; gapless from 1"""
    ts_logged: int
    """UTC ns, when the writer logged it"""
    ts_written: int
    """UTC ns, when the journal wrote it"""
    ts_event: int | None
    """UTC ns, the event's own time; None when it has none"""
    type: str
    symbol: str | None
    client_order_id: str | None
    body: bytes
    """the event as MessagePack, exactly as it is in the log"""


class _Order(msgspec.Struct):
    symbol: str
    client_order_id: str


class _Subject(msgspec.Struct):
    symbol: str | None = None
    client_order_id: str | None = None
    ts_event: int | None = None
    order: _Order | None = None


_subject_of = msgspec.msgpack.Decoder(_Subject).decode


def row_of(record: RawRecord, *, seq: int, writer: str, ts_written: int) -> JournalRow:
    """Return the row of a log's record; symbol, order and time are read from the event."""
    try:
        subject = _subject_of(record.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # An event may use these names for something else; then it is found by its type only.
        subject = _Subject()
    order = subject.order
    return JournalRow(
        seq=seq,
        writer=writer,
        generation=record.generation,
        number=record.number,
        ts_logged=record.ts_ns,
        ts_written=ts_written,
        ts_event=subject.ts_event,
        type=record.event_type,
        symbol=order.symbol if order else subject.symbol,
        client_order_id=order.client_order_id if order else subject.client_order_id,
        body=record.body,
    )


def next_hash(previous: bytes, row: JournalRow) -> bytes:
    """Return the hash of ``row`` behind a row whose hash is ``previous``."""
    return hashlib.sha256(previous + row_bytes(row)).digest()


def row_bytes(row: JournalRow) -> bytes:
    """Return the canonical bytes of all columns: what the hash is over."""
    ts_event = _NO_TIME if row.ts_event is None else row.ts_event
    return b"".join(
        (
            _NUMBERS.pack(
                row.seq, row.generation, row.number, row.ts_logged, row.ts_written, ts_event
            ),
            _text(row.writer),
            _text(row.type),
            _text(row.symbol),
            _text(row.client_order_id),
            _LENGTH.pack(len(row.body)),
            row.body,
        )
    )


class ChainFault(msgspec.Struct, frozen=True):
    """The first row at which the journal is not what was written, and why."""

    seq: int
    reason: str


class ChainVerifier:
    """Is shown all rows in order and says where the chain breaks. One pass, O(writers) memory."""

    def __init__(self) -> None:
        self.seq = 0
        self.hash = GENESIS
        # The last number of each writer that has been shown.
        self.watermarks: dict[str, int] = {}

    def check(self, row: JournalRow, stored_hash: bytes) -> ChainFault | None:
        """Return what is wrong with the next row; None when it continues the chain."""
        expected = self.seq + 1
        if row.seq != expected:
            return ChainFault(expected, f"row {expected} is missing; row {row.seq} follows")
        number = self.watermarks.get(row.writer, 0) + 1
        if row.number != number:
            return ChainFault(
                row.seq, f"record {row.number} of {row.writer} stands where {number} belongs"
            )
        self.hash = next_hash(self.hash, row)
        if self.hash != stored_hash:
            return ChainFault(row.seq, "its hash does not follow from its content")
        self.seq = row.seq
        self.watermarks[row.writer] = row.number
        return None

    def check_end(
        self, seq: int, stored_hash: bytes, watermarks: dict[str, int]
    ) -> ChainFault | None:
        """Compare where the rows ended with where the journal says that they end."""
        if (seq, stored_hash) != (self.seq, self.hash):
            return ChainFault(self.seq + 1, f"the rows end at {self.seq}; the journal says {seq}")
        if watermarks != self.watermarks:
            return ChainFault(self.seq, "the watermarks do not follow from the rows")
        return None


def _text(value: str | None) -> bytes:
    if value is None:
        return _ABSENT
    data = value.encode()
    return _LENGTH.pack(len(data)) + data
