"""Every way to die, alone and many at once, and how often that may happen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors import system as admin
from supervisors import thespian_engine
from supervisors.incarnation import MAX_MISSED_BEATS, SUPERVISOR_BEAT_SECS
from supervisors.process import has_ended, resident_bytes
from supervisors.spec import Backoff, Budget, Strategy

AT_ONCE = Budget(max_restarts=10_000, backoff=Backoff(initial_secs=0.0, max_secs=0.0))
KILLS = 100
MEGA = 1024 * 1024


@pytest.mark.parametrize(
    ("what", "kind", "detail", "exception"),
    [
        ("kill-self SIGKILL", "signal", "SIGKILL", None),
        ("kill-self SIGTERM", "signal", "SIGTERM", None),
        ("segv", "signal", "SIGSEGV", None),
        ("abort", "signal", "SIGABRT", None),
        ("exit 0", "exit", "exit status 0", None),
        ("exit 1", "exit", "exit status 1", None),
        ("exit 77", "exit", "exit status 77", None),
        ("raise", "exception", "as told", "TrialError"),
        ("eat-all-memory", "exception", "", "MemoryError"),
    ],
)
def test_every_way_to_die_is_a_crash_with_its_reason(
    house: HouseBuilder, what: str, kind: str, detail: str, exception: str | None
) -> None:
    system = house(supervisor("root", worker("a"), worker("b"))).start()
    sibling = system.pid("b")

    system.tell("a", what)
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"] == {"kind": kind, "detail": detail, "exception": exception}
    assert report["restart_in_secs"] == 0.0
    last_words = Path(report["crash_file"]).read_text()
    assert f"pid {report['pid']}: " in last_words
    assert ("Traceback" in last_words) is (kind == "exception")
    assert system.node("a").restarts == 1
    assert system.ask("a").generation == 2
    assert system.pid("b") == sibling


def test_many_kills_leave_no_descriptor_no_zombie_and_no_memory(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", budget=AT_ONCE))).start()
    for generation in range(2, 12):  # what is made once has been made
        system.kill("a")
        system.eventually_runs("a", generation)
    root = system.pid("root")
    descriptors, resident = len(descriptors_of(root)), resident_bytes(root)

    for generation in range(12, 12 + KILLS):
        system.kill("a")
        system.eventually_runs("a", generation)

    system.eventually(lambda: children_of(root) == [system.pid("a")])
    # Thespian opens and closes some of its own. Not "eventually": a garbage collector may not help.
    assert len(descriptors_of(root)) < descriptors + 10
    assert resident_bytes(root) - resident < 2 * MEGA


def test_sibling_that_dies_during_a_restart_is_restarted_as_well(
    house: HouseBuilder, tmp_path: Path
) -> None:
    stuck = tmp_path / "stuck"
    slow = worker("a", config={"start": f"sleep-while {stuck}"})
    system = house(supervisor("root", slow, worker("b"))).start()
    stuck.touch()
    system.kill("a")
    system.eventually(lambda: system.node("a").state == "restarting")

    system.kill("b")
    system.eventually_runs("b", 2)
    stuck.unlink()

    system.eventually_runs("a", 2)
    assert len(system.reports("child_terminated")) == 2


def test_child_killed_while_it_is_stopped_is_started_once(
    house: HouseBuilder, tmp_path: Path
) -> None:
    # Its stop waits for a second one, who never comes.
    config = {"stop": f"meet {tmp_path} 2"}
    system = house(supervisor("root", worker("a", config=config, shutdown_secs=60.0))).start()
    first = system.pid("a")

    admin.restart_child(system.runtime, "a")
    system.eventually((tmp_path / "a").exists)
    os.kill(first, signal.SIGKILL)
    system.eventually_runs("a", 2)

    assert [each["generation"] for each in system.reports("child_started", "a")] == [1, 2]
    (tmp_path / "b").touch()  # so that the system can be stopped


def test_child_killed_before_it_was_ready_is_a_failed_start_and_tried_again(
    house: HouseBuilder, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    config = {"start": f"meet-after-first {here} 2"}
    system = house(supervisor("root", worker("a", config=config, budget=AT_ONCE))).start()
    system.kill("a")
    system.eventually((here / "a").exists)
    [starting] = children_of(system.pid("root"))

    os.kill(starting, signal.SIGKILL)
    (here / "b").touch()

    system.eventually_runs("a", 3)
    [report] = system.reports("start_error", "a")
    assert report["pid"] == starting
    assert report["reason"]["detail"] == "SIGKILL"


@pytest.mark.parametrize("count", [5, 50])
def test_children_killed_in_one_instant_are_counted_one_by_one(
    house: HouseBuilder, count: int
) -> None:
    names = [f"w{number}" for number in range(count)]
    # One death more than the intensity and the supervisor would have given up.
    # So many at once may take their time, on a busy machine.
    workers = [worker(name, start_timeout_secs=60.0) for name in names]
    inner = supervisor("s", *workers, intensity=count, period_secs=600.0)
    system = house(supervisor("root", inner)).start()

    kill_in_one_instant(system, "s", names)
    system.eventually(
        lambda: (
            {(node.state, node.generation) for node in system.node("s").workers()}
            == {("running", 2)}
        ),
        limit_secs=60.0,
    )

    assert {system.ask(name).generation for name in names} == {2}
    assert sorted(each["child"] for each in system.reports("child_terminated")) == sorted(names)
    assert system.node("s").generation == 1


def test_supervisor_that_forks_for_long_is_not_taken_for_hung(
    house: HouseBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    real = thespian_engine.fork_actor

    def fork_actor(*arguments: Any) -> BaseProcess:
        if slow.exists():
            time.sleep(SUPERVISOR_BEAT_SECS / 2)
        return real(*arguments)

    monkeypatch.setattr(thespian_engine, "fork_actor", fork_actor)  # in what is forked, too
    names = [f"w{number}" for number in range(2 * MAX_MISSED_BEATS + 4)]
    workers = [worker(name, start_timeout_secs=60.0) for name in names]
    system = house(supervisor("root", supervisor("s", *workers, intensity=len(names)))).start()

    slow.touch()
    kill_in_one_instant(system, "s", names)
    for name in names:
        system.eventually_runs(name, 2)

    assert system.node("s").generation == 1


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_group_killed_in_one_instant_is_restarted_once_and_in_order(
    house: HouseBuilder, tmp_path: Path, strategy: Strategy
) -> None:
    diary = tmp_path / "diary"
    group = [worker(name, config={"diary": str(diary)}) for name in "abcde"]
    # A second restart would be one too many.
    inner = supervisor("s", *group, strategy=strategy, intensity=1, period_secs=600.0)
    system = house(supervisor("root", inner)).start()

    kill_in_one_instant(system, "s", "abcde")
    for name in "abcde":
        system.eventually_runs(name, 2)

    assert diary.read_text().splitlines() == [f"start {name}" for name in "abcde"] * 2
    assert system.node("s").generation == 1
    assert len(system.reports("child_terminated")) == 1


def test_restarts_multiply_over_three_levels_of_supervisors(house: HouseBuilder) -> None:
    once = {"intensity": 1, "period_secs": 600.0}
    low = supervisor("low", worker("a"), **once)
    middle = supervisor("middle", low, **once)
    high = supervisor("high", middle, **once)
    system = house(supervisor("root", high)).start()
    seen: list[tuple[int, ...]] = []

    for kills in range(1, 9):
        system.kill("a")
        system.eventually_runs("a", kills + 1)
        system.eventually_runs("high", 1)
        seen.append(tuple(system.node(name).generation for name in ("high", "middle", "low")))

    # Each level gives up at the second end of what is below: after 2, 4 and 8 kills.
    assert seen == [
        (1, 1, 1),
        (1, 1, 2),
        (1, 1, 2),
        (1, 2, 3),
        (1, 2, 3),
        (1, 2, 4),
        (1, 2, 4),
        (2, 3, 5),
    ]


def kill_in_one_instant(system: House, supervisor_name: str, names: Iterable[str]) -> None:
    """All are dead before their supervisor sees the first death."""
    # The root first, and the heart not polled: no supervisor may be taken for hung meanwhile.
    above = [system.pid(name) for name in dict.fromkeys(("root", supervisor_name))]
    pidfds = [os.pidfd_open(system.pid(name)) for name in names]
    for pid in above:
        os.kill(pid, signal.SIGSTOP)
    for pidfd in pidfds:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    # Not until they are zombies, because those may have threads that still end.
    while not all(map(has_ended, pidfds)):
        time.sleep(0.001)
    for pid in reversed(above):
        os.kill(pid, signal.SIGCONT)
    for pidfd in pidfds:
        os.close(pidfd)


def descriptors_of(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/fd").iterdir())


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
