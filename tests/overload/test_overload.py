"""A slow strategy slows nobody, misses nothing unsaid, and costs a bounded piece of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRADES = int(os.environ.get("KRATOR_OVERLOAD_TRADES", "20000"))
"""``make overload`` runs for longer."""


@pytest.mark.timeout(180)
def test_slow_strategy_costs_the_others_nothing_and_memory_stays_flat() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.overload", "--trades", str(TRADES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["broken"] == []
