"""How a local log looks in bytes, and how a torn tail is told from damage. Pure.

A log is a header and then records, back to back. All numbers are little-endian.

* header: ``KRLOG`` · version u8 · length u16 · writer's name (UTF-8) · crc32 of all before, u32
* record: length of the payload u32 · crc32 of the payload u32 · payload, a MessagePack array of
  number, generation, ts_ns, event type, event (MessagePack bytes)
"""

from __future__ import annotations

import struct
import zlib

import msgspec

VERSION = 1
MAX_PAYLOAD_BYTES = 1 << 20
"""A larger length field is damage; a larger event is refused when it is appended."""

MAX_WRITER_BYTES = 255

PREFIX_BYTES = 8
MAX_FRAME_BYTES = PREFIX_BYTES + MAX_PAYLOAD_BYTES

_MAGIC = b"KRLOG"
_HEADER = struct.Struct("<5sBH")
_CHECKSUM = struct.Struct("<I")
_PREFIX = struct.Struct("<II")
_MIN_PAYLOAD_BYTES = 6
_ARRAY_OF_FIVE = b"\x95"
_SECTOR_BYTES = 512


class RawRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record with its event still encoded."""

    number: int
    """gapless from 1 within one writer's log, across its incarnations"""
    generation: int
    ts_ns: int
    """UTC, when it was appended"""
    event_type: str
    """the message's class name"""
    body: bytes
    """the event as MessagePack, exactly as it was appended"""


class HeaderError(ValueError):
    """These bytes do not begin a log of this writer and version."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RawRecord).decode


def encode_header(writer: str) -> bytes:
    """Return the first bytes of a log of ``writer``; ValueError when its name is too long."""
    name = writer.encode()
    if not 0 < len(name) <= MAX_WRITER_BYTES:
        raise ValueError(f"a writer's name has 1 to {MAX_WRITER_BYTES} bytes; {writer!r} does not")
    head = _HEADER.pack(_MAGIC, VERSION, len(name)) + name
    return head + _CHECKSUM.pack(zlib.crc32(head))


def decode_header(data: bytes) -> tuple[str, int] | None:
    """Return the writer and the header's size; None while the header is not complete yet.

    Raises HeaderError for anything that no header begins with.
    """
    magic = data[: len(_MAGIC)]
    if magic != _MAGIC[: len(magic)]:
        raise HeaderError("it does not begin as a Krator log does")
    if len(data) < _HEADER.size:
        return None
    _, version, length = _HEADER.unpack_from(data)
    if version != VERSION:
        raise HeaderError(f"its version was {version}; this program reads version {VERSION}")
    if not 0 < length <= MAX_WRITER_BYTES:
        raise HeaderError(f"its writer's name has {length} bytes")
    end = _HEADER.size + length
    if len(data) < end + _CHECKSUM.size:
        return None
    if _CHECKSUM.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise HeaderError("the checksum of its header is wrong")
    return data[_HEADER.size : end].decode(), end + _CHECKSUM.size


def is_torn_header(data: bytes, writer: str) -> bool:
    """True when ``data``, a whole file, is what an unfinished write of the header leaves."""
    header = encode_header(writer)
    content = data.rstrip(b"\0")
    return len(content) < len(header) and header.startswith(content)


def encode_record(record: RawRecord) -> bytes:
    """Return the frame of a record; ValueError when its payload exceeds MAX_PAYLOAD_BYTES."""
    payload = _encode(record)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"{record.event_type} takes {len(payload)} bytes; a record holds {MAX_PAYLOAD_BYTES}"
        )
    return _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload


def scan(data: bytes, limit: int) -> tuple[list[RawRecord], int]:
    """Return the whole records that ``data`` begins with, at most ``limit``, and their size.

    It stops at the first bytes that are not a whole valid record: ``damage`` says what they are.
    """
    records: list[RawRecord] = []
    position, size = 0, len(data)
    while len(records) < limit and size - position >= PREFIX_BYTES:
        length, checksum = _PREFIX.unpack_from(data, position)
        end = position + PREFIX_BYTES + length
        if end > size:
            break
        payload = data[position + PREFIX_BYTES : end]
        record = _record(payload, checksum)
        if record is None:
            break
        records.append(record)
        position = end
    return records, position


def damage(tail: bytes, offset: int) -> str | None:
    """Say why ``tail``, which does not begin with a valid record, is damaged; None when it is torn.

    Torn is what a write leaves that did not finish: a strict beginning of one record, followed by
    nothing, or (after a power cut) by zeros from a disk sector on. ``tail`` reaches to the end of
    the file, or at least MAX_FRAME_BYTES further; ``offset`` is its place in the file.
    """
    written = _written_bytes(tail, offset)
    if written < PREFIX_BYTES:
        return None
    length, _ = _PREFIX.unpack_from(tail)
    end = PREFIX_BYTES + length
    if not _MIN_PAYLOAD_BYTES <= length <= MAX_PAYLOAD_BYTES:
        return f"length field {length} is not between {_MIN_PAYLOAD_BYTES} and {MAX_PAYLOAD_BYTES}"
    if end <= written:
        return "checksum or content is wrong"
    if _payload(tail[PREFIX_BYTES:]) is not None:
        return f"length field {length} is wrong: a whole record of another length is there"
    follower = _find_record(tail)
    if follower is not None:
        return f"it is not a record, and a valid one follows at {offset + follower}"
    return None


def _written_bytes(tail: bytes, offset: int) -> int:
    """Return how much of ``tail`` precedes the zeros that an unfinished sector write leaves."""
    content_end = len(tail.rstrip(b"\0"))
    sector_end = -(-(offset + content_end) // _SECTOR_BYTES) * _SECTOR_BYTES - offset
    return min(len(tail), sector_end) if content_end else 0


def _find_record(tail: bytes) -> int | None:
    # Damage to a length field hides all records behind it; they are found by their first byte.
    marker = tail.find(_ARRAY_OF_FIVE, PREFIX_BYTES + 1)
    while marker != -1:
        start = marker - PREFIX_BYTES
        length, checksum = _PREFIX.unpack_from(tail, start)
        end = marker + length
        if end <= len(tail) and _record(tail[marker:end], checksum) is not None:
            return start
        marker = tail.find(_ARRAY_OF_FIVE, marker + 1)
    return None


def _record(payload: bytes, checksum: int) -> RawRecord | None:
    return _payload(payload) if zlib.crc32(payload) == checksum else None


def _payload(payload: bytes) -> RawRecord | None:
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
