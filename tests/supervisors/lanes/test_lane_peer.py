"""What the sending side does with a receiver that does not behave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from supervisors import frames
from supervisors.answers import answer_decoder
from supervisors.client import Client
from supervisors.frames import ACK, ANSWER, ASK, NO_ANSWER, TELL, FrameReader
from supervisors.lane import STASH_LIMIT, WINDOW_BYTES, Lanes
from supervisors.messages import FencedError, Message, NoAnswerError, PeerDiedError
from supervisors.outbox import Counters
from supervisors.sockets import RuntimeFolder
from supervisors.testing import eventually


class Job(Message, frozen=True, kw_only=True):
    number: int
    payload: bytes = b""


class Done(Message, frozen=True, kw_only=True):
    pass


Reply = Callable[[tuple[int, int, bytes]], bytes | None]


class Receiver:
    """Listens as ``b`` and replies to each frame after the hello with what a test wants."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.frames: list[tuple[int, int, bytes]] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        cutter = FrameReader()
        try:
            while data := await reader.read(65_536):
                for frame in cutter.feed(data):
                    self.frames.append(frame)
                    reply = self.reply(frame) if frame[0] != frames.HELLO else b""
                    if reply is None:
                        return
                    writer.write(reply)
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(runtime: Path, reply: Reply) -> AsyncIterator[Receiver]:
    receiver = Receiver(reply)
    with RuntimeFolder(runtime) as folder:
        server = await asyncio.start_unix_server(receiver.serve, sock=folder.listen("b"))
    try:
        yield receiver
    finally:
        server.close()


class Sender:
    """Lanes of ``a``, and what came back."""

    def __init__(self, folder: RuntimeFolder) -> None:
        self.returned: list[tuple[str, Message]] = []
        self.failures: list[BaseException] = []
        self.counters = Counters()
        self.lanes = Lanes(
            folder=folder,
            sender="a",
            generation=1,
            counters=self.counters,
            give_back=lambda name, message: self.returned.append((name, message)),
            fail=self.failures.append,
        )

    async def ask(self, number: int) -> Message:
        decode = answer_decoder(Done)
        return await self.lanes.ask("b", Job(number=number), decode, timeout_secs=10)


@pytest.fixture
async def sender(tmp_path: Path) -> AsyncIterator[Sender]:
    with RuntimeFolder(tmp_path) as folder:
        sender = Sender(folder)
        try:
            yield sender
        finally:
            await sender.lanes.close(1.0)


@pytest.mark.parametrize(
    "reply",
    [
        b"\xff" * 20,
        frames.pack(ACK, 77),
        frames.pack(ACK, 0),
        frames.pack(ANSWER, 1, b"\x80"),
        frames.pack(TELL, 1),
        frames.pack(99, 1),
    ],
    ids=["garbage", "ack of nothing", "ack of 0", "answer to a tell", "a tell", "unknown kind"],
)
async def test_receiver_that_does_not_speak_the_protocol_is_left_and_nothing_is_sent_again(
    sender: Sender, tmp_path: Path, reply: bytes
) -> None:
    async with receiver(tmp_path, lambda _: reply) as bad:
        sender.lanes.tell("b", Job(number=1))
        await eventually(lambda: sender.counters.malformed == 1)
        await eventually(lambda: bad.connections == 1)

        # With "answer to a tell" and the like the message had been settled already.
        await eventually(lambda: len(sender.returned) <= 1)
        assert [frame[0] for frame in bad.frames] == [frames.HELLO, TELL]
        assert sender.failures == []


async def test_receiver_that_closes_at_once_gives_each_message_back_once(
    sender: Sender, tmp_path: Path
) -> None:
    async with receiver(tmp_path, lambda _: None) as closing:
        for number in range(3):
            sender.lanes.tell("b", Job(number=number))
            await eventually(lambda: len(sender.returned) == number + 1)  # noqa: B023 - used now

        assert sender.returned == [("b", Job(number=number)) for number in range(3)]
        assert closing.connections == 3


