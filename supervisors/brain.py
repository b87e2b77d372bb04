"""The thread of an actor that works: one event loop, one inbox, one message at a time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from loguru import logger

from supervisors.answers import AnswerDecoder, LoadedAnswers, answer_decoder
from supervisors.frames import ASK, MalformedFrameError, split_deadline
from supervisors.inbox import TICK, UNDELIVERED, Inbox, Item, Origin
from supervisors.lane import Lanes
from supervisors.listener import Listener
from supervisors.messages import ActorError, Message
from supervisors.observation import BrainStatistics, Observer
from supervisors.outbox import Counters, Outgoing
from supervisors.redaction import redacted
from supervisors.sockets import RuntimeFolder
from supervisors.tickers import Tickers

if TYPE_CHECKING:
    # actor.py imports this module, because the guardian finds both in one place.
    from supervisors.actor import Actor

STOP_GRACE_SECS: Final = 0.25
"""How long the message in work may go on when a stop is requested, before it is canceled."""

CLOSE_SECS: Final = 0.25
"""How long the last acknowledgements and frames may take to leave."""

CANCEL_AGAIN_SECS: Final = 0.5
"""A task that goes on for so long is canceled again at a stop, because Python 3.11's ``wait_for``
forgets the cancellation when what it waits for is done in the same turn (github.com/python/cpython
issue 86296), and redis-py, for one, waits by it."""

_TURN_SECS: Final = 0.001
_TURN_MESSAGES: Final = 64


class Brain:
    """Runs one actor once: binds its name, starts it, serves its inbox, stops it.

    Made in any thread; ``run`` belongs to one event loop. ``progress`` is called from that loop
    every third of ``beat_secs`` while the loop turns and the message in work is younger than
    ``stall_timeout_secs``. ``config`` and ``runtime`` become the actor's attributes.
    """

    def __init__(
        self,
        actor_class: type[Actor],
        *,
        name: str,
        generation: int,
        config: Any,
        runtime: Path,
        inbox_limit: int,
        stall_timeout_secs: float,
        beat_secs: float,
        progress: Callable[[], None],
        tell_alarm: Callable[[str, str | None], object] = lambda _kind, _detail: None,
    ) -> None:
        self._actor_class = actor_class
        self._name = name
        self._generation = generation
        self._config = config
        self._runtime = runtime
        self._stall_timeout_secs = stall_timeout_secs
        self._beat_secs = beat_secs
        self._progress = progress
        self._tell_alarm = tell_alarm
        self._counters = Counters()
        self._inbox = Inbox(inbox_limit)
        self._tickers = Tickers(self._inbox)
        # These are set by run.
        self._loop: asyncio.AbstractEventLoop
        self._outgoing: Outgoing | None = None
        self._decode: Callable[[bytes], Message]
        self._decode_answer: AnswerDecoder
        # Done when the brain has to end, because of a stop or of the first failure.
        self._end: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._beat_timer: asyncio.TimerHandle | None = None
        self._stop_requested = False
        # No message is taken and no timer rearmed any more.
        self._stopping = False
        self._started = False
        # What the actor wants whoever asked for its start to know.
        self.ready_info: Any = None
        # Class name and start (monotonic seconds) of the message in work.
        self._in_work: tuple[str, float] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.observer = Observer()
        # Done when a person resumes; None while messages are handled.
        self._suspension: asyncio.Future[None] | None = None
        self.actor: Actor | None = None
        """None until it is made, by ``prepare`` or ``run``; to be touched in the loop only."""

    def prepare(self) -> None:
        """Make the actor and what decodes its messages before ``run``, for a spare."""
        self._make_actor()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Run the actor; returns after a requested stop, raises what the actor raised.

        ``on_ready`` is called once, when ``on_start`` has returned. Messages that wait when it
        ends are not acknowledged: their senders learn that the outcome is unknown.
        """
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.create_future()
        if self._stop_requested:
            return
        self._beat()
        try:
            async with self._connected():
                await self._live(on_ready)
        finally:
            assert self._beat_timer is not None
            self._beat_timer.cancel()

    def request_stop(self) -> None:
        """Ask the brain to end; from any thread, at any time, any number of times."""
        self._stop_requested = True
        if self._end is not None:
            # A loop that is closed has nothing to stop any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._on_end, None)

    def statistics(self) -> BrainStatistics:
        """Return what is true now; from any thread."""
        in_work = self._in_work
        counters = self._counters
        return BrainStatistics(
            inbox=len(self._inbox),
            in_work=in_work[0] if in_work else None,
            in_work_secs=time.monotonic() - in_work[1] if in_work else 0.0,
            stash=self._outgoing.stash if self._outgoing is not None else 0,
            is_suspended=self._suspension is not None,
            **{name: getattr(counters, name) for name in counters.__struct_fields__},
        )

    def post(self, work: Callable[[], object]) -> None:
        """Have the loop do something between two messages; from any thread.

        Nothing happens when the loop does not run yet or any more.
        """
        if self._end is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(work)

    @property
    def actor_path(self) -> str:
        """Where the actor's class is: ``package.module:Class``."""
        return f"{self._actor_class.__module__}:{self._actor_class.__qualname__}"

    def set_suspended(self, is_suspended: bool) -> bool:  # noqa: FBT001 - a state, not an option
        """Let messages wait, or no longer; return what it was before. From the loop."""
        was = self._suspension is not None
        if is_suspended and not was and not self._stopping:
            self._suspension = self._loop.create_future()
        elif not is_suspended and self._suspension is not None:
            self._suspension.set_result(None)
            self._suspension = None
        return was

    async def tell(self, receiver: str, message: Message) -> None:
        """See ``Actor.tell``."""
        if receiver == self._name:
            self._inbox.put_own(message)
            return
        assert self._outgoing is not None
        admitted = self._outgoing.tell(receiver, message)
        if admitted is not None:
            await admitted

    def offer(self, receiver: str, message: Message) -> bool:
        """See ``Actor.offer``."""
        if receiver == self._name:
            self._inbox.put_own(message)
            return True
        assert self._outgoing is not None
        admitted = self._outgoing.tell(receiver, message)
        if admitted is None:
            return True
        admitted.cancel()
        return False

    async def ask(self, receiver: str, message: Message, timeout_secs: float) -> Message:
        """See ``Actor.ask``."""
        if receiver == self._name:
            raise ValueError(f"{receiver} cannot ask itself: it would wait for itself")
        assert self._outgoing is not None
        return await self._outgoing.ask(
            receiver, message, self._decode_answer, timeout_secs=timeout_secs
        )

    def tell_self(self, message: Message) -> None:
        """See ``Actor.tell_self``."""
        if not self._stopping:
            self._inbox.put_own(message)

    def every(self, period_secs: float, message: Message) -> None:
        """See ``Actor.every``."""
        self._tickers.start(period_secs, message)

    def start_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """See ``Actor.start_task``."""
        task = self._loop.create_task(coroutine, name=f"{self._name} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def alarm(self, kind: str, detail: str | None) -> None:
        """See ``Actor.raise_alarm``."""
        self._tell_alarm(kind, detail)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        """Hold the name and the lanes while the actor lives; a harness has neither."""
        with RuntimeFolder(self._runtime) as folder:
            listener = Listener(
                name=self._name, folder=folder, inbox=self._inbox, counters=self._counters
            )
            lanes = Lanes(
                folder=folder,
                sender=self._name,
                generation=self._generation,
                counters=self._counters,
                give_back=self._give_back,
                fail=self._on_end,
            )
            self._outgoing = lanes
            try:
                await listener.open()
                yield
                # Last words may be the first to their receiver.
                await lanes.connect(CLOSE_SECS)
            finally:
                await asyncio.gather(listener.close(CLOSE_SECS), lanes.close(CLOSE_SECS))

    async def _live(self, on_ready: Callable[[], None]) -> None:
        actor = self.actor or self._make_actor()
        assert self._end is not None
        work = self._loop.create_task(self._work(actor, on_ready), name=self._name)
        work.add_done_callback(self._on_work_done)
        try:
            await asyncio.wait({self._end})
        finally:
            self._stopping = True
            self._tickers.stop()
            self.set_suspended(False)
            self._inbox.wake()
            if self._started and self._failure is None:
                await asyncio.wait({work}, timeout=STOP_GRACE_SECS)
            # After a crash nobody waits for a task that will not end; a stop has its deadline.
            timeout_secs = CLOSE_SECS if self._failure is not None else None
            await _cancel({work, *self._tasks}, timeout_secs)
        if self._failure is None and self._started:
            await actor.on_stop()
        if self._failure is not None:
            raise self._failure

    def _make_actor(self) -> Actor:
        actor = self._actor_class()
        actor.name = self._name
        actor.generation = self._generation
        actor.config = self._config
        actor.runtime = self._runtime
        actor.surroundings = self
        self.actor = actor
        self._decode = msgspec.msgpack.Decoder(actor.inbox).decode
        if actor.answers is None:
            self._decode_answer = LoadedAnswers(type(actor).__module__)
        else:
            self._decode_answer = answer_decoder(actor.answers)
        return actor

    async def _work(self, actor: Actor, on_ready: Callable[[], None]) -> None:
        await actor.on_start()
        self.ready_info = actor.ready_info
        self._started = True
        on_ready()
        inbox = self._inbox
        turn_ends = 0.0
        turn_messages = 0
        while not self._stopping:
            if self._suspension is not None:
                await self._suspension
                continue
            if not len(inbox):
                await inbox.wait()
                turn_messages = 0
                continue
            if turn_messages == 0:
                turn_ends = time.monotonic() + _TURN_SECS
            await self._handle(actor, inbox.take())
            turn_messages += 1
            # A handler that awaits nothing would otherwise keep the loop from its sockets.
            if turn_messages >= _TURN_MESSAGES or time.monotonic() > turn_ends:
                await asyncio.sleep(0)
                turn_messages = 0

    async def _handle(self, actor: Actor, item: Item) -> None:
        origin, kind, seq, body = item
        if origin is None:
            await self._handle_own(actor, kind, body)
            return
        try:
            if kind == ASK:
                deadline_ns, body = split_deadline(body)
                if time.monotonic_ns() > deadline_ns:
                    self._counters.expired += 1
                    origin.refuse(seq, "the deadline had passed before it was its turn")
                    return
            message = self._decode(body)
        except (msgspec.MsgspecError, MalformedFrameError, ValueError, RecursionError) as error:
            self._refuse(origin, seq, error)
            return
        self._in_work = (type(message).__name__, began := time.monotonic())
        answer = await actor.receive(message, origin.sender)
        self._in_work = None
        self._counters.handled += 1
        self.observer.note(message, origin.sender, began)
        if kind == ASK:
            origin.answer(seq, answer)
        else:
            origin.acknowledge(seq)

    def _refuse(self, origin: Origin, seq: int, error: Exception) -> None:
        self._counters.refused += 1
        count = self._counters.refused
        # The first, second, fourth, eighth: a peer that repeats itself must not flood the log.
        if count & (count - 1) == 0:
            fields = {"sender": origin.sender, "seq": seq, "count": count, "reason": str(error)}
            log = logger.bind(event_type="message_refused", **fields)
            log.warning("a message was refused")
        origin.refuse(seq, redacted(str(error)))

    async def _handle_own(self, actor: Actor, kind: int, body: Any) -> None:
        if kind == UNDELIVERED:
            receiver, message = body
            self._in_work = (f"undelivered {type(message).__name__}", time.monotonic())
            await actor.on_undelivered(receiver, message)
        else:
            if kind == TICK:
                body.waits = False
            message = body.message if kind == TICK else body
            self._in_work = (type(message).__name__, began := time.monotonic())
            await actor.receive(message, self._name)
            self._counters.handled += 1
            self.observer.note(message, self._name, began)
        self._in_work = None

    def _beat(self) -> None:
        in_work = self._in_work
        if in_work is None or time.monotonic() - in_work[1] < self._stall_timeout_secs:
            self._progress()
        self._beat_timer = self._loop.call_later(self._beat_secs / 3, self._beat)

    def _give_back(self, receiver: str, message: Message) -> None:
        self._counters.undelivered += 1
        self._inbox.put(UNDELIVERED, (receiver, message))

    def _on_end(self, failure: BaseException | None) -> None:
        assert self._end is not None
        if self._failure is None:
            self._failure = failure
        if not self._end.done():
            self._end.set_result(None)

    def _on_work_done(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled():
            self._on_end(work.exception())
        elif not self._stopping:
            self._on_end(ActorError(f"{self._name} was canceled by itself, not by a stop"))

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._on_end(task.exception())


async def _cancel(tasks: set[asyncio.Task[None]], timeout_secs: float | None) -> None:
    """Cancel them and wait; None: until all have ended."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=timeout_secs or CANCEL_AGAIN_SECS)
        if timeout_secs is not None:
            return
