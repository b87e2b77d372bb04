"""The outer watchdog: the admin, the root, and the heart's own process end in every way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import LIMIT_SECS, House, supervisor, worker

from supervisors.ground import GroundTakenError
from supervisors.heart import Heart
from supervisors.process import executed_processes, forked_processes, process_state
from supervisors.spec import Backoff, Budget, ChildSpec, SpecError
from supervisors.status import HeartGaveUpError, StartError

TREE = supervisor("root", worker("a"), supervisor("inner", worker("b")))


def admin_pid(system: House) -> int:
    assert system.heart._body is not None
    pid = system.heart._body.admin_pid
    assert pid is not None
    return pid


def test_started_system_is_ready_as_a_whole(house: HouseBuilder) -> None:
    system = house(TREE).start()

    status = system.heart.status()

    assert [node.name for node in status.workers()] == ["a", "b"]
    assert {node.state for node in status.workers()} == {"running"}
    assert status.state == "running"
    assert system.node("inner").type == "supervisor"


def test_stopped_system_leaves_nothing(house: HouseBuilder) -> None:
    system = house(TREE).start()
    everybody = system.processes()

    system.heart.stop()

    assert len(everybody) >= 6  # admin, logger, root, inner, a, b
    assert list(forked_processes(system.runtime / "alive")) == []
    assert not system.runtime.exists()
    assert system.heart.status().state == "stopped"


def test_killed_admin_takes_all_along_and_the_system_is_rebuilt(house: HouseBuilder) -> None:
    system = house(TREE).start()
    before = system.processes()

    os.kill(admin_pid(system), signal.SIGKILL)
    system.eventually_runs("b", 2)

    assert system.ask("a").generation == 2
    assert before.isdisjoint(system.processes())
    [report] = system.reports("child_terminated", "admin")
    assert report["reason"]["detail"] == "SIGKILL"
    assert len(system.reports("system_restarted")) == 1


def test_killed_root_takes_all_along_and_the_system_is_rebuilt(house: HouseBuilder) -> None:
    system = house(TREE).start()
    before = system.processes()

    system.kill("root")
    system.eventually_runs("b", 2)

    assert system.ask("b").generation == 2
    assert before.isdisjoint(system.processes())


@pytest.mark.parametrize("who", ["admin", "root"])
def test_stopped_admin_or_root_is_found_and_the_system_rebuilt(
    house: HouseBuilder, who: str
) -> None:
    system = house(TREE).start()

    os.kill(admin_pid(system) if who == "admin" else system.pid("root"), signal.SIGSTOP)
    system.eventually_runs("b", 2)

    [report] = system.reports("child_terminated", who)
    assert report["reason"]["kind"] in {"hung", "not_progressing"}


def test_heart_makes_no_progress_while_the_root_hangs_or_the_system_is_rebuilt(
    house: HouseBuilder,
) -> None:
    system = house(TREE).start()
    system.eventually(lambda: system.heart.is_progressing)
    seen: list[bool] = []

    os.kill(system.pid("root"), signal.SIGSTOP)
    system.eventually(lambda: not seen.append(system.heart.is_progressing) and not all(seen))
    system.eventually(lambda: system.reports("system_restarted") != [])

    system.eventually(lambda: system.heart.is_progressing)
    assert system.ask("b").generation == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("who", ["admin", "root"])
def test_ground_is_cleared_before_the_system_is_rebuilt(
    house: HouseBuilder, who: str, number: signal.Signals
) -> None:
    system = house(TREE).start()
    before = system.processes()
    old_key = (system.runtime / "key").read_bytes()

    os.kill(admin_pid(system) if who == "admin" else system.pid("root"), number)
    system.eventually_runs("b", 2)

    assert before.isdisjoint(system.processes())
    # Whose parent is gone is buried by the first process of the machine, when that gets to it.
    assert {process_state(pid) for pid in before} <= {"", "Z"}
    assert (system.runtime / "key").read_bytes() != old_key
    assert {system.ask(name).generation for name in ("a", "b")} == {2}


def test_rebuild_without_a_writable_folder_is_tried_again(
    house: HouseBuilder, short_dir: Path
) -> None:
    system = house(supervisor("root", worker("a"))).start()
    generations = short_dir / "state" / "generations"
    kept = generations.rename(short_dir / "kept")
    generations.write_text("in the way")

    system.kill("root")
    system.eventually(lambda: len(system.reports("start_error", "admin")) >= 2)
    generations.unlink()
    kept.rename(generations)

    system.eventually(lambda: len(system.reports("system_restarted")) == 1)
    assert system.ask("a").generation == 2


def test_killed_logger_is_replaced_and_the_admin_lives(house: HouseBuilder) -> None:
    system = house(TREE).start()
    admin = admin_pid(system)
    [logger] = [pid for pid in system.processes() if comm(pid) == "logger"]

    os.kill(logger, signal.SIGKILL)
    system.eventually(lambda: "logger" in {comm(pid) for pid in system.processes() - {logger}})

    assert admin_pid(system) == admin
    assert system.reports("child_terminated") == []


def test_system_that_fails_too_often_is_given_up_and_gone(house: HouseBuilder) -> None:
    budget = Budget(max_restarts=1, backoff=Backoff(initial_secs=0.01))
    system = house(TREE, budget=budget).start()
    system.kill("root")
    system.eventually_runs("b", 2)
    system.kill("root")

    with pytest.raises(HeartGaveUpError, match="failed 2 times"):
        system.eventually(lambda: False)

    assert not system.runtime.exists()


@pytest.mark.parametrize("who", ["admin", "root"])
def test_wait_ends_with_the_admin_or_the_root(house: HouseBuilder, who: str) -> None:
    system = house(TREE).start()
    began = time.monotonic()

    os.kill(admin_pid(system) if who == "admin" else system.pid("root"), signal.SIGKILL)
    system.heart.wait(10 * LIMIT_SECS)

    assert time.monotonic() - began < LIMIT_SECS
    assert len(system.heart.poll()) == 1


def test_system_that_ran_long_enough_is_built_again_without_a_pause(house: HouseBuilder) -> None:
    backoff = Backoff(initial_secs=10 * LIMIT_SECS, max_secs=10 * LIMIT_SECS, reset_secs=0.0)
    system = house(TREE, budget=Budget(backoff=backoff)).start()

    for generation in (2, 3, 4):
        system.kill("root")
        system.eventually_runs("b", generation)

    delays = {report["restart_in_secs"] for report in system.reports("child_terminated", "root")}
    assert delays == {0.0}


def test_rebuild_that_fails_is_tried_again_after_a_pause(
    house: HouseBuilder, short_dir: Path
) -> None:
    broken = short_dir / "broken"
    fragile = worker("a", config={"start": f"raise-while {broken}"})
    system = house(supervisor("root", fragile)).start()
    broken.touch()

    system.kill("root")
    system.eventually(lambda: len(system.reports("start_error", "a")) >= 2)
    broken.unlink()

    system.eventually(lambda: len(system.reports("system_restarted")) == 1)
    assert system.ask("a").generation > 1


def test_second_heart_on_the_same_folder_is_refused(house: HouseBuilder) -> None:
    first = house(TREE).start()

    with pytest.raises(GroundTakenError, match="another system runs"):
        house(TREE).start()

    assert first.ask("a").generation == 1


def test_folder_that_others_can_read_is_refused(house: HouseBuilder, short_dir: Path) -> None:
    (short_dir / "run").mkdir(mode=0o755)

    with pytest.raises(GroundTakenError, match="0700"):
        house(TREE).start()

    (short_dir / "run").rmdir()


def test_taken_port_fails_the_start(short_dir: Path, house: HouseBuilder) -> None:
    system = house(TREE)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        system.heart = Heart(
            TREE,
            runtime=system.runtime,
            state_dir=short_dir / "state",
            crash_dir=system.crash_dir,
            budget=Budget(),
            admin_port=other.getsockname()[1],
        )
        with pytest.raises(StartError, match="is taken by another program"):
            system.start()


def test_actor_that_cannot_be_imported_fails_the_start(house: HouseBuilder) -> None:
    missing = ChildSpec(name="a", actor="no_such_module:Actor")

    with pytest.raises(StartError, match="cannot import no_such_module:Actor") as caught:
        house(supervisor("root", missing)).start()

    assert "ModuleNotFoundError" in caught.value.traceback


def test_spec_that_cannot_be_carried_out_is_refused(house: HouseBuilder) -> None:
    with pytest.raises(SpecError, match="max_children needs strategy simple_one_for_one"):
        house(supervisor("root", worker("a"), max_children=3)).start()


def test_executed_program_of_an_actor_ends_with_the_system(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()
    system.ask("a", "execute")
    variable = f"KRATOR_RUNTIME={system.runtime}"
    assert list(executed_processes(variable)) != []

    system.heart.stop()

    assert list(executed_processes(variable)) == []


@pytest.fixture
def outside_heart(short_dir: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A heart in a process of its own, that can be killed."""
    program = textwrap.dedent(
        """
        import sys, time
        sys.path.insert(0, sys.argv[2])
        from pathlib import Path
        from trial_house import LIMIT_SECS, House, supervisor, worker
        stubborn = worker("a", config={"stop": "never"})
        tree = supervisor("root", stubborn, supervisor("inner", worker("b")))
        system = House(tree, Path(sys.argv[1]))
        system.start()
        print("ready", flush=True)
        while True:
            system.heart.poll()
            time.sleep(0.05)
        """
    )
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(short_dir), here], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process, short_dir
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_killed_heart_takes_everything_along(
    outside_heart: tuple[subprocess.Popen[str], Path],
) -> None:
    process, base = outside_heart
    marker = base / "run" / "alive"
    before = list(forked_processes(marker))

    process.kill()

    deadline = time.monotonic() + 5
    while set(forked_processes(marker)) - {process.pid}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(before) >= 7
    assert json.loads((base / "run" / "system.json").read_text())["heart_pid"] == process.pid


