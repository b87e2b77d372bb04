"""The simulation itself: it is survived, it repeats itself, and it sees what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.day import simulate
from tests.simulation.mutants import MUTANTS, Plant

ROOT = Path(__file__).parent.parent.parent
DAYS = 200
MUTANT_DAYS = 300


def test_every_day_is_survived() -> None:
    lost = {seed: found for seed in range(DAYS) if (found := simulate(seed).violations)}

    assert lost == {}


def digest_elsewhere(seed: int, hash_seed: str) -> str:
    """Of that day in a process of its own, which no other test has changed anything of."""
    program = f"from tests.simulation.day import simulate; print(simulate({seed}).digest)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_same_seed_is_the_same_day_in_every_process() -> None:
    assert digest_elsewhere(7, "1") == digest_elsewhere(7, "2")


def test_same_seed_is_the_same_day_again_and_another_seed_another() -> None:
    assert simulate(7).digest == simulate(7).digest
    assert simulate(8).digest != simulate(7).digest


@pytest.mark.parametrize("plant", MUTANTS, ids=lambda plant: plant.__name__)
def test_planted_bug_is_seen(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    assert any(simulate(seed).violations for seed in range(MUTANT_DAYS))


def test_days_have_all_that_can_happen() -> None:
    seen = set()
    for seed in range(60):
        seen |= {name for name, count in simulate(seed).counts.items() if count}

    assert {
        "DuplicateRefused",
        "OrderCanceled",
        "OrderDenied",
        "OrderExpired",
        "OrderFilled",
        "OrderRejected",
        "OrderUnknown",
        "TradingStateChanged",
        "kills",
    } <= seen
