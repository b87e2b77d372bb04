"""Reports and reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisors.control import Crash
from supervisors.reports import Reason, ReportLog, reason_of_end, signal_name

CRASH = Crash("ValueError", "bad price", "Traceback ...")
HUNG = Reason("hung", "no progress")


@pytest.mark.parametrize(
    ("exitcode", "crash", "verdict", "text"),
    [
        (-9, None, None, "signal SIGKILL"),
        (-40, None, None, "signal signal 40"),
        (3, None, None, "exit exit status 3"),
        (None, None, None, "exit unknown exit status"),
        (1, CRASH, None, "ValueError: bad price"),
        (-9, CRASH, HUNG, "hung no progress"),
        (1, Crash("KeyError", "", ""), None, "KeyError"),
    ],
)
def test_reason_is_the_verdict_then_the_own_words_then_the_status(
    exitcode: int | None, crash: Crash | None, verdict: Reason | None, text: str
) -> None:
    assert str(reason_of_end(exitcode, crash=crash, verdict=verdict)) == text


def test_report_is_one_json_line_with_all_keys(tmp_path: Path) -> None:
    log = ReportLog(tmp_path, "root")

    log.write("child_started", child="a", pid=7, generation=2)
    log.write("child_terminated", child="a", pid=7, generation=2, reason=HUNG, restart_in_secs=0.1)

    first, second = map(json.loads, (tmp_path / "reports.jsonl").read_text().splitlines())
    assert set(first) == {
        "ts_ns",
        "report",
        "supervisor",
        "child",
        "pid",
        "generation",
        "reason",
        "crash_file",
        "restart_in_secs",
        "offender",
        "alarm",
    }
    assert second["reason"] == {"kind": "hung", "detail": "no progress", "exception": None}


def test_report_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    ReportLog(tmp_path / "missing", "root").write("shutdown", child="a", pid=None, generation=0)

    assert list(tmp_path.iterdir()) == []


def test_signal_without_a_name_has_its_number() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(41) == "signal 41"
