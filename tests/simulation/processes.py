"""Actors as processes that die: lanes with their promises, a supervisor that starts again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any

from krator_actors.adapters.local_log import LocalLog
from supervisors.actor import Actor
from supervisors.messages import AskTimeoutError, Message
from tests.simulation.virtual_time import KilledError, VirtualLoop, World

_LATENCY_SECS = 0.002
_NOTICE_SECS = 0.05
_LATE_SECS = 4.0


@dataclass(eq=False)
class _Item:
    """A message on its way, until its handler has returned."""

    sender: str
    generation: int
    receiver: str
    message: Message
    is_back: bool = False
    """True: this is no news, but the sender's own message that nobody acknowledged"""
    is_in_transit: bool = True
    is_void: bool = False


class Process:
    """One incarnation of an actor, from its start to its death."""

    def __init__(
        self, town: Town, name: str, generation: int, actor_class: type[Actor], config: Any
    ) -> None:
        self.name = name
        self.generation = generation
        self.alive = True
        self.logs: list[LocalLog] = []
        self.loop = VirtualLoop(town.world, self)  # type: ignore[abstract]
        self.inbox: deque[_Item] = deque()
        self.actor = actor_class()
        self.actor.name, self.actor.generation = name, generation
        self.actor.config, self.actor.surroundings = config, self
        self._town = town
        self._filled = asyncio.Event()
        self._background: list[asyncio.Task[None]] = []
        self._is_started = False
        self._main = self.loop.create_task(self._run())
        self._main.add_done_callback(self._ended)

    def take(self, item: _Item) -> None:
        self.inbox.append(item)
        self._filled.set()

    def stop(self) -> None:
        """End in an orderly way: ``on_stop``, unless it has not started yet."""
        if not self._is_started:
            self._town.kill(self)
            return
        self._main.remove_done_callback(self._ended)
        for task in (*self._background, self._main):
            task.remove_done_callback(self._ended)
            task.cancel()
        self.loop.create_task(self._stop())

    def forget(self) -> None:
        """Let go of all that was going on when it died."""
        self.alive = False
        for log in self.logs:
            log.close()
        for task in self.loop.tasks:
            coroutine = task.get_coro()
            if isinstance(coroutine, Coroutine) and getcoroutinestate(coroutine) == CORO_CREATED:
                coroutine.close()

    async def _run(self) -> None:
        await self.actor.on_start()
        self._is_started = True
        while True:
            while not self.inbox:
                self._filled.clear()
                await self._filled.wait()
            item = self.inbox.popleft()
            if item.is_back:
                await self.actor.on_undelivered(item.receiver, item.message)
            else:
                await self.actor.receive(item.message, item.sender)
                self._town.acknowledged(item)

    async def _stop(self) -> None:
        await asyncio.gather(self._main, *self._background, return_exceptions=True)
        await self.actor.on_stop()
        self._town.kill(self)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and self.alive:
            self._town.crashed(self, error)

    # -- what the actor acts through -------------------------------------------------------------

    async def tell(self, receiver: str, message: Message) -> None:
        self._town.point()
        self._town.send(self, receiver, message)

    def offer(self, receiver: str, message: Message) -> bool:
        self._town.send(self, receiver, message)
        return True

    async def ask(self, receiver: str, message: Message, timeout_secs: float) -> Message:
        await asyncio.sleep(_LATENCY_SECS)
        answer = self._town.answer(receiver, message)
        if answer is None:
            await asyncio.sleep(timeout_secs)
            raise AskTimeoutError(receiver)
        return answer

    def tell_self(self, message: Message) -> None:
        self.take(_Item(self.name, self.generation, self.name, message))

    def every(self, period_secs: float, message: Message) -> None:
        def again() -> None:
            self.tell_self(message)
            self.loop.call_later(period_secs, again)

        self.loop.call_later(period_secs, again)

    def start_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self.loop.create_task(coroutine, name=name)
        task.add_done_callback(self._ended)
        self._background.append(task)
        return task

    def alarm(self, kind: str, detail: str | None) -> None:
        pass


