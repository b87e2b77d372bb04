"""The report of each of Erlang's error contexts, and of ours, from real processes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors import children
from supervisors.reports import Reason, read_reports
from supervisors.spec import Backoff, Budget

TWICE = Budget(max_restarts=1, backoff=Backoff(initial_secs=0.01))
TREE = supervisor(
    "root",
    worker("fragile", budget=TWICE, config={"start": "raise-after-first"}),
    supervisor("inner", worker("b"), intensity=0),
    worker("stubborn", shutdown_secs=0.2, config={"stop": "busy"}),
)


@pytest.fixture
def told(house: HouseBuilder) -> House:
    """Where every context has happened."""
    system = house(TREE).start()
    system.kill("b")
    system.eventually_runs("b", 2)
    system.kill("fragile")
    system.eventually(lambda: system.node("fragile").state == "quarantined")
    children.terminate_child(system.runtime, "root", "stubborn")
    return system


def test_every_context_is_reported_with_supervisor_reason_and_offender(told: House) -> None:
    def what(report: str, child: str) -> dict[str, Any]:
        return told.reports(report, child)[0]

    contexts = {
        "child_started": what("child_started", "b"),
        "child_terminated": what("child_terminated", "b"),
        "shutdown": what("shutdown", "b"),
        "start_error": what("start_error", "fragile"),
        "quarantined": what("quarantined", "fragile"),
        "shutdown_error": what("shutdown_error", "stubborn"),
    }

    assert {
        context: (each["supervisor"], _one_line(each["reason"]), each["restart_in_secs"])
        for context, each in contexts.items()
    } == {
        "child_started": ("inner", None, None),
        "child_terminated": ("inner", "signal SIGKILL", None),
        "shutdown": ("inner", "signal SIGKILL", None),
        "start_error": ("root", "TrialError: not again", None),
        "quarantined": ("root", "TrialError: not again", None),
        "shutdown_error": ("root", "hung did not stop within 0.2 s", None),
    }
    ended = [each for context, each in contexts.items() if context != "child_started"]
    assert {each["offender"]["start"] for each in ended} == {"trial_actors:Trial"}
    assert {each["offender"]["restart_type"] for each in ended} == {"permanent"}
    assert all(each["pid"] and each["generation"] for each in ended)


def test_every_report_is_one_line_that_can_be_read_back(told: House) -> None:
    lines = (told.crash_dir / "reports.jsonl").read_text().splitlines()

    reports = read_reports(told.crash_dir, limit=1000)

    assert len(reports) == len(lines)
    assert [each.ts_ns for each in reports] == sorted(each.ts_ns for each in reports)
    assert not [each for each in reports if "\n" in str(each.reason)]


def _one_line(reason: dict[str, Any] | None) -> str | None:
    return None if reason is None else str(msgspec.convert(reason, Reason))
