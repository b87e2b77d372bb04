"""How a local log looks in bytes, and how a torn tail is told from damage. Pure.

A log is a row of segments. A segment is a header and then records, back to back. All numbers are
little-endian.

* header: ``KRLOG`` · version u8 · length u16 · writer's name (UTF-8) · first number u64 · birth i64
  · key id 8 bytes · salt 32 bytes · crc32 of all before, u32. Version 1, a log in one file, has
  only the name between length and crc32.
* record: length of the payload u32 · crc32 of the payload u32 · payload, a MessagePack array of
  number, generation, ts_ns, event type, event (MessagePack bytes); sealed when the header has a key
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import msgspec

VERSION = 2
MAX_PAYLOAD_BYTES = 1 << 20
"""A larger length field is damage; a larger event is refused when it is appended."""

MAX_WRITER_BYTES = 255

PREFIX_BYTES = 8
SEAL_BYTES = 24
"""What sealing adds to a payload: a counter of 8 bytes before, a tag of 16 behind."""

MAX_FRAME_BYTES = PREFIX_BYTES + MAX_PAYLOAD_BYTES + SEAL_BYTES

_MAGIC = b"KRLOG"
_HEADER = struct.Struct("<5sBH")
_CHECKSUM = struct.Struct("<I")
_PREFIX = struct.Struct("<II")
_MIN_PAYLOAD_BYTES = 6
_ARRAY_OF_FIVE = b"\x95"
_SECTOR_BYTES = 512
_ONE_FILE_VERSION = 1
_FIELDS = struct.Struct("<Qq8s32s")

Unseal = Callable[[bytes], bytes | None]
"""Returns the payload that was sealed, None when it is not what was sealed."""


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


class SegmentHeader(msgspec.Struct, frozen=True):
    """What a segment says of itself."""

    writer: str
    first: int = 1
    """the number of its first record"""
    birth_ns: int = 0
    """UTC, of the log's record 1; 0 in the segment that has this record"""
    key_id: bytes = bytes(8)
    """which key sealed its records; zeros when they are plain"""
    salt: bytes = bytes(32)
    """of this segment's own key; zeros when its records are plain"""

    @property
    def is_sealed(self) -> bool:
        """True when its records can be read with a key only."""
        return any(self.key_id)


class HeaderError(ValueError):
    """These bytes do not begin a segment of this version."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RawRecord).decode


def encode_header(header: SegmentHeader) -> bytes:
    """Return the first bytes of a segment; ValueError when the writer's name is too long."""
    fields = _FIELDS.pack(header.first, header.birth_ns, header.key_id, header.salt)
    head = _name(header.writer, VERSION) + fields
    return head + _CHECKSUM.pack(zlib.crc32(head))


def decode_header(data: bytes) -> tuple[SegmentHeader, int] | None:
    """Return the header and its size; None while it is not complete yet.

    Raises HeaderError for anything that no header begins with.
    """
    magic = data[: len(_MAGIC)]
    if magic != _MAGIC[: len(magic)]:
        raise HeaderError("it does not begin as a Krator log does")
    if len(data) < _HEADER.size:
        return None
    _, version, length = _HEADER.unpack_from(data)
    if version not in {_ONE_FILE_VERSION, VERSION}:
        raise HeaderError(f"its version was {version}; this program reads 1 and {VERSION}")
    if not 0 < length <= MAX_WRITER_BYTES:
        raise HeaderError(f"its writer's name has {length} bytes")
    name_end = _HEADER.size + length
    end = name_end + _fields_size(version)
    if len(data) < end + _CHECKSUM.size:
        return None
    if _CHECKSUM.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise HeaderError("the checksum of its header is wrong")
    writer = data[_HEADER.size : name_end].decode()
    if version == _ONE_FILE_VERSION:
        return SegmentHeader(writer), end + _CHECKSUM.size
    return SegmentHeader(writer, *_FIELDS.unpack_from(data, name_end)), end + _CHECKSUM.size


