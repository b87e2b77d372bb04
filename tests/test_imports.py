"""What a process imports, and what that makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SLOW = {"numpy", "talib", "asyncpg", "redis", "krator_actors.tree"}
MODULES = """
import sys
from krator_actors import cli
code = cli.main(sys.argv[1:])
print("code", code)
print("modules", *sys.modules)
"""
THREADS = """
import krator_actors.{module}
import numpy
import os
print(len(os.listdir("/proc/self/task")))
"""


def python(program: str, *arguments: str, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=inherited | environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


@pytest.mark.parametrize(
    ("words", "code", "needless"),
    [
        ("status", 3, {*SLOW, "aiohttp"}),
        ("admin tree", 3, {*SLOW, "aiohttp"}),
        ("halt --by ada --reason test", 3, {*SLOW, "aiohttp"}),
        ("kill --by ada --reason test", 6, SLOW),
    ],
)
def test_command_for_an_emergency_imports_no_actor_and_no_database(
    tmp_path: Path, words: str, code: int, needless: set[str]
) -> None:
    printed = python(MODULES, *words.split(), "--data-dir", str(tmp_path / "none"))

    assert printed.splitlines()[-2] == f"code {code}"
    assert needless & set(printed.splitlines()[-1].split()) == set()


@pytest.mark.parametrize("module", ["cli", "run", "exchange.main", "console"])
@pytest.mark.parametrize("environment", [{}, {"OPENBLAS_NUM_THREADS": "4"}])
def test_numpy_starts_no_thread_whatever_was_imported_first(
    module: str, environment: dict[str, str]
) -> None:
    assert python(THREADS.format(module=module), **environment) == "1\n"