def test_heart_after_a_killed_one_starts_on_the_same_folder(
    outside_heart: tuple[subprocess.Popen[str], Path], house: HouseBuilder
) -> None:
    process, _ = outside_heart
    process.kill()
    process.wait()

    system = house(TREE).start()

    assert system.ask("a").generation == 2


def test_interrupt_from_the_terminal_is_for_the_heart_alone(
    short_dir: Path,
) -> None:
    program = """
import signal, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from trial_house import LIMIT_SECS, House, supervisor, worker
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
a = worker("a", config={"diary": sys.argv[1] + "/diary"})
system = House(supervisor("root", a), Path(sys.argv[1]))
system.start()
print("ready", flush=True)
system.eventually(lambda: bool(seen))
assert system.ask("a").generation == 1
system.heart.stop()
"""
    command = [sys.executable, "-c", program, str(short_dir), str(Path(__file__).parent)]
    # A session of its own stands for a terminal: what is typed goes to its foreground group.
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as heart:
        try:
            assert heart.stdout is not None
            assert heart.stdout.readline() == b"ready\n"

            os.killpg(heart.pid, signal.SIGINT)

            assert heart.wait(60) == 0
        finally:
            heart.kill()
    assert (short_dir / "diary").read_text().splitlines() == ["start a", "stop a"]


