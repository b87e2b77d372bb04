"""Every case that carries over has its tests: OTP's by name, those of processes by a list."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from conformance_table import path_of, verdict_of
from otp_cases import ANSWERED, CASES
from process_cases import PROCESS_CASES, ProcessCase

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent


def functions(path: Path) -> list[str]:
    return [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_list_has_the_cases_of_the_reference() -> None:
    marks = Counter(case.mark for case in CASES)

    assert marks == {"Y": 67, "A": 11, "O": 11, "N": 4}
    assert CASES[0].name == "sup_start_normal"
    assert CASES[92].name == "which_children_simple_one_for_one"


def test_every_case_that_carries_over_has_a_test_against_the_core() -> None:
    found = {name for path in (HERE / "core").glob("test_*.py") for name in functions(path)}

    assert {f"test_{case.name}" for case in ANSWERED} - found == set()


def test_cases_of_processes_are_numbered_without_a_gap() -> None:
    assert [case.number for case in PROCESS_CASES] == list(range(1, 31))


@pytest.mark.parametrize("case", PROCESS_CASES, ids=lambda case: f"P{case.number}")
def test_case_of_processes_has_tests_that_exist(case: ProcessCase) -> None:
    assert case.tests

    for test in case.tests:
        path, _, function = path_of(test).partition("::")
        assert function in functions(ROOT / path), test


def test_case_passes_only_when_each_of_its_tests_ran_and_passed() -> None:
    outcomes = {"a": ["passed", "passed"], "b": ["passed", "failed"], "c": ["skipped"]}

    assert verdict_of(["a"], outcomes) == "passes"
    assert verdict_of(["a", "b"], outcomes) == "failed"
    assert verdict_of(["a", "c"], outcomes) == "skipped"
    assert verdict_of(["a", "b", "never ran"], outcomes) == "failed and not run"