def is_torn_header(data: bytes, writer: str) -> bool:
    """True when ``data``, a whole file, is what an unfinished write of a header leaves."""
    content = data.rstrip(b"\0")
    for version in (_ONE_FILE_VERSION, VERSION):
        name = _name(writer, version)
        size = len(name) + _fields_size(version) + _CHECKSUM.size
        begun = content[: len(name)]
        if name.startswith(begun) and len(content) < size and not _is_whole(data, size):
            return True
    return False


def _is_whole(data: bytes, size: int) -> bool:
    # Its last bytes may be zeros that were written.
    return len(data) >= size and (
        _CHECKSUM.unpack_from(data, size - _CHECKSUM.size)[0]
        == zlib.crc32(data[: size - _CHECKSUM.size])
    )


def _name(writer: str, version: int) -> bytes:
    name = writer.encode()
    if not 0 < len(name) <= MAX_WRITER_BYTES:
        raise ValueError(f"a writer's name has 1 to {MAX_WRITER_BYTES} bytes; {writer!r} does not")
    return _HEADER.pack(_MAGIC, version, len(name)) + name


def _fields_size(version: int) -> int:
    return _FIELDS.size if version == VERSION else 0


def encode_record(record: RawRecord, seal: Callable[[bytes], bytes] | None = None) -> bytes:
    """Return the frame of a record; ValueError when its payload exceeds MAX_PAYLOAD_BYTES."""
    payload = _encode(record)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"{record.event_type} takes {len(payload)} bytes; a record holds {MAX_PAYLOAD_BYTES}"
        )
    if seal is not None:
        payload = seal(payload)
    return _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload


def scan(data: bytes, limit: int, unseal: Unseal | None = None) -> tuple[list[RawRecord], int]:
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
        record = _record(payload, checksum, unseal)
        if record is None:
            break
        records.append(record)
        position = end
    return records, position


def damage(tail: bytes, offset: int, unseal: Unseal | None = None) -> str | None:
    """Say why ``tail``, which does not begin with a valid record, is damaged; None when it is torn.

    Torn is what a write leaves that did not finish: a strict beginning of one record, followed by
    nothing, or (after a power cut) by zeros from a disk sector on. ``tail`` reaches to the end of
    the file, or at least MAX_FRAME_BYTES further; ``offset`` is its place in the file.
    """
    written = _written_bytes(tail, offset)
    if written < PREFIX_BYTES:
        return None
    length, checksum = _PREFIX.unpack_from(tail)
    end = PREFIX_BYTES + length
    seal_bytes = SEAL_BYTES if unseal else 0
    least, most = _MIN_PAYLOAD_BYTES + seal_bytes, MAX_PAYLOAD_BYTES + seal_bytes
    if not least <= length <= most:
        return f"length field {length} is not between {least} and {most}"
    if end <= written:
        return "checksum or content is wrong"
    if zlib.crc32(tail[PREFIX_BYTES:]) == checksum:
        return f"length field {length} is wrong: a whole record of another length is there"
    follower = _find_sealed(tail) if unseal else _find_record(tail)
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


def _find_sealed(tail: bytes) -> int | None:
    # Nothing marks a sealed record; a checksum over as much as its length says does.
    for start in range(1, len(tail) - PREFIX_BYTES):
        length, checksum = _PREFIX.unpack_from(tail, start)
        end = start + PREFIX_BYTES + length
        if (
            end <= len(tail)
            and length > SEAL_BYTES
            and (zlib.crc32(tail[start + PREFIX_BYTES : end]) == checksum)
        ):
            return start
    return None


def _record(payload: bytes, checksum: int, unseal: Unseal | None = None) -> RawRecord | None:
    return _payload(payload, unseal) if zlib.crc32(payload) == checksum else None


def _payload(payload: bytes, unseal: Unseal | None = None) -> RawRecord | None:
    plain = unseal(payload) if unseal else payload
    if plain is None:
        return None
    try:
        return _decode(plain)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
