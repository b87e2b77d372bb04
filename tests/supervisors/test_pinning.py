"""A child with a processor of its own runs nowhere else, with all its threads."""

from __future__ import annotations

import os
from pathlib import Path

from trial_house import House, supervisor, worker


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
