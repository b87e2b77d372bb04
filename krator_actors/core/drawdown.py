"""The loss since the highest equity there ever was. Pure."""

from __future__ import annotations

from decimal import Decimal

from krator_actors.messages.risk import EquityPeaked

PEAK_STEP = Decimal("0.001")
"""A new peak is written down when equity is by more than this share above the last one."""

_NEVER = Decimal("-Infinity")


class Drawdown:
    """Measures from the last peak that was written down, so that a restart cannot forget it."""

    def __init__(self, max_fraction: Decimal) -> None:
        self._max_fraction = max_fraction
        # None before the first.
        self.peak: Decimal | None = None
        # Equity at or below it has lost too much; above the ceiling it is a new peak.
        self.floor = self.ceiling = _NEVER

    def new_peak(self, equity: Decimal, utc_ns: int) -> EquityPeaked | None:
        """Return the event to log and then ``measure_from``, when there is a new peak."""
        if equity <= self.ceiling or (self.peak is None and equity <= 0):
            return None
        return EquityPeaked(equity=equity, ts_event=utc_ns)

    def measure_from(self, equity: Decimal) -> None:
        """Measure from ``equity`` on. An account that is worth nothing has nothing to lose."""
        self.peak = equity
        self.floor = equity * (1 - self._max_fraction) if equity > 0 else _NEVER
        self.ceiling = equity * (1 + PEAK_STEP)

    def is_reached(self, equity: Decimal) -> bool:
        """True when the limit is used up."""
        return equity <= self.floor

    def describe(self, equity: Decimal) -> str:
        """Return the fact with its numbers, for the log."""
        return f"equity {equity:.2f} at or below {self.floor:.2f} ({self.peak:.2f} at its peak)"
