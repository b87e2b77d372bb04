"""The disk of the reports, or of the generations, is full: supervision goes on as far as it can."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import supervisor, worker

from supervisors.spec import Backoff, Budget

PATIENT = Budget(max_restarts=1_000, backoff=Backoff(initial_secs=0.01, max_secs=0.05))


@pytest.fixture
def small_disk(short_dir: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of one megabyte at that folder."""
    mounted: list[Path] = []

    def mount(name: str) -> Path:
        disk = short_dir / name
        disk.mkdir(mode=0o700)
        command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(disk)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("only root can mount a small disk, and not on every machine")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


def fill(disk: Path) -> Path:
    """Leave no byte; return the file that takes them."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - that is how a disk says it is full
    return path


@pytest.mark.parametrize("death", ["kill-self SIGKILL", "raise", "segv", "print-and-raise"])
def test_children_are_restarted_though_no_report_can_be_written(
    small_disk: Callable[[str], Path], house: HouseBuilder, death: str
) -> None:
    disk = small_disk("crash")
    system = house(supervisor("root", worker("a"), worker("b", beat_secs=0.1))).start()
    ballast = fill(disk)

    system.tell("a", death)
    system.eventually_runs("a", 2)
    assert system.ask("a").generation == 2
    assert system.ask("b").generation == 1
    ballast.unlink()
    system.kill("a")
    system.eventually_runs("a", 3)

    assert system.reports("child_started", "a")[-1]["generation"] == 3
    assert system.node("root").generation == 1


def test_hung_child_is_replaced_though_its_stacks_cannot_be_written(
    small_disk: Callable[[str], Path], house: HouseBuilder
) -> None:
    disk = small_disk("crash")
    hasty = worker("a", beat_secs=0.1, stall_timeout_secs=0.3)
    system = house(supervisor("root", hasty)).start()
    fill(disk)

    system.tell("a", "never")

    system.eventually_runs("a", 2)
    assert system.ask("a").generation == 2


def test_child_without_a_generation_is_not_started_until_there_is_room(
    small_disk: Callable[[str], Path], house: HouseBuilder
) -> None:
    disk = small_disk("state")
    system = house(supervisor("root", worker("a", budget=PATIENT), worker("b"))).start()
    ballast = fill(disk)

    system.kill("a")
    system.eventually(lambda: len(system.reports("start_error", "a")) >= 3)
    assert system.ask("b").generation == 1
    ballast.unlink()
    system.eventually(lambda: system.node("a").state == "running")

    assert system.ask("a").generation >= 2
    assert "No space left" in system.reports("start_error", "a")[0]["reason"]["detail"]
