"""One day's life beside its orders: equity, limits, halts, incidents, times. Pure."""

from __future__ import annotations

import contextlib
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from krator_actors.core.incident_list import ReportedIncident, take_incident
from krator_actors.core.order_statistics import OrderStatistics
from krator_actors.messages.incidents import IncidentClosed, IncidentDiagnosed, IncidentOpened
from krator_actors.messages.operations import SystemStarted
from krator_actors.messages.risk import (
    DayStarted,
    EquityPeaked,
    OrderApproved,
    TradingStateChanged,
)
from krator_actors.model import NANOS_PER_SEC
from supervisors.messages import Message

HOURS: Final = 24
SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
_HOUR_NS: Final = 3_600 * NANOS_PER_SEC


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the account was worth when risk wrote it down; ``ts`` is UTC ns."""

    ts: int
    equity: Decimal


class StageTimes(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of the orders' way; upper bounds that are at most twice too high."""

    stage: str
    count: int
    secs: dict[str, float]
    """``p50``, ``p95``, ``p99``, ``p99.9``"""


class ReportedState(msgspec.Struct, frozen=True, kw_only=True):
    """Trading was halted, reduced or let go on; ``by`` is a person, or ``risk``."""

    ts: int
    state: str
    scope: str
    target: str
    by: str
    reason: str


class DayAccount:
    """Takes the events of one day, from ``begin_ns`` on, in the journal's order."""

    def __init__(self, begin_ns: int) -> None:
        self.equity: list[EquityPoint] = []
        self.states: list[ReportedState] = []
        self.incidents: dict[str, ReportedIncident] = {}
        """by id"""
        self.orders_by_hour = [0] * HOURS
        self.starts = 0
        """of the journal, and so of the system"""
        self.limits_used: dict[str, Decimal] = {}
        """the largest share of each limit that was used; a limit that is not known is not in it"""
        self._begin_ns = begin_ns
        self._statistics = OrderStatistics()
        # [risk] of the configuration in force, as JSON has it; empty while it is not known.
        self._risk: dict[str, Any] = {}
        # What the day's loss and the drawdown are measured from; None before it was written down.
        self._day_start: Decimal | None = None
        self._peak: Decimal | None = None
        # Begin and end of the time in which events were written.
        self._first_ns: int | None = None
        self._last_ns = begin_ns

    def configured(self, event: SystemStarted) -> None:
        """Take the limits that are in force from here on; also from before the day."""
        with contextlib.suppress(msgspec.DecodeError):
            known = msgspec.json.decode(event.configuration)
            risk = known.get("risk") if isinstance(known, dict) else None
            self._risk = risk if isinstance(risk, dict) else {}

    def peaked(self, event: EquityPeaked) -> None:
        """Take what the drawdown is measured from; also from before the day."""
        self._peak = event.equity

    def take(self, event: Message, ts_logged: int, held: Decimal | None = None) -> None:
        """Take the next event; ``held`` is of the symbol that an approval is for."""
        self._first_ns = ts_logged if self._first_ns is None else self._first_ns
        self._last_ns = max(self._last_ns, ts_logged)
        self._statistics.take(event, ts_logged)
        match event:
            case OrderApproved():
                self._approved(event, ts_logged, held or Decimal(0))
            case DayStarted():
                self._day_start = event.equity
                self._worth(event.equity, ts_logged)
            case EquityPeaked():
                self._worth(event.equity, ts_logged)
            case TradingStateChanged():
                self._changed(event, ts_logged)
            case IncidentOpened() | IncidentDiagnosed() | IncidentClosed():
                take_incident(self.incidents, event, ts_logged)
            case SystemStarted():
                self.starts += 1
            case _:
                pass

    def stages(self) -> list[StageTimes]:
        """Return the times of each stage that an order has passed on the day."""
        taken = {stage: times.take() for stage, times in self._statistics.stages.items()}
        return [
            StageTimes(
                stage=stage,
                count=times.count,
                secs={name: times.at_most_secs(share) for name, share in SHARES.items()},
            )
            for stage, times in taken.items()
            if times.count
        ]

    def availability(self) -> float | None:
        """Return in which share of the time between the day's first and last event nothing was out.

        Out is the time of an incident, from its first evidence to its end; of two at once it counts
        once. None when nothing was written on the day.
        """
        if self._first_ns is None or self._last_ns <= self._first_ns:
            return None
        out, covered_ns = 0, self._first_ns
        for incident in sorted(self.incidents.values(), key=lambda each: each.ts):
            lasted_ns = incident.outage_secs
            ends = self._last_ns if lasted_ns is None else incident.ts + int(lasted_ns * 1e9)
            ends = min(ends, self._last_ns)
            begins = max(incident.ts, covered_ns)
            out += max(0, ends - begins)
            covered_ns = max(covered_ns, ends)
        return 1 - out / (self._last_ns - self._first_ns)

    def _approved(self, event: OrderApproved, ts_logged: int, held: Decimal) -> None:
        hour = (ts_logged - self._begin_ns) // _HOUR_NS
        self.orders_by_hour[min(max(hour, 0), HOURS - 1)] += 1
        self._worth(event.equity, ts_logged)
        symbol = event.order.symbol
        reserved = event.reserved_notional
        self._used(f"order_notional {symbol}", reserved, self._limit("max_order_notional", symbol))
        position = held * event.reference_price + reserved
        self._used(f"position {symbol}", position, event.position_limit_notional)

    def _changed(self, event: TradingStateChanged, ts_logged: int) -> None:
        self._day_start = event.loss_base or self._day_start
        self._peak = event.peak_base or self._peak
        self.states.append(
            ReportedState(
                ts=ts_logged,
                state=event.state.value,
                scope=event.scope.value,
                target=event.target,
                by=event.by,
                reason=event.reason,
            )
        )

    def _worth(self, equity: Decimal, ts_logged: int) -> None:
        self.equity.append(EquityPoint(ts=ts_logged, equity=equity))
        self._peak = equity if self._peak is None else max(self._peak, equity)
        for limit, base in (("daily_loss", self._day_start), ("drawdown", self._peak)):
            share = self._limit(f"max_{limit}_fraction")
            if base is not None and share is not None:
                self._used(limit, base - equity, base * share)

    def _limit(self, key: str, symbol: str = "") -> Decimal | None:
        own = self._risk.get("symbols", {})
        value = own.get(symbol, {}).get(key) if isinstance(own, dict) else None
        try:
            return Decimal(str(self._risk[key] if value is None else value))
        except (KeyError, InvalidOperation):
            return None

    def _used(self, name: str, used: Decimal, limit: Decimal | None) -> None:
        if limit is None or not limit > 0:
            return
        share = max(used, Decimal(0)) / limit
        self.limits_used[name] = max(share, self.limits_used.get(name, Decimal(0)))
