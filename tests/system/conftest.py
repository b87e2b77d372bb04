"""Fixtures of the system tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import REPLAY, ROOT, Krator


@pytest.fixture
def krator() -> Iterator[Krator]:
    with tempfile.TemporaryDirectory(prefix="krator-test-") as folder:
        system = Krator(Path(folder))
        try:
            yield system
        finally:
            system.close()


@pytest.fixture
def replay_dir() -> Path:
    data = Path(os.environ.get("KRATOR_TEST_DATA", ROOT / "../shared/data"))
    if not (data / REPLAY).is_dir():
        pytest.skip(f"no recorded session at {data / REPLAY}; set KRATOR_TEST_DATA")
    return data / REPLAY
