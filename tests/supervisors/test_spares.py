"""Warm spares as real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors import children
from supervisors.process import process_state
from supervisors.spec import Backoff, Budget, Restart, SpecError
from supervisors.spec_check import check_spec

NO_RESTARTS = Budget(max_restarts=0)
QUICK = Budget(max_restarts=100, backoff=Backoff(initial_secs=0.01, max_secs=0.01))


def spare_pid(system: House, name: str = "a") -> int:
    system.eventually(lambda: system.node(name).spare_pid is not None)
    pid = system.node(name).spare_pid
    assert pid is not None
    return pid


def is_gone(pid: int) -> bool:
    return process_state(pid) in {"", "Z"}


def test_spare_takes_the_name_over_and_gets_a_spare_itself(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", spare=True, budget=QUICK))).start()
    first, spare = system.pid("a"), spare_pid(system)

    system.kill("a")
    system.eventually_runs("a", 2)

    assert system.pid("a") == spare
    assert system.ask("a").generation == 2
    assert spare_pid(system) not in {first, spare}
    assert system.node("a").restarts == 1


def test_spare_has_not_started_before_it_has_the_name(house: HouseBuilder, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    config = {"diary": str(diary)}
    system = house(supervisor("root", worker("a", spare=True, config=config))).start()
    spare_pid(system)
    assert diary.read_text().split() == ["start", "a"]

    system.kill("a")
    system.eventually_runs("a", 2)

    assert diary.read_text().split() == ["start", "a"] * 2


def test_child_killed_again_and_again_is_replaced_each_time(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", spare=True, budget=QUICK))).start()

    for generation in range(2, 12):  # faster than spares become warm
        system.kill("a")
        system.eventually_runs("a", generation)

    assert system.ask("a").generation >= 11
    assert len(system.reports("child_terminated", "a")) == 10


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_end_of_a_spare_is_noticed_and_costs_nothing(
    house: HouseBuilder, number: signal.Signals
) -> None:
    lonely = worker("a", spare=True, budget=NO_RESTARTS, beat_secs=0.2)
    system = house(supervisor("root", lonely, intensity=0)).start()
    pid, spare = system.pid("a"), spare_pid(system)

    os.kill(spare, number)
    system.eventually(lambda: system.node("a").spare_pid not in {None, spare})

    assert system.pid("a") == pid
    assert system.node("a").budget_spent == 0
    [report] = system.reports("spare_ended", "a")
    assert report["pid"] == spare


def test_spare_and_child_killed_in_one_instant_are_both_replaced(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", spare=True, budget=QUICK))).start()
    first, spare = system.pid("a"), spare_pid(system)

    os.kill(spare, signal.SIGKILL)
    os.kill(first, signal.SIGKILL)
    system.eventually_runs("a", 2)

    assert system.pid("a") not in {first, spare}
    assert spare_pid(system) not in {first, spare}


def test_stopped_child_has_no_spare(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", spare=True))).start()
    spare = spare_pid(system)

    children.terminate_child(system.runtime, "root", "a")
    system.eventually(lambda: system.node("a").spare_pid is None)
    assert is_gone(spare)
    children.restart_child(system.runtime, "root", "a")

    assert spare_pid(system) != spare


def test_stop_of_the_system_ends_the_spare(house: HouseBuilder) -> None:
    system = house(supervisor("root", supervisor("s", worker("a", spare=True)))).start()
    spare = spare_pid(system)

    system.heart.stop()

    assert is_gone(spare)


def test_death_of_the_supervisor_ends_the_spare(house: HouseBuilder) -> None:
    system = house(supervisor("root", supervisor("s", worker("a", spare=True)))).start()
    spare = spare_pid(system)

    system.kill("s")
    system.eventually_runs("a", 2)

    assert is_gone(spare)
    assert spare_pid(system) != spare


@pytest.mark.parametrize("why", [{"fenced": True}, {"restart": Restart.TEMPORARY}], ids=str)
def test_spare_is_refused_where_it_may_not_or_need_not_be(why: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="spare was true"):
        check_spec(supervisor("root", worker("a", spare=True, **why)))
