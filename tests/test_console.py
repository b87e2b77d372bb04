"""The live line and the warnings above it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from krator_actors.console import LogTail, live_line, readable, restarts
from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.model import TradingState
from supervisors.status import NodeStatus

WORKER = NodeStatus(name="risk", type="worker", state="running", restarts=2)
TREE = NodeStatus(name="root", type="supervisor", state="running", restarts=1, children=(WORKER,))


def portfolio(mark: str | None) -> PortfolioReport:
    position = PositionReport(
        symbol="BTC-USDT.SIM",
        quantity=Decimal(1),
        average_price=Decimal(100),
        mark_price=None if mark is None else Decimal(mark),
        realized_pnl=Decimal(5),
        unrealized_pnl=Decimal(2),
        fees=Decimal(1),
        reserved_buy=Decimal(0),
        reserved_sell=Decimal(0),
    )
    return PortfolioReport(
        state=TradingState.HALTED,
        recovered=True,
        cash=Decimal(1000),
        equity=Decimal(1100),
        day_start_equity=Decimal(1000),
        positions=(position,),
        open_orders=(),
        orders_approved=7,
        orders_denied=3,
        fills=4,
        ts_event=1,
    )


def test_restarts_are_counted_over_the_whole_tree() -> None:
    assert restarts(TREE) == 3


def test_live_line_has_state_prices_orders_fills_profit_and_restarts() -> None:
    line = live_line(portfolio("102"), TREE)

    for part in (
        "HALTED",
        "BTC-USDT 102",
        "orders 7",
        "denied 3",
        "fills 4",
        "+6.00",
        "restarts 3",
    ):
        assert part in line


def test_live_line_before_the_first_quote_says_so() -> None:
    assert "no prices yet" in live_line(portfolio(None), TREE)


def test_live_line_without_risk_or_tree_says_so() -> None:
    assert live_line(None, None) == "risk does not answer · restarts ?"


def test_tail_shows_warnings_written_after_it_began_and_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "krator.jsonl"
    log.write_text(json.dumps({"level": "ERROR", "message": "old"}) + "\n")
    tail = LogTail(log)

    with log.open("a") as file:
        file.write(json.dumps({"level": "INFO", "message": "quiet"}) + "\n")
        file.write(json.dumps({"level": "WARNING", "component": "risk", "message": "loud"}) + "\n")
        file.write("not json\n")
        file.write('{"level": "ERROR", "mess')

    assert [line.strip() for line in tail.poll()] == ["WARNING risk: loud"]


def test_tail_waits_for_the_rest_of_a_line_and_survives_rotation(tmp_path: Path) -> None:
    log = tmp_path / "krator.jsonl"
    tail = LogTail(log)
    assert list(tail.poll()) == []
    log.write_text('{"level": "ERROR", "component": "a", ')
    assert list(tail.poll()) == []

    with log.open("a") as file:
        file.write('"message": "half"}\n')

    assert [line.strip() for line in tail.poll()] == ["ERROR a: half"]


def test_readable_line_has_time_and_fields_and_no_traceback() -> None:
    line = readable(
        {
            "timestamp": "2026-11-22T15:46:14.000001+00:00",
            "level": "WARNING",
            "component": "feed:SIM",
            "event_type": "trades_missing",
            "message": "trades missing",
            "symbol": "BTC-USDT.SIM",
            "traceback": "Traceback ...",
        }
    )

    assert line == "15:46:14 WARNING feed:SIM: trades missing symbol=BTC-USDT.SIM"
