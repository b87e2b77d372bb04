"""What a supervisor does about a child that is late, hung or too large: it sees to its end.

One thread; everything that takes time is a timer, and a timer that comes too late does nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisors.control import Stop
from supervisors.incarnation import Incarnation
from supervisors.reports import Reason
from supervisors.timers import Timers

_DUMP_SECS = 0.1
_CLOSED_SECS = 1.0


class Watchdog:
    """Looks after all children of one supervisor.

    ``is_current`` is false for a child whose end is known, ``must_beat`` for one that need not make
    progress any more, because it was told to stop. ``on_verdict`` is called when one is about to be
    killed.
    """

    def __init__(
        self,
        timers: Timers,
        *,
        is_current: Callable[[Incarnation], bool],
        must_beat: Callable[[Incarnation], bool],
        on_verdict: Callable[[], None],
    ) -> None:
        self._timers = timers
        self._is_current = is_current
        self._must_beat = must_beat
        self._on_verdict = on_verdict

    def expect_ready(self, child: Incarnation) -> None:
        """End it by force when it is not ready within its start time."""
        limit_secs = child.spec.start_timeout_secs

        def check() -> None:
            if child.ready_at is None:
                reason = Reason("start_timeout", f"not ready after {limit_secs} s")
                self._end_by_force(child, reason)

        self._timers.call_after(limit_secs, check)

    def expect_warm(self, spare: Incarnation) -> None:
        """End a spare by force that is not warm within its start time."""
        limit_secs = spare.spec.start_timeout_secs

        def check() -> None:
            if not spare.is_warm:
                reason = Reason("start_timeout", f"not warm after {limit_secs} s")
                self._end_by_force(spare, reason)

        self._timers.call_after(limit_secs, check)

    def expect_beats(self, child: Incarnation) -> None:
        """End it when it makes no progress, or uses more memory than it may."""
        self._timers.call_after(child.beat_secs, lambda: self._check_beats(child))

    def expect_end(self, child: Incarnation) -> None:
        """End by force a child that has closed its channel, unless it is ending already.

        One that lives on without it can neither be stopped nor report.
        """
        reason = Reason("hung", "closed its control channel")
        self._timers.call_after(_CLOSED_SECS, lambda: self._end_by_force(child, reason))

    def stop(self, child: Incarnation, shutdown_secs: float | None) -> None:
        """Ask it to end, and end it by force after so long; 0 kills at once, None waits."""
        if shutdown_secs == 0:
            child.kill()
            return
        child.channel.send(Stop())
        if shutdown_secs is not None:
            reason = Reason("hung", f"did not stop within {shutdown_secs} s")
            self._timers.call_after(shutdown_secs, lambda: self._end_by_force(child, reason))

    def _check_beats(self, child: Incarnation) -> None:
        if not self._is_current(child) or not self._must_beat(child):
            return
        if child.misses_beats():
            self._end_by_force(child, child.hang_reason())
            return
        if child.verdict is None:
            child.verdict = child.excess_reason()
            if child.verdict is not None:
                self.stop(child, child.spec.shutdown_secs)
        self.expect_beats(child)

    def _end_by_force(self, child: Incarnation, reason: Reason) -> None:
        """Have its stacks written, then kill it, unless it has ended meanwhile."""
        if not self._is_current(child) or child.is_condemned:
            return
        delay_secs = _DUMP_SECS if child.dump(reason) else 0.0
        self._on_verdict()
        self._timers.call_after(delay_secs, lambda: self._kill(child))

    def _kill(self, child: Incarnation) -> None:
        if self._is_current(child):
            child.kill()
