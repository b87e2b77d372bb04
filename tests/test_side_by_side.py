"""All tests, in parts beside one another: what fails is named, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.side_by_side import PARTS, run

ROOT = Path(__file__).parent.parent
PASSES = "def test_it():\n    pass\n"
FAILS = "def test_it():\n    assert False\n"
LEAVES = """
import subprocess

def test_it():
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
"""
CLEANS_UP = """
import pathlib, subprocess, pytest

@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    pathlib.Path(__file__).with_suffix(".pid").write_text(str(process.pid))
    yield process
    process.kill()
    process.wait()

def test_it(sleeper):
    sleeper.wait()
"""


def part(folder: Path, name: str, text: str) -> list[str]:
    """Return the arguments of a part with one test."""
    path = folder / f"test_{name}.py"
    path.write_text(text)
    return ["-c", os.devnull, "--rootdir", str(folder), str(path)]


def test_every_part_runs_and_what_fails_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {n: part(tmp_path, n, t) for n, t in (("bad", FAILS), ("good", PASSES))}

    code = run(parts)

    assert code == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.split("|")[1].strip() for line in lines[-2:]} == {
        "FAILED: pytest ended with 1",
        "passed",
    }
    assert any(line.startswith("bad ") and "1 failed" in line for line in lines)
    assert any(line.startswith("good ") and "1 passed" in line for line in lines)


def test_part_that_leaves_a_process_behind_fails_and_the_process_is_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.side_by_side.GOES_SECS", 0.1)

    code = run({"untidy": part(tmp_path, "it", LEAVES)})

    assert code == 1
    assert "1 processes were left behind" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_parts_clean_up_after_themselves(tmp_path: Path, number: int) -> None:
    parts = {name: part(tmp_path, name, CLEANS_UP) for name in ("one", "other")}
    program = "import json, signal, sys; from tests.side_by_side import run\n"
    program += "for number in (signal.SIGINT, signal.SIGTERM):\n"
    program += "    signal.signal(number, signal.default_int_handler)\n"
    program += "sys.exit(run(json.loads(sys.argv[1])))"
    runner = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(parts)], cwd=ROOT, stdout=subprocess.PIPE
    )
    pids = [tmp_path / f"test_{name}.pid" for name in parts]
    deadline = time.monotonic() + 60
    while not all(path.exists() and path.read_text() for path in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    runner.send_signal(number)
    out, _ = runner.communicate(timeout=90)

    assert runner.returncode == 1
    assert out.count(b"FAILED: interrupted") == 2
    assert [p for p in pids if Path(f"/proc/{p.read_text()}").exists()] == []


def test_every_test_is_in_one_part() -> None:
    ignored = [a.partition("=")[2] for a in PARTS["others"] if a.startswith("--ignore=")]

    assert PARTS["others"][0] == "tests"
    assert sorted(ignored) == sorted([*PARTS["system"], *PARTS["supervisors"]])
    assert all((ROOT / folder).is_dir() for folder in ignored)
