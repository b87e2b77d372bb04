"""Actors that talk in pairs, and write down what they said, what came of it, what they heard."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from supervisors.actor import Actor
from supervisors.messages import ActorError, Message, MessageRefusedError, PeerUnreachableError
from tests.soak.history import Entry, Pen, What

PERIOD_SECS = 0.1
BATCH = 9
ASK_SECS = 2.0


class Speak(Message, frozen=True, kw_only=True):
    """To itself: say the next ones to every peer that has answered the last."""


class Settled(Message, frozen=True, kw_only=True):
    """To itself: what came of an ask, behind what came back before it."""

    peer: str
    number: int
    outcome: str


class Say(Message, frozen=True, kw_only=True):
    """From a peer, who counts what it says to one receiver."""

    generation: int
    number: int


class AreYouThere(Message, frozen=True, kw_only=True):
    """From the judge, in the quiet afterwards; not written down."""


class Heard(Message, frozen=True, kw_only=True):
    """The answer, when it was an ask."""

    number: int


class Talker(Actor):
    """``config``: where to write (``folder``), and to whom it speaks (``peers``)."""

    inbox: ClassVar[Any] = Speak | Settled | Say | AreYouThere
    answers: ClassVar[Any] = Heard
    config: dict[str, Any]

    async def on_start(self) -> None:
        self._pen = Pen(Path(self.config["folder"]), self.name)
        # By peer, how much was said.
        self._said: Counter[str] = Counter()
        # Peers whose answer is awaited: so a peer that is away finds a bounded heap.
        self._awaited: set[str] = set()
        self.every(PERIOD_SECS, Speak())

    async def receive(self, message: Message, sender: str) -> Heard | None:
        match message:
            case Say(generation=generation, number=number):
                self._pen.write(Entry("handled", sender, generation, number))
                return Heard(number=number)
            case AreYouThere():
                return Heard(number=0)
            case Speak():
                for peer in self.config["peers"]:
                    if peer not in self._awaited:
                        await self._speak(peer)
            case Settled(peer=peer, number=number, outcome=outcome):
                self._awaited.discard(peer)
                self._write(_OUTCOMES[outcome], peer, number)
            case _:
                raise TypeError(f"{type(message).__name__} is not in the inbox")
        return None

    async def on_undelivered(self, receiver: str, message: Message) -> None:
        assert isinstance(message, Say)
        self._write("unknown", receiver, message.number)

    async def _speak(self, peer: str) -> None:
        self._awaited.add(peer)
        for _ in range(BATCH):
            number = self._next(peer, "told")
            await self.tell(peer, Say(generation=self.generation, number=number))
        number = self._next(peer, "asked")
        self.start_task(self._ask(peer, number), name=f"ask {peer}")

    async def _ask(self, peer: str, number: int) -> None:
        try:
            say = Say(generation=self.generation, number=number)
            answer = await self.ask(peer, say, timeout_secs=ASK_SECS)
        except (PeerUnreachableError, MessageRefusedError):
            outcome = "failed"
        except ActorError:
            outcome = "unknown"
        else:
            assert isinstance(answer, Heard)
            assert answer.number == number, "the answer to another question"
            outcome = "answered"
        self.tell_self(Settled(peer=peer, number=number, outcome=outcome))

    def _next(self, peer: str, what: What) -> int:
        self._said[peer] += 1
        self._write(what, peer, self._said[peer])
        return self._said[peer]

    def _write(self, what: What, peer: str, number: int) -> None:
        self._pen.write(Entry(what, peer, self.generation, number))


_OUTCOMES: dict[str, What] = {"answered": "answered", "unknown": "unknown", "failed": "failed"}
