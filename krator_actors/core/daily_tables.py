"""A day as tables: the same ones for text and for HTML. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from krator_actors.core.daily_report import DayReport
from krator_actors.model import NANOS_PER_SEC

_PLACES = Decimal("0.00000001")


class Table(NamedTuple):
    """One table; its cells are text for a person."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    is_always_shown: bool = False
    """also with no rows, because that there are none is what one wants to know"""


def tables(report: DayReport) -> list[Table]:
    """Return all tables of a day, the most important first."""
    return [
        Table(
            "totals",
            ("", "of the day", "since the beginning"),
            [
                (name.replace("_", " "), cell(getattr(report.totals, name)), cell(value))
                for name, value in msgspec.structs.asdict(report.totals_at_end).items()
            ],
        ),
        Table(
            "differences",
            ("what", "of", "ours", "theirs", "detail"),
            _rows((d.what, d.subject, d.ours, d.theirs, d.detail) for d in report.differences),
            is_always_shown=True,
        ),
        Table(
            "profit and loss by symbol",
            ("symbol", "realized", "fees", "net"),
            _rows((p.symbol, p.realized_pnl, p.fees, p.realized_pnl - p.fees)
                  for p in report.profits),
        ),
        Table(
            "positions at the end",
            ("symbol", "quantity", "average price", "realized", "fees"),
            _rows((p.symbol, p.quantity, p.average_price, p.realized_pnl, p.fees)
                  for p in report.positions),
        ),
        *_operations(report),
        Table(
            "fills",
            ("time", "symbol", "side", "quantity", "price", "fee", "order"),
            _rows((_time(f.ts_event), f.symbol, f.side.value, f.quantity, f.price,
                   f"{cell(f.fee)} {f.fee_currency}", f.client_order_id) for f in report.fills),
            is_always_shown=True,
        ),
        Table(
            "orders",
            ("time", "symbol", "status", "filled", "order", "reason"),
            _rows((_time(o.ts_event), o.symbol, o.status.value, o.filled_quantity,
                   o.client_order_id, o.reason) for o in report.orders),
            is_always_shown=True,
        ),
    ]  # fmt: skip


def day_text(report: DayReport) -> str:
    """Return the day for a person: everything but the curves."""
    lines = [f"Krator, {report.day:%Y-%m-%d} (UTC)", "", verdict(report), ""]
    for table in tables(report):
        if table.rows or table.is_always_shown:
            lines += [f"{table.title}: {len(table.rows)}", *_aligned(table), ""]
    return "\n".join(lines[:-1]) + "\n"


def verdict(report: DayReport) -> str:
    """Return the day in one sentence."""
    count = len(report.differences)
    looks = (("venue", report.venue.silent), ("risk", report.risk.silent))
    compared = [name for name, silent in looks if not silent]
    verb = "agree" if len(compared) > 1 else "agrees"
    agreed = f"{' and '.join(compared)} {verb} with the journal" if compared else "nobody was asked"
    if count:
        agreed = f"{count} DIFFERENCES"
    for name, silent in looks:
        if silent:
            agreed += f"; {name.upper()} WAS NOT COMPARED: {cell(silent)}"
    worth = report.totals.realized_pnl - report.totals.fees
    up = "" if report.availability is None else f"; available {report.availability:.4%}"
    return f"{agreed}; realized after fees {cell(worth)}{up}"


def cell(value: object) -> str:
    """Return a value as a person reads it; nothing in it can break a line."""
    if isinstance(value, Decimal):
        short = value.quantize(_PLACES) if value.as_tuple().exponent < -8 else value  # type: ignore[operator] # noqa: PLR2004 - the places
        return f"{short.normalize():f}"
    shown = "".join(char if char.isprintable() else " " for char in str(value))
    return " ".join(shown.split())


def _operations(report: DayReport) -> Iterator[Table]:
    yield Table(
        "limits used at most",
        ("limit", "share"),
        _rows((name, f"{share:.2%}") for name, share in report.limits_used.items()),
    )
    yield Table(
        "halts, reductions and resumptions",
        ("time", "state", "of", "by", "reason"),
        _rows(
            (_time(s.ts), s.state, s.target or "everything", s.by, s.reason) for s in report.states
        ),
        is_always_shown=True,
    )
    yield Table(
        "incidents",
        ("time", "kind", "component", "outage (s)", "cause"),
        _rows(
            (_time(i.ts), i.kind, i.component,
             "not over" if i.outage_secs is None else f"{i.outage_secs:.3f}", i.cause)
            for i in report.incidents
        ),
        is_always_shown=True,
    )  # fmt: skip
    yield Table(
        "times of the orders' way",
        ("stage", "orders", "p50 (ms)", "p95 (ms)", "p99 (ms)", "p99.9 (ms)"),
        [
            (s.stage, str(s.count), *(f"{secs * 1e3:g}" for secs in s.secs.values()))
            for s in report.stages
        ],
    )


def _rows(rows: Iterable[Sequence[object]]) -> list[tuple[str, ...]]:
    return [tuple(map(cell, row)) for row in rows]


def _aligned(table: Table) -> list[str]:
    if not table.rows:
        return []
    rows = [table.header, *table.rows]
    widths = [max(len(row[n]) for row in rows) for n in range(len(table.header))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _time(ts_ns: int) -> str:
    try:
        return f"{dt.datetime.fromtimestamp(ts_ns / NANOS_PER_SEC, dt.UTC):%H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        # A venue may say any time.
        return str(ts_ns)
