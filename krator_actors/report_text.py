"""The report and prices as a person reads them in a terminal of 140 columns."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from krator_actors.core.incident_list import ReportedIncident
from krator_actors.core.report import Report, ReportedFill, ReportedOrder, ReportedPosition, Totals
from krator_actors.model import NANOS_PER_SEC
from krator_actors.terminal import print_table, say

_ROWS = 20
"""Orders and fills that the text report shows; ``--json`` has them all."""
_CENT = Decimal("0.01")
_ID_CHARS = 12
_REASON_CHARS = 21
_COMPONENT_CHARS = 40
_CAUSE_CHARS = 40
_COARSE, _FINE = Decimal("0.0001"), Decimal("0.00000001")


def plain(value: Decimal) -> str:
    """Return a number without trailing zeros, with thousands set apart: ``61,836.135``."""
    return f"{value.normalize():,f}"


def computed(value: Decimal | None) -> str:
    """Return a computed price without the digits that mean nothing; ``-`` for None."""
    if value is None:
        return "-"
    return plain(value.quantize(_COARSE if abs(value) >= 1 else _FINE))


def money(value: Decimal) -> str:
    """Return an amount of quote currency: two decimals, signed zero never."""
    return f"{value.quantize(_CENT) + 0:,.2f}"


def profit(value: Decimal) -> str:
    """Return an amount that is always signed."""
    return f"{value.quantize(_CENT) + 0:+,.2f}"


def utc_time(ts_ns: int) -> str:
    """Return UTC nanoseconds as ISO 8601 to the second."""
    moment = dt.datetime.fromtimestamp(ts_ns // NANOS_PER_SEC, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def print_report(report: Report) -> None:
    """Print totals, positions, the last orders and fills."""
    print_totals(report.totals)
    _print_incidents(report.incidents)
    _print_positions(report.positions)
    _print_orders(report.orders)
    _print_fills(report.fills)


def print_totals(totals: Totals) -> None:
    """Print what was counted, and the profit and loss after fees."""
    say(
        f"orders {totals.orders} · fills {totals.fills} · denied {totals.denied} · "
        f"duplicates refused {totals.duplicates_refused} · halts {totals.halts} · "
        f"incidents {totals.incidents} · restarts {totals.restarts}"
    )
    net = totals.realized_pnl + totals.unrealized_pnl - totals.fees
    say(
        f"P&L: realized {profit(totals.realized_pnl)} · unrealized {profit(totals.unrealized_pnl)}"
        f" · fees {money(totals.fees)} · net {profit(net)}"
    )


def _print_incidents(incidents: list[ReportedIncident]) -> None:
    if not incidents:
        return
    say(_title("incidents", len(incidents)))
    rows = [
        (
            utc_time(i.ts),
            shortened(i.component, _COMPONENT_CHARS),
            i.kind,
            "not over" if i.outage_secs is None else f"{i.outage_secs:,.1f} s",
            shortened(i.cause, _CAUSE_CHARS) or "-",
            _short_id(i.incident_id),
        )
        for i in incidents[-_ROWS:]
    ]
    print_table(("TIME", "COMPONENT", "KIND", "OUTAGE", "CAUSE", "ID"), rows, right="OUTAGE")
    say("krator audit order ID tells the evidence of an incident, and what may be done about it")


def _print_positions(positions: list[ReportedPosition]) -> None:
    say(f"\npositions: {len(positions)}")
    if not positions:
        return
    header = (
        *("SYMBOL", "QUANTITY", "AVERAGE", "MARK"),
        *("REALIZED", "UNREALIZED", "FEES", "NET"),
    )
    rows = [
        (
            p.symbol,
            plain(p.quantity),
            computed(p.average_price),
            computed(p.mark_price),
            profit(p.realized_pnl),
            profit(p.unrealized_pnl),
            money(p.fees),
            profit(p.realized_pnl + p.unrealized_pnl - p.fees),
        )
        for p in positions
    ]
    print_table(header, rows, right="QUANTITY AVERAGE MARK REALIZED UNREALIZED FEES NET")


def _print_orders(orders: list[ReportedOrder]) -> None:
    say(_title("orders", len(orders)))
    if not orders:
        return
    header = (
        *("TIME", "SYMBOL", "SIDE", "TYPE", "QUANTITY", "PRICE"),
        *("STATUS", "FILLED", "AVERAGE", "REASON", "ID"),
    )
    rows = [
        (
            utc_time(o.ts_event),
            o.symbol,
            o.side.value if o.side else "-",
            o.order_type.value if o.order_type else "-",
            plain(o.quantity) if o.quantity is not None else "-",
            plain(o.price) if o.price is not None else "-",
            o.status.value,
            plain(o.filled_quantity),
            computed(o.average_price),
            shortened(o.reason.partition(":")[0], _REASON_CHARS) or "-",  # the rest is in --json
            _short_id(o.client_order_id),
        )
        for o in orders[-_ROWS:]
    ]
    print_table(header, rows, right="QUANTITY PRICE FILLED AVERAGE")


def _print_fills(fills: list[ReportedFill]) -> None:
    say(_title("fills", len(fills)))
    if not fills:
        return
    header = ("TIME", "SYMBOL", "SIDE", "QUANTITY", "PRICE", "FEE", "IN", "TRADE", "ORDER")
    rows = [
        (
            utc_time(f.ts_event),
            f.symbol,
            f.side.value,
            plain(f.quantity),
            plain(f.price),
            plain(f.fee),
            f.fee_currency,
            f.trade_id,
            _short_id(f.client_order_id),
        )
        for f in fills[-_ROWS:]
    ]
    print_table(header, rows, right="QUANTITY PRICE FEE")


def _short_id(client_order_id: str) -> str:
    # An external order has the venue's id at the end, and only that tells one from another.
    if client_order_id.startswith("external-"):
        return f"external {client_order_id.rpartition('-')[2]}"
    return client_order_id[:_ID_CHARS]


def _title(what: str, count: int) -> str:
    return f"\n{what}: {count}" + (f" (the last {_ROWS})" if count > _ROWS else "")


def shortened(text: str, chars: int) -> str:
    """Return ``text``, cut at ``chars`` with an ellipsis."""
    return text if len(text) <= chars else text[: chars - 1] + "…"
