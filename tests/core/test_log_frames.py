from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from krator_actors.core import log_frames
from krator_actors.core.log_frames import (
    HeaderError,
    RawRecord,
    SegmentHeader,
    damage,
    decode_header,
    encode_header,
    encode_record,
    is_torn_header,
    scan,
)

records = st.builds(
    RawRecord,
    st.integers(1, 2**40),
    st.integers(0, 2**31),
    st.integers(0, 2**62),
    st.text(min_size=1, max_size=20),
    st.binary(max_size=300),
)


def record(number: int = 1, body: bytes = b"\x81\xa1a\x01") -> RawRecord:
    return RawRecord(number, 1, 1_700_000_000_000_000_000, "OrderSubmitted", body)


@given(st.lists(records, max_size=20))
def test_what_is_encoded_is_scanned(written: list[RawRecord]) -> None:
    data = b"".join(map(encode_record, written))

    assert scan(data, 100) == (written, len(data))


def test_scan_stops_at_its_limit() -> None:
    frames = [encode_record(record(n)) for n in (1, 2, 3)]

    found, size = scan(b"".join(frames), 2)

    assert [r.number for r in found] == [1, 2]
    assert size == len(frames[0]) + len(frames[1])


@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_cut_anywhere_is_torn_and_keeps_the_whole_records(
    written: list[RawRecord], data: st.DataObject
) -> None:
    frames = [encode_record(r) for r in written]
    cut = data.draw(st.integers(0, sum(map(len, frames)) - 1))

    found, size = scan(b"".join(frames)[:cut], 100)

    assert found == written[: len(found)]
    assert size + len(frames[len(found)]) > cut
    assert damage(b"".join(frames)[size:cut], size) is None


@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_one_wrong_bit_is_damage_and_never_a_torn_tail(
    written: list[RawRecord], data: st.DataObject
) -> None:
    whole = bytearray(b"".join(map(encode_record, written)))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8

    found, size = scan(bytes(whole), 100)

    assert found == written[: len(found)]
    assert len(found) < len(written)
    assert damage(bytes(whole[size:]), size) is not None


@given(records, st.integers(0, 2_000), st.integers(1, 3_000), st.data())
def test_zeros_behind_a_sector_are_what_a_power_cut_leaves(
    written: RawRecord, offset: int, zeros: int, data: st.DataObject
) -> None:
    frame = encode_record(written)
    boundaries = range(-offset % 512, len(frame), 512)
    cut = data.draw(st.sampled_from(boundaries)) if boundaries else 0

    torn = frame[:cut] + bytes(zeros)
    assume(not scan(torn, 1)[0])  # because a record that ends in zeros is whole again

    assert damage(torn, offset) is None


def test_zeros_within_a_sector_are_damage() -> None:
    frame = encode_record(record(body=b"\x01" * 100))

    assert damage(frame[:60] + bytes(len(frame) - 60), 0) is not None


def test_length_that_is_too_large_to_be_true_is_damage() -> None:
    tail = (log_frames.MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little") + b"\x01" * 20

    assert "length field" in str(damage(tail, 0))


def test_wrong_length_of_the_last_record_is_damage() -> None:
    frame = bytearray(encode_record(record()))
    frame[1] ^= 1  # 256 bytes longer than it is

    assert "of another length" in str(damage(bytes(frame), 0))


def test_wrong_length_does_not_hide_the_records_behind_it() -> None:
    first, second = bytearray(encode_record(record(1))), encode_record(record(2))
    first[1] ^= 1
    first[20] ^= 1  # and its content too

    reason = damage(bytes(first) + second, 1_000)

    assert f"a valid one follows at {1_000 + len(first)}" in str(reason)


def test_valid_checksum_over_something_else_is_damage() -> None:
    payload = b"not a record"
    frame = log_frames._PREFIX.pack(len(payload), zlib.crc32(payload)) + payload

    assert scan(frame, 1) == ([], 0)
    assert damage(frame, 0) == "checksum or content is wrong"


def test_event_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="a record holds"):
        encode_record(record(body=bytes(log_frames.MAX_PAYLOAD_BYTES)))


@given(
    st.builds(
        SegmentHeader,
        st.text(min_size=1, max_size=60),
        st.integers(1, 2**63),
        st.integers(0, 2**62),
        st.binary(min_size=8, max_size=8),
        st.binary(min_size=32, max_size=32),
    )
)
def test_header_says_what_was_put_into_it(header: SegmentHeader) -> None:
    data = encode_header(header)

    assert decode_header(data + b"more") == (header, len(data))
    assert header.is_sealed == (header.key_id != bytes(8))


def one_file_header(writer: str) -> bytes:
    """The header of version 1."""
    head = struct.pack("<5sBH", b"KRLOG", 1, len(writer)) + writer.encode()
    return head + struct.pack("<I", zlib.crc32(head))


def test_header_of_a_log_in_one_file_is_read() -> None:
    data = one_file_header("risk")

    assert decode_header(data) == (SegmentHeader("risk"), len(data))
    assert all(is_torn_header(data[:cut], "risk") for cut in range(len(data)))
    assert not is_torn_header(data, "risk")


@given(st.data())
def test_beginning_of_a_header_is_not_there_yet(data: st.DataObject) -> None:
    header = encode_header(SegmentHeader("order:SIM"))
    part = header[: data.draw(st.integers(0, len(header) - 1))]

    assert decode_header(part) is None
    assert is_torn_header(part, "order:SIM")
    assert is_torn_header(part + bytes(100), "order:SIM")


@given(st.data())
def test_one_wrong_bit_in_a_header_is_noticed(data: st.DataObject) -> None:
    header = bytearray(encode_header(SegmentHeader("order:SIM")))
    bit = data.draw(st.integers(0, len(header) * 8 - 1))
    header[bit // 8] ^= 1 << bit % 8
    whole = bytes(header) + bytes(300)

    assert not is_torn_header(whole, "order:SIM")
    with pytest.raises(HeaderError):
        decode_header(whole)


@pytest.mark.parametrize("writer", ["", "x" * 256])
def test_writer_without_a_usable_name_is_refused(writer: str) -> None:
    with pytest.raises(ValueError, match="writer's name"):
        encode_header(SegmentHeader(writer))


def test_version_of_a_newer_program_is_named() -> None:
    header = bytearray(encode_header(SegmentHeader("risk")))
    header[5] = 3

    with pytest.raises(HeaderError, match="version was 3"):
        decode_header(bytes(header))
