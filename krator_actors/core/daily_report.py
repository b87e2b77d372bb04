"""What happened on one day, folded from the journal. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from krator_actors.core.day_account import (
    DayAccount,
    EquityPoint,
    ReportedState,
    StageTimes,
)
from krator_actors.core.day_differences import DayDifferences
from krator_actors.core.incident_list import ReportedIncident
from krator_actors.core.performance import max_drawdown
from krator_actors.core.report import (
    ReportedFill,
    ReportedOrder,
    ReportedPosition,
    ReportFold,
    Totals,
)
from krator_actors.core.schedule import DAY_SECS
from krator_actors.core.venue_look import (
    DayDifference,
    RiskLook,
    VenueLook,
    look_differences,
    risk_differences,
)
from krator_actors.messages.operations import SystemStarted
from krator_actors.messages.risk import EquityPeaked, OrderApproved
from krator_actors.model import NANOS_PER_SEC
from supervisors.messages import Message

_EPOCH = dt.date(1970, 1, 1)


class SymbolProfit(msgspec.Struct, frozen=True, kw_only=True):
    """What one symbol brought on the day, in the quote currency."""

    symbol: str
    realized_pnl: Decimal
    """fees not included"""
    fees: Decimal


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """One day, 00:00 to 24:00 UTC by the time at which events were logged; oldest first."""

    day: dt.date
    totals: Totals
    """of the day: counts, and how much the sums of money changed"""
    totals_at_end: Totals
    """of everything up to the end of the day"""
    differences: list[DayDifference]
    """between journal, venue and risk's positions; empty: everything adds up"""
    venue: VenueLook
    """what the venue said when the day was closed; what it has otherwise is in ``differences``"""
    risk: RiskLook
    """the same of risk"""
    orders: list[ReportedOrder]
    """that had an event on the day, as they were at its end"""
    fills: list[ReportedFill]
    positions: list[ReportedPosition]
    """at the end of the day"""
    profits: list[SymbolProfit]
    equity: list[EquityPoint]
    max_drawdown: float
    """share of the day's highest equity before it that was lost at the worst moment"""
    orders_by_hour: list[int]
    limits_used: dict[str, Decimal]
    """the largest share of each limit that was used; 1 is all of it"""
    states: list[ReportedState]
    incidents: list[ReportedIncident]
    starts: int
    """how often the system was started"""
    availability: float | None
    """see ``DayAccount.availability``"""
    stages: list[StageTimes]


class DayFold:
    """Takes all events from the beginning of the journal; each writer's in its order."""

    def __init__(self, day: dt.date) -> None:
        self._day = day
        self._begin_ns = (day - _EPOCH).days * DAY_SECS * NANOS_PER_SEC
        self._end_ns = self._begin_ns + DAY_SECS * NANOS_PER_SEC
        # Two of them, because the sums of a day are what changed between its ends.
        self._before = ReportFold()
        self._until_end = ReportFold()
        self._differences = DayDifferences()
        self._account = DayAccount(self._begin_ns)
        # All there is, also behind the day: what the venue says is of now.
        self._latest = ReportFold()
        self._latest_differences = DayDifferences()
        self._has_begun = False
        # Client order ids.
        self._touched: set[str] = set()

    def take(self, event: Message, ts_logged: int, *, writer: str, number: int) -> None:
        """Take the next event, record ``number`` of its writer; later days are for the venue."""
        self._latest.take(event)
        self._latest_differences.take(event, writer, number)
        if ts_logged >= self._end_ns:
            return
        if ts_logged >= self._begin_ns and not self._has_begun:
            self._has_begun = True
            self._differences.begin_day()
        self._differences.take(event, writer, number)
        if isinstance(event, SystemStarted):
            self._account.configured(event)
        self._until_end.take(event)
        if ts_logged < self._begin_ns:
            self._before.take(event)
            if isinstance(event, EquityPeaked):
                self._account.peaked(event)
            return
        self._touched.add(_order_of(event))
        held = None
        if isinstance(event, OrderApproved):
            held = self._until_end.held(event.order.symbol)
        self._account.take(event, ts_logged, held)

    def look_differences(self, look: VenueLook, risk: RiskLook, venue: str) -> list[DayDifference]:
        """Return what venue and risk have otherwise than all events that were taken until now."""
        counted = self._latest_differences.counted(venue)
        orders = self._latest.report({}).orders
        return look_differences(look, venue, counted, orders) + risk_differences(risk, counted)

    def report(self, look: VenueLook, risk: RiskLook, shown: list[DayDifference]) -> DayReport:
        """Return the day; ``shown`` are the differences that the two looks have shown."""
        before, until_end = self._before.report({}), self._until_end.report({})
        known = {(fill.symbol, fill.trade_id) for fill in before.fills}
        account = self._account
        return DayReport(
            day=self._day,
            totals=_difference(until_end.totals, before.totals),
            totals_at_end=until_end.totals,
            differences=[*self._differences.differences(until_end.orders), *shown],
            venue=look,
            risk=risk,
            orders=[o for o in until_end.orders if o.client_order_id in self._touched],
            fills=[f for f in until_end.fills if (f.symbol, f.trade_id) not in known],
            positions=until_end.positions,
            profits=_profits(before.positions, until_end.positions),
            equity=account.equity,
            max_drawdown=max_drawdown([float(point.equity) for point in account.equity]),
            orders_by_hour=account.orders_by_hour,
            limits_used=dict(sorted(account.limits_used.items())),
            states=account.states,
            incidents=list(account.incidents.values()),
            starts=account.starts,
            availability=account.availability(),
            stages=account.stages(),
        )


def _profits(
    before: Iterable[ReportedPosition], end: Iterable[ReportedPosition]
) -> list[SymbolProfit]:
    known = {position.symbol: position for position in before}
    found = []
    for position in end:
        old = known.get(position.symbol)
        found.append(
            SymbolProfit(
                symbol=position.symbol,
                realized_pnl=position.realized_pnl - (old.realized_pnl if old else 0),
                fees=position.fees - (old.fees if old else 0),
            )
        )
    return found


def day_of(ts_ns: int) -> dt.date:
    """Return the UTC day of a time."""
    return _EPOCH + dt.timedelta(days=ts_ns // (DAY_SECS * NANOS_PER_SEC))


def day_before(ts_ns: int) -> dt.date:
    """Return the last whole UTC day before a time."""
    return day_of(ts_ns) - dt.timedelta(days=1)


def _order_of(event: Message) -> str:
    order = getattr(event, "order", event)
    return str(getattr(order, "client_order_id", ""))


def _difference(end: Totals, begin: Totals) -> Totals:
    return Totals(
        **{name: getattr(end, name) - getattr(begin, name) for name in msgspec.structs.asdict(end)}
    )
