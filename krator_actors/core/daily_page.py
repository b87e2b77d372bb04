"""A day as one HTML page that needs nothing else: for a browser, a printer, an archive. Pure.

No script and no address of anything outside. Whatever came from an event is text and is escaped.
"""

from __future__ import annotations

import datetime as dt
import html
from typing import Final

from krator_actors.core.daily_report import DayReport
from krator_actors.core.daily_tables import Table, tables, verdict
from krator_actors.core.day_account import SHARES
from krator_actors.core.schedule import DAY_SECS
from krator_actors.core.svg_charts import Point, bar_chart, line_chart
from krator_actors.model import NANOS_PER_SEC

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #d5dae1;
  --line: #0b62c4; --loss: #b3261e; --good: #14713d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --paper: #14171b; --faint: #3a414b; --line: #7ab8ff;
    --loss: #ff8a80; --good: #6fd49a; } }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
.verdict { border-left: .4rem solid var(--good); padding-left: .8rem; font-weight: 600; }
.verdict.bad { border-color: var(--loss); }
figure { margin: 1rem 0; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font-size: 12px; }
.grid { stroke: var(--faint); } .line { fill: none; stroke: var(--line); stroke-width: 2; }
.dot, .bar { fill: var(--line); } .bar.loss { fill: var(--loss); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; font-size: 1.1rem; }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid var(--faint);
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; vertical-align: top; }
""".strip()


def day_page(report: DayReport) -> str:
    """Return the whole page."""
    title = f"Krator, {report.day:%Y-%m-%d} (UTC)"
    is_bad = report.differences or report.venue.silent or report.risk.silent
    kind = "verdict bad" if is_bad else "verdict"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            f"<h1>{html.escape(title)}</h1>",
            f'<p class="{kind}">{html.escape(verdict(report))}</p>',
            *_charts(report),
            *(_table(each) for each in tables(report) if each.rows or each.is_always_shown),
            "</main></body></html>\n",
        ]
    )


def _charts(report: DayReport) -> list[str]:
    begin = dt.datetime.combine(report.day, dt.time(), dt.UTC)
    begin_ns = int(begin.timestamp()) * NANOS_PER_SEC
    day_ns = DAY_SECS * NANOS_PER_SEC
    equity = [((point.ts - begin_ns) / day_ns, float(point.equity)) for point in report.equity]
    ends = ("00:00", "24:00")
    profits = [(p.symbol, float(p.realized_pnl - p.fees)) for p in report.profits]
    hours = [(f"{hour:02}", float(count)) for hour, count in enumerate(report.orders_by_hour)]
    return [
        _figure("Equity", line_chart("Equity over the day", equity, ends)),
        _figure("Drawdown (%)", line_chart("Loss since the day's highest equity, in percent",
                                           _drawdown(equity), ends)),
        _figure("Profit and loss by symbol", bar_chart(
            "Realized profit and loss after fees, by symbol", profits)),
        _figure("Orders per hour (UTC)", bar_chart("Approved orders by hour of the day", hours)),
        *(
            _figure(f"Times of the orders' way, {name} (ms)", bar_chart(
                f"{share:.1%} of the orders took at most so many milliseconds, by stage",
                [(stage.stage, stage.secs[name] * 1e3) for stage in report.stages]))
            for name, share in SHARES.items()
        ),
    ]  # fmt: skip


def _drawdown(equity: list[Point]) -> list[Point]:
    peak, found = float("-inf"), []
    for x, y in equity:
        peak = max(peak, y)
        found.append((x, -100 * (1 - y / peak) if peak > 0 else 0.0))
    return found


def _figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{html.escape(caption)}</figcaption>{svg}</figure>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table.header)
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{html.escape(text)}</th>'
            if not column
            else f"<td>{html.escape(text)}</td>"
            for column, text in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    caption = f"{html.escape(table.title)}: {len(table.rows)}"
    return (
        f'<div class="wide" tabindex="0"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
