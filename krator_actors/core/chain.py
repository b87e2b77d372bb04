"""What a row of the journal is, and the hash chain over all of them. Pure.

``hash(n) = SHA-256(hash(n - 1) + bytes of row n)``, from 32 zero bytes. Every column is in the
bytes, with its length before it, so that no two rows have the same ones. The chain alone shows
what was changed without being computed anew; anchors, which are kept elsewhere, show the rest.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from krator_actors.core.log_frames import RawRecord

GENESIS = bytes(32)
FORMAT = 2
"""Of the bytes that are hashed; rows of format 1 have no correlation, causation or seal."""

_NUMBERS = struct.Struct(">QQQqqq")
_NUMBER = struct.Struct(">q")
_LENGTH = struct.Struct(">I")
_ABSENT = b"\xff\xff\xff\xff"
_NO_NUMBER = -(2**63)


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
    """UTC ns, when the journal wrote it; never less than the row before has"""
    ts_event: int | None
    """UTC ns, the event's own time; None when it has none"""
    type: str
    symbol: str | None
    client_order_id: str | None
    body: bytes
    """the event as MessagePack, exactly as it is in the log; sealed when there is a ``seal``"""
    correlation_id: str | None = None
    """what belongs together has the same one: the order's, or the incident's id"""
    causation_id: str | None = None
    """what made it happen: a bar or trade, the venue's trade, or else the order itself"""
    seal: int | None = None
    """which seal the body is under; None when it is plain"""
    format: int = FORMAT


class _Order(msgspec.Struct):
    symbol: str
    client_order_id: str
    cause: str | None = None


class _Subject(msgspec.Struct):
    symbol: str | None = None
    client_order_id: str | None = None
    incident_id: str | None = None
    trade_id: str | None = None
    cause: str | None = None
    ts_event: int | None = None
    order: _Order | None = None


_subject_of = msgspec.msgpack.Decoder(_Subject).decode


def row_of(record: RawRecord, *, seq: int, writer: str, ts_written: int) -> JournalRow:
    """Return the row of a log's record; what it is about is read from the event."""
    try:
        subject = _subject_of(record.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # An event may use these names for something else; then it is found by its type only.
        subject = _Subject()
    order = subject.order
    client_order_id = order.client_order_id if order else subject.client_order_id
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
        client_order_id=client_order_id,
        body=record.body,
        correlation_id=client_order_id or subject.incident_id,
        causation_id=_causation_of(subject),
    )


def _causation_of(subject: _Subject) -> str | None:
    if subject.trade_id is not None:
        return f"trade:{subject.trade_id}"
    if subject.order is not None:
        return subject.order.cause
    if subject.incident_id is not None:
        # A diagnosis has a cause, too: of the incident, in words.
        return subject.incident_id
    return subject.cause or subject.client_order_id


def next_hash(previous: bytes, row: JournalRow) -> bytes:
    """Return the hash of ``row`` behind a row whose hash is ``previous``."""
    return hashlib.sha256(previous + row_bytes(row)).digest()


def row_bytes(row: JournalRow) -> bytes:
    """Return the canonical bytes of all columns: what the hash is over."""
    ts_event = _NO_NUMBER if row.ts_event is None else row.ts_event
    parts = [
        _NUMBERS.pack(row.seq, row.generation, row.number, row.ts_logged, row.ts_written, ts_event),
        _text(row.writer),
        _text(row.type),
        _text(row.symbol),
        _text(row.client_order_id),
        _LENGTH.pack(len(row.body)),
        row.body,
    ]
    later = (row.correlation_id, row.causation_id, row.seal)
    if row.format != 1 or later != (None, None, None):
        seal = _NO_NUMBER if row.seal is None else row.seal
        parts += [
            _text(row.correlation_id),
            _text(row.causation_id),
            _NUMBER.pack(seal),
            _NUMBER.pack(row.format),
        ]
    return b"".join(parts)


class ChainFault(msgspec.Struct, frozen=True):
    """The first row at which the journal is not what was written, and why."""

    seq: int
    reason: str


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """What the chain was at one row, kept outside the database."""

    journal_id: str
    seq: int
    hash: bytes
    ts: int
    """UTC ns, when the anchor was made"""
    kind: Literal["commit", "dropped", "restored"] = "commit"
    """``dropped``: the rows up to here may be absent; ``restored``: a backup was put in the place
    of the journal, and what was anchored behind this row counts no more"""
    watermarks: dict[str, int] = {}
    """writer to its last record up to here; only of ``dropped``"""


