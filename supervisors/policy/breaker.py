"""When calls to something that can fail on its own are let through: a circuit breaker's rules.

Pure: the time (seconds on a clock that never goes back) and the dice are arguments. The words and
rules are resilience4j's; the growing open time is Pekko's. ``supervisors.breaker`` is the guard
that a program uses.
"""

from __future__ import annotations

import enum
import math
from typing import Final, NamedTuple

import msgspec

from supervisors.policy.windows import CountWindow, Tally, TimeWindow


class BreakerState(enum.Enum):
    """Who is let through."""

    CLOSED = "closed"
    """Everybody."""
    OPEN = "open"
    """Nobody, until the open time is over; of a manual-reset breaker, until a person resets it."""
    HALF_OPEN = "half_open"
    """A few, as a trial."""
    FORCED_OPEN = "forced_open"
    """Nobody, until a person resets it: the operator's switch."""


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and for how long. Raises ValueError for what makes no sense."""

    failure_rate: float = 0.5
    """Opens at this share of failed calls, or more; above 0, at most 1."""
    slow_call_rate: float = 1.0
    """Opens at this share of slow calls, or more."""
    slow_call_secs: float = 2.0
    """A call that took longer is slow, whether it failed or not."""
    window_calls: int | None = 20
    """Judged are the last so many calls; None with ``window_secs``."""
    window_secs: int | None = None
    """Judged are the calls of so many seconds, the one under way included; None: by count."""
    minimum_calls: int = 10
    """Fewer calls in the window are not judged. A smaller ``window_calls`` is enough, too."""
    half_open_calls: int = 3
    """So many are let through as a trial and judged when all have ended."""
    half_open_secs: float | None = None
    """A trial not over by then opens again; None: it may take for ever."""
    open_secs: float = 15.0
    """The first open time. The n-th in a row, from 0, is
    ``min(max_open_secs, open_secs * open_factor**n) * (1 + random * jitter)``; after a successful
    trial it is the first again."""
    open_factor: float = 2.0
    max_open_secs: float = 300.0
    jitter: float = 0.2
    manual_reset: bool = False
    """True: it never closes itself. For what a person must have looked at, as trading is."""

    def __post_init__(self) -> None:
        mistakes = [
            text
            for text, holds in (
                ("failure_rate must be above 0 and at most 1", 0 < self.failure_rate <= 1),
                ("slow_call_rate must be above 0 and at most 1", 0 < self.slow_call_rate <= 1),
                ("slow_call_secs must be above 0", self.slow_call_secs > 0),
                (
                    "one of window_calls and window_secs must be given, from 1",
                    (self.window_calls is None) != (self.window_secs is None)
                    and (self.window_calls or self.window_secs or 0) >= 1,
                ),
                ("minimum_calls must be from 1", self.minimum_calls >= 1),
                ("half_open_calls must be from 1", self.half_open_calls >= 1),
                (
                    "half_open_secs must be above 0",
                    self.half_open_secs is None or self.half_open_secs > 0,
                ),
                ("open_secs must be above 0", self.open_secs > 0),
                ("open_factor must be from 1", self.open_factor >= 1),
                ("max_open_secs must be from open_secs", self.max_open_secs >= self.open_secs),
                ("jitter must be from 0", self.jitter >= 0),
            )
            if not holds
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))


class Permit(NamedTuple):
    """One call that was let through; to be given back once, by ``record`` or ``release``."""

    epoch: int
    began: float


class BreakerChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker is in another state, or was reset in the same."""

    name: str
    before: BreakerState
    after: BreakerState
    reason: str
    by: str | None
    """The person who did it; None: the breaker itself."""
    open_secs: float | None
    """How long it stays open at least; None when it is not, or until a person resets it."""


class BreakerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker as a person sees it."""

    name: str
    state: BreakerState
    reason: str
    """Why it is in this state; empty when it was never in another."""
    since_secs: float
    """How long it has been in it."""
    retry_in_secs: float | None
    """When the next trial may begin; None when it is not open, or waits for a person."""
    calls: int
    """In the window, or in the trial under way."""
    failure_rate: float | None
    """None while there are too few calls to judge."""
    slow_call_rate: float | None
    refused: int
    """Calls that were not let through, ever."""
    opened: int
    """How often it has opened by itself, ever."""


class IllegalTransitionError(Exception):
    """A breaker was told to go where it cannot go from its state."""

    def __init__(self, name: str, before: BreakerState, after: BreakerState) -> None:
        super().__init__(f"breaker {name} cannot go from {before.value} to {after.value}")
        self.before = before
        self.after = after


_CLOSED, _OPEN, _HALF_OPEN, _FORCED_OPEN = BreakerState

LEGAL: Final = frozenset(
    {
        (_CLOSED, _CLOSED),  # a reset forgets what was counted
        (_CLOSED, _OPEN),
        (_CLOSED, _FORCED_OPEN),
        (_OPEN, _CLOSED),
        (_OPEN, _HALF_OPEN),
        (_OPEN, _FORCED_OPEN),
        (_HALF_OPEN, _CLOSED),
        (_HALF_OPEN, _OPEN),
        (_HALF_OPEN, _FORCED_OPEN),
        (_FORCED_OPEN, _CLOSED),
        (_FORCED_OPEN, _FORCED_OPEN),  # another person, another reason
    }
)
"""From where to where a breaker may go. Not from closed to half-open: nothing is to be tried."""


class BreakerRules:
    """One breaker's state. Each method returns what it changed; none of them waits."""

    def __init__(self, name: str, settings: BreakerSettings, now: float) -> None:
        self.name = name
        self.settings = settings
        self.state = BreakerState.CLOSED
        self.refused = 0
        self._opened = 0
        self._reason = ""
        self._since = now
        # Raised by every change: what a call of an earlier state brings home is not counted.
        self._epoch = 0
        self._window = self._new_window()
        # When the open time is over; infinite when only a person ends it.
        self._open_until = math.inf
        # Times that it opened since it was last closed.
        self._openings = 0
        # Calls of the trial that are under way or have ended.
        self._trials = 0

    def acquire(self, now: float, dice: float) -> tuple[Permit | None, BreakerChanged | None]:
        """Ask to be let through; None is no.

        Args:
            now: The time.
            dice: A number in [0, 1), for the open time of a trial that took too long.
        """
        state = self.state
        if state is BreakerState.CLOSED:
            return Permit(self._epoch, now), None
        change = None
        if state is BreakerState.OPEN and now >= self._open_until:
            change = self.move(BreakerState.HALF_OPEN, now, "the open time is over")
        elif state is BreakerState.HALF_OPEN and self._is_overdue(now):
            change = self._open(now, dice, "the trial took too long")
        if self.state is BreakerState.HALF_OPEN and self._trials < self.settings.half_open_calls:
            self._trials += 1
            return Permit(self._epoch, now), change
        self.refused += 1
        return None, change

    def record(
        self, permit: Permit, now: float, dice: float, *, failed: bool
    ) -> BreakerChanged | None:
        """Count what came of a call that was let through."""
        if permit.epoch != self._epoch:
            return None
        slow = now - permit.began > self.settings.slow_call_secs
        self._window.add(now, failed=failed, slow=slow)
        tally = self._window.tally(now)
        if tally.calls < self._enough():
            return None
        cause = self._cause(tally)
        if cause is not None:
            return self._open(now, dice, cause)
        if self.state is BreakerState.HALF_OPEN:
            return self._close(now, "the trial succeeded", None)
        return None

    def release(self, permit: Permit) -> None:
        """Give a permit back for a call that says nothing: it was ignored or canceled."""
        if permit.epoch == self._epoch and self.state is BreakerState.HALF_OPEN:
            self._trials -= 1

    def trip(self, now: float, dice: float, reason: str) -> BreakerChanged:
        """Open it for a reason that is none of its own, whatever the rates are."""
        return self._open(now, dice, reason)

    def force_open(self, now: float, *, by: str, reason: str) -> BreakerChanged:
        """Let nobody through until a person resets it."""
        return self.move(BreakerState.FORCED_OPEN, now, reason, by=_named(by))

    def reset(self, now: float, *, by: str, reason: str) -> BreakerChanged:
        """Close it and forget what was counted, from any state."""
        return self._close(now, reason, _named(by))

    def retry_in_secs(self, now: float) -> float | None:
        """Return when the next trial may begin; None when it is not open, or waits for a person."""
        if self.state is not BreakerState.OPEN or math.isinf(self._open_until):
            return None
        return max(0.0, self._open_until - now)

    def snapshot(self, now: float) -> BreakerSnapshot:
        """Return it as a person sees it."""
        tally = self._window.tally(now)
        is_judged = tally.calls >= self._enough()
        return BreakerSnapshot(
            name=self.name,
            state=self.state,
            reason=self._reason,
            since_secs=now - self._since,
            retry_in_secs=self.retry_in_secs(now),
            calls=tally.calls,
            failure_rate=tally.failed / tally.calls if is_judged else None,
            slow_call_rate=tally.slow / tally.calls if is_judged else None,
            refused=self.refused,
            opened=self._opened,
        )

    def _enough(self) -> int:
        settings = self.settings
        if self.state is BreakerState.HALF_OPEN:
            return settings.half_open_calls
        return min(settings.minimum_calls, settings.window_calls or settings.minimum_calls)

    def _cause(self, tally: Tally) -> str | None:
        settings = self.settings
        # Quotients and not products, because 7 of 100 is 0.07 and 0.07 * 100 is more than 7.
        if tally.failed / tally.calls >= settings.failure_rate:
            return f"{tally.failed} of {tally.calls} calls failed"
        if tally.slow / tally.calls >= settings.slow_call_rate:
            return f"{tally.slow} of {tally.calls} calls took over {settings.slow_call_secs:g} s"
        return None

    def _is_overdue(self, now: float) -> bool:
        limit_secs = self.settings.half_open_secs
        return limit_secs is not None and now - self._since >= limit_secs

    def _open(self, now: float, dice: float, reason: str) -> BreakerChanged:
        settings = self.settings
        open_secs = None
        if not settings.manual_reset:
            # 2**64 open times are longer than any cap.
            growth = settings.open_factor ** min(self._openings, 64)
            plain_secs = min(settings.max_open_secs, settings.open_secs * growth)
            open_secs = plain_secs * (1.0 + dice * settings.jitter)
        change = self.move(BreakerState.OPEN, now, reason, open_secs=open_secs)
        self._open_until = math.inf if open_secs is None else now + open_secs
        self._openings += 1
        self._opened += 1
        return change

    def _close(self, now: float, reason: str, by: str | None) -> BreakerChanged:
        change = self.move(BreakerState.CLOSED, now, reason, by=by)
        self._openings = 0
        return change

    def move(
        self,
        after: BreakerState,
        now: float,
        reason: str,
        *,
        by: str | None = None,
        open_secs: float | None = None,
    ) -> BreakerChanged:
        """Go to another state. Raises IllegalTransitionError for what ``LEGAL`` does not have."""
        before = self.state
        if (before, after) not in LEGAL:
            raise IllegalTransitionError(self.name, before, after)
        self.state = after
        self._since = now
        self._reason = reason
        self._epoch += 1
        self._trials = 0
        self._window = self._new_window()
        return BreakerChanged(
            name=self.name, before=before, after=after, reason=reason, by=by, open_secs=open_secs
        )

    def _new_window(self) -> CountWindow | TimeWindow:
        settings = self.settings
        if self.state is BreakerState.HALF_OPEN:
            return CountWindow(settings.half_open_calls)
        if settings.window_secs is not None:
            return TimeWindow(settings.window_secs)
        assert settings.window_calls is not None
        return CountWindow(settings.window_calls)


def _named(by: str) -> str:
    if not by.strip():
        raise ValueError("by was empty, must name the person")
    return by
