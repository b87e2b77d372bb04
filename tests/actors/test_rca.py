from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

import krator_actors.rca
from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.core.incidents import IncidentEvent
from krator_actors.messages.incidents import (
    IncidentClosed,
    IncidentDiagnosed,
    IncidentOpened,
    StallDetected,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.model import NANOS_PER_SEC
from krator_actors.rca import RcaActor, RcaConfig, ReportTail
from supervisors.reports import Reason, ReportLog
from supervisors.testing import ActorHarness

STRATEGY = "strategy:BTC-USDT.SIM/sma_cross"
Running = Callable[..., AbstractAsyncContextManager[ActorHarness]]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    (tmp_path / "crash").mkdir()

    def run(generation: int = 1) -> ActorHarness:
        config = RcaConfig(data_dir=tmp_path, durability="process")
        return ActorHarness(RcaActor, name="rca", config=config, generation=generation)

    return run


def written(data_dir: Path) -> list[Any]:
    return [record.event for record in read_log(log_path(data_dir, "rca"), types=IncidentEvent)]


def kinds(data_dir: Path) -> list[str]:
    return [type(event).__name__ for event in written(data_dir)]


def reports(data_dir: Path) -> Path:
    return data_dir / "crash" / "reports.jsonl"


def report(data_dir: Path, word: str, secs: float, reason: dict[str, Any] | None = None) -> None:
    line = {
        "ts_ns": round(secs * NANOS_PER_SEC),
        "report": word,
        "supervisor": "strategies",
        "child": STRATEGY,
        "pid": 4711,
        "generation": 1,
        "reason": reason,
        "crash_file": "/data/crash/x.txt",
        "restart_in_secs": 0.0,
    }
    with reports(data_dir).open("a") as file:
        file.write(json.dumps(line) + "\n")


def crash(data_dir: Path, secs: float = 1) -> None:
    reason = {"kind": "signal", "detail": "SIGKILL", "exception": None}
    report(data_dir, "child_terminated", secs, reason)


def stall(code: str) -> StallDetected:
    return StallDetected(
        component="feed:SIM", symbol="BTC-USDT.SIM", code=code, age_secs=6.0, ts_event=1
    )


async def test_a_crash_is_opened_diagnosed_and_closed_when_the_child_runs_again(
    running: Running, tmp_path: Path
) -> None:
    async with running() as harness:
        crash(tmp_path, 10)
        await harness.eventually(lambda: len(written(tmp_path)) == 2)
        report(tmp_path, "child_started", 10.25)
        during = harness.actor.describe_state()
        await harness.eventually(lambda: len(written(tmp_path)) == 3)
        after = harness.actor.describe_state()

    assert (during["open_incidents"], after["open_incidents"]) == (1, 0)
    assert after["log_number"] == 3
    opened, diagnosed, closed = written(tmp_path)
    assert isinstance(opened, IncidentOpened)
    assert isinstance(diagnosed, IncidentDiagnosed)
    assert isinstance(closed, IncidentClosed)
    assert opened.incident_id == diagnosed.incident_id == closed.incident_id
    assert (opened.component, diagnosed.cause) == (STRATEGY, "process_crash")
    assert closed.outage_secs == 0.25
    assert harness.told == [("journal", LogGrew(writer="rca"))] * 2


async def test_what_the_supervisors_write_can_be_read(running: Running, tmp_path: Path) -> None:
    supervisor = ReportLog(tmp_path / "crash", "execution")
    died = Reason("exception", "division by zero", "ZeroDivisionError")
    async with running() as harness:
        supervisor.write("child_terminated", child="risk", pid=1, generation=1, reason=died)
        supervisor.write("child_started", child="risk", pid=2, generation=2)
        await harness.eventually(lambda: len(written(tmp_path)) == 3)

        assert harness.actor._reports.unreadable == 0

    assert written(tmp_path)[1].cause == "actor_exception"
    assert "division by zero" not in str(written(tmp_path))


async def test_crashes_from_before_it_started_are_written_too(
    running: Running, tmp_path: Path
) -> None:
    crash(tmp_path)

    async with running() as harness:
        await harness.eventually(lambda: len(written(tmp_path)) == 2)


async def test_after_its_own_restart_nothing_is_written_twice(
    running: Running, tmp_path: Path
) -> None:
    crash(tmp_path, 1)
    async with running() as harness:
        await harness.deliver(stall("STALE_TRADES"))
        await harness.eventually(lambda: len(written(tmp_path)) == 4)
    report(tmp_path, "child_started", 2)
    crash(tmp_path, 3)

    async with running(generation=2) as harness:
        await harness.deliver(stall("STALE_TRADES"))
        await harness.deliver(stall("LIVE"))
        await harness.eventually(lambda: len(written(tmp_path)) == 8)

    assert sorted(kinds(tmp_path)[4:]) == [
        "IncidentClosed",
        "IncidentClosed",
        "IncidentDiagnosed",
        "IncidentOpened",
    ]


async def test_dying_between_two_steps_of_an_incident_loses_neither(
    running: Running, tmp_path: Path
) -> None:
    crash(tmp_path)
    async with running() as harness:
        await harness.eventually(lambda: len(written(tmp_path)) == 2)
    log = log_path(tmp_path, "rca")
    log.write_bytes(log.read_bytes()[:-10])  # the record of the diagnosis is torn

    async with running(generation=2) as harness:
        await harness.eventually(lambda: len(written(tmp_path)) == 2)

    assert kinds(tmp_path) == ["IncidentOpened", "IncidentDiagnosed"]


async def test_a_stall_is_opened_diagnosed_and_closed(running: Running, tmp_path: Path) -> None:
    async with running() as harness:
        for code in ("STALE_TRADES", "STALE_TRADES", "LIVE", "LIVE"):
            await harness.deliver(stall(code), "feed:SIM")

    assert kinds(tmp_path) == ["IncidentOpened", "IncidentDiagnosed", "IncidentClosed"]
    assert written(tmp_path)[1].cause == "feed_silent_stall"


async def test_lines_that_are_no_reports_are_skipped(running: Running, tmp_path: Path) -> None:
    reports(tmp_path).write_bytes(b'{"report": "melted", "ts_ns": 1}\n\xff\xfe\nnot json\n\n')
    async with running() as harness:
        crash(tmp_path)
        await harness.eventually(lambda: len(written(tmp_path)) == 2)

        assert harness.actor._reports.unreadable == 4


def test_half_a_line_is_not_a_report_yet(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    tail = ReportTail(path)
    line = b'{"ts_ns":1,"report":"child_started","child":"risk"}\n'
    path.write_bytes(line[:20])

    half = tail.poll()
    with path.open("ab") as file:
        file.write(line[20:])
    (whole,) = tail.poll()

    assert half == []
    assert whole.child == "risk"
    assert tail.poll() == []
    assert tail.unreadable == 0


def test_a_file_that_is_not_there_has_no_reports(tmp_path: Path) -> None:
    tail = ReportTail(tmp_path / "reports.jsonl")

    assert tail.poll() == []
    assert not tail.has_more


def test_a_file_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    tail = ReportTail(path)
    line = b'{"ts_ns":1,"report":"child_started","child":"risk"}\n'
    path.write_bytes(line * 3)
    before = tail.poll()
    path.write_bytes(line)

    assert (len(before), len(tail.poll())) == (3, 1)


def test_a_long_file_is_read_in_pieces_and_an_endless_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    tail = ReportTail(path)
    line = b'{"ts_ns":1,"report":"child_started","child":"risk"}\n'
    path.write_bytes(line * 6_000 + b"x" * 700_000 + b"\n" + line)

    count, polls = len(tail.poll()), 1
    while tail.has_more:
        count += len(tail.poll())
        polls += 1

    assert polls > 1
    assert count == 6_001
    assert tail.unreadable > 0


def test_it_has_no_word_with_which_it_could_act() -> None:
    allowed = {
        "Evidence",
        "IncidentClosed",
        "IncidentDiagnosed",
        "IncidentOpened",
        "LogGrew",
        "StallDetected",
    }
    for name in ("rca", "core.incidents", "core.diagnosis"):
        module = importlib.import_module(f"krator_actors.{name}")
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            package, _, last = node.module.rpartition(".")
            if package == "krator_actors.messages":
                assert {alias.name for alias in node.names} <= allowed
            elif package.startswith("supervisors"):
                assert last in {"actor", "messages"}
            elif package.startswith("krator_actors"):
                assert last in {"diagnosis", "incidents", "local_log", "model"}
    told = [
        node.args[0].value
        for node in ast.walk(ast.parse(inspect.getsource(krator_actors.rca)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"tell", "ask"}
        and isinstance(node.args[0], ast.Constant)
    ]
    assert told == ["journal"]
