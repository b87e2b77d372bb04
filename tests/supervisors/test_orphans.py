"""Nobody gets away: grandchildren, escapees with a session of their own, what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import LIMIT_SECS, House, supervisor, worker

from supervisors.ground import Ground
from supervisors.process import children_of_this_process, executed_processes, process_state

FORKED, EXECUTED = "escape fork", "escape execute"


def members(system: House) -> set[int]:
    """All live processes of the tree."""
    return system.processes() | set(executed_processes(f"KRATOR_RUNTIME={system.runtime}"))


@pytest.mark.parametrize("how", [FORKED, EXECUTED])
def test_escapee_with_its_own_session_is_found_and_ended(house: HouseBuilder, how: str) -> None:
    system = house(supervisor("root", worker("a"))).start()
    before = members(system)

    system.ask("a", how)

    system.eventually(lambda: system.reports("orphan_found") != [])
    system.eventually(lambda: members(system) == before)
    assert system.node("a").restarts == 0
    [report] = system.reports("orphan_found")
    system.eventually(lambda: process_state(report["pid"]) == "")  # reaped, too
    system.eventually(lambda: system.reports("alarm_cleared", "root") != [])
    [alarm] = system.reports("alarm_raised", "root")
    assert alarm["alarm"]["kind"] == "orphan"


@pytest.mark.parametrize("victim", ["a", "s", "root"])
def test_grandchildren_end_with_whom_they_came_from(house: HouseBuilder, victim: str) -> None:
    system = house(supervisor("root", supervisor("s", worker("a")))).start()
    system.ask("a", "execute")
    [program] = executed_processes(f"KRATOR_RUNTIME={system.runtime}")

    system.kill(victim)
    system.eventually_runs("a", 2)

    system.eventually(lambda: process_state(program) == "")
    assert system.ask("a").generation == 2


def test_escapee_that_holds_the_name_does_not_keep_its_successor_from_it(
    house: HouseBuilder,
) -> None:
    system = house(supervisor("root", worker("a", start_timeout_secs=5.0))).start()
    system.tell("a", "escape fork")  # and with it the lock

    system.kill("a")
    system.eventually_runs("a", 2)

    assert system.reports("start_error") == []


def test_killed_admin_leaves_no_escapee(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()
    system.ask("a", "execute")
    [program] = executed_processes(f"KRATOR_RUNTIME={system.runtime}")
    os.kill(body_pid(system), signal.SIGKILL)
    system.eventually(lambda: system.node("a").generation == 2)

    system.eventually(lambda: process_state(program) == "")


def test_stopped_system_leaves_no_zombie(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"), supervisor("s", worker("b")))).start()
    before = members(system)

    system.heart.stop()

    assert [pid for pid in before if process_state(pid) != ""] == []


@pytest.mark.parametrize("who", ["admin", "root"])
def test_failed_systems_leave_no_zombie_while_the_heart_runs(house: HouseBuilder, who: str) -> None:
    system = house(supervisor("root", worker("a"), supervisor("s", worker("b")))).start()
    drain = set(children_of_this_process()) - {body_pid(system)}  # reads the tree's output
    with subprocess.Popen(["/bin/true"]) as stranger:  # a child that is none of the heart's
        for generation in range(2, 5):
            os.kill(body_pid(system) if who == "admin" else system.pid("root"), signal.SIGKILL)
            system.eventually_runs("b", generation)

        running = body_pid(system)
        system.eventually(
            lambda: set(children_of_this_process()) == {running, stranger.pid, *drain}
        )
        assert stranger.wait() == 0


def body_pid(system: House) -> int:
    body = system.heart._body
    assert body is not None
    assert body.admin_pid is not None
    return body.admin_pid


HEART = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from trial_house import House, supervisor, worker
system = House(supervisor("root", supervisor("s", worker("a"), worker("b"))), Path({base!r}))
system.start()
print(*system.processes(), flush=True)
system.tell("a", {how!r})
print("told", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["nothing", FORKED, EXECUTED])
def test_killed_heart_takes_the_tree_along_and_its_successor_sweeps_the_rest(
    short_dir: Path, how: str
) -> None:
    script = HEART.format(tests=str(Path(__file__).parent), base=str(short_dir), how=how)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as heart:
        assert heart.stdout is not None
        tree = [int(word) for word in heart.stdout.readline().split()]
        assert heart.stdout.readline() == b"told\n"
        heart.kill()

    deadline = time.monotonic() + LIMIT_SECS
    while any(process_state(pid) not in {"", "Z"} for pid in tree):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    ground = Ground(short_dir / "run", short_dir / "state", short_dir / "crash")
    ground.sweep_forked()
    ground.sweep_executed()
    assert len(tree) == 6  # admin, logger, root, s, a, b
    assert ground.members() == set()
    ground.leave()
