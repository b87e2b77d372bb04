"""A log's message is a constant of its event type; what differs stands in fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_house_rules import name_of, sources

_LEVELS = frozenset({"trace", "debug", "info", "success", "warning", "error", "critical"})


def calls(tree: ast.AST) -> Iterator[tuple[int, ast.expr | None, int]]:
    """Line, message and number of further arguments of each call that logs."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name = node.func.attr
        if name not in _LEVELS | {"exception", "log"} or not is_logger(node.func.value):
            continue
        skipped = 1 if name == "log" else 0
        rest = node.args[skipped:]
        yield node.lineno, rest[0] if rest else None, max(0, len(rest) - 1) + len(node.keywords)


def is_logger(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="bind" | "opt")):
            return is_logger(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name.lstrip("_") in {"logger", "log"}
        case _:
            return False


def is_constant(message: ast.expr | None) -> bool:
    match message:
        case ast.Constant(value=str(text)):
            return "{" not in text and "%" not in text
        case ast.Subscript(value=ast.Name(id=table)):
            return table.isupper()  # a table of constants, by event type
        case _:
            return False


@pytest.mark.parametrize("path", list(sources()), ids=name_of)
def test_message_is_constant_and_data_is_in_fields(path: Path) -> None:
    wrong = [
        line
        for line, message, arguments in calls(ast.parse(path.read_text()))
        if not is_constant(message) or arguments
    ]

    assert wrong == []


def test_rule_sees_what_it_forbids() -> None:
    text = """
logger.info(f"order {order}")
self._logger.bind(event_type="x").warning("order {}", order)
log.bind(a=1).error("order " + name)
logger.log("INFO", text)
logger.info("fine")
"""
    found = list(calls(ast.parse(text)))

    assert [is_constant(m) and not n for _, m, n in found] == [False] * 4 + [True]
