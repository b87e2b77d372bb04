"""What happened on one day, folded from the journal. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from krator_actors.core.report import (
    ReportedFill,
    ReportedOrder,
    ReportedPosition,
    ReportFold,
    Totals,
)
from krator_actors.core.schedule import DAY_SECS
from krator_actors.model import NANOS_PER_SEC
from supervisors.messages import Message

_EPOCH = dt.date(1970, 1, 1)


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """One day, 00:00 to 24:00 UTC by the time at which events were logged; oldest first."""

    day: dt.date
    totals: Totals
    """of the day: counts, and how much the sums of money changed"""
    totals_at_end: Totals
    """of everything up to the end of the day"""
    orders: list[ReportedOrder]
    """that had an event on the day, as they were at its end"""
    fills: list[ReportedFill]
    positions: list[ReportedPosition]
    """at the end of the day"""


class DayFold:
    """Takes all events from the beginning of the journal; each writer's in its order."""

    def __init__(self, day: dt.date) -> None:
        self._day = day
        self._begin_ns = (day - _EPOCH).days * DAY_SECS * NANOS_PER_SEC
        self._end_ns = self._begin_ns + DAY_SECS * NANOS_PER_SEC
        # Two of them, because the sums of a day are what changed between its ends.
        self._before = ReportFold()
        self._until_end = ReportFold()
        # Client order ids.
        self._touched: set[str] = set()

    def take(self, event: Message, ts_logged: int) -> None:
        """Take the next event; later days are passed over."""
        if ts_logged >= self._end_ns:
            return
        self._until_end.take(event)
        if ts_logged < self._begin_ns:
            self._before.take(event)
        else:
            self._touched.add(_order_of(event))

    def report(self) -> DayReport:
        """Return the day."""
        before, until_end = self._before.report({}), self._until_end.report({})
        known = {(fill.symbol, fill.trade_id) for fill in before.fills}
        return DayReport(
            day=self._day,
            totals=_difference(until_end.totals, before.totals),
            totals_at_end=until_end.totals,
            orders=[o for o in until_end.orders if o.client_order_id in self._touched],
            fills=[f for f in until_end.fills if (f.symbol, f.trade_id) not in known],
            positions=until_end.positions,
        )


def day_of(ts_ns: int) -> dt.date:
    """Return the UTC day of a time."""
    return _EPOCH + dt.timedelta(days=ts_ns // (DAY_SECS * NANOS_PER_SEC))


def day_before(ts_ns: int) -> dt.date:
    """Return the last whole UTC day before a time."""
    return day_of(ts_ns) - dt.timedelta(days=1)


def day_text(report: DayReport) -> str:
    """Return the day for a person: totals, positions, fills, orders that were not filled."""
    lines = [f"Krator, {report.day:%Y-%m-%d} (UTC)", ""]
    lines += _table(
        [("", "of the day", "since the beginning")]
        + [
            (name.replace("_", " "), _cell(getattr(report.totals, name)), _cell(value))
            for name, value in msgspec.structs.asdict(report.totals_at_end).items()
        ]
    )
    sections: tuple[tuple[str, tuple[str, ...], list[tuple[object, ...]]], ...] = (
        (
            "positions at the end",
            ("symbol", "quantity", "average price", "realized", "fees"),
            [
                (p.symbol, p.quantity, p.average_price, p.realized_pnl, p.fees)
                for p in report.positions
            ],
        ),
        (
            "fills",
            ("symbol", "side", "quantity", "price", "fee", "order"),
            [
                (f.symbol, f.side.value, f.quantity, f.price, f"{f.fee} {f.fee_currency}",
                 f.client_order_id)
                for f in report.fills
            ],
        ),
        (
            "orders",
            ("symbol", "status", "filled", "order", "reason"),
            [
                (o.symbol, o.status.value, o.filled_quantity, o.client_order_id, o.reason)
                for o in report.orders
            ],
        ),
    )  # fmt: skip
    for title, header, rows in sections:
        lines += ["", f"{title}: {len(rows)}"]
        if rows:
            lines += _table([header, *(tuple(map(_cell, row)) for row in rows)])
    return "\n".join(lines) + "\n"


def _order_of(event: Message) -> str:
    order = getattr(event, "order", event)
    return str(getattr(order, "client_order_id", ""))


def _difference(end: Totals, begin: Totals) -> Totals:
    return Totals(
        **{name: getattr(end, name) - getattr(begin, name) for name in msgspec.structs.asdict(end)}
    )


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cell(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
