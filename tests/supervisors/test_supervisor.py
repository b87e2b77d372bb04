"""Supervisors and guardians as real processes, forked from this one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import supervisor, worker

from supervisors.spec import Backoff, Budget, Restart
from supervisors.status import StartError

QUICK = Budget(max_restarts=100, backoff=Backoff(initial_secs=0.01, max_secs=0.01))


def test_killed_worker_is_replaced_and_its_siblings_are_not(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"), worker("b"), worker("c"))).start()
    before = {name: system.pid(name) for name in "abc"}

    system.kill("b")
    system.eventually_runs("b", 2)

    assert system.ask("b").generation == 2
    assert (system.pid("a"), system.pid("c")) == (before["a"], before["c"])
    assert system.pid("b") != before["b"]
    assert system.node("b").restarts == 1
    assert system.node("b").last_reason == "signal SIGKILL"


def test_report_of_a_killed_worker_has_signal_and_next_start(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()
    pid = system.pid("a")

    system.kill("a")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["pid"] == pid
    assert report["generation"] == 1
    assert report["supervisor"] == "root"
    assert report["reason"] == {"kind": "signal", "detail": "SIGKILL", "exception": None}
    assert report["restart_in_secs"] == 0.0
    assert [each["generation"] for each in system.reports("child_started", "a")] == [1, 2]


def test_children_killed_in_one_instant_are_all_replaced(house: HouseBuilder) -> None:
    names = [f"w{number}" for number in range(6)]
    system = house(supervisor("root", *(worker(name, budget=QUICK) for name in names))).start()

    for name in names:
        system.kill(name)
    for name in names:
        system.eventually_runs(name, 2)

    assert all(system.ask(name).generation == 2 for name in names)
    assert len(system.reports("child_terminated")) == len(names)


def test_killed_supervisor_takes_its_subtree_along_and_is_rebuilt(house: HouseBuilder) -> None:
    inner = supervisor("inner", worker("b"), worker("c"))
    system = house(supervisor("root", worker("a"), inner)).start()
    before = {name: system.pid(name) for name in ("a", "inner", "b", "c")}

    system.kill("inner")
    system.eventually_runs("inner", 2)

    assert system.ask("b").generation == 2
    assert system.ask("c").generation == 2
    assert system.pid("a") == before["a"]
    assert system.processes().isdisjoint({before["inner"], before["b"], before["c"]})


def test_exception_in_receive_ends_the_process_once_with_its_traceback(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()

    system.tell("a", "raise")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"] == {
        "kind": "exception",
        "detail": "as told",
        "exception": "TrialError",
    }
    assert "raise TrialError" in Path(report["crash_file"]).read_text()
    assert system.node("a").last_reason == "TrialError: as told"


def test_exit_status_of_a_worker_is_its_reason(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()

    system.tell("a", "exit 77")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["kind"] == "exit"
    assert report["reason"]["detail"] == "exit status 77"


def test_native_crash_ends_the_process_with_its_stacks(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()

    system.tell("a", "segv")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["detail"] == "SIGSEGV"
    assert "Segmentation fault" in Path(report["crash_file"]).read_text()


@pytest.mark.parametrize("what", ["busy", "never", "block"])
def test_hung_brain_is_found_dumped_and_replaced(house: HouseBuilder, what: str) -> None:
    hasty = worker("a", beat_secs=0.2, stall_timeout_secs=0.5)
    system = house(supervisor("root", hasty, worker("b"))).start()
    sibling = system.pid("b")

    system.tell("a", what)
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["kind"] == "hung"
    assert "Do in work for" in report["reason"]["detail"]
    text = Path(report["crash_file"]).read_text()
    assert "Current thread" in text or "Thread 0x" in text
    if what != "never":  # nothing of a coroutine that waits is on a stack
        assert "trial_actors.py" in text
    assert system.pid("b") == sibling


def test_stopped_worker_is_found_and_replaced(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", beat_secs=0.2))).start()

    system.kill("a", signal.SIGSTOP)
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["kind"] == "hung"
    assert "state T" in Path(report["crash_file"]).read_text()


def test_stopped_supervisor_is_found_and_replaced(house: HouseBuilder) -> None:
    system = house(supervisor("root", supervisor("inner", worker("a")))).start()

    system.kill("inner", signal.SIGSTOP)
    system.eventually_runs("inner", 2)

    assert system.ask("a").generation == 2


def test_worker_that_closes_its_control_channel_is_replaced(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()

    system.ask("a", "close-channel")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["detail"] == "closed its control channel"


def test_slow_work_with_a_turning_loop_is_not_hung(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", beat_secs=0.1))).start()

    answer = system.ask("a", "sleep 1.0")

    assert answer.generation == 1


@pytest.mark.parametrize("start", ["raise", "exit 3", "kill-self SIGKILL"])
def test_child_that_cannot_start_fails_the_start_and_clears_the_ground(
    house: HouseBuilder, start: str
) -> None:
    inner = supervisor("inner", worker("b", config={"start": start}))
    system = house(supervisor("root", worker("a"), inner))

    with pytest.raises(StartError) as caught:
        system.start()

    assert caught.value.child == "b"
    assert list(system.processes()) == []
    assert not system.runtime.exists()
    if start == "raise":
        assert caught.value.reason == "TrialError: as told"
        assert "raise TrialError" in caught.value.traceback


def test_child_that_never_gets_ready_fails_the_start(house: HouseBuilder) -> None:
    slow = worker("a", config={"start": "never"}, start_timeout_secs=0.3, beat_secs=0.1)

    with pytest.raises(StartError, match=r"start_timeout not ready after 0\.3 s") as caught:
        house(supervisor("root", slow)).start()

    assert caught.value.child == "a"


def test_budget_used_up_is_quarantine_and_siblings_live(house: HouseBuilder) -> None:
    budget = Budget(max_restarts=2, backoff=Backoff(initial_secs=0.01))
    fragile = worker("a", budget=budget, config={"start": "raise-after-first"})
    system = house(supervisor("root", fragile, worker("b"))).start()
    sibling = system.pid("b")

    system.kill("a")
    system.eventually(lambda: system.node("a").state == "quarantined")

    assert system.node("a").pid is None
    assert system.pid("b") == sibling
    assert system.node("root").state == "running"
    assert len(system.reports("quarantined", "a")) == 1
    assert len(system.reports("start_error", "a")) == 2


def test_intensity_used_up_passes_to_the_parent(house: HouseBuilder) -> None:
    inner = supervisor("inner", worker("b"), intensity=1, period_secs=60.0)
    system = house(supervisor("root", worker("a"), inner)).start()
    first = system.pid("a")

    system.kill("b")
    system.eventually_runs("b", 2)
    system.kill("b")
    system.eventually_runs("inner", 2)

    assert system.ask("b").generation == 3
    assert system.pid("a") == first
    assert len(system.reports("shutdown", "b")) == 1


def test_supervisor_answers_while_a_child_starts_slowly(
    house: HouseBuilder, short_dir: Path
) -> None:
    stuck = short_dir / "stuck"
    slow = worker("a", config={"start": f"sleep-while {stuck}"}, start_timeout_secs=60.0)
    system = house(supervisor("root", slow, worker("b"))).start()
    stuck.touch()
    system.kill("a")
    system.eventually(lambda: system.node("a").state == "restarting")

    system.kill("b")
    system.eventually_runs("b", 2)

    assert system.node("a").state == "restarting"


def test_children_start_in_order_and_stop_in_reverse(house: HouseBuilder, short_dir: Path) -> None:
    diary = {"diary": str(short_dir / "diary")}
    inner = supervisor("inner", worker("b", config=diary), worker("c", config=diary))
    tree = supervisor("root", worker("a", config=diary), inner, worker("d", config=diary))
    system = house(tree).start()

    system.heart.stop()

    notes = (short_dir / "diary").read_text().splitlines()
    starts = [f"start {name}" for name in "abcd"]
    assert notes == starts + [f"stop {name}" for name in "dcba"]


def test_child_that_does_not_stop_in_time_is_killed(house: HouseBuilder, short_dir: Path) -> None:
    diary = {"diary": str(short_dir / "diary")}
    stubborn = worker("b", config={"stop": "busy"}, shutdown_secs=0.3)
    system = house(supervisor("root", worker("a", config=diary), stubborn)).start()

    system.heart.stop()

    assert (short_dir / "diary").read_text().splitlines() == ["start a", "stop a"]
    [report] = system.reports("shutdown_error", "b")
    assert report["reason"]["detail"] == "did not stop within 0.3 s"
    assert "trial_actors.py" in Path(report["crash_file"]).read_text()


def test_transient_child_is_replaced_after_a_crash(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", restart=Restart.TRANSIENT))).start()

    system.kill("a")

    system.eventually_runs("a", 2)


def test_temporary_child_is_forgotten_when_it_ended(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", restart=Restart.TEMPORARY), worker("b"))).start()

    system.kill("a")
    system.eventually(lambda: system.heart.status().find("a") is None)

    assert system.node("b").state == "running"
    assert len(system.reports("child_terminated", "a")) == 1


def test_output_of_actors_goes_to_a_file(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()

    system.ask("a", "print")
    system.heart.stop()

    assert "x" * 100 in (system.crash_dir / "stderr.log").read_text()


def test_many_kills_leave_no_descriptor_and_no_zombie(house: HouseBuilder) -> None:
    budget = Budget(max_restarts=1000, backoff=Backoff(initial_secs=0.0, max_secs=0.0))
    system = house(supervisor("root", worker("a", budget=budget))).start()
    system.kill("a")
    system.eventually_runs("a", 2)
    root = system.pid("root")
    descriptors = len(list(Path(f"/proc/{root}/fd").iterdir()))

    for generation in range(3, 53):
        system.kill("a")
        system.eventually_runs("a", generation)

    system.eventually(lambda: len(list(Path(f"/proc/{root}/fd").iterdir())) <= descriptors + 2)
    assert children_of(root) == [system.pid("a")]


def test_worker_inherits_none_of_its_supervisors_descriptors(house: HouseBuilder) -> None:
    system = house(supervisor("root", *(worker(f"w{number}") for number in range(8)))).start()

    open_files = [
        [str(link.readlink()) for link in Path(f"/proc/{system.pid(f'w{number}')}/fd").iterdir()]
        for number in range(8)
    ]

    assert not [link for links in open_files for link in links if "pidfd" in link]
    assert max(map(len, open_files)) < 2 * min(map(len, open_files))


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
