"""The house rules that a linter does not know."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import krator_actors
import supervisors
from krator_actors.messages import CATALOGUE
from krator_actors.messages.bar_spec import BarPrice, BarSpec, BarUnit
from supervisors.messages import Message

ROOT = Path(__file__).parent.parent
PACKAGES = (krator_actors, supervisors)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

TESTED_THROUGH = {
    "krator_actors.adapters.binance_instruments": "tests/adapters/test_binance_rest.py",
    "krator_actors.admin": "tests/system/test_admin.py",
    "krator_actors.audit_commands": "tests/test_audit_commands.py",
    "krator_actors.clock_watch": "tests/actors/test_feed_faults.py",
    "krator_actors.commands": "tests/system/test_run.py",
    "krator_actors.companion": "tests/system/test_run.py",
    "krator_actors.core.diagnosis": "tests/core/test_incidents.py",
    "krator_actors.gap_filler": "tests/actors/test_feed_faults.py",
    "krator_actors.lockstep": "tests/system/test_lockstep.py",
    "krator_actors.market_books": "tests/actors/test_feed_books.py",
    "krator_actors.market_line": "tests/actors/test_feed_lines.py",
    "krator_actors.market_lines": "tests/actors/test_feed_lines.py",
    "krator_actors.order_doubts": "tests/actors/test_order_unknown.py",
    "krator_actors.order_sender": "tests/actors/test_order_unknown.py",
    "krator_actors.order_snapshot": "tests/actors/test_order_snapshot.py",
    "krator_actors.rebuild_commands": "tests/test_rebuild.py",
    "krator_actors.risk_acts": "tests/actors/test_risk.py",
    "krator_actors.run": "tests/system/test_run.py",
    "krator_actors.symbol_watch": "tests/actors/test_feed.py",
    "krator_actors.teller": "tests/actors/test_feed.py",
    "supervisors.inquiry": "tests/supervisors/test_looking.py",
    "supervisors.tickers": "tests/supervisors/lanes/test_brain.py",
    "supervisors.usage": "tests/supervisors/test_looking.py",
    "supervisors.body": "tests/supervisors/test_heart.py",
    "supervisors.brain": "tests/supervisors/lanes/test_brain.py",
    "supervisors.nursery": "tests/supervisors/test_supervisor.py",
    "supervisors.orphans": "tests/supervisors/test_orphans.py",
    "supervisors.spares": "tests/supervisors/test_spares.py",
    "supervisors.watchdog": "tests/supervisors/test_supervisor.py",
}
"""Modules that no test imports, because another module or a command stands in front of them."""


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted(Path(str(package.__file__)).parent.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", list(sources()), ids=name_of)
def test_file_fits_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", list(sources()), ids=name_of)
def test_function_fits_one_screen(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    long = [
        f"{f.name}: {f.end_lineno - f.lineno + 1} lines"
        for f in functions
        if f.end_lineno is not None and f.end_lineno - f.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert long == []


def test_every_module_is_imported_by_a_test() -> None:
    imported = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                imported.add(node.value.partition(":")[0])  # started by name as a process
    modules = {
        info.name
        for package in PACKAGES
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not info.ispkg and not info.name.endswith("__main__")
    }

    assert sorted(modules - imported - TESTED_THROUGH.keys()) == []
    assert all((ROOT / place).is_file() for place in TESTED_THROUGH.values())


@pytest.mark.parametrize("message", CATALOGUE, ids=lambda m: m.__name__)
def test_message_is_frozen_and_keyword_only(message: type[Message]) -> None:
    config: Any = message.__struct_config__

    assert config.frozen
    assert config.tag == message.__name__
    assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(message).parameters.values())


st.register_type_strategy(
    __import__("decimal").Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=8)
)


@given(data=st.data())
@pytest.mark.parametrize("message", CATALOGUE, ids=lambda m: m.__name__)
def test_message_survives_the_wire(message: type[Message], data: st.DataObject) -> None:
    sent = data.draw(built(message))

    received = msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=message)

    assert received == sent


def built(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return st.builds(
        struct,
        **{
            name: drawn(hint)
            for name, hint in get_type_hints(struct).items()
            if name in struct.__struct_fields__
        },
    )


def drawn(hint: Any) -> st.SearchStrategy[Any]:
    if hint is int:
        return st.integers(-(2**63), 2**63 - 1)
    if hint is float:
        return st.floats(allow_nan=False)
    if hint is BarSpec:
        return st.builds(BarSpec, st.integers(1, 24), st.just(BarUnit.HOUR), st.from_type(BarPrice))
    if inspect.isclass(hint) and issubclass(hint, msgspec.Struct):
        return built(hint)
    arguments = [a for a in getattr(hint, "__args__", ()) if a is not Ellipsis]
    origin = getattr(hint, "__origin__", None)
    if origin is dict:
        return st.dictionaries(drawn(arguments[0]), drawn(arguments[1]), max_size=2)
    if origin is tuple and Ellipsis not in hint.__args__:
        return st.tuples(*map(drawn, arguments))
    if origin is tuple:
        return st.lists(drawn(arguments[0]), max_size=2).map(tuple)
    if origin is None and arguments:  # X | Y
        return st.one_of([st.none() if a is type(None) else drawn(a) for a in arguments])
    return st.from_type(hint)


def test_every_module_can_be_imported_alone() -> None:
    for path in sources():
        name = name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        if not name.endswith("__main__"):
            importlib.import_module(name)
