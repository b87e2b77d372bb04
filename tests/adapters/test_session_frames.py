"""Session against every sort of frame, whole or broken."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from krator_actors.adapters.websocket import WebSocketConnection
from tests.adapters.session_scene import (
    DEADLINE_SECS,
    UPGRADE,
    Caller,
    echo,
    eventually,
    keeping,
    venue,
)


async def test_message_of_20_megabytes_ends_the_connection() -> None:
    async def flood(connection: ServerConnection) -> None:
        await connection.send("x" * 20_000_000)

    async with venue(flood) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts == []
        assert "1009" in caller.reasons[0] or "exceeds limit" in caller.reasons[0]


async def test_fragments_are_joined_and_their_sum_is_limited() -> None:
    async def fragments(connection: ServerConnection) -> None:
        await connection.send(["", "be", "gin", "", "end"])
        await connection.send(["x" * 600, "y" * 600])

    async with venue(fragments) as url:
        caller = Caller(url, max_frame_bytes=1000)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts[0] == "beginend"
        assert "too" in caller.reasons[0] or "limit" in caller.reasons[0]


async def test_invalid_utf8_ends_the_connection() -> None:
    async def lie(connection: ServerConnection) -> None:
        await connection.send(b"\xff\xfe{}", text=True)
        await connection.wait_closed()

    async with venue(lie) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts == []
        assert "UTF-8" in caller.reasons[0]


async def test_binary_message_ends_the_connection() -> None:
    async def binary(connection: ServerConnection) -> None:
        await connection.send(b"\x00")
        await connection.send("after")
        await connection.wait_closed()

    async with venue(binary) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts == []
        assert "binary" in caller.reasons[0]


class DeafTransport(asyncio.Transport):
    """Takes what is written and delivers nothing."""

    def __init__(self) -> None:
        super().__init__({"socket": self})
        self.closed = False

    def setsockopt(self, *_option: int) -> None:
        pass

    def write(self, data: object) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    abort = close


@given(junk=st.binary(min_size=1, max_size=100))
async def test_no_bytes_of_the_venue_raise(junk: bytes) -> None:
    texts: list[bytes] = []
    connection = WebSocketConnection(parse_uri("ws://venue/"), texts.append, 5.0, 1_000)
    connection.connection_made(DeafTransport())
    accept = accept_key(connection._websocket.key)
    connection.data_received(UPGRADE + b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n")
    assert connection.is_open

    connection.data_received(junk)
    connection.eof_received()
    connection.connection_lost(None)

    assert connection.lost.result()


def frames_of(text: str, *, fragments: bool) -> bytes:
    """Return a venue's frames of one message; in two fragments around a ping, or whole."""
    data = text.encode()
    if not fragments:
        return Frame(Opcode.TEXT, data).serialize(mask=False)
    half = len(data) // 2
    parts = [Frame(Opcode.TEXT, data[:half], fin=False), Frame(Opcode.PING, b"")]
    parts.append(Frame(Opcode.CONT, data[half:]))
    return b"".join(part.serialize(mask=False) for part in parts)


TEXTS = st.one_of(
    st.text(max_size=130), st.integers(120, 130).map("x".__mul__), st.just("y" * 70_000)
)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
async def test_text_of_any_size_arrives_as_it_was_sent(size: int) -> None:
    async with venue(echo) as url:
        caller = Caller(url)
        async with keeping(caller.session):
            await eventually(lambda: caller.texts == ["hello"])

            caller.session.send("ä" * (size // 2) + "x" * (size % 2))
            await eventually(lambda: len(caller.texts) == 2)

    assert caller.texts == ["hello", "ä" * (size // 2) + "x" * (size % 2)]


@given(
    messages=st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 300), max_size=30),
)
async def test_messages_are_whole_in_whatever_pieces_their_bytes_come(
    messages: list[tuple[str, bool]], cuts: list[int]
) -> None:
    texts: list[bytes] = []
    connection = WebSocketConnection(parse_uri("ws://venue/"), texts.append, 5.0, 100_000)
    connection.connection_made(DeafTransport())
    accept = accept_key(connection._websocket.key)
    stream = UPGRADE + b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    stream += b"".join(frames_of(text, fragments=fragments) for text, fragments in messages)

    for size in cuts:
        if stream:
            connection.data_received(stream[:size])
            stream = stream[size:]
    connection.data_received(stream or Frame(Opcode.PONG, b"").serialize(mask=False))
    connection.connection_lost(None)

    assert texts == [text.encode() for text, _ in messages]
    connection.lost.result()


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, b"masked").serialize(mask=True),
        Frame(Opcode.TEXT, b"z" * 1_001).serialize(mask=False),
        b"\x81\x7f\xff" + bytes(7),
        b"\xc1\x00",
        Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=False) + b"\x81\x01b",
    ],
    ids=["masked", "too long", "longer than any", "reserved bit", "text within fragments"],
)
async def test_frame_that_breaks_the_protocol_ends_the_connection(frame: bytes) -> None:
    texts: list[bytes] = []
    connection = WebSocketConnection(parse_uri("ws://venue/"), texts.append, 5.0, 1_000)
    connection.connection_made(DeafTransport())
    accept = accept_key(connection._websocket.key)
    connection.data_received(UPGRADE + b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n")

    connection.data_received(frame + Frame(Opcode.TEXT, b"after").serialize(mask=False))
    connection.connection_lost(None)

    assert texts == []
    assert connection.lost.result().startswith("protocol error")


async def test_ping_of_the_venue_is_answered() -> None:
    answered = asyncio.Event()

    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping("1723161255000"))
        answered.set()
        await connection.wait_closed()

    async with venue(ping) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await asyncio.wait_for(answered.wait(), DEADLINE_SECS)


async def test_small_frame_that_unpacks_to_20_megabytes_ends_the_connection() -> None:
    async def bomb(connection: ServerConnection) -> None:
        await connection.send("x" * 20_000_000)

    async with venue(bomb) as url:
        caller = Caller(url, compression=True)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

    assert caller.texts == []
