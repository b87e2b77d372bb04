"""A teller, and a scribe who writes down what it is told: their files are the written history."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from supervisors.actor import Actor
from supervisors.messages import ActorError, Message


class Note(Message, frozen=True, kw_only=True):
    number: int
    sleep_secs: float = 0.0


class Noted(Message, frozen=True, kw_only=True):
    number: int
    generation: int


class Tell(Message, frozen=True, kw_only=True):
    """To the teller: tell the scribe these numbers, one after the other."""

    first: int
    count: int


class Ask(Message, frozen=True, kw_only=True):
    """To the teller: ask the scribe, and write down what came of it."""

    number: int
    sleep_secs: float
    timeout_secs: float


class Scribe(Actor):
    """``config``: the file that it writes."""

    inbox = Note
    config: str

    async def on_start(self) -> None:
        self.file = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def receive(self, message: Message, sender: str) -> Noted:
        assert isinstance(message, Note)
        await asyncio.sleep(message.sleep_secs)
        # One write, so that a kill leaves all of the line or nothing.
        os.write(self.file, f"{message.number}\n".encode())
        return Noted(number=message.number, generation=self.generation)


class Teller(Actor):
    """``config``: the file where it writes what came back, and what its asks came to."""

    inbox = Tell | Ask
    answers: Any = Noted
    config: str

    async def receive(self, message: Message, sender: str) -> None:
        match message:
            case Tell(first=first, count=count):
                for number in range(first, first + count):
                    await self.tell("scribe", Note(number=number))
            case Ask():
                self.start_task(self._ask(message), name="ask")

    async def on_undelivered(self, receiver: str, message: Message) -> None:
        assert isinstance(message, Note)
        self._write(f"back {message.number}")

    async def _ask(self, ask: Ask) -> None:
        note = Note(number=ask.number, sleep_secs=ask.sleep_secs)
        try:
            answer = await self.ask("scribe", note, timeout_secs=ask.timeout_secs)
        except ActorError as error:
            self._write(f"{type(error).__name__} {ask.number}")
        else:
            assert isinstance(answer, Noted)
            self._write(f"answered {answer.number}")

    def _write(self, line: str) -> None:
        with Path(self.config).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
