"""What an actor is: the class that every worker subclasses.

Everything here happens on one event loop in the brain's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from supervisors.brain import Brain
from supervisors.messages import Message, Terminated
from supervisors.names import gone

__all__ = ["Actor", "Brain", "NotNeededError", "Surroundings"]


class Surroundings(Protocol):
    """What an actor acts through: its brain, or a test's harness."""

    async def tell(self, receiver: str, message: Message) -> None:
        """See ``Actor.tell``."""

    def offer(self, receiver: str, message: Message) -> bool:
        """See ``Actor.offer``."""

    async def ask(self, receiver: str, message: Message, timeout_secs: float) -> Message:
        """See ``Actor.ask``."""

    def tell_self(self, message: Message) -> None:
        """See ``Actor.tell_self``."""

    def every(self, period_secs: float, message: Message) -> None:
        """See ``Actor.every``."""

    def start_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """See ``Actor.start_task``."""

    def alarm(self, kind: str, detail: str | None) -> None:
        """See ``Actor.raise_alarm``; None takes it back."""


class NotNeededError(Exception):
    """Raised by ``on_start`` when this actor has nothing to do: it ends, and that is no failure.

    Erlang's ``ignore``: the supervisor keeps its spec, unless it is temporary, and does not start
    it again by itself.
    """


class Actor:
    """One worker: subclass it, list what it understands in ``inbox``, override the hooks.

    One message is in work at a time. An exception that leaves ``on_start``, ``receive``,
    ``on_undelivered``, ``on_stop`` or a task of ``start_task`` ends the process; the message is
    not handled again. The attributes are set before ``on_start``, not yet in ``__init__``.
    """

    inbox: ClassVar[Any]
    """Union of the ``Message`` classes that ``receive`` understands; others are refused."""
    answers: ClassVar[Any] = None
    """Union of the classes that its asks are answered with; None: whatever this process has
    imported, found by class name (see ``answers.LoadedAnswers``)."""

    name: str
    generation: int
    config: Any
    """``ChildSpec.config``"""
    runtime: Path
    """the private folder of this system's sockets"""
    surroundings: Surroundings
    ready_info: Any = None
    """Set in ``on_start``: builtin types for whoever asked for this start, e.g. a port."""

    async def on_start(self) -> None:
        """Get ready; ready when it returns. Messages queue meanwhile.

        Do not wait for peers that start later. A stop that comes first cancels it.
        """

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Handle one message; what is returned answers an ask, and means nothing to a tell.

        Args:
            message: One of ``inbox``.
            sender: The peer's name; its own for what it told itself.

        """
        raise NotImplementedError(f"{type(self).__name__} has no receive")

    async def on_stop(self) -> None:
        """Let go of things, within ``shutdown_secs``. Not called after a crash or without start.

        Tasks are gone by then, timers have stopped; ``tell`` and ``ask`` still work.
        """

    async def on_undelivered(self, receiver: str, message: Message) -> None:
        """Learn that a told message was not acknowledged: its outcome is unknown.

        The lane broke, or the receiver refused it. It will not be sent again by itself.
        """

    def describe_state(self) -> Mapping[str, Any]:
        """Return what a person may see of this actor, between two messages; must be quick.

        Leave out secrets and whatever is not for operators' eyes. What is returned is cut to a
        bounded depth and size; what is no builtin type shows as its class alone.
        """
        return {}

    def raise_alarm(self, kind: str, detail: str) -> None:
        """Say what is wrong, e.g. ``breaker_open``, until ``clear_alarm`` or this process ends.

        It stands in the status with the time since; both are written to ``reports.jsonl``.
        """
        self.surroundings.alarm(kind, detail)

    def clear_alarm(self, kind: str) -> None:
        """Take an alarm back; nothing happens when there is none."""
        self.surroundings.alarm(kind, None)

    async def tell(self, receiver: str, message: Message) -> None:
        """Send; at most once, in order per receiver. Returns before it arrives.

        Gives the loop no turn unless it has to wait: a task that does nothing else never yields.

        A full lane waits, conflates or leaves out, as ``message.delivery`` says. For a receiver
        that is away a bounded number of messages is kept for its next incarnation. Raises
        ``frames.MessageTooLargeError``; to itself ``InboxFullError``.
        """
        await self.surroundings.tell(receiver, message)

    def offer(self, receiver: str, message: Message) -> bool:
        """Send as ``tell`` does, but never wait. False: it would have to, and nothing was sent.

        For callbacks of a socket, which may not wait and have no task to wait in.
        """
        return self.surroundings.offer(receiver, message)

    async def ask(self, receiver: str, message: Message, *, timeout_secs: float) -> Message:
        """Send and wait for the answer, at most ``timeout_secs``.

        Raises ``PeerUnreachableError`` (not sent), ``PeerDiedError`` or ``AskTimeoutError``
        (outcome unknown), ``MessageRefusedError`` (not handled), ``NoAnswerError`` (handled).
        """
        return await self.surroundings.ask(receiver, message, timeout_secs)

    def tell_self(self, message: Message) -> None:
        """Put a message into the own inbox; from this loop only. Raises ``InboxFullError``."""
        self.surroundings.tell_self(message)

    def after(self, delay_secs: float, message: Message) -> asyncio.TimerHandle:
        """Tell itself ``message`` once, later; cancel the handle to prevent it."""
        loop = asyncio.get_running_loop()
        return loop.call_later(delay_secs, self.surroundings.tell_self, message)

    def every(self, period_secs: float, message: Message) -> None:
        """Tell itself ``message`` each period until it stops, without drift.

        A period that passes while the previous message still waits is skipped.
        """
        self.surroundings.every(period_secs, message)

    def watch(self, name: str) -> None:
        """Tell itself ``Terminated`` once, when ``name`` is gone for good; at once if it is.

        Watching it again before that changes nothing, afterwards it begins anew.
        """
        watched: set[str] = vars(self).setdefault("_watched", set())
        if name not in watched:
            watched.add(name)
            self.start_task(self._tell_when_gone(name, watched), name=f"watch {name}")

    async def _tell_when_gone(self, name: str, watched: set[str]) -> None:
        await gone(self.runtime, name)
        watched.discard(name)
        self.tell_self(Terminated(name=name))

    def start_task(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run a background loop. If it raises, the actor crashes; it is canceled at stop."""
        return self.surroundings.start_task(coroutine, name)
