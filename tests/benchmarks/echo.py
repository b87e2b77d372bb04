"""Actors that only send messages to and fro."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, ClassVar

from supervisors.actor import Actor
from supervisors.messages import Message


class Ping(Message, frozen=True, kw_only=True):
    """Stamped (monotonic ns) where it is made; answered by the next one."""

    sent_ns: int
    left: int


class Load(Message, frozen=True, kw_only=True):
    """One of many, sent as fast as possible; the size of a quote."""

    symbol: str
    bid: str
    ask: str
    number: int


class Measure(Message, frozen=True, kw_only=True):
    """Ask: play so many hops, or send so many ``Load``."""

    hops: int = 0
    burst: int = 0


class Measured(Message, frozen=True, kw_only=True):
    """What came of it."""

    hops_ns: tuple[int, ...] = ()
    messages_per_sec: float = 0.0


class Burst(Message, frozen=True, kw_only=True):
    """Ask: when did the first and the last of so many ``Load`` come?"""

    count: int


class WhoAreYou(Message, frozen=True, kw_only=True):
    """Ask: which process, which generation?"""


class Me(Message, frozen=True, kw_only=True):
    """The answer."""

    pid: int
    generation: int


class Player(Actor):
    """One end of the game; ``config`` is the name of the other. Stateless but for its samples."""

    inbox: ClassVar[Any] = Ping | Load | Measure | Measured | Burst | WhoAreYou
    answers: ClassVar[Any] = Measured

    async def on_start(self) -> None:
        self._samples: list[int] = []
        self._loads = 0
        self._first_ns = 0
        self._last_ns = 0

    async def receive(self, message: Message, sender: str) -> Message | None:
        match message:
            case Ping():
                self._samples.append(time.monotonic_ns() - message.sent_ns)
                await self._pass_on(message)
            case Load():
                self._last_ns = time.monotonic_ns()
                self._loads += 1
                self._first_ns = self._first_ns or self._last_ns
            case Measure(hops=hops) if hops:
                await self.tell(self.config, Ping(sent_ns=time.monotonic_ns(), left=hops))
            case Measure(burst=count):
                self.start_task(self._burst(count), name="burst")
            case Measured():
                samples, self._samples = tuple(self._samples), []
                return Measured(hops_ns=samples)
            case Burst(count=count):
                if self._loads < count:
                    return Measured()
                secs = (self._last_ns - self._first_ns) / 1e9
                self._first_ns = self._loads = 0
                return Measured(messages_per_sec=(count - 1) / secs)
            case WhoAreYou():
                return Me(pid=os.getpid(), generation=self.generation)
            case _:
                raise TypeError(f"{type(message).__name__} from {sender} is not in the inbox")
        return None

    async def _pass_on(self, ping: Ping) -> None:
        if ping.left > 0:
            await self.tell(self.config, Ping(sent_ns=time.monotonic_ns(), left=ping.left - 1))

    async def _burst(self, count: int) -> None:
        for number in range(count):
            await self.tell(
                self.config, Load(symbol="BTC-USDT.SIM", bid="99.99", ask="100.01", number=number)
            )
            if number % 64 == 0:
                await asyncio.sleep(0)
