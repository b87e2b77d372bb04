"""The repeated-execution throttle: how often each strategy was let through lately. Pure."""

from __future__ import annotations

from krator_actors.core.rates import RateWindow
from krator_actors.model import NANOS_PER_SEC


class Executions:
    """Counts approved orders by strategy. Times are the monotonic clock's. Not thread-safe."""

    def __init__(self, limit: int, period_secs: float) -> None:
        self._limit = limit
        self._period_ns = int(period_secs * NANOS_PER_SEC)
        self._windows: dict[str, RateWindow] = {}
        # Strategies that have used up their executions and are not halted yet.
        self.exhausted: dict[str, None] = {}

    def describe(self) -> str:
        """Return the limit, for the log."""
        return f"{self._limit} orders in {self._period_ns / NANOS_PER_SEC:g} s"

    def add(self, strategy: str, now_ns: int) -> None:
        """Count one; the one that makes the limit exhausts the strategy."""
        window = self._windows.get(strategy)
        if window is None:
            window = self._windows[strategy] = RateWindow(self._limit, self._period_ns)
        window.add(now_ns)
        if now_ns < window.full_until_ns:
            self.exhausted[strategy] = None

    def acknowledge(self, strategy: str) -> None:
        """The strategy is halted now."""
        self.exhausted.pop(strategy, None)

    def clear(self, strategy: str) -> None:
        """Begin anew, because a person has enabled the strategy again."""
        self._windows.pop(strategy, None)
        self.exhausted.pop(strategy, None)

    def state(self, now_ns: int) -> dict[str, tuple[int, ...]]:
        """Return what ``restore`` needs."""
        return {name: window.ages(now_ns) for name, window in self._windows.items()}

    def restore(self, state: dict[str, tuple[int, ...]], saved_ns: int) -> None:
        """Count what ``state``, taken at ``saved_ns``, says. Only when nothing is counted yet."""
        for strategy, ages in state.items():
            for age_ns in ages:
                self.add(strategy, saved_ns - age_ns)
