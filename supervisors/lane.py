"""The sending side of lanes: one connection per receiver, opened when there is something to send.

Written is not delivered. A parcel counts as delivered when the receiver's handler has returned;
what was written and not acknowledged when the connection broke comes back once, as outcome
unknown, and is never written again. What was not written waits for the next incarnation.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import msgspec
from loguru import logger

from supervisors.frames import (
    ACK,
    ANSWER,
    ASK,
    FENCED,
    NO_ANSWER,
    REFUSED,
    TELL,
    VERSION,
    FrameReader,
    Hello,
    MalformedFrameError,
    encode,
    pack,
    pack_hello,
    with_deadline,
)
from supervisors.messages import (
    AskTimeoutError,
    FencedError,
    Message,
    MessageRefusedError,
    NoAnswerError,
    PeerDiedError,
    PeerUnreachableError,
)
from supervisors.outbox import Counters, Outbox, Parcel
from supervisors.sockets import RuntimeFolder

WINDOW: Final = 512
"""Unacknowledged frames of a lane; small, because what is written can be conflated no more."""

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""Unacknowledged bytes of a lane; at least one frame is written whatever its size."""

STASH_LIMIT: Final = 1000
"""Messages of each delivery class that wait for room or for the peer's next incarnation."""

LAZY_SECS: Final = 0.005
"""How long messages that are not urgent may wait for company."""

_RETRY_SECS: Final = (*(0.0005,) * 16, *(0.002,) * 16, 0.005, 0.02, 0.1)  # a restart takes 20 ms


