"""SIGKILL of a supervisor until all below it is dead; SIGSTOP of a worker until it is found."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervisors.heart import Heart
from supervisors.spec import Budget, ChildSpec, SupervisorSpec
from supervisors.status import NodeStatus
from tests.benchmarks.measure import Counts, percentile, short_folder

BEAT_SECS = 0.1
"""As Krator's critical actors."""

_LIMIT_SECS = 30.0
_NAMES = ("s", "t", "w1", "w2", "w3", "w4")


def run(counts: Counts) -> dict[str, Any]:
    subtrees_ns: list[int] = []
    hangs_ns: list[int] = []
    with short_folder() as folder, _tree(folder) as heart:
        for _ in range(counts.subtrees):
            pidfds = [os.pidfd_open(_pid(heart, name)) for name in _NAMES]
            before = _generations(heart)
            subtrees_ns.append(_until_dead(_pid(heart, "s"), signal.SIGKILL, pidfds))
            _wait_for_next(heart, before)
        for _ in range(counts.hangs):
            pid, before = _pid(heart, "w1"), {"w1": _generations(heart)["w1"]}
            hangs_ns.append(_until_dead(pid, signal.SIGSTOP, [os.pidfd_open(pid)]))
            _wait_for_next(heart, before)
    return {
        "subtree_dead_p99_ms": percentile(subtrees_ns, 0.99) / 1e6,
        "hung_found_p50_ms": percentile(hangs_ns, 0.5) / 1e6,
        "details": {
            "subtree_dead_p50_ms": percentile(subtrees_ns, 0.5) / 1e6,
            "subtree_processes": len(_NAMES),
            "hung_beat_secs": BEAT_SECS,
        },
    }


@contextmanager
def _tree(folder: Path) -> Iterator[Heart]:
    w1, w2, w3, w4 = (
        ChildSpec(name=name, actor="tests.benchmarks.echo:Player", beat_secs=BEAT_SECS)
        for name in _NAMES[2:]
    )
    t = SupervisorSpec(name="t", children=(w3, w4), intensity=1_000_000)
    s = SupervisorSpec(name="s", children=(w1, w2, t), intensity=1_000_000)
    heart = Heart(
        SupervisorSpec(name="root", children=(s,), intensity=1_000_000),
        runtime=folder / "run",
        state_dir=folder / "state",
        crash_dir=folder / "crash",
        budget=Budget(),
    )
    heart.start()
    try:
        yield heart
    finally:
        heart.stop()


def _until_dead(pid: int, number: signal.Signals, pidfds: list[int]) -> int:
    """Signal the process; return the nanoseconds until those behind the pidfds are dead."""
    poller = select.poll()
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    left = set(pidfds)
    began_ns = time.monotonic_ns()
    os.kill(pid, number)
    while left:
        ended = poller.poll(_LIMIT_SECS * 1e3)
        assert ended, f"{len(left)} processes do not end"
        for pidfd, _ in ended:
            poller.unregister(pidfd)
            left.discard(pidfd)
    took_ns = time.monotonic_ns() - began_ns
    for pidfd in pidfds:
        os.close(pidfd)
    return took_ns


def _generations(heart: Heart) -> dict[str, int]:
    return {name: _node(heart, name).generation for name in _NAMES}


def _wait_for_next(heart: Heart, before: dict[str, int]) -> None:
    """Wait until a later incarnation of each runs."""

    def runs(name: str) -> bool:
        node = heart.status().find(name)
        return node is not None and node.state == "running" and node.generation > before[name]

    _wait_until(heart, lambda: all(map(runs, before)))


def _wait_until(heart: Heart, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LIMIT_SECS
    while not condition():
        assert time.monotonic() < deadline, "nobody took its place"
        assert not heart.poll(), "the system was built again"
        time.sleep(0.005)


def _node(heart: Heart, name: str) -> NodeStatus:
    node = heart.status().find(name)
    assert node is not None
    return node


def _pid(heart: Heart, name: str) -> int:
    pid = _node(heart, name).pid
    assert pid is not None
    return pid
