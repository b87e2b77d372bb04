"""A whole system of trial actors, with real processes, that is gone when its test is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# The tree's processes import their actors by name.
sys.path.insert(0, str(Path(__file__).parent))

from trial_house import House

from supervisors.process import executed_processes, forked_processes
from supervisors.spec import SupervisorSpec

HouseBuilder = Callable[..., House]


@pytest.fixture
def house(short_dir: Path) -> Iterator[HouseBuilder]:
    """Builds houses; each is stopped afterwards, and nothing may be left of it."""
    houses: list[House] = []

    def build(spec: SupervisorSpec, **options: object) -> House:
        houses.append(House(spec, short_dir, **options))
        return houses[-1]

    try:
        yield build
    finally:
        for each in houses:
            each.heart.stop()
    for each in houses:
        assert list(forked_processes(each.runtime / "alive")) == []
        assert list(executed_processes(f"KRATOR_RUNTIME={each.runtime}")) == []
        assert not each.runtime.exists()