class ChainVerifier:
    """Is shown all rows in order and says where the chain breaks. One pass, O(writers) memory."""

    def __init__(self, anchors: Iterable[Anchor] = ()) -> None:
        self.seq = 0
        self.hash = GENESIS
        # The last number of each writer that has been shown.
        self.watermarks: dict[str, int] = {}
        self._anchors, self._base = _in_force(anchors)
        # The newest anchor that the chain has agreed with.
        self._agreed = 0
        self._ts_written = 0

    @property
    def anchored_seq(self) -> int:
        """The last row that an anchor has confirmed; 0 when none has."""
        return self._agreed

    def check(self, row: JournalRow, stored_hash: bytes) -> ChainFault | None:
        """Return what is wrong with the next row; None when it continues the chain."""
        if self.seq == 0 and row.seq > 1 and row.seq in self._base:
            self._begin_at(self._base[row.seq])
        expected = self.seq + 1
        if row.seq != expected:
            return _misplaced(row.seq, expected)
        number = self.watermarks.get(row.writer, 0) + 1
        if row.number != number:
            return ChainFault(
                row.seq, f"record {row.number} of {row.writer} stands where {number} belongs"
            )
        self.hash = next_hash(self.hash, row)
        if self.hash != stored_hash:
            return ChainFault(row.seq, "its hash does not follow from its content")
        if row.ts_written < self._ts_written:
            return ChainFault(row.seq, "it was written before the row that precedes it")
        anchor = self._anchors.get(row.seq)
        if anchor is not None and anchor.hash != self.hash:
            return ChainFault(
                self._agreed + 1,
                f"the chain was computed anew: row {row.seq} is not the one that was anchored, so"
                f" one of the rows {self._agreed + 1} to {row.seq} is not either",
            )
        self._agreed = row.seq if anchor else self._agreed
        self._ts_written = row.ts_written
        self.seq = row.seq
        self.watermarks[row.writer] = row.number
        return None

    def check_end(
        self, seq: int, stored_hash: bytes, watermarks: Mapping[str, int]
    ) -> ChainFault | None:
        """Compare where the rows ended with where the journal, and the anchors, say they end."""
        if self.seq == 0 and seq and seq + 1 in self._base:
            self._begin_at(self._base[seq + 1])
        last = max(self._anchors, default=0)
        if last > self.seq:
            return ChainFault(
                self.seq + 1, f"the rows end at {self.seq}; row {last} was anchored: a tail is cut"
            )
        if (seq, stored_hash) != (self.seq, self.hash):
            return ChainFault(self.seq + 1, f"the rows end at {self.seq}; the journal says {seq}")
        if watermarks != self.watermarks:
            return ChainFault(self.seq, "the watermarks do not follow from the rows")
        return None

    def _begin_at(self, anchor: Anchor) -> None:
        self.seq, self.hash = anchor.seq, anchor.hash
        self.watermarks = dict(anchor.watermarks)
        self._agreed = anchor.seq


def _in_force(anchors: Iterable[Anchor]) -> tuple[dict[int, Anchor], dict[int, Anchor]]:
    """Return the anchors that count by their row, and where the chain may begin by the next row."""
    held: dict[int, Anchor] = {}
    begins: dict[int, Anchor] = {}
    for anchor in anchors:
        if anchor.kind == "restored":
            held = {seq: kept for seq, kept in held.items() if seq <= anchor.seq}
        elif anchor.kind == "dropped":
            begins[anchor.seq + 1] = anchor
        held[anchor.seq] = anchor
    return held, begins


def _misplaced(seq: int, expected: int) -> ChainFault:
    if seq < expected:
        return ChainFault(seq, f"row {seq} is there twice: one was inserted")
    missing = f"row {expected} is" if seq == expected + 1 else f"rows {expected} to {seq - 1} are"
    return ChainFault(expected, f"{missing} missing; row {seq} follows")


def _text(value: str | None) -> bytes:
    if value is None:
        return _ABSENT
    data = value.encode()
    return _LENGTH.pack(len(data)) + data
