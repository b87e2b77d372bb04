"""The fuzzer itself: it ends in time, and says so when it has found something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="atheris is for Linux only")

ROOT = Path(__file__).parents[2]
WITH_A_FAULT = """
import runpy, sys
import tests.adapters.wire_mutations as wire
wire.check = lambda codec, frame, symbol: 1 / ("book" not in str(frame))
sys.argv = ["codecs.py", "20"]
runpy.run_path("tests/fuzz/codecs.py", run_name="__main__")
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "KRATOR_FUZZ_DIR": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_fuzzer_ends_in_time_with_nothing_found(tmp_path: Path) -> None:
    done = run(tmp_path, "tests/fuzz/codecs.py", "1")

    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("crash-*"))


def test_fuzzer_fails_when_a_codec_does_and_keeps_the_input(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", WITH_A_FAULT)

    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stdout + done.stderr
    assert list(tmp_path.glob("crash-*"))