def test_orphan_of_an_earlier_run_is_ended_and_raises_an_alarm(
    house: HouseBuilder, short_dir: Path
) -> None:
    runtime = (short_dir / "run").resolve()
    orphan = subprocess.Popen(
        ["/bin/sleep", "600"], env={"KRATOR_RUNTIME": str(runtime)}, start_new_session=True
    )
    try:
        system = house(TREE).start()

        assert orphan.wait(10) == -signal.SIGTERM
    finally:
        orphan.kill()
        orphan.wait()
    [raised], [cleared] = (
        system.reports(f"alarm_{word}", "heart") for word in ("raised", "cleared")
    )
    assert str(orphan.pid) in raised["alarm"]["detail"]
    assert cleared["alarm"] == raised["alarm"]


def test_whoever_waits_for_a_start_and_a_stop_is_told_that_it_goes_on(short_dir: Path) -> None:
    calls: list[str] = []
    phase = "start"
    heart = Heart(
        TREE,
        runtime=short_dir / "run",
        state_dir=short_dir / "state",
        crash_dir=short_dir / "crash",
        budget=Budget(),
        waiting=lambda: calls.append(phase),
    )
    try:
        heart.start()
        phase = "stop"
    finally:
        heart.stop()

    assert {"start", "stop"} == set(calls)


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
