"""The wall clock jumps: no decision changes, because none of them reads it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import supervisor, worker

from supervisors.spec import Backoff, Budget

DAY_SECS = 86_400
BUDGET = Budget(max_restarts=2, period_secs=600.0, backoff=Backoff(initial_secs=0.05))


def _jump_when_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody set the clock: in this process, and in all that it forks."""
    real, real_ns = time.time, time.time_ns

    def jump_secs() -> int:
        return int(path.read_text()) if path.exists() else 0

    monkeypatch.setattr(time, "time", lambda: real() + jump_secs())
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + jump_secs() * 1_000_000_000)


@pytest.mark.parametrize("jump_secs", [DAY_SECS, -DAY_SECS])
def test_jump_of_the_wall_clock_changes_no_decision(
    house: HouseBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_secs: int
) -> None:
    clock = tmp_path / "clock"
    _jump_when_told(clock, monkeypatch)
    beating = worker("b", beat_secs=0.1, stall_timeout_secs=1.0)
    quick = worker("c")
    system = house(
        supervisor("root", worker("a", budget=BUDGET), beating, quick, intensity=1, period_secs=600)
    ).start()
    for name in ("a", "c"):
        system.kill(name)
        system.eventually_runs(name, 2)
    before = time.time()

    clock.write_text(str(jump_secs))
    assert abs(time.time() - before) > DAY_SECS / 2
    system.kill("a")
    system.eventually_runs("a", 3)
    system.kill("a")

    # Two of the budget were spent before and after the jump, the third is one too many.
    system.eventually(lambda: system.node("a").state == "quarantined")
    # Nobody was taken for hung, nobody was restarted for it, and uptimes are not a day.
    assert system.node("b").generation == 1
    assert system.ask("b", "sleep 0.5").generation == 1
    assert 0 <= system.node("b").uptime_secs < DAY_SECS / 2
    # The intensity still counts the death before the jump.
    system.kill("c")
    system.eventually(lambda: system.reports("child_terminated", "root") != [])
    system.eventually_runs("c", 3)
