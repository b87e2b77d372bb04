"""What the listening side does with those who do not behave."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from supervisors import frames, listener
from supervisors.actor import Actor, Brain
from supervisors.client import Client
from supervisors.frames import FrameReader, Hello
from supervisors.inbox import Inbox
from supervisors.messages import Message
from supervisors.outbox import Counters
from supervisors.sockets import RuntimeFolder
from supervisors.testing import eventually, running


class Question(Message, frozen=True, kw_only=True):
    number: int


class Answer(Message, frozen=True, kw_only=True):
    number: int


class Echo(Actor):
    inbox = Question

    async def receive(self, message: Message, sender: str) -> Answer:
        assert isinstance(message, Question)
        return Answer(number=message.number)


class Peer:
    """Speaks bytes to an actor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.cutter = FrameReader()
        self.frames: list[tuple[int, int, bytes]] = []

    async def frame(self) -> tuple[int, int, bytes]:
        while not self.frames:
            data = await asyncio.wait_for(self.reader.read(65_536), 10)
            assert data, "the connection was closed"
            self.frames = self.cutter.feed(data)
        return self.frames.pop(0)

    async def closed(self) -> None:
        try:
            while await asyncio.wait_for(self.reader.read(65_536), 10):
                pass
        except ConnectionResetError:
            pass


@pytest.fixture
async def echo(tmp_path: Path) -> AsyncIterator[Brain]:
    async with running(Echo, name="echo", runtime=tmp_path) as brain:
        yield brain


@pytest.fixture
async def peer(echo: Brain, tmp_path: Path) -> AsyncIterator[Peer]:
    with RuntimeFolder(tmp_path) as folder:
        reader, writer = await asyncio.open_unix_connection(sock=folder.connect("echo"))
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


def hello(receiver: str = "echo", generation: int = 1) -> bytes:
    return frames.pack_hello(
        Hello(version=frames.VERSION, sender="peer", generation=generation, receiver=receiver)
    )


def tell(seq: int) -> bytes:
    return frames.pack(frames.TELL, seq, frames.encode(Question(number=seq)))


async def assert_echo_lives(runtime: Path) -> None:
    async with Client(runtime) as client:
        answer = await client.ask("echo", Question(number=5), Answer, timeout_secs=10)
    assert answer == Answer(number=5)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        os.urandom(100_000),
        b"\x00" * 1000,
        b"\xff" * 1000,
        tell(1),
        frames.pack(frames.HELLO, 0, b"\xc1"),
        hello(receiver="somebody else"),
        hello() + frames.pack(77, 1, b""),
        hello() + hello(),
        hello() + frames.pack_header(2**31, frames.TELL, 1),
    ],
    ids=[
        "http",
        "random",
        "zeros",
        "ones",
        "no hello",
        "bad hello",
        "wrong receiver",
        "unknown kind",
        "second hello",
        "giant frame",
    ],
)
async def test_garbage_closes_its_connection_and_nothing_else(
    peer: Peer, echo: Brain, tmp_path: Path, garbage: bytes
) -> None:
    peer.writer.write(garbage)

    await peer.closed()

    assert echo.statistics().malformed == 1
    await assert_echo_lives(tmp_path)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x93\x01\x02", b"\x81\xa1_\xa8Question", b"\x81\xa1_\xa1\xff", b"\x91" * 9999],
    ids=["empty", "not messagepack", "truncated", "field missing", "bad text", "deep"],
)
async def test_undecodable_message_is_refused_and_the_next_one_handled(
    peer: Peer, echo: Brain, body: bytes
) -> None:
    peer.writer.write(hello() + frames.pack(frames.TELL, 1, body) + tell(2))

    kind, seq, _ = await peer.frame()

    assert (kind, seq) == (frames.REFUSED, 1)
    await eventually(lambda: echo.statistics().handled == 1)
    assert echo.statistics().refused == 1


async def test_ask_without_its_deadline_is_refused(peer: Peer, echo: Brain) -> None:
    peer.writer.write(hello() + frames.pack(frames.ASK, 1, b"1234"))

    assert (await peer.frame())[:2] == (frames.REFUSED, 1)


async def test_acknowledgements_of_a_burst_are_cumulative(peer: Peer, echo: Brain) -> None:
    peer.writer.write(hello() + b"".join(tell(seq) for seq in range(1, 101)))

    seqs = [0]
    while seqs[-1] < 100:
        kind, seq, _ = await peer.frame()
        assert kind == frames.ACK
        seqs.append(seq)

    assert seqs == sorted(set(seqs))
    assert len(seqs) < 50


async def test_hello_in_single_bytes_is_understood(peer: Peer, echo: Brain) -> None:
    for byte in hello() + tell(1):
        peer.writer.write(bytes([byte]))
        await asyncio.sleep(0)

    assert await peer.frame() == (frames.ACK, 1, b"")


async def test_older_generation_hears_that_it_is_fenced(
    peer: Peer, echo: Brain, tmp_path: Path
) -> None:
    peer.writer.write(hello(generation=8) + tell(1))
    assert (await peer.frame())[0] == frames.ACK
    with RuntimeFolder(tmp_path) as folder:
        reader, writer = await asyncio.open_unix_connection(sock=folder.connect("echo"))
    older = Peer(reader, writer)

    writer.write(hello(generation=7) + tell(1))
    kind, _, reason = await older.frame()
    await older.closed()
    writer.close()

    assert kind == frames.FENCED
    assert reason == b"echo has heard peer in generation 8, not 7"
    assert echo.statistics().handled == 1
    peer.writer.write(tell(2))
    assert await peer.frame() == (frames.ACK, 2, b"")


async def test_silent_connection_is_closed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HELLO_TIMEOUT_SECS", 0.01)
    async with running(Echo, name="echo", runtime=tmp_path) as brain:
        with RuntimeFolder(tmp_path) as folder:
            reader, writer = await asyncio.open_unix_connection(sock=folder.connect("echo"))

        await Peer(reader, writer).closed()

        writer.close()
        assert brain.statistics().malformed == 1


async def test_only_so_many_names_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MAX_NAMES", 3)
    with RuntimeFolder(tmp_path) as folder:
        listening = listener.Listener(
            name="echo", folder=folder, inbox=Inbox(1), counters=Counters()
        )

    for number in range(10):
        connection = listener.Connection(listening)
        connection.sender = f"client {number}"
        listening.connections.add(connection)
        listening.on_hello(connection, "echo")
        if number > 0:
            listening.on_lost(connection)

    assert list(listening._generations) == ["client 0", "client 8", "client 9"]
