"""The running system as a person reads it in a terminal of 140 columns."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence

from krator_actors.model import NANOS_PER_SEC
from krator_actors.report_text import shortened, utc_time
from krator_actors.services import Services
from krator_actors.terminal import print_table, say
from supervisors.looking import Entry
from supervisors.observation import Handled, Insight
from supervisors.reports import SupervisorReport, one_line
from supervisors.status import NodeStatus

_COLUMNS = 140
_NAME_CHARS = 40
"""Enough for ``strategy:BTC-USDT.SIM/mean_reversion`` in the tree, to be copied into a command."""
_TOP_NAME_CHARS = 32
_REASON_CHARS = 24
_DETAIL_CHARS = 48
_MESSAGE_CHARS = 16
_MEGABYTE = 1_000_000


def print_tree(root: NodeStatus) -> None:
    """Print the tree, and what to do about children that a person must start again."""
    header = (
        *("NAME", "STATE", "PID", "GEN", "RESTARTS", "BUDGET"),
        *("UPTIME", "INBOX", "LAST REASON"),
    )
    print_table(header, list(_tree_rows(root, 0)), right="PID GEN RESTARTS UPTIME INBOX")
    for worker in root.workers():
        if worker.state == "quarantined":
            say(
                f"\n{worker.name} is quarantined: it used up its restarts. Why is in the crash "
                f"folder; krator restart {worker.name} starts it again."
            )


def print_services(services: Services) -> None:
    """Print how far journal, publisher and jobs are, a line each."""
    say("")
    print_table(("SERVICE", "", "STATUS"), services.lines())


def print_alarms(root: NodeStatus) -> None:
    """Print what is wrong now, the oldest first."""
    found = [(alarm, node.name) for node in root.all_nodes() for alarm in node.alarms]
    if not found:
        say("no alarms")
        return
    found.sort(key=lambda each: each[0].since_ns)
    now_ns = time.time_ns()
    rows = [
        (
            utc_time(alarm.since_ns),
            _duration(max(0, now_ns - alarm.since_ns) / NANOS_PER_SEC),
            alarm.kind,
            shortened(name, _NAME_CHARS),
            shortened(alarm.detail, _DETAIL_CHARS),
        )
        for alarm, name in found
    ]
    print_table(("SINCE", "FOR", "ALARM", "NAME", "DETAIL"), rows, right="FOR")


def print_top(root: NodeStatus) -> None:
    """Print what every process uses and does, the busiest first."""
    header = (
        *("NAME", "STATE", "CPU%", "RSS", "INBOX", "HANDLED", "STASH"),
        *("DROPPED", "MERGED", "BACK", "IN WORK"),
    )
    nodes = sorted(root.all_nodes(), key=lambda node: (-node.cpu_percent, node.name))
    rows = [
        (
            shortened(node.name, _TOP_NAME_CHARS),
            node.state,
            f"{node.cpu_percent:.1f}",
            f"{node.rss_bytes / _MEGABYTE:.0f} MB",
            *_counts(node),
            _in_work(node),
        )
        for node in nodes
    ]
    right = "CPU% RSS INBOX HANDLED STASH DROPPED MERGED BACK"
    print_table(header, rows, right=right)


def print_names(entries: Sequence[Entry]) -> None:
    """Print where each name leads."""
    rows = [
        (
            shortened(entry.name, _NAME_CHARS),
            entry.state,
            str(entry.pid or "-"),
            str(entry.generation),
            entry.socket if entry.is_listening else "-",
        )
        for entry in entries
    ]
    print_table(("NAME", "STATE", "PID", "GEN", "SOCKET"), rows, right="PID GEN")


def print_reports(reports: Iterable[SupervisorReport]) -> None:
    """Print supervisor reports, one line each."""
    for report in reports:
        stamp = utc_time(report.ts_ns)
        text = f"{stamp} {one_line(report, max_chars=_COLUMNS - len(stamp) - 1)}"
        say(shortened(text, _COLUMNS))


def print_insight(name: str, insight: Insight) -> None:
    """Print one actor: what it says of itself, its counters, its last messages, its times."""
    now = insight.statistics
    work = "-" if now.in_work is None else f"{now.in_work} for {now.in_work_secs:.3f} s"
    say(f"{name} is a {insight.actor}{', suspended' if now.is_suspended else ''}")
    say(f"inbox {now.inbox} · in work {work} · handled {now.handled} · stash {now.stash}")
    say(
        f"dropped {now.dropped} · conflated {now.conflated} · undelivered {now.undelivered} · "
        f"refused {now.refused} · expired {now.expired} · malformed {now.malformed} · "
        f"fenced {now.fenced}"
    )
    if insight.state_error is not None:
        say(f"its own state is not known: {insight.state_error}")
    for key, value in (insight.state or {}).items():
        say(shortened(f"  {key}: {json.dumps(value, ensure_ascii=False)}", _COLUMNS))
    if insight.recent:
        say("")
        print_handled(insight.recent)
    if insight.classes:
        say("")
        rows = [
            (
                shortened(each.message, _NAME_CHARS),
                str(each.handled),
                *(_micros(secs) for secs in (each.p50_secs, each.p99_secs, each.max_secs)),
            )
            for each in insight.classes
        ]
        header = ("MESSAGE", "HANDLED", "P50 <=", "P99 <=", "MAX <=")
        print_table(header, rows, right="HANDLED")


def print_handled(handled: Iterable[Handled]) -> None:
    """Print handled messages: class, sender, age, how long the handler took."""
    rows = [
        (
            shortened(each.message, _NAME_CHARS),
            shortened(each.sender, _NAME_CHARS),
            f"{each.age_secs:.3f} s ago",
            _micros(each.secs),
        )
        for each in handled
    ]
    print_table(("MESSAGE", "SENDER", "AGE", "TOOK"), rows, right="AGE TOOK")


def _tree_rows(node: NodeStatus, depth: int) -> Iterable[tuple[str, ...]]:
    yield (
        shortened("  " * depth + node.name, _NAME_CHARS),
        _state(node),
        str(node.pid or "-"),
        str(node.generation),
        str(node.restarts),
        _budget(node),
        _duration(node.uptime_secs),
        str(node.inbox) if node.type == "worker" else "-",
        shortened(node.last_reason or "", _REASON_CHARS) or "-",
    )
    for child in node.children:
        yield from _tree_rows(child, depth + 1)


def _state(node: NodeStatus) -> str:
    if node.restart_in_secs is None:
        return node.state
    return f"{node.state} {node.restart_in_secs:.1f} s"


def _counts(node: NodeStatus) -> tuple[str, ...]:
    if node.type == "supervisor":
        return ("-",) * 6
    counts = (node.inbox, node.handled, node.stash, node.dropped, node.conflated, node.undelivered)
    return tuple(map(str, counts))


def _in_work(node: NodeStatus) -> str:
    if node.in_work is None:
        return "-"
    return f"{shortened(node.in_work, _MESSAGE_CHARS)} {node.in_work_secs:.0f} s"


def _micros(secs: float) -> str:
    return f"{secs * 1e6:,.0f} µs"


def _budget(node: NodeStatus) -> str:
    if node.budget_limit is None:
        return "-"
    if node.state == "quarantined":
        return "used up"
    return f"{node.budget_spent} of {node.budget_limit} in {node.budget_period_secs:g} s"


def _duration(secs: float) -> str:
    minutes, seconds = divmod(int(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
