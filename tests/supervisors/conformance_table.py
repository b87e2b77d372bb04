"""Writes docs/CONFORMANCE.md from what the conformance tests did: see ``make conformance``.

The hooks are pytest's; ``conftest.py`` passes them on.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest
from otp_cases import CASES, Case

TABLE_VARIABLE = "KRATOR_CONFORMANCE_TABLE"
"""The file to write the table to; nothing is written without it."""

_VERDICTS = {"O": "optional, not built", "N": "Erlang only"}
_Outcomes = dict[str, list[tuple[str, str]]]

_outcomes: _Outcomes = defaultdict(list)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path, _, function = report.nodeid.partition("::")
    if "conformance" not in path or (report.when != "call" and report.passed):
        return
    name = function.partition("[")[0].removeprefix("test_")
    _outcomes[name].append((report.outcome, path))


def pytest_sessionfinish() -> None:
    target = os.environ.get(TABLE_VARIABLE)
    if target:
        Path(target).write_text(table(_outcomes))


def table(outcomes: _Outcomes) -> str:
    rows = [row_of(case, outcomes.get(case.name, [])) for case in CASES]
    answered = [row for case, row in zip(CASES, rows, strict=True) if case.mark in {"Y", "A"}]
    passed = sum(" passes " in row for row in answered)
    processes = sum("processes/" in row for row in answered)
    return "\n".join(
        [
            "# Conformance",
            "",
            "The cases of OTP's own supervisor suite (2025) and our tests of the same name.",
            "Written by `make conformance` from a run of the tests; not to be edited. Y: carries",
            "over as it is; A: with an adaptation; O: needs live changes of a supervisor's own",
            "flags, optional; N: Erlang only.",
            "",
            f"{passed} of the {len(answered)} cases marked Y or A pass, all against the pure core;",
            f"{processes} of them also against real processes.",
            "",
            "| # | group | case | mark | verdict | tests |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def row_of(case: Case, outcomes: list[tuple[str, str]]) -> str:
    if not outcomes:
        verdict = _VERDICTS.get(case.mark, "no test")
    elif all(outcome == "passed" for outcome, _ in outcomes):
        verdict = "passes"
    else:
        verdict = " and ".join(sorted({outcome for outcome, _ in outcomes} - {"passed"}))
    paths = {Path(path) for _, path in outcomes}
    tests = ", ".join(sorted(f"{path.parent.name}/{path.name}" for path in paths))
    return f"| {case.number} | {case.group} | `{case.name}` | {case.mark} | {verdict} | {tests} |"