class Lane(asyncio.Protocol):
    """Everything one sender has for one receiver, through all incarnations of the receiver."""

    def __init__(self, lanes: Lanes, receiver: str) -> None:
        self.receiver = receiver
        self.outbox = Outbox(STASH_LIMIT, lanes.counters)
        self._lanes = lanes
        # None while there is no connection.
        self._transport: asyncio.Transport | None = None
        # The attempt to connect, under way or done.
        self.connecting: asyncio.Task[None] | None = None
        # Done while there is no connection.
        self._lost: asyncio.Future[None] | None = None
        self._reader = FrameReader()
        self._out = bytearray()
        self._flush_scheduled = False
        # Runs while only messages that are not urgent wait in _out.
        self._lazy_timer: asyncio.TimerHandle | None = None
        self._seq = 0
        # Written and not settled, in order of seq; what a broken connection gives back.
        self._unsettled: deque[Parcel] = deque()
        self._unsettled_bytes = 0

    def send(self, parcel: Parcel) -> asyncio.Future[None] | None:
        """Write the parcel or let it wait. A future: it has no place yet, await it."""
        if self._transport is not None and not self.outbox and self._window_open():
            self._write(parcel)
            return None
        admitted = self.outbox.put(parcel)
        if self._transport is None:
            self._connect_soon()
        return admitted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello and write what has waited."""
        self._transport = cast("asyncio.Transport", transport)
        # uvloop holds back what is written until the turn ends, unless nothing may be held back.
        self._transport.set_write_buffer_limits(high=0)
        self._lost = self._lanes.loop.create_future()
        self._reader = FrameReader()
        self._seq = 0
        self._out = bytearray(pack_hello(self._lanes.hello(self.receiver)))
        self._schedule_flush()
        self._pump()

    def data_received(self, data: bytes) -> None:
        """Settle what the receiver speaks of."""
        try:
            for kind, seq, body in self._reader.feed(data):
                self._on_frame(kind, seq, body)
            self._pump()
        except MalformedFrameError as error:
            self._lanes.counters.malformed += 1
            logger.bind(event_type="lane_closed", why=f"{self.receiver}: {error}").warning("closed")
            self.abort()
        except Exception as error:  # noqa: BLE001 - the loop would log it and go on
            self._lanes.fail(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Give back what is not settled; connect again if something waits."""
        self._transport = None
        assert self._lost is not None
        self._lost.set_result(None)
        unsettled, self._unsettled = self._unsettled, deque()
        self._unsettled_bytes = 0
        for parcel in unsettled:
            if parcel.future is None:
                self._lanes.give_back(self.receiver, parcel.message)
            elif not parcel.future.done():
                text = f"{self.receiver} ended with {type(parcel.message).__name__} in its hands"
                parcel.future.set_exception(PeerDiedError(text))
        if self.outbox:
            self._connect_soon()

    def discard(self, parcel: Parcel) -> None:
        """Drop a parcel that has not been written and that nobody waits for."""
        self.outbox.discard(parcel)

    def close(self) -> set[asyncio.Future[None]]:
        """Begin to close, after what is written; return what to wait for. What waits is dropped."""
        for parcel in self.outbox.clear():
            if parcel.future is not None:
                parcel.future.cancel()
        self._flush()
        closing: set[asyncio.Future[None]] = set()
        if self.connecting is not None:
            self.connecting.cancel()
            closing.add(self.connecting)
        if self._transport is not None and self._lost is not None:
            self._transport.close()
            closing.add(self._lost)
        return closing

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _window_open(self) -> bool:
        return len(self._unsettled) < WINDOW and self._unsettled_bytes < WINDOW_BYTES

    def _write(self, parcel: Parcel) -> None:
        self._seq += 1
        parcel.seq = self._seq
        self._unsettled.append(parcel)
        self._unsettled_bytes += len(parcel.body)
        self._out += pack(parcel.kind, parcel.seq, parcel.body)
        if self._flush_scheduled:
            return
        if parcel.message.urgent:
            # The first of a turn leaves at once, because its sender may go on for long; what else
            # the turn brings leaves together.
            self._flush()
            self._schedule_flush()
        elif self._lazy_timer is None:
            self._lazy_timer = self._lanes.loop.call_later(LAZY_SECS, self._flush)

    def _pump(self) -> None:
        outbox = self.outbox
        while outbox and self._transport is not None and self._window_open():
            parcel = outbox.take()
            if not parcel.given_up:
                self._write(parcel)

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._lanes.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()
            self._lazy_timer = None
        if self._out and self._transport is not None and not self._transport.is_closing():
            out, self._out = self._out, bytearray()
            self._transport.write(out)

    def _on_frame(self, kind: int, seq: int, body: bytes) -> None:
        if kind == FENCED:
            self._lanes.fail(FencedError(body.decode(errors="replace")))
            self.abort()
            return
        parcel = self._settle(seq)
        if kind == ACK:
            _resolve(parcel, None)
        elif kind == ANSWER:
            self._on_answer(parcel, body)
        elif kind == NO_ANSWER:
            text = f"{self.receiver} gave no answer to {type(parcel.message).__name__}"
            _resolve(parcel, NoAnswerError(text))
        elif kind == REFUSED:
            self._on_refused(parcel, body.decode(errors="replace"))
        else:
            raise MalformedFrameError(f"a receiver's frame was of kind {kind}")

    def _settle(self, seq: int) -> Parcel:
        """Remove all up to ``seq``; return that one, which the frame speaks of."""
        unsettled = self._unsettled
        while unsettled and unsettled[0].seq <= seq:
            parcel = unsettled.popleft()
            self._unsettled_bytes -= len(parcel.body)
            if parcel.seq == seq:
                return parcel
            _resolve(parcel, None)
        raise MalformedFrameError(f"{seq} was settled before or never sent")

    def _on_answer(self, parcel: Parcel, body: bytes) -> None:
        if parcel.future is None or parcel.decode is None:
            raise MalformedFrameError(f"an answer to {parcel.seq}, which did not ask")
        try:
            _resolve(parcel, parcel.decode(body))
        except msgspec.DecodeError as error:
            _resolve(parcel, NoAnswerError(f"the answer of {self.receiver}: {error}"))

    def _on_refused(self, parcel: Parcel, reason: str) -> None:
        if parcel.future is None:
            self._lanes.give_back(self.receiver, parcel.message)
        else:
            _resolve(parcel, MessageRefusedError(f"{self.receiver} refused: {reason}"))

    def _connect_soon(self) -> None:
        if not self._lanes.closing and (self.connecting is None or self.connecting.done()):
            self.connecting = self._lanes.loop.create_task(self._connect())
            self.connecting.add_done_callback(self._on_connected)

    async def _connect(self) -> None:
        for pause_secs in _retry_pauses():
            # Nothing waits any more when the only ask has reached its deadline.
            if not self.outbox:
                return
            try:
                connected = self._lanes.folder.connect(self.receiver)
                await self._lanes.loop.create_unix_connection(lambda: self, sock=connected)
            except (FileNotFoundError, ConnectionError, BlockingIOError):
                # Away, just gone, or so many wait to be accepted that the kernel takes no more.
                await asyncio.sleep(pause_secs)
            else:
                return

    def _on_connected(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._lanes.fail(error)
        elif self.outbox and self._transport is None:
            # It broke, or something new came, after the task's last look.
            self._connect_soon()


class Lanes:
    """All lanes of one sender. For one event loop; made in it.

    ``give_back`` gets each message that was told and whose outcome is unknown or that was
    refused; ``fail`` gets what must end the sender. Both are called from the loop.
    """

    def __init__(
        self,
        *,
        folder: RuntimeFolder,
        sender: str,
        generation: int,
        counters: Counters,
        give_back: Callable[[str, Message], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.folder = folder
        self.counters = counters
        self.give_back = give_back
        self.fail = fail
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self._sender = sender
        self._generation = generation
        self._lanes: dict[str, Lane] = {}

    @property
    def stash(self) -> int:
        """How many messages wait to be written, on all lanes. For any thread."""
        return sum(len(lane.outbox) for lane in list(self._lanes.values()))

    def hello(self, receiver: str) -> Hello:
        """Return the first frame of a connection."""
        return Hello(
            version=VERSION,
            sender=self._sender,
            generation=self._generation,
            receiver=receiver,
        )

    def tell(self, receiver: str, message: Message) -> asyncio.Future[None] | None:
        """Send, or let wait. A future: the lane is full, await it; canceled, nothing was sent."""
        return self._lane(receiver).send(Parcel(TELL, message, encode(message)))

    async def ask(
        self,
        receiver: str,
        message: Message,
        decode: Callable[[bytes], Message],
        *,
        timeout_secs: float,
    ) -> Message:
        """Return the decoded answer; raises what ``Actor.ask`` does."""
        deadline_ns = time.monotonic_ns() + round(timeout_secs * 1e9)
        body = with_deadline(deadline_ns, encode(message))
        parcel = Parcel(ASK, message, body, self.loop.create_future(), decode)
        answer: Message = await self._outcome(receiver, parcel, timeout_secs)
        return answer

    async def deliver(self, receiver: str, message: Message, *, timeout_secs: float) -> None:
        """Return when the receiver's handler has returned; raises what ``ask`` does."""
        parcel = Parcel(TELL, message, encode(message), self.loop.create_future())
        await self._outcome(receiver, parcel, timeout_secs)

    async def connect(self, timeout_secs: float) -> None:
        """Return when the lanes with something to send are connected, or in time all the same."""
        connecting = {
            lane.connecting for lane in self._lanes.values() if lane.connecting is not None
        }
        if connecting:
            await asyncio.wait(connecting, timeout=timeout_secs)

    async def close(self, timeout_secs: float) -> None:
        """Write what the windows allow, close all connections; what waits is gone with us."""
        self.closing = True
        lanes = list(self._lanes.values())
        closing = {future for lane in lanes for future in lane.close()}
        if closing:
            await asyncio.wait(closing, timeout=timeout_secs)
        for lane in lanes:
            lane.abort()

    def _lane(self, receiver: str) -> Lane:
        lane = self._lanes.get(receiver)
        if lane is None:
            lane = self._lanes[receiver] = Lane(self, receiver)
        return lane

    async def _outcome(self, receiver: str, parcel: Parcel, timeout_secs: float) -> Any:
        lane = self._lane(receiver)
        assert parcel.future is not None
        # A place in the outbox need not be awaited: the outcome comes after it.
        lane.send(parcel)
        timer = self.loop.call_later(timeout_secs, _expire, receiver, parcel, timeout_secs)
        try:
            return await parcel.future
        finally:
            timer.cancel()
            if not parcel.seq:
                lane.discard(parcel)


def _resolve(parcel: Parcel, outcome: Message | Exception | None) -> None:
    future = parcel.future
    if future is None or future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    elif outcome is None and parcel.kind == ASK:
        future.set_exception(NoAnswerError(f"{type(parcel.message).__name__} was not answered"))
    else:
        future.set_result(outcome)


def _expire(receiver: str, parcel: Parcel, timeout_secs: float) -> None:
    what = f"{type(parcel.message).__name__} to {receiver}"
    if parcel.seq:
        _resolve(parcel, AskTimeoutError(f"no answer to {what} within {timeout_secs} s"))
    else:
        _resolve(parcel, PeerUnreachableError(f"{what} was not sent within {timeout_secs} s"))


def _retry_pauses() -> Iterator[float]:
    yield from _RETRY_SECS
    while True:
        yield _RETRY_SECS[-1]
