"""The README is followed as a stranger would: its program runs, its names are all there are."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import supervisors
from supervisors.lane import STASH_LIMIT, WINDOW, WINDOW_BYTES

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "supervisors" / "README.md").read_text()
FOR_USERS = (
    *("actor", "messages", "spec", "heart", "status", "client", "system", "children"),
    *("looking", "breaker", "notify", "testing"),
)
"""Modules of which every public name is for users; of others the README picks some."""


def block(language: str) -> str:
    [text] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return text


def test_program_of_the_readme_prints_what_it_says(short_dir: Path) -> None:
    (short_dir / "counter.py").write_text(block("python"))

    done = subprocess.run(
        [sys.executable, "counter.py"],
        cwd=short_dir,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(short_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == (block("text"), "")
    assert {path.name for path in short_dir.iterdir()} - {"__pycache__"} == {"counter.py"}


def names_of_the_readme() -> list[str]:
    return re.findall(r"^\| `([a-z_]+\.\w+)` \|", README, re.MULTILINE)


def public_names(module_name: str) -> set[str]:
    module = importlib.import_module(f"{supervisors.__name__}.{module_name}")
    return {
        f"{module_name}.{name}"
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def test_every_public_name_has_its_line_and_no_other() -> None:
    named = names_of_the_readme()
    public = set().union(*map(public_names, FOR_USERS))

    assert public - set(named) == set()
    picked = {name for name in named if name.partition(".")[0] not in FOR_USERS}
    assert picked <= set().union(*(public_names(name.partition(".")[0]) for name in picked))
    assert len(named) == len(set(named)) == len(public | picked)


@pytest.mark.parametrize(
    "bound", [f"{WINDOW} messages", f"{WINDOW_BYTES // 2**20} MiB", f"{STASH_LIMIT:,} more"]
)
def test_bounds_of_the_readme_are_those_of_the_lanes(bound: str) -> None:
    assert bound in README
