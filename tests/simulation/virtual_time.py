"""A clock that stands still, and event loops that run on it: one queue, one thread, no waiting."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol

from krator_actors.model import NANOS_PER_SEC

_BIRTH_NS = 1_790_035_190 * NANOS_PER_SEC
"""ten seconds before a UTC day is over"""
_BOOT_NS = 1_000 * NANOS_PER_SEC
_THREAD_SECS = 0.001


class KilledError(SystemExit):
    """The process of the code that runs has been killed; nothing of it goes on."""


class Mortal(Protocol):
    """What may be dead when its turn comes."""

    alive: bool


class World:
    """The time, the dice, and what is to happen when. Everything random comes from the seed."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.now_ns = 0
        # Whose code is running; None: the world's own.
        self.current: Any = None
        self._queue: list[tuple[int, int, asyncio.Handle, Any]] = []
        self._number = 0

    # ``krator_actors.clock`` asks these two instead of the module ``time``.

    def time_ns(self) -> int:
        return _BIRTH_NS + self.now_ns

    def monotonic_ns(self) -> int:
        return _BOOT_NS + self.now_ns

    def after(self, secs: float, action: Callable[..., object], *args: object) -> None:
        """Let the world itself do something later, whoever is dead by then."""
        self.put(asyncio.Handle(action, args, _NO_LOOP), None, self.now_ns + int(secs * 1e9))

    def put(self, handle: asyncio.Handle, owner: Mortal | None, when_ns: int) -> None:
        self._number += 1
        heapq.heappush(self._queue, (max(when_ns, self.now_ns), self._number, handle, owner))

    def run(self, secs: float) -> None:
        """Let ``secs`` pass."""
        end_ns = self.now_ns + int(secs * 1e9)
        while self._queue and self._queue[0][0] <= end_ns:
            self.now_ns, _, handle, owner = heapq.heappop(self._queue)
            if not handle.cancelled() and (owner is None or owner.alive):
                self._step(handle, owner)
        self.now_ns = end_ns

    def _step(self, handle: Any, owner: Any) -> None:
        self.current = owner
        asyncio._set_running_loop(None if owner is None else owner.loop)
        try:
            handle._context.run(handle._callback, *handle._args)
        except KilledError:
            pass
        finally:
            asyncio._set_running_loop(None)
            self.current = None


class VirtualLoop(asyncio.AbstractEventLoop):
    """The event loop of one simulated process."""

    def __init__(self, world: World, owner: Mortal) -> None:
        self._world = world
        self._owner = owner
        # All that was ever started, so that nothing of a dead process is closed before the end.
        self.tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self._world.now_ns / 1e9

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._world.put(handle, self._owner, self._world.now_ns)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._world.put(handle, self._owner, int(when * 1e9))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=self, **options)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, work: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do it at once, and let it take a little: a thread whose moment is always the same."""
        future = self.create_future()
        try:
            done = work(*args)
        except Exception as error:  # noqa: BLE001 - whoever waits for the thread gets it
            self.call_later(_THREAD_SECS, _fail, future, error)
        else:
            self.call_later(_THREAD_SECS, _settle, future, done)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Whose task failed is told by its process; nothing else is of interest."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


_NO_LOOP = VirtualLoop(World(0), None)  # type: ignore[abstract, arg-type]
