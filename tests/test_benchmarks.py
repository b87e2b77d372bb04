"""The benchmarks themselves: with tiny counts each of them yields every number that it promises."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.results import KEYS, PINNED_KEYS, flat

ROOT = Path(__file__).parent.parent


def test_every_key_is_explained() -> None:
    page = (ROOT / "docs" / "MEASURING.md").read_text()

    assert [key for key in KEYS if f"`{key}`" not in page] == []


@pytest.mark.timeout(180)
def test_every_key_is_a_finite_number(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"

    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--counts", "tiny"],
        cwd=ROOT,
        env={**os.environ, "KRATOR_BENCH_OUT": str(out)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    notes = results.pop("notes")
    assert notes["failed"] == {}
    assert list(results) == list(KEYS)
    assert list(results["pinned"]) == list(PINNED_KEYS)
    wrong = {
        key: value
        for key, value in flat(results)
        if not isinstance(value, float | int) or not math.isfinite(value)
    }
    assert wrong == {}
    # Every key is in the table, in one line.
    assert all(done.stdout.count(f"\n{key} ") == 1 for key, _ in flat(results))
