"""A process that lives and does nothing any more: found, described, ended, fenced, replaced."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors.process import process_state
from supervisors.spec import ChildSpec


def hasty(name: str, **fields: Any) -> ChildSpec:
    return worker(name, beat_secs=0.2, stall_timeout_secs=0.5, **fields)


def crash_text(system: House) -> str:
    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["kind"] == "hung"
    return Path(report["crash_file"]).read_text()


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("busy", "loop_for_ever"),
        ("deadlock", "take_a_lock_twice"),
        ("no-yield", "never_give_the_loop_a_turn"),
        ("never", "wait_for_nobody"),
        ("block", "_do"),
    ],
)
def test_hung_brain_is_found_described_and_replaced(
    house: HouseBuilder, what: str, function: str
) -> None:
    system = house(supervisor("root", hasty("a"), worker("b"))).start()
    hung, sibling = system.pid("a"), system.pid("b")

    system.tell("a", what)
    system.eventually_runs("a", 2)

    text = crash_text(system)
    assert "Do in work for" in text
    assert f"in {function}" in text
    assert process_state(hung) == ""
    assert system.ask("a").generation == 2
    assert system.pid("b") == sibling


def test_stopped_worker_is_found_and_replaced(house: HouseBuilder) -> None:
    system = house(supervisor("root", hasty("a"))).start()

    system.kill("a", signal.SIGSTOP)
    system.eventually_runs("a", 2)

    assert "state T" in crash_text(system)


def test_stopped_worker_is_dead_before_its_replacement_starts(
    house: HouseBuilder, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    config = {"diary": str(diary), "start": f"note-state-of {tmp_path / 'pid'}"}
    system = house(supervisor("root", hasty("a", config=config))).start()
    stopped = system.pid("a")
    (tmp_path / "pid").write_text(str(stopped))

    os.kill(stopped, signal.SIGSTOP)
    system.eventually_runs("a", 2)

    assert diary.read_text().splitlines() == ["start a", "predecessor is gone for a", "start a"]


def test_dump_of_a_hung_actor_names_what_each_of_its_tasks_waits_for(house: HouseBuilder) -> None:
    system = house(supervisor("root", hasty("a"))).start()

    system.ask("a", "background")
    system.tell("a", "never")
    system.eventually_runs("a", 2)

    text = crash_text(system)
    assert "Task a background" in text
    assert "in wait_in_the_background" in text