async def test_fenced_sender_fails(sender: Sender, tmp_path: Path) -> None:
    async with receiver(tmp_path, lambda _: frames.pack(frames.FENCED, 0, b"too old")):
        sender.lanes.tell("b", Job(number=1))

        await eventually(lambda: len(sender.returned) == 1)

    assert [str(each) for each in sender.failures if isinstance(each, FencedError)] == ["too old"]


async def test_fenced_client_tells_its_caller(tmp_path: Path) -> None:
    async with (
        receiver(tmp_path, lambda _: frames.pack(frames.FENCED, 0, b"too old")),
        Client(tmp_path) as client,
    ):
        with pytest.raises(PeerDiedError):
            await client.ask("b", Job(number=1), Done, timeout_secs=10)


@pytest.mark.parametrize(
    "kind_and_body", [(ACK, b""), (NO_ANSWER, b""), (ANSWER, b"\x90"), (ANSWER, b"\xc1")]
)
async def test_ask_that_gets_no_readable_answer_says_so(
    sender: Sender, tmp_path: Path, kind_and_body: tuple[int, bytes]
) -> None:
    kind, body = kind_and_body
    async with receiver(tmp_path, lambda frame: frames.pack(kind, frame[1], body)):
        with pytest.raises(NoAnswerError):
            await sender.ask(1)

    assert sender.counters.malformed == 0


async def test_answer_settles_all_that_was_told_before(sender: Sender, tmp_path: Path) -> None:
    def answer_asks(frame: tuple[int, int, bytes]) -> bytes:
        kind, seq, _ = frame
        return frames.pack(ANSWER, seq, frames.encode(Done())) if kind == ASK else b""

    async with receiver(tmp_path, answer_asks):
        for number in range(10):
            sender.lanes.tell("b", Job(number=number))
        assert await sender.ask(10) == Done()

    await sender.lanes.close(1.0)
    assert sender.returned == []


async def test_bytes_without_acknowledgement_are_bounded(sender: Sender, tmp_path: Path) -> None:
    payload = bytes(frames.MAX_BODY_BYTES - 1000)
    async with receiver(tmp_path, lambda _: b"") as silent:
        for number in range(5):
            sender.lanes.tell("b", Job(number=number, payload=payload))
        await eventually(lambda: len(silent.frames) == 4)

        assert sender.lanes.stash == 2
        assert 3 * len(payload) > WINDOW_BYTES


async def test_error_nobody_foresaw_fails_the_sender(sender: Sender, tmp_path: Path) -> None:
    def broken(body: bytes) -> Message:
        raise ZeroDivisionError

    async with receiver(tmp_path, lambda frame: frames.pack(ANSWER, frame[1], b"")):
        asking = asyncio.create_task(sender.lanes.ask("b", Job(number=1), broken, timeout_secs=600))
        await eventually(lambda: len(sender.failures) == 1)

        assert isinstance(sender.failures[0], ZeroDivisionError)
        asking.cancel()


async def test_peer_that_may_not_be_reached_fails_the_sender(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(name: str) -> None:
        raise PermissionError(name)

    monkeypatch.setattr(sender.lanes.folder, "connect", forbidden)

    sender.lanes.tell("b", Job(number=1))

    await eventually(lambda: [str(each) for each in sender.failures] == ["b"])


async def test_closing_ends_the_search_for_a_peer_and_who_waits_for_it(sender: Sender) -> None:
    asking = asyncio.create_task(sender.ask(1))
    telling = [sender.lanes.tell("b", Job(number=number)) for number in range(STASH_LIMIT + 1)]
    await asyncio.sleep(0)

    await sender.lanes.close(1.0)

    assert telling[-1] is not None
    assert telling[-1].cancelled()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sender.lanes.stash == 0
    assert sender.failures == []
