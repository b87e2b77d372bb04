"""Run one actor in a test's event loop: no process, no socket, no Thespian."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from supervisors.actor import Actor
from supervisors.answers import AnswerDecoder
from supervisors.brain import Brain
from supervisors.frames import ASK, encode, with_deadline
from supervisors.messages import (
    AskTimeoutError,
    Message,
    MessageRefusedError,
    PeerUnreachableError,
)

Script = Callable[[Any], Message | Exception | Awaitable[Message]]
"""What answers an ask: gets the message, returns the answer or what ``ask`` shall raise."""

_FAR_FUTURE_NS: Final = 2**63 - 1


class ActorHarness:
    """Holds a started actor; what it tells is recorded, what it asks is answered by script.

    The actor runs in its real brain: one message at a time, messages decoded by its inbox
    union, tasks and timers on the test's loop. What it raises is raised by ``deliver``, by
    entering (``on_start``) or, for a background task, by leaving the context.
    """

    def __init__(
        self,
        actor_class: type[Actor],
        *,
        name: str,
        config: Any = None,
        generation: int = 1,
        answers: Mapping[str, Script | Message | Exception] | None = None,
        runtime: Path = Path("/nonexistent"),
        inbox_limit: int = 10_000,
    ) -> None:
        self._recorder = _Recorder(answers or {})
        self._brain = _HarnessBrain(
            self._recorder,
            actor_class,
            name=name,
            generation=generation,
            config=config,
            runtime=runtime,
            inbox_limit=inbox_limit,
            stall_timeout_secs=30.0,
            beat_secs=1.0,
            progress=lambda: None,
            tell_alarm=self._note_alarm,
        )
        # What it has raised and not cleared, by kind.
        self.alarms: dict[str, str] = {}
        self._run: asyncio.Task[None]
        # Whether the test has already seen the actor's failure.
        self._failure_raised = False

    @property
    def actor(self) -> Any:
        """The actor itself, to look at its state; from entering on."""
        return self._brain.actor

    @property
    def told(self) -> list[tuple[str, Message]]:
        """All that it told others, in order, as (receiver, message)."""
        return self._recorder.told

    @property
    def asked(self) -> list[tuple[str, Message]]:
        """All that it asked others, in order, as (receiver, message)."""
        return self._recorder.asked

    def told_to(self, receiver: str) -> list[Message]:
        """Return what it told one receiver, in order."""
        return [message for name, message in self.told if name == receiver]

    def answer(self, receiver: str, script: Script | Message | Exception) -> None:
        """Answer the actor's asks to ``receiver`` so from now on."""
        self._recorder.scripts[receiver] = script

    async def deliver(self, message: Message, sender: str = "test") -> Message | None:
        """Return the handler's answer; raises what the actor raised.

        A message that is not in the actor's inbox raises ``MessageRefusedError``.
        """
        delivery = _Delivery(sender)
        self._brain.accept(delivery, with_deadline(_FAR_FUTURE_NS, encode(message)))
        either: set[asyncio.Future[Any]] = {delivery.outcome, self._run}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        self._raise_failure()
        return await delivery.outcome

    async def undelivered(self, receiver: str, message: Message) -> None:
        """Let a told message come back; returns when ``on_undelivered`` has."""
        self._brain.return_undelivered(receiver, message)
        await self.eventually(lambda: self._brain.idle)

    async def eventually(self, condition: Callable[[], bool], *, timeout_secs: float = 5.0) -> None:
        """Return when the condition holds; raises AssertionError when it does not in time.

        Raises what the actor raised, if it crashes meanwhile.
        """
        await eventually(lambda: condition() or self._run.done(), timeout_secs=timeout_secs)
        self._raise_failure()
        assert condition(), "the actor was stopped before the condition held"

    async def stop(self) -> None:
        """Stop the actor as its supervisor would; raises what it raised."""
        self._brain.request_stop()
        await asyncio.wait({self._run})
        self._raise_failure()

    async def __aenter__(self) -> Self:
        ready = asyncio.Event()
        self._run = asyncio.create_task(self._brain.run(ready.set))
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({started, self._run}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        self._raise_failure()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._failure_raised or error is not None:
            self._brain.request_stop()
            await asyncio.wait({self._run})
            with contextlib.suppress(BaseException):
                self._run.result()
        else:
            await self.stop()

    def _note_alarm(self, kind: str, detail: str | None) -> None:
        if detail is None:
            self.alarms.pop(kind, None)
        else:
            self.alarms[kind] = detail

    def _raise_failure(self) -> None:
        if self._run.done() and not self._failure_raised:
            failure = self._run.exception()
            if failure is not None:
                self._failure_raised = True
                raise failure


async def eventually(condition: Callable[[], bool], *, timeout_secs: float = 5.0) -> None:
    """Return when the condition holds; raises AssertionError when it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_secs
    while not condition():
        assert loop.time() < deadline, f"the condition did not hold within {timeout_secs} s"
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def running(
    actor_class: type[Actor],
    *,
    name: str,
    runtime: Path,
    config: Any = None,
    generation: int = 1,
    inbox_limit: int = 10_000,
) -> AsyncIterator[Brain]:
    """Run an actor with real lanes in this loop: ready inside the context, stopped after it.

    Raises what the actor raised, at the latest when leaving.
    """
    brain = Brain(
        actor_class,
        name=name,
        generation=generation,
        config=config,
        runtime=runtime,
        inbox_limit=inbox_limit,
        stall_timeout_secs=30.0,
        beat_secs=1.0,
        progress=lambda: None,
    )
    ready = asyncio.Event()
    run = asyncio.create_task(brain.run(ready.set))
    await eventually(lambda: ready.is_set() or run.done())
    if not ready.is_set():
        await run
    try:
        yield brain
    finally:
        brain.request_stop()
        await run


class _Delivery:
    """The origin of what a test delivers."""

    def __init__(self, sender: str) -> None:
        self.sender = sender
        self.outcome: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()

    def acknowledge(self, seq: int) -> None:
        raise AssertionError(f"{seq}: a harness delivers asks only")

    def answer(self, seq: int, message: Message | None) -> None:  # noqa: ARG002 - an Origin's
        if message is not None:
            encode(message)
        self._resolve(message)

    def refuse(self, seq: int, reason: str) -> None:  # noqa: ARG002 - an Origin's
        if not self.outcome.done():
            self.outcome.set_exception(MessageRefusedError(reason))

    def _resolve(self, message: Message | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(message)


class _Recorder:
    """Stands where the lanes are."""

    stash = 0

    def __init__(self, scripts: Mapping[str, Script | Message | Exception]) -> None:
        self.scripts = dict(scripts)
        self.told: list[tuple[str, Message]] = []
        self.asked: list[tuple[str, Message]] = []

    def tell(self, receiver: str, message: Message) -> None:
        encode(message)
        self.told.append((receiver, message))

    async def ask(
        self,
        receiver: str,
        message: Message,
        decode: AnswerDecoder,  # noqa: ARG002 - scripts answer with objects
        *,
        timeout_secs: float,
    ) -> Message:
        encode(message)
        self.asked.append((receiver, message))
        script = self.scripts.get(receiver)
        if script is None:
            raise PeerUnreachableError(f"no answer is scripted for {receiver}")
        answer: Any = script(message) if callable(script) else script
        if inspect.isawaitable(answer):
            try:
                answer = await asyncio.wait_for(answer, timeout_secs)
            except TimeoutError:
                raise AskTimeoutError(f"no answer of {receiver} within {timeout_secs} s") from None
        if isinstance(answer, Exception):
            raise answer
        return cast("Message", answer)


class _HarnessBrain(Brain):
    """A brain with a recorder for lanes and no name of its own."""

    def __init__(self, recorder: _Recorder, actor_class: type[Actor], **arguments: Any) -> None:
        super().__init__(actor_class, **arguments)
        self._outgoing = recorder

    @property
    def idle(self) -> bool:
        return len(self._inbox) == 0 and self._in_work is None

    def accept(self, delivery: _Delivery, body: bytes) -> None:
        assert self._inbox.admit(delivery, deque([(ASK, 1, body)])), "the inbox is full"

    def return_undelivered(self, receiver: str, message: Message) -> None:
        self._give_back(receiver, message)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        yield
