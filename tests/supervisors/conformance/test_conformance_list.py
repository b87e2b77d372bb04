"""Every case of OTP's suite that carries over has a test of its name."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from otp_cases import ANSWERED, CASES

HERE = Path(__file__).parent


def functions(folder: str) -> list[str]:
    return [
        node.name.removeprefix("test_")
        for path in sorted((HERE / folder).glob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]


def test_list_has_the_cases_of_the_reference() -> None:
    marks = Counter(case.mark for case in CASES)

    assert marks == {"Y": 67, "A": 11, "O": 11, "N": 4}
    assert CASES[0].name == "sup_start_normal"
    assert CASES[92].name == "which_children_simple_one_for_one"


def test_every_case_that_carries_over_has_a_test_against_the_core() -> None:
    missing = {case.name for case in ANSWERED} - set(functions("core"))

    assert missing == set()
