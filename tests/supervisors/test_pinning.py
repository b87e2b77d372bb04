"""A child with a processor of its own runs nowhere else, with all its threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trial_house import House, supervisor, worker

from supervisors import guardian


def test_all_threads_of_a_pinned_child_run_on_its_processor(short_dir: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    house = House(supervisor("root", worker("pinned", cpu=cpu), worker("free")), short_dir)
    house.start()
    try:
        pinned, free = house.pid("pinned"), house.pid("free")

        threads = [int(entry.name) for entry in Path(f"/proc/{pinned}/task").iterdir()]

        assert len(threads) >= 2
        assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({cpu})}
        assert os.sched_getaffinity(free) == os.sched_getaffinity(0)
    finally:
        house.heart.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user gets no real-time priority")
def test_only_the_brain_of_a_realtime_child_goes_before_others(short_dir: Path) -> None:
    house = House(supervisor("root", worker("first", realtime=12)), short_dir)
    house.start()
    try:
        first = house.pid("first")

        threads = [int(entry.name) for entry in Path(f"/proc/{first}/task").iterdir()]

        assert sorted(os.sched_getparam(thread).sched_priority for thread in threads)[-2:] == [
            0,
            12,
        ]
    finally:
        house.heart.stop()


def test_refused_realtime_leaves_the_thread_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)

    guardian.go_before_others(12)

    assert os.sched_getparam(0).sched_priority == 0
