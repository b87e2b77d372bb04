"""A person looks into actors of a running system and holds them still, with real processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors import looking
from supervisors.spec import Backoff, Budget
from supervisors.status import Alarm, RefusedError

TREE = supervisor("root", worker("a"), supervisor("inner", worker("b")))


def alarms(system: House, name: str) -> dict[str, Alarm]:
    return {alarm.kind: alarm for alarm in system.node(name).alarms}


def told(system: House, report: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in system.reports(report) if each["alarm"]["kind"] == kind]


def test_tree_shows_processor_memory_and_limits_of_every_process(house: HouseBuilder) -> None:
    system = house(TREE).start()

    system.eventually(lambda: all(n.rss_bytes > 1e6 for n in system.heart.status().all_nodes()))

    assert system.node("b").inbox_limit == 10_000
    assert system.node("inner").inbox_limit == 0
    parent = system.heart.status().parent_of("b")
    assert parent is not None
    assert parent.name == "inner"


def test_busy_actor_shows_its_processor_time_and_the_message_in_work(house: HouseBuilder) -> None:
    system = house(TREE).start()

    system.tell("b", "busy")

    system.eventually(lambda: system.node("b").in_work == "Do")
    system.eventually(lambda: system.node("b").in_work_secs > 0.5)
    assert system.node("b").cpu_percent > 5


def test_times_are_told_without_a_turn_of_the_loop(house: HouseBuilder) -> None:
    system = house(TREE).start()
    system.ask("b")
    system.tell("b", "busy")
    system.eventually(lambda: system.node("b").in_work == "Do")

    times = looking.times(system.runtime, "b")

    assert sum(each.handling.count for each in times.values()) >= 1


def test_state_has_what_was_handled_and_what_the_actor_says(house: HouseBuilder) -> None:
    system = house(TREE).start()
    for _ in range(12):
        system.ask("b")

    insight = looking.actor_state(system.runtime, "b")

    assert insight.actor == "trial_actors:Trial"
    assert insight.state == {"generation": 1, "password": "***"}
    assert insight.state_error is None
    assert insight.statistics.handled == 12
    assert [each.message for each in insight.recent] == ["Do"] * 10
    assert all(each.sender.startswith("test.") for each in insight.recent)
    assert [(each.message, each.handled) for each in insight.classes] == [("Do", 12)]


def test_state_of_a_busy_actor_comes_without_its_own_words(house: HouseBuilder) -> None:
    system = house(TREE).start()
    system.tell("b", "busy")

    insight = looking.actor_state(system.runtime, "b")

    assert insight.state is None
    assert insight.state_error is not None
    assert "Do in work for" in insight.state_error


def test_suspended_actor_handles_nothing_until_resumed_and_is_not_hung(
    house: HouseBuilder,
) -> None:
    system = house(supervisor("root", worker("a", beat_secs=0.1))).start()

    assert looking.suspend(system.runtime, "a")
    assert not looking.suspend(system.runtime, "a")
    system.tell("a", "nothing")
    system.eventually(lambda: system.node("a").inbox == 1)
    system.eventually(lambda: system.node("a").state == "suspended")
    assert list(alarms(system, "a")) == ["suspended"]

    assert looking.resume(system.runtime, "a")
    assert not looking.resume(system.runtime, "a")
    system.eventually(lambda: system.node("a").state == "running")
    assert system.ask("a").generation == 1
    assert alarms(system, "a") == {}
    [raised], [cleared] = (told(system, f"alarm_{w}", "suspended") for w in ("raised", "cleared"))
    assert raised["child"] == cleared["child"] == "a"


def test_suspended_actor_can_be_stopped(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()
    looking.suspend(system.runtime, "a")

    system.heart.stop()

    assert system.reports("shutdown_error") == []


def test_suspension_ends_with_the_process(house: HouseBuilder) -> None:
    system = house(TREE).start()
    looking.suspend(system.runtime, "b")

    looking.kill(system.runtime, "b")

    system.eventually_runs("b", 2)
    assert system.ask("b").generation == 2


def test_trace_ends_after_its_messages(house: HouseBuilder) -> None:
    system = house(TREE).start()
    asking = threading.Event()

    def ask() -> None:
        while not asking.is_set():
            system.ask("b")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        seen = looking.trace(system.runtime, "b", messages=3, secs=20.0)
    finally:
        asking.set()
        thread.join()

    assert [each.message for each in seen] == ["Do"] * 3


def test_trace_ends_after_its_time_with_what_it_saw(house: HouseBuilder) -> None:
    system = house(TREE).start()

    assert looking.trace(system.runtime, "b", messages=3, secs=0.1) == []


def test_who_cannot_be_looked_into_is_refused_with_why(house: HouseBuilder) -> None:
    system = house(TREE).start()

    for name, why in (
        ("nobody", "there is no actor named nobody"),
        ("inner", "inner is a supervisor: it handles no messages"),
        ("root", "root is a supervisor: it handles no messages"),
    ):
        with pytest.raises(RefusedError, match=why):
            looking.actor_state(system.runtime, name)
    with pytest.raises(RefusedError, match="there is no actor named root"):
        looking.kill(system.runtime, "root")


def test_killed_supervisor_is_built_again_with_all_below(house: HouseBuilder) -> None:
    system = house(TREE).start()

    looking.kill(system.runtime, "inner")

    system.eventually_runs("b", 2)
    assert system.node("inner").last_reason == "signal SIGKILL"


def test_directory_says_where_each_name_leads(house: HouseBuilder) -> None:
    system = house(TREE).start()
    system.kill("b")
    system.eventually_runs("b", 2)

    a, b = looking.names(system.runtime)

    assert (a.name, a.generation, b.name, b.generation) == ("a", 1, "b", 2)
    assert b.pid == system.pid("b")
    assert a.is_listening
    assert b.socket == str(system.runtime / "b.lane")


def test_hung_actor_raises_an_alarm_that_clears_with_its_replacement(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a", beat_secs=0.05))).start()

    os.kill(system.pid("a"), signal.SIGSTOP)
    system.eventually_runs("a", 2)

    [raised], [cleared] = (told(system, f"alarm_{w}", "hung") for w in ("raised", "cleared"))
    assert "no progress" in raised["alarm"]["detail"]
    assert cleared["ts_ns"] > raised["ts_ns"]


def test_failing_actor_raises_backoff_storm_and_quarantine(house: HouseBuilder) -> None:
    budget = Budget(max_restarts=3, backoff=Backoff(initial_secs=0.3, jitter=0.0))
    fragile = worker("a", budget=budget, config={"start": "raise-after-first"})
    system = house(supervisor("root", fragile, worker("b"))).start()

    system.kill("a")
    system.eventually(lambda: "backoff" in alarms(system, "a"))
    assert 0 < (system.node("a").restart_in_secs or 0) <= 1.2
    system.eventually(lambda: "quarantined" in alarms(system, "a"))

    assert "restart_storm" in alarms(system, "a")
    assert "backoff" not in alarms(system, "a")
    assert system.node("a").restart_in_secs is None
    assert alarms(system, "b") == {}


def test_actor_raises_and_clears_an_alarm_of_its_own(house: HouseBuilder) -> None:
    system = house(TREE).start()

    system.ask("b", "raise-alarm breaker_open")
    system.eventually(lambda: "breaker_open" in alarms(system, "b"))
    system.ask("b", "clear-alarm breaker_open")
    system.eventually(lambda: alarms(system, "b") == {})

    system.ask("b", "raise-alarm breaker_open")
    system.kill("b")
    system.eventually_runs("b", 2)
    assert alarms(system, "b") == {}


def test_report_of_a_death_names_the_offender_as_sasl_does(house: HouseBuilder) -> None:
    system = house(TREE).start()

    system.kill("b")
    system.eventually_runs("b", 2)

    [report] = system.reports("child_terminated", "b")
    expected: Mapping[str, Any] = {
        "child_type": "worker",
        "start": "trial_actors:Trial",
        "restart_type": "permanent",
        "significant": False,
        "shutdown_secs": 5.0,
    }
    assert report["offender"] == expected


def test_every_death_leaves_a_file_and_a_crash_loop_keeps_the_last_ones(
    house: HouseBuilder,
) -> None:
    budget = Budget(max_restarts=100, backoff=Backoff(initial_secs=0.001, max_secs=0.001))
    system = house(supervisor("root", worker("a", budget=budget))).start()

    for generation in range(2, 25):
        system.kill("a")
        system.eventually_runs("a", generation)

    files = {path.name: path.read_text() for path in system.crash_dir.glob("a-*.txt")}
    dead = {name: text for name, text in files.items() if text}
    assert sorted(dead) == sorted(f"a-{n}.txt" for n in range(4, 24))
    assert "a, generation 23, pid" in dead["a-23.txt"]
    assert "signal SIGKILL" in dead["a-23.txt"]
    last = system.reports("child_terminated", "a")[-1]
    assert last["crash_file"].endswith("a-23.txt")