class Town:
    """All processes, the lanes between them, and who starts them again."""

    def __init__(
        self,
        world: World,
        specs: dict[str, tuple[type[Actor], Any]],
        *,
        answer: Callable[[str, Message], Message | None],
    ) -> None:
        self.world = world
        self.answer = answer
        self.processes: dict[str, Process] = {}
        self.kills = 0
        self.crashes: list[str] = []
        # Probability that a process dies at any one point of its work.
        self.mortality = 0.0
        self._specs = specs
        self._generations = dict.fromkeys(specs, 0)
        self._graves: list[Process] = []
        self._waiting: dict[str, list[_Item]] = {name: [] for name in specs}
        self._lanes: dict[tuple[str, str], list[_Item]] = {}
        self._last_arrival_ns: dict[tuple[str, str], int] = {}

    def start(self, name: str) -> None:
        self._generations[name] += 1
        actor_class, config = self._specs[name]
        process = Process(self, name, self._generations[name], actor_class, config)
        self.processes[name] = process
        waiting, self._waiting[name] = self._waiting[name], []
        for item in waiting:
            self._post(item)

    def close(self) -> None:
        """End the day for everybody."""
        for process in (*self._graves, *self.processes.values()):
            process.forget()

    def point(self) -> None:
        """A point in a process's work at which it may die."""
        process = self.world.current
        if process is not None and self.world.dice.random() < self.mortality:
            self.kill(process)
            raise KilledError

    def kill(self, process: Process) -> None:
        """End a process now; its supervisor starts it again."""
        if not process.alive:
            return
        self.kills += 1
        process.alive = False
        self._graves.append(process)
        for log in process.logs:
            log.close()
        for (sender, receiver), lane in self._lanes.items():
            if receiver == process.name:
                for item in lane:
                    item.is_void = True
                    self.world.after(_NOTICE_SECS * self.world.dice.random(), self._give_back, item)
                lane.clear()
            elif sender == process.name:
                self._cut(lane)
        for waiting in self._waiting.values():
            self._delay(waiting, process.name)
        self.world.after(self.world.dice.choice((0.005, 0.2, 2.0)), self.start, process.name)

    def crashed(self, process: Process, error: BaseException) -> None:
        self.crashes.append(f"{process.name}: {type(error).__name__}: {error}")
        self.kill(process)

    def send(self, sender: Process, receiver: str, message: Message) -> None:
        if sender.alive:
            self.tell(sender.name, receiver, message, generation=sender.generation)

    def tell(self, sender: str, receiver: str, message: Message, *, generation: int = 1) -> None:
        """Let anybody tell; who is not one of the processes never dies."""
        if receiver not in self._specs:
            return
        item = _Item(sender, generation, receiver, message)
        if self.processes[receiver].alive:
            self._post(item)
        else:
            self._waiting[receiver].append(item)

    def acknowledged(self, item: _Item) -> None:
        lane = self._lanes.get((item.sender, item.receiver))
        if lane and item in lane:
            lane.remove(item)

    def _post(self, item: _Item) -> None:
        lane = (item.sender, item.receiver)
        self._lanes.setdefault(lane, []).append(item)
        arrival_ns = self.world.now_ns + int(_LATENCY_SECS * 1e9 * self.world.dice.random() ** 4)
        arrival_ns = max(arrival_ns, self._last_arrival_ns.get(lane, 0))
        self._last_arrival_ns[lane] = arrival_ns
        self.world.after((arrival_ns - self.world.now_ns) / 1e9, self._arrive, item)

    def _arrive(self, item: _Item) -> None:
        process = self.processes[item.receiver]
        if not item.is_void and process.alive:
            item.is_in_transit = False
            process.take(item)

    def _give_back(self, item: _Item) -> None:
        sender = self.processes.get(item.sender)
        if sender is not None and sender.alive and sender.generation == item.generation:
            back = _Item(item.sender, item.generation, item.receiver, item.message, is_back=True)
            sender.take(back)

    def _cut(self, lane: list[_Item]) -> None:
        """Of what a dead sender had on its way, a first part still arrives, and some much later."""
        in_transit = [item for item in lane if item.is_in_transit]
        for item in in_transit[self.world.dice.randint(0, len(in_transit)) :]:
            item.is_void = True
            lane.remove(item)
            self._arrive_late(item)

    def _delay(self, waiting: list[_Item], sender: str) -> None:
        for item in tuple(waiting):
            if item.sender == sender and self.world.dice.random() < 0.5:
                waiting.remove(item)
                self._arrive_late(item)

    def _arrive_late(self, item: _Item) -> None:
        """Let what a dead risk actor has said come after its successor's words, or never.

        The real lanes refuse it by its generation. The order actor must not need that.
        """
        if item.sender == "risk" and self.world.dice.random() < 0.8:
            self.world.after(_LATE_SECS * self.world.dice.random(), self._take_late, item)

    def _take_late(self, item: _Item) -> None:
        if self.processes[item.receiver].alive:
            self.processes[item.receiver].take(item)
