import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors import frames
from supervisors.frames import FrameReader, Hello, MalformedFrameError, MessageTooLargeError
from supervisors.messages import Message

Frames = list[tuple[int, int, bytes]]


class Blob(Message, frozen=True, kw_only=True):
    data: bytes


def hello(**changes: object) -> Hello:
    return msgspec.structs.replace(
        Hello(version=frames.VERSION, sender="a", generation=1, receiver="b"), **changes
    )


@given(
    sent=st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=40)),
        max_size=8,
    ),
    cuts=st.lists(st.integers(0, 400)),
)
def test_frames_arrive_whole_and_in_order_however_the_stream_is_cut(
    sent: Frames, cuts: list[int]
) -> None:
    stream = b"".join(frames.pack(*frame) for frame in sent)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    reader = FrameReader()
    received = [
        frame
        for start, stop in itertools.pairwise(edges)
        for frame in reader.feed(stream[start:stop])
    ]

    assert received == sent


@given(st.binary(max_size=200))
def test_garbage_is_frames_or_malformed_and_nothing_else(garbage: bytes) -> None:
    reader = FrameReader()

    try:
        received = reader.feed(garbage)
    except MalformedFrameError:
        received = []

    assert all(len(body) <= len(garbage) for _, _, body in received)


@pytest.mark.parametrize("length", [0, 8, frames.MAX_BODY_BYTES + 100, 2**32 - 1])
def test_impossible_length_is_refused_before_its_bytes_have_come(length: int) -> None:
    header = frames.pack_header(length, frames.TELL, 1)

    with pytest.raises(MalformedFrameError, match=str(length)):
        FrameReader().feed(header)


def test_largest_frame_passes_in_small_pieces() -> None:
    body = bytes(frames.MAX_BODY_BYTES)
    stream = frames.pack(frames.TELL, 7, body)
    reader = FrameReader()

    received = [
        frame
        for start in range(0, len(stream), 65_536)
        for frame in reader.feed(stream[start : start + 65_536])
    ]

    assert received == [(frames.TELL, 7, body)]


def test_message_above_the_limit_is_not_encoded() -> None:
    with pytest.raises(MessageTooLargeError, match="Blob of 8388"):
        frames.encode(Blob(data=bytes(frames.MAX_BODY_BYTES)))


def test_hello_travels() -> None:
    (frame,) = FrameReader().feed(frames.pack_hello(hello(generation=2**63)))

    assert frames.unpack_hello(frame) == hello(generation=2**63)


def test_hello_of_another_version_is_refused() -> None:
    (frame,) = FrameReader().feed(frames.pack_hello(hello(version=99)))

    with pytest.raises(MalformedFrameError, match="version 99 is not 1"):
        frames.unpack_hello(frame)


def test_first_frame_that_is_no_hello_is_refused() -> None:
    with pytest.raises(MalformedFrameError, match="kind 1"):
        frames.unpack_hello((frames.TELL, 1, b""))


def test_hello_that_is_not_messagepack_is_refused() -> None:
    with pytest.raises(MalformedFrameError, match="hello"):
        frames.unpack_hello((frames.HELLO, 0, b"\xc1"))


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=20))
def test_deadline_travels_before_the_message(deadline_ns: int, body: bytes) -> None:
    assert frames.split_deadline(frames.with_deadline(deadline_ns, body)) == (deadline_ns, body)


def test_ask_without_a_deadline_is_malformed() -> None:
    with pytest.raises(MalformedFrameError, match="deadline"):
        frames.split_deadline(b"1234567")
