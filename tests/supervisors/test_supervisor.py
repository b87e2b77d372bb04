"""Supervisors and guardians as real processes, forked from this one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import supervisor, worker

from supervisors.spec import Backoff, Budget, Restart
from supervisors.status import StartError


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


def test_native_crash_ends_the_process_with_its_stacks(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()

    system.tell("a", "segv")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["detail"] == "SIGSEGV"
    assert "Segmentation fault" in Path(report["crash_file"]).read_text()


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
    # Its supervisor notices first, or it fails itself when it next has something to say.
    assert report["reason"]["detail"] in {"closed its control channel", "exit status 1"}


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
