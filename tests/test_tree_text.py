"""The running system as a person reads it: every table fits 140 columns."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from krator_actors import act_commands, tree_text
from krator_actors.messages.operations import JobReport, JobsStatus, JournalStatus, PublisherStatus
from krator_actors.services import Services
from supervisors.looking import Entry
from supervisors.observation import BrainStatistics, ClassStatistics, Handled, Insight
from supervisors.reports import Reason, SupervisorReport
from supervisors.status import Alarm, NodeStatus

TS_NS = 1_795_362_985_021_799_744
LONG = "strategy:A-VERY-LONG-SYMBOL-OF-A-VENUE.BINANCE/bollinger_reversion_of_somebody"


def worker(**fields: Any) -> NodeStatus:
    fields = {"name": LONG, "state": "running"} | fields
    return NodeStatus(type="worker", **fields)


def root(*children: NodeStatus) -> NodeStatus:
    return NodeStatus(name="root", type="supervisor", state="running", children=children)


WORST = worker(
    state="quarantined",
    pid=4_194_304,
    generation=1_700_000_000,
    restarts=99_999,
    budget_limit=100,
    budget_period_secs=3600.0,
    uptime_secs=3_600_000,
    cpu_percent=1600.0,
    rss_bytes=99_999_000_000,
    inbox=10_000,
    handled=999_999_999,
    in_work="A" * 60,
    in_work_secs=99_999.0,
    stash=1_000,
    dropped=9_999_999,
    conflated=9_999_999,
    undelivered=99_999,
    last_reason="x" * 300,
    alarms=(Alarm("restart_storm", "y" * 300, TS_NS),),
)
INSIGHT = Insight(
    actor="krator_actors.strategy:StrategyActor",
    statistics=BrainStatistics(
        inbox=3,
        in_work="TradeTick",
        in_work_secs=0.5,
        stash=0,
        is_suspended=True,
        handled=10**9,
        dropped=10**6,
        conflated=10**6,
        undelivered=10**6,
        refused=10**6,
        expired=10**6,
        malformed=10**6,
        fenced=10**6,
    ),
    recent=(Handled("A" * 80, LONG, 99_999.0, 60.0),),
    classes=(ClassStatistics("A" * 80, 10**9, 1.0, 2.0, 4_000.0),),
    state={"position": "z" * 300},
)
REPORT = SupervisorReport(
    ts_ns=TS_NS,
    report="child_terminated",
    supervisor="strategies",
    child=LONG,
    pid=4_194_304,
    generation=7,
    reason=Reason("exception", "why " * 100, "KeyError"),
    crash_file=None,
    restart_in_secs=0.1,
)
ENTRY = Entry(LONG, "quarantined", 4_194_304, 7, "/run/user/1000/krator-1000-abc/x.lane", True)


@pytest.mark.parametrize(
    "show",
    [
        lambda: tree_text.print_tree(root(WORST)),
        lambda: tree_text.print_top(root(WORST)),
        lambda: tree_text.print_alarms(root(WORST)),
        lambda: tree_text.print_names([ENTRY]),
        lambda: tree_text.print_insight(LONG, INSIGHT),
        lambda: tree_text.print_handled(INSIGHT.recent),
        lambda: tree_text.print_reports([REPORT]),
    ],
    ids=["tree", "top", "alarms", "names", "state", "trace", "reports"],
)
def test_text_fits_140_columns_whatever_the_names(
    show: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    show()

    lines = capsys.readouterr().out.splitlines()
    remedies = [line for line in lines if "krator restart" in line]
    assert lines
    assert max(len(line) for line in lines if line not in remedies) <= 140


def test_quarantined_child_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    used_up = worker(name="strategy:X", state="quarantined", budget_limit=5, budget_period_secs=60)
    feed = worker(
        name="feed:X", uptime_secs=3_725, budget_limit=5, budget_period_secs=60, budget_spent=2
    )

    tree_text.print_tree(root(used_up, feed))

    text = capsys.readouterr().out
    assert "used up" in text
    assert "2 of 5 in 60 s" in text
    assert "1:02:05" in text
    assert "krator restart strategy:X" in text


def test_position_that_nobody_looks_after_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    states = {
        "BTC-USDT.SIM": "quarantined",
        "ETH-USDT.SIM": "running",
        "SOL-USDT.SIM": "quarantined",
    }
    tree = root(*(worker(name=f"strategy:{s}/cross", state=state) for s, state in states.items()))
    held = {"BTC-USDT.SIM": Decimal("0.0080"), "ETH-USDT.SIM": Decimal(1)}

    act_commands.print_left_alone(tree, act_commands.Trading(answered=True, held=held))

    (line,) = capsys.readouterr().out.split("\n")[1:-1]
    assert line.startswith("BTC-USDT.SIM: 0.0080 is held, and nobody decides on it")
    assert "strategy:BTC-USDT.SIM/cross is quarantined" in line


def test_child_in_backoff_says_when_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    tree_text.print_tree(root(worker(name="a", state="backoff", restart_in_secs=2.34)))

    assert "backoff 2.3 s" in capsys.readouterr().out


def test_busiest_process_is_on_top(capsys: pytest.CaptureFixture[str]) -> None:
    tree_text.print_top(root(worker(name="a"), worker(name="b", cpu_percent=12.5)))

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("b")
    assert "12.5" in lines[1]


def test_no_alarm_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    tree_text.print_alarms(root(worker()))

    assert capsys.readouterr().out == "no alarms\n"


def test_services_are_told_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    services = Services(
        journal=JournalStatus(
            connected=False, breaker="open", seq=41, lag_records=7, watermarks={}
        ),
        publisher=PublisherStatus(
            connected=True,
            breaker="closed",
            waiting=1,
            published=2,
            left_out=3,
            outages=0,
            reason="",
        ),
        jobs=JobsStatus(
            jobs=(
                JobReport(
                    name="daily_close",
                    running=False,
                    done_due_ns=0,
                    next_ns=0,
                    failures=2,
                    left_out=0,
                    reason="disk full",
                ),
            )
        ),
    )

    tree_text.print_services(services)

    text = capsys.readouterr().out
    assert "PostgreSQL does not answer; 7 records not committed yet; breaker open" in text
    assert "published 2, waiting 1, left out 3" in text
    assert "daily_close failed 2 times: disk full" in text


def test_service_that_does_not_answer_is_said() -> None:
    silent = Services(journal=None, publisher=None, jobs=None)

    assert [line[1:] for line in silent.lines()] == [("-", "no answer")] * 3


def test_service_in_order_is_ok() -> None:
    report = JobReport(
        name="retention", running=True, done_due_ns=0, next_ns=0, failures=0, left_out=0, reason=""
    )
    fine = Services(
        journal=JournalStatus(
            connected=True, breaker="closed", seq=41, lag_records=0, watermarks={}
        ),
        publisher=PublisherStatus(
            connected=False,
            breaker="half_open",
            waiting=1,
            published=2,
            left_out=3,
            outages=1,
            reason="full",
        ),
        jobs=JobsStatus(jobs=(report,)),
    )

    assert fine.lines() == [
        ("journal", "ok", "at number 41, 0 records not committed yet"),
        (
            "publisher",
            "warn",
            "Redis is not reached (full); published 2, waiting 1, left out 3; breaker half_open",
        ),
        ("jobs", "ok", "retention (running)"),
    ]
