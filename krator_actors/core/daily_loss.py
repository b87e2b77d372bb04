"""The loss of a trading day, which begins at 00:00 UTC. Pure: the time is an argument."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from krator_actors.messages.risk import DayStarted
from krator_actors.model import NANOS_PER_SEC

_DAY_NS = 86_400 * NANOS_PER_SEC
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class DailyLossState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a DailyLoss knows; what a snapshot holds."""

    day: int
    start_equity: Decimal | None
    base: Decimal | None


class DailyLoss:
    """Measures the loss from the equity at the day's start.

    When a named person resumes trading although the limit has been hit, that loss is accepted: the
    limit is measured anew from the equity at the resume, until the next day starts.
    """

    def __init__(self, max_fraction: Decimal) -> None:
        self._max_fraction = max_fraction
        # Days since the epoch; -1 before the first.
        self._day = -1
        # None before the first day.
        self.start_equity: Decimal | None = None
        self.base: Decimal | None = None
        # Equity at or below it has lost too much.
        self.floor = Decimal("-Infinity")

    def new_day(self, utc_ns: int, equity: Decimal) -> DayStarted | None:
        """Return the event to log and ``start`` when a day that is not known has begun."""
        day = utc_ns // _DAY_NS
        if day <= self._day:
            return None
        name = date.fromordinal(_EPOCH_ORDINAL + day).isoformat()
        return DayStarted(day=name, equity=equity, ts_event=utc_ns)

    def start(self, event: DayStarted) -> None:
        """Measure from this day's equity on."""
        self._day = date.fromisoformat(event.day).toordinal() - _EPOCH_ORDINAL
        self.start_equity = event.equity
        self.measure_from(event.equity)

    def measure_from(self, equity: Decimal) -> None:
        """Measure from ``equity`` on. An account that is worth nothing has nothing to lose."""
        self.base = equity
        self.floor = equity * (1 - self._max_fraction) if equity > 0 else Decimal("-Infinity")

    def is_reached(self, equity: Decimal) -> bool:
        """True when the limit is used up."""
        return equity <= self.floor

    def describe(self, equity: Decimal) -> str:
        """Return the fact with its numbers, for the log."""
        return f"equity {equity:.2f} at or below {self.floor:.2f} ({self.base:.2f} at the start)"

    def state(self) -> DailyLossState:
        """Return what ``restore`` needs."""
        return DailyLossState(day=self._day, start_equity=self.start_equity, base=self.base)

    def restore(self, state: DailyLossState) -> None:
        """Become what ``state`` says."""
        self._day = state.day
        self.start_equity = state.start_equity
        if state.base is not None:
            self.measure_from(state.base)
