"""The receiving side of an actor's lanes: accept, check who speaks, fill the inbox, acknowledge."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from loguru import logger

from supervisors.frames import (
    ACK,
    ANSWER,
    ASK,
    FENCED,
    MAX_BODY_BYTES,
    NO_ANSWER,
    REFUSED,
    TELL,
    Frame,
    FrameReader,
    MalformedFrameError,
    encode,
    pack,
    unpack_hello,
)
from supervisors.inbox import Inbox
from supervisors.messages import Message
from supervisors.outbox import Counters
from supervisors.sockets import RuntimeFolder

HELLO_TIMEOUT_SECS = 5.0
"""A connection that has not said who it is by then is closed."""

ACK_SECS = 0.005
"""How long an acknowledgement may wait for company: each one wakes its sender for nothing else."""

ACK_MESSAGES = 64
"""So many handled messages are acknowledged at once; far below a lane's window."""

_LAST_CHANCE_SECS = 0.05

MAX_NAMES = 4096
"""So many senders' generations are remembered; beyond, those forgotten first have no connection."""


class Connection(asyncio.Protocol):
    """One sender's connection, from accept to loss. An ``Origin`` and a ``Source`` of the inbox."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reader = FrameReader()
        # Frames that have arrived and found no room in the inbox; reading pauses while there are.
        self._frames: deque[Frame] = deque()
        self._transport: asyncio.Transport | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        # Done when the connection is lost.
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._out = bytearray()
        self._flush_scheduled = False
        # Runs while handled messages wait to be acknowledged.
        self._ack_timer: asyncio.TimerHandle | None = None
        self._handled_seq = 0
        self._acknowledged_seq = 0
        # Both empty until the hello.
        self.sender = ""
        self.generation = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the hello."""
        self._transport = cast("asyncio.Transport", transport)
        self._listener.connections.add(self)
        loop = asyncio.get_running_loop()
        self._hello_timer = loop.call_later(HELLO_TIMEOUT_SECS, self._on_no_hello_yet)

    def data_received(self, data: bytes) -> None:
        """Cut frames and admit them."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            frames = self._reader.feed(data)
            if self._hello_timer is not None:
                if not frames:
                    return
                self._on_hello(frames.pop(0))
            _check_kinds(frames)
        except MalformedFrameError as error:
            self._listener.on_malformed(self, str(error))
            return
        if not self._transport.is_closing():
            self._frames.extend(frames)
            self._admit()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Forget the connection; what the inbox holds of it is handled all the same."""
        self._transport = None
        self._frames.clear()
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        self.lost.set_result(None)
        self._listener.on_lost(self)

    def resume(self) -> None:
        """Go on reading if everything that was held back finds room."""
        if self._transport is not None and self._admit():
            self._transport.resume_reading()

    def acknowledge(self, seq: int) -> None:
        """Acknowledge ``seq`` and all before it within ``ACK_SECS``, together with what follows."""
        self._handled_seq = seq
        if seq - self._acknowledged_seq >= ACK_MESSAGES:
            self._schedule_flush()
        elif self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(ACK_SECS, self._flush)

    def answer(self, seq: int, message: Message | None) -> None:
        """Answer an ask; raises ``MessageTooLargeError``."""
        if message is None:
            self._reply(NO_ANSWER, seq, b"")
        else:
            self._reply(ANSWER, seq, encode(message))

    def refuse(self, seq: int, reason: str) -> None:
        """Give a message back to its sender as not handled."""
        self._reply(REFUSED, seq, reason.encode()[:MAX_BODY_BYTES])

    def fence(self, reason: str) -> None:
        """Tell an older generation that it is one, and close; what is not in the inbox is lost."""
        self._frames.clear()
        self._listener.inbox.forget(self)
        self._reply(FENCED, 0, reason.encode())
        self.close()

    def close(self) -> None:
        """Write what is pending and close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _on_hello(self, frame: Frame) -> None:
        assert self._hello_timer is not None
        hello = unpack_hello(frame)
        self._hello_timer.cancel()
        self._hello_timer = None
        self.sender = hello.sender
        self.generation = hello.generation
        self._listener.on_hello(self, hello.receiver)

    def _on_no_hello_yet(self) -> None:
        # Timers run before sockets are read: after a long handler the hello may lie there.
        loop = asyncio.get_running_loop()
        self._hello_timer = loop.call_later(_LAST_CHANCE_SECS, self._on_no_hello)

    def _on_no_hello(self) -> None:
        self._listener.on_malformed(self, f"no hello within {HELLO_TIMEOUT_SECS} s")

    def _admit(self) -> bool:
        if self._listener.inbox.admit(self, self._frames):
            return True
        assert self._transport is not None
        self._transport.pause_reading()
        self._listener.inbox.hold_back(self)
        return False

    def _reply(self, kind: int, seq: int, body: bytes) -> None:
        # Whatever is said of a message acknowledges all before it.
        self._handled_seq = self._acknowledged_seq = seq
        self._out += pack(kind, seq, body)
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        if self._handled_seq > self._acknowledged_seq:
            self._acknowledged_seq = self._handled_seq
            self._out += pack(ACK, self._handled_seq)
        if self._out and self._transport is not None and not self._transport.is_closing():
            out, self._out = self._out, bytearray()
            self._transport.write(out)


class Listener:
    """Owns an actor's name in the runtime folder while it lives.

    Knows the newest generation heard of each sender and admits nothing from an older one; what
    had been admitted before the newer one spoke is handled before what the newer one says.
    """

    def __init__(
        self, *, name: str, folder: RuntimeFolder, inbox: Inbox, counters: Counters
    ) -> None:
        self.inbox = inbox
        self.connections: set[Connection] = set()
        self._name = name
        self._folder = folder
        self._counters = counters
        self._server: asyncio.Server | None = None
        # The newest generation heard of each sender, oldest acquaintance first.
        self._generations: dict[str, int] = {}

    async def open(self) -> None:
        """Take the name; peers can connect from now on."""
        listening = self._folder.listen(self._name)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self), sock=listening)

    async def close(self, timeout_secs: float) -> None:
        """Stop accepting, write the last acknowledgements, close all connections."""
        if self._server is not None:
            self._server.close()
        connections = list(self.connections)
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait({each.lost for each in connections}, timeout=timeout_secs)
        for connection in connections:
            connection.abort()

    def on_hello(self, connection: Connection, receiver: str) -> None:
        """Admit or fence the sender; raises ``MalformedFrameError`` when we are not meant."""
        if receiver != self._name:
            raise MalformedFrameError(f"the hello was for {receiver}, not {self._name}")
        newest = self._generations.pop(connection.sender, 0)
        self._generations[connection.sender] = max(newest, connection.generation)
        if connection.generation < newest:
            self._fence(connection, newest)
            return
        for other in list(self.connections):
            if other.sender == connection.sender and other.generation < connection.generation:
                self._fence(other, connection.generation)
        self._forget_names()

    def on_lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        self.inbox.forget(connection)

    def on_malformed(self, connection: Connection, reason: str) -> None:
        """Close the connection of somebody who does not speak the protocol."""
        self._counters.malformed += 1
        logger.bind(
            event_type="connection_closed", sender=connection.sender, reason=reason
        ).warning("a connection was closed because its sender does not speak the protocol")
        connection.abort()

    def _fence(self, connection: Connection, newest: int) -> None:
        self._counters.fenced += 1
        text = f"{self._name} has heard {connection.sender} in generation {newest}"
        connection.fence(f"{text}, not {connection.generation}")

    def _forget_names(self) -> None:
        if len(self._generations) > MAX_NAMES:
            connected = {connection.sender for connection in self.connections}
            gone = (name for name in self._generations if name not in connected)
            oldest = next(gone, None)
            if oldest is not None:
                del self._generations[oldest]


def _check_kinds(frames: list[Frame]) -> None:
    for kind, _, _ in frames:
        if kind not in {TELL, ASK}:
            raise MalformedFrameError(f"a sender's frame was of kind {kind}")
