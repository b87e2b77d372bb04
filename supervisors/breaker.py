"""A circuit breaker around something that can fail on its own: a database, a venue's REST API.

``async with breaker: ...`` or ``await breaker.call(function, ...)``. While it is open, calls fail
at once with ``BreakerOpenError`` and the other side is left in peace. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from supervisors.policy.breaker import (
    BreakerChanged,
    BreakerRules,
    BreakerSettings,
    BreakerSnapshot,
    BreakerState,
    IllegalTransitionError,
    Permit,
)

__all__ = [
    "BreakerChanged",
    "BreakerOpenError",
    "BreakerSettings",
    "BreakerSnapshot",
    "BreakerState",
    "CircuitBreaker",
    "IllegalTransitionError",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BreakerOpenError(Exception):
    """The call was not made.

    Attributes:
        breaker: The breaker's name.
        retry_in_secs: When the next trial may begin; None: when a person has reset it, or when
            the trial under way has ended.
    """

    def __init__(self, breaker: str, state: BreakerState, retry_in_secs: float | None) -> None:
        when = "" if retry_in_secs is None else f"; again in {retry_in_secs:.1f} s"
        super().__init__(f"breaker {breaker} is {state.value}{when}")
        self.breaker = breaker
        self.retry_in_secs = retry_in_secs


class CircuitBreaker:
    """Lets calls through while they mostly succeed.

    Args:
        name: What it guards, for people.
        settings: When it opens and for how long.
        failures: Exceptions that count as a failed call. One that is neither of these nor of
            ``ignored`` counts as a success: the other side has answered.
        ignored: Exceptions that say nothing about the other side; they win over ``failures``.
            A canceled call is always ignored.
        listener: Called with every change of state, in the loop; must not raise.
        clock: Seconds that never go back.
        dice: A number in [0, 1), for the jitter.
    """

    def __init__(
        self,
        name: str,
        settings: BreakerSettings,
        *,
        failures: tuple[type[Exception], ...] = (Exception,),
        ignored: tuple[type[Exception], ...] = (),
        listener: Callable[[BreakerChanged], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._rules = BreakerRules(name, settings, clock())
        self._failures = failures
        self._ignored = ignored
        self._listener = listener
        self._clock = clock
        self._dice = dice
        # By task, the innermost last: one task may hold several permits, one inside the other.
        self._permits: dict[asyncio.Task[Any] | None, list[Permit]] = {}

    @property
    def state(self) -> BreakerState:
        """Where it is. An open one stays open until somebody asks to be let through."""
        return self._rules.state

    def snapshot(self) -> BreakerSnapshot:
        """Return it as a person sees it."""
        return self._rules.snapshot(self._clock())

    async def call(
        self, function: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what ``function`` returns. Raises BreakerOpenError, and what it raises."""
        permit = self._enter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            self._leave(permit, error)
            raise
        self._leave(permit, None)
        return result

    async def __aenter__(self) -> Self:
        """Raise BreakerOpenError when the call is not to be made."""
        permit = self._enter()
        self._permits.setdefault(asyncio.current_task(), []).append(permit)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Count what came of it; the exception goes on."""
        task = asyncio.current_task()
        permits = self._permits[task]
        permit = permits.pop()
        if not permits:
            del self._permits[task]
        self._leave(permit, error)

    def trip(self, reason: str) -> None:
        """Open it for a reason that is none of its own. Raises IllegalTransitionError."""
        self._tell(self._rules.trip(self._clock(), self._dice(), reason))

    def force_open(self, *, by: str, reason: str) -> None:
        """Let nobody through until a person resets it: the operator's switch."""
        self._tell(self._rules.force_open(self._clock(), by=by, reason=reason))

    def reset(self, *, by: str, reason: str) -> None:
        """Close it and forget what was counted; a manual-reset breaker closes in no other way."""
        self._tell(self._rules.reset(self._clock(), by=by, reason=reason))

    def _enter(self) -> Permit:
        now = self._clock()
        permit, change = self._rules.acquire(now, self._dice())
        self._tell(change)
        if permit is None:
            rules = self._rules
            raise BreakerOpenError(rules.name, rules.state, rules.retry_in_secs(now))
        return permit

    def _leave(self, permit: Permit, error: BaseException | None) -> None:
        if error is not None and (
            not isinstance(error, Exception) or isinstance(error, self._ignored)
        ):
            self._rules.release(permit)
            return
        failed = error is not None and isinstance(error, self._failures)
        self._tell(self._rules.record(permit, self._clock(), self._dice(), failed=failed))

    def _tell(self, change: BreakerChanged | None) -> None:
        if change is not None and self._listener is not None:
            self._listener(change)
