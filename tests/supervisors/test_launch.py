"""What a process is given, its generation, and its name."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import supervisor, worker

from supervisors import launch
from supervisors.launch import next_generation, raise_generation
from supervisors.status import StartError


def test_generations_grow_by_one_and_survive(tmp_path: Path) -> None:
    assert [next_generation(tmp_path, "order:SIM") for _ in range(3)] == [1, 2, 3]
    assert next_generation(tmp_path, "order_SIM") == 1


def test_damaged_generation_is_replaced_by_a_larger_one(tmp_path: Path) -> None:
    next_generation(tmp_path, "a")
    (tmp_path / "generations" / "a").write_text("")

    generation = next_generation(tmp_path, "a")

    assert generation >= int(time.monotonic_ns() > 0) * 1_000_000_000
    assert next_generation(tmp_path, "a") == generation + 1


def test_generation_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "generations").write_text("a file is in the way")

    with pytest.raises(OSError, match="exists"):
        next_generation(tmp_path, "a")


def test_process_that_no_supervisor_started_was_given_nothing() -> None:
    with pytest.raises(RuntimeError, match="not started by a supervisor"):
        launch.loaded()


def test_child_waits_until_its_predecessor_is_dead(house: HouseBuilder, short_dir: Path) -> None:
    directory = short_dir / "run" / "processes"
    directory.mkdir(parents=True)
    (short_dir / "run").chmod(0o700)
    predecessor = os.open(directory / "a", os.O_RDWR | os.O_CREAT)
    fcntl.flock(predecessor, fcntl.LOCK_EX)
    tree = supervisor("root", worker("a", start_timeout_secs=0.4))

    with pytest.raises(StartError, match="start_timeout"):
        house(tree).start()

    os.close(predecessor)
    assert house(tree).start().ask("a").generation == 2


def test_generation_of_a_lost_folder_goes_on_where_another_place_says(tmp_path: Path) -> None:
    raise_generation(tmp_path, "a", 7)
    assert next_generation(tmp_path, "a") == 8

    raise_generation(tmp_path, "a", 3)
    assert next_generation(tmp_path, "a") == 9


def test_generation_that_is_not_readable_is_not_made_smaller(tmp_path: Path) -> None:
    next_generation(tmp_path, "a")
    (tmp_path / "generations" / "a").write_text("")

    raise_generation(tmp_path, "a", 7)

    assert next_generation(tmp_path, "a") > 1_000_000_000
