"""Writes docs/CONFORMANCE.md from what the tests did: see ``make conformance``.

A plugin of pytest's and not a part of ``conftest.py``, because one of the tests is elsewhere.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest
from otp_cases import CASES, Case
from process_cases import PROCESS_CASES, ProcessCase

TABLE_VARIABLE = "KRATOR_CONFORMANCE_TABLE"
"""The file to write the table to; nothing is written without it."""

HERE = "tests/supervisors"
_VERDICTS = {"O": "optional, not built", "N": "Erlang only"}
_NO_TEST = "not run"

Outcomes = dict[str, list[str]]
"""By test, ``path::function``: how each of its examples ended."""

_outcomes: Outcomes = defaultdict(list)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        _outcomes[report.nodeid.partition("[")[0]].append(report.outcome)


def pytest_sessionfinish() -> None:
    target = os.environ.get(TABLE_VARIABLE)
    if target:
        Path(target).write_text(table(_outcomes))


def table(outcomes: Outcomes) -> str:
    rows = [otp_row(case, outcomes) for case in CASES]
    answered = [row for case, row in zip(CASES, rows, strict=True) if case.mark in {"Y", "A"}]
    passed = sum(" passes " in row for row in answered)
    processes = sum("processes/" in row for row in answered)
    more = [process_row(case, outcomes) for case in PROCESS_CASES]
    return "\n".join(
        [
            "# Conformance",
            "",
            "Written by `make conformance` from a run of the tests; not to be edited.",
            "",
            "## Erlang's cases",
            "",
            "The cases of OTP's own supervisor suite (2025) and our tests of the same name. Y:",
            "carries over as it is; A: with an adaptation; O: needs live changes of a supervisor's",
            "own flags, optional; N: Erlang only.",
            "",
            f"{passed} of the {len(answered)} cases marked Y or A pass, all against the pure core;",
            f"{processes} of them also against real processes.",
            "",
            "| # | group | case | mark | verdict | tests |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "## What processes need beyond them",
            "",
            f"{sum(' passes ' in row for row in more)} of {len(more)} pass. Tests are in",
            f"`{HERE}` where no folder is named.",
            "",
            "| # | case | verdict | tests |",
            "|---|---|---|---|",
            *more,
            "",
        ]
    )


def otp_row(case: Case, outcomes: Outcomes) -> str:
    name, folder = f"test_{case.name}", f"{HERE}/conformance/"
    tests = [
        test for test in outcomes if test.startswith(folder) and test.rpartition("::")[2] == name
    ]
    verdict = verdict_of(tests, outcomes) if tests else _VERDICTS.get(case.mark, _NO_TEST)
    files = ", ".join(sorted({test.removeprefix(folder).partition("::")[0] for test in tests}))
    return f"| {case.number} | {case.group} | `{case.name}` | {case.mark} | {verdict} | {files} |"


def process_row(case: ProcessCase, outcomes: Outcomes) -> str:
    verdict = verdict_of([path_of(test) for test in case.tests], outcomes)
    tests = "<br>".join(f"`{test}`" for test in case.tests)
    return f"| P{case.number} | {case.text} | {verdict} | {tests} |"


def verdict_of(tests: list[str], outcomes: Outcomes) -> str:
    """Return what all examples of all tests came to; a test that did not run does not pass."""
    ended = {outcome for test in tests for outcome in outcomes.get(test, [_NO_TEST])}
    return " and ".join(sorted(ended - {"passed"})) or "passes"


def path_of(test: str) -> str:
    """Return the node of a process case's test, from the project's root."""
    return test if test.startswith("tests/") else f"{HERE}/{test}"
