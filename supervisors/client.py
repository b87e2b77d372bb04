"""Speak to actors from a process that is not in the tree: the command line, a test."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

from loguru import logger

from supervisors.answers import answer_decoder
from supervisors.lane import Lanes
from supervisors.messages import Message
from supervisors.outbox import Counters
from supervisors.sockets import RuntimeFolder

AnswerT = TypeVar("AnswerT", bound=Message)

_CLOSE_SECS = 0.25

_numbers = itertools.count(1)


class Client:
    """Lanes to the actors of the system in ``runtime``; an async context manager, for one loop.

    Entering raises ``PeerUnreachableError`` when there is no such folder. Its name gets the
    process id and a number added, and its generation is the time: no client fences another.
    """

    def __init__(self, runtime: Path, name: str = "cli") -> None:
        self.name = f"{name}.{os.getpid()}.{next(_numbers)}"
        self._runtime = runtime

        # Set while the context is entered.
        self._folder: RuntimeFolder
        self._lanes: Lanes

    async def ask(
        self, receiver: str, message: Message, answer_type: type[AnswerT], *, timeout_secs: float
    ) -> AnswerT:
        """Return the answer, of ``answer_type`` (a union of types is understood as well).

        Raises ``PeerUnreachableError`` (nobody of that name: not sent), ``PeerDiedError`` or
        ``AskTimeoutError`` (outcome unknown), ``MessageRefusedError`` (not handled),
        ``NoAnswerError`` (handled, but the answer is none or of another type).
        """
        decode = answer_decoder(answer_type)
        answer = await self._lanes.ask(receiver, message, decode, timeout_secs=timeout_secs)
        # The decoder yields nothing else.
        return cast("AnswerT", answer)

    async def tell(self, receiver: str, message: Message, *, timeout_secs: float = 5.0) -> None:
        """Send and return when the receiver's handler has returned; raises what ``ask`` does."""
        await self._lanes.deliver(receiver, message, timeout_secs=timeout_secs)

    async def __aenter__(self) -> Self:
        self._folder = RuntimeFolder(self._runtime)
        self._lanes = Lanes(
            folder=self._folder,
            sender=self.name,
            generation=time.time_ns(),
            counters=Counters(),
            give_back=_nothing_comes_back,
            fail=_log,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._lanes.close(_CLOSE_SECS)
        self._folder.close()


def _nothing_comes_back(receiver: str, message: Message) -> None:
    raise AssertionError(f"{type(message).__name__} to {receiver} had nobody waiting for it")


def _log(error: BaseException) -> None:
    # Whoever waits for an outcome is told by the lane, so there is nothing to end here.
    logger.bind(event_type="client_error", reason=str(error)).error("an error in a client's lane")
