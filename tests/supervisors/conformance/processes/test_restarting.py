"""OTP's cases of restarting, with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import HouseBuilder
from process_home import Home
from trial_house import supervisor

from supervisors import children
from supervisors.decisions import RequestError
from supervisors.policy import Counts, Presence
from supervisors.spec import AutoShutdown, Instance, Restart, Strategy

UP, RESTARTING, UNDEFINED = Presence.UP, Presence.RESTARTING, Presence.UNDEFINED
PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
ONE_FOR_ALL, REST_FOR_ONE = Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
SIMPLE = Strategy.SIMPLE_ONE_FOR_ONE
ALL_UP = [("c", UP), ("b", UP), ("a", UP)]
LONG = {"period_secs": 3600.0}


@pytest.fixture
def home(house: HouseBuilder, short_dir: Path) -> Home:
    return Home(house, short_dir)


def test_one_for_one(home: Home) -> None:
    home.start(*home.three(), intensity=2, **LONG)
    home.new_page()

    home.crash("b", times=2)
    assert home.diary() == ["start b", "start b"]

    home.end("b", "kill")
    home.eventually_dead()
    assert home.diary()[2:] == ["stop c", "stop a"]


def test_one_for_one_escalation(home: Home) -> None:
    broken = home.folder / "broken"
    fragile = home.worker("a", config={"start": f"raise-while {broken}"})
    home.start(fragile, home.worker("b"), intensity=3, **LONG)
    broken.touch()

    home.end("a", "kill")

    home.eventually_dead()
    assert len(home.system.reports("start_error", "a")) == 3
    assert len(home.system.reports("shutdown", "a")) == 1


def test_one_for_all(home: Home) -> None:
    home.start(*home.three(), strategy=ONE_FOR_ALL, intensity=2, **LONG)
    pids = {name: home.system.pid(name) for name in "abc"}

    home.new_page()
    home.crash("b")
    home.system.eventually_runs("c", 2)
    assert home.diary() == ["stop c", "stop a", "start a", "start b", "start c"]
    assert all(home.system.pid(name) != pids[name] for name in "abc")

    home.crash("b")
    home.system.eventually_runs("c", 3)
    home.end("b", "kill")
    home.eventually_dead()


def test_one_for_all_escalation(home: Home) -> None:
    broken = home.folder / "broken"
    fragile = home.worker("b", config={"start": f"raise-while {broken}"})
    home.start(home.worker("a"), fragile, strategy=ONE_FOR_ALL, intensity=2, **LONG)
    broken.touch()

    home.end("a", "kill")

    home.eventually_dead()


def test_one_for_all_other_child_fails_restart(home: Home) -> None:
    broken = home.folder / "broken"
    fragile = home.worker("b", config={"start": f"raise-while {broken}"})
    home.start(home.worker("a"), fragile, strategy=ONE_FOR_ALL, intensity=1000, **LONG)
    broken.touch()
    home.new_page()

    home.end("a", "kill")
    home.system.eventually(lambda: len(home.system.reports("start_error", "b")) >= 2)
    broken.unlink()

    home.eventually_which([("b", UP), ("a", UP)])
    tries = len(home.system.reports("start_error", "b"))
    assert home.diary() == ["stop b", *["start a", "stop a"] * tries, "start a", "start b"]


def test_rest_for_one(home: Home) -> None:
    home.start(*home.three(), strategy=REST_FOR_ONE, intensity=1, **LONG)
    first = home.system.pid("a")
    home.new_page()

    home.crash("b")
    home.system.eventually_runs("c", 2)
    assert home.diary() == ["stop c", "start b", "start c"]
    assert home.system.pid("a") == first

    home.end("b", "kill")
    home.eventually_dead()


def test_rest_for_one_escalation(home: Home) -> None:
    broken = home.folder / "broken"
    fragile = home.worker("b", config={"start": f"raise-while {broken}"})
    home.start(home.worker("a"), fragile, strategy=REST_FOR_ONE, intensity=2, **LONG)
    broken.touch()

    home.end("a", "kill")

    home.eventually_dead()


def test_rest_for_one_other_child_fails_restart(home: Home) -> None:
    broken = home.folder / "broken"
    fragile = home.worker("b", config={"start": f"raise-while {broken}"})
    home.start(home.worker("a"), fragile, strategy=REST_FOR_ONE, intensity=1000, **LONG)
    broken.touch()
    home.new_page()

    home.end("a", "kill")
    home.system.eventually(lambda: len(home.system.reports("start_error", "b")) >= 2)
    broken.unlink()

    home.eventually_which([("b", UP), ("a", UP)])
    assert home.diary() == ["stop b", "start a", "start b"]


def test_simple_one_for_one(home: Home) -> None:
    template = home.worker("t")
    home.start(template, strategy=SIMPLE, intensity=1, **LONG)
    for name in ("x", "y"):
        home.start_child(Instance(name=name, config=template.config))
    other = home.system.pid("y")

    home.crash("x")
    assert home.system.pid("y") == other

    home.end("x", "kill")
    home.eventually_dead()


def test_simple_one_for_one_escalation(home: Home) -> None:
    broken = home.folder / "broken"
    home.start(home.worker("t"), strategy=SIMPLE, intensity=2, **LONG)
    home.start_child(Instance(name="x", config={"start": f"raise-while {broken}"}))
    broken.touch()

    home.end("x", "kill")

    home.eventually_dead()


@pytest.mark.parametrize("reason", ["normal"])
def test_permanent_normal(home: Home, reason: str) -> None:
    home.start(home.worker("a"))

    home.end("a", reason)

    home.system.eventually_runs("a", 2)


def test_transient_normal(home: Home) -> None:
    home.start(home.worker("a", TRANSIENT))

    home.end("a", "normal")

    home.eventually_which([("a", UNDEFINED)])


def test_temporary_normal(home: Home) -> None:
    home.start(home.worker("a", TEMPORARY))

    home.end("a", "normal")

    home.eventually_which([])


@pytest.mark.parametrize("reason", ["boom", "kill"])
def test_permanent_abnormal(home: Home, reason: str) -> None:
    test_permanent_normal(home, reason)


@pytest.mark.parametrize("reason", ["boom", "kill"])
def test_transient_abnormal(home: Home, reason: str) -> None:
    home.start(home.worker("a", TRANSIENT))

    home.end("a", reason)

    home.system.eventually_runs("a", 2)


@pytest.mark.parametrize("reason", ["boom", "kill"])
def test_temporary_abnormal(home: Home, reason: str) -> None:
    home.start(home.worker("a", TEMPORARY))

    home.end("a", reason)

    home.eventually_which([])
    assert len(home.system.reports("child_terminated", "a")) == 1


@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_temporary_bystander(home: Home, strategy: Strategy) -> None:
    home.start(home.worker("a"), home.worker("b", TEMPORARY), strategy=strategy)

    home.crash("a")

    assert home.which() == [("a", UP)]


def test_child_adm(home: Home) -> None:
    home.start(home.worker("a"))
    assert home.refused(home.delete_child, "a") is RequestError.RUNNING
    assert home.refused(home.restart_child, "a") is RequestError.RUNNING
    assert home.refused(home.start_child, home.worker("a")) is RequestError.ALREADY_STARTED

    home.terminate_child("a")
    assert home.which() == [("a", UNDEFINED)]
    assert home.refused(home.start_child, home.worker("a")) is RequestError.ALREADY_PRESENT
    home.restart_child("a")
    home.terminate_child("a")
    home.delete_child("a")
    for ask in (home.terminate_child, home.restart_child, home.delete_child):
        assert home.refused(ask, "a") is RequestError.NOT_FOUND


def test_child_adm_simple(home: Home) -> None:
    home.start(home.worker("t"), strategy=SIMPLE)
    home.start_child(Instance(name="x"))

    for ask in (home.delete_child, home.restart_child):
        assert home.refused(ask, "x") is RequestError.SIMPLE_ONE_FOR_ONE
    assert home.refused(home.terminate_child, "t") is RequestError.SIMPLE_ONE_FOR_ONE
    home.terminate_child("x")
    assert home.which() == []


def test_count_children(home: Home) -> None:
    home.start(supervisor("s"), home.worker("a"), home.worker("b", TEMPORARY))
    assert home.counts() == Counts(specs=3, active=3, supervisors=1, workers=2)

    home.end("b", "kill")
    home.eventually_which([("a", UP), ("s", UP)])

    assert home.counts() == Counts(specs=2, active=2, supervisors=1, workers=1)


def test_which_children(home: Home) -> None:
    home.start(*home.three())
    assert home.which() == ALL_UP

    home.terminate_child("b")
    assert home.which() == [("c", UP), ("b", UNDEFINED), ("a", UP)]
    home.delete_child("b")
    assert home.which() == [("c", UP), ("a", UP)]


def test_which_children_simple_one_for_one(home: Home) -> None:
    home.start(home.worker("t"), strategy=SIMPLE)
    for name in ("x", "y"):
        home.start_child(Instance(name=name))

    assert sorted(home.which() or []) == [("x", UP), ("y", UP)]


def hanging(home: Home, strategy: Strategy) -> None:
    broken = home.folder / "broken"
    fragile = home.worker("b", config={"start": f"raise-while {broken}"})
    members = (home.worker("a"), fragile, home.worker("c"))
    home.start(*members, strategy=strategy, intensity=1_000_000, **LONG)
    broken.touch()
    home.end("b", "kill")
    home.system.eventually(lambda: len(home.system.reports("start_error", "b")) >= 2)
    assert home.refused(home.delete_child, "b") is RequestError.RESTARTING
    assert home.refused(home.restart_child, "b") is RequestError.RESTARTING


def test_hanging_restart_loop(home: Home) -> None:
    hanging(home, Strategy.ONE_FOR_ONE)
    assert home.which() == [("c", UP), ("b", RESTARTING), ("a", UP)]

    home.terminate_child("b")
    assert home.which() == [("c", UP), ("b", UNDEFINED), ("a", UP)]
    home.stop()
    assert home.which() is None


def test_hanging_restart_loop_rest_for_one(home: Home) -> None:
    hanging(home, REST_FOR_ONE)
    assert home.which() == [("c", UNDEFINED), ("b", RESTARTING), ("a", UP)]

    home.stop()
    assert home.which() is None


def test_tree(home: Home) -> None:
    pool = supervisor("pool", home.worker("t"), strategy=SIMPLE, intensity=0)
    middle = supervisor("middle", home.worker("a"), pool, intensity=1, **LONG)
    home.start(middle)
    children.start_child(home.system.runtime, "pool", Instance(name="x"))
    home.system.eventually(lambda: home.system.heart.status().find("x") is not None)
    home.crash("a")
    assert home.system.node("x").generation == 1

    home.end("x", "kill")  # one too many for the pool, and then for the middle
    home.system.eventually_runs("middle", 2)

    home.system.eventually_runs("a", 3)
    assert children.which_children(home.system.runtime, "pool") == []


def test_simple_global_supervisor(home: Home) -> None:
    home.start(supervisor("inner", home.worker("a")))
    before = {home.system.pid("inner"), home.system.pid("a")}

    home.crash("inner")
    home.system.eventually_runs("a", 2)

    assert home.system.ask("a").generation == 2
    assert home.system.processes().isdisjoint(before)
    home.crash("a")
    assert home.system.ask("a").generation == 3


@pytest.mark.parametrize("reason", ["normal", "kill"])
def test_significant_temporary(home: Home, reason: str) -> None:
    both = [home.worker(name, TEMPORARY, significant=True) for name in "ab"]
    home.start(*both, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)

    home.end("a", reason)
    home.eventually_which([("b", UP)])
    home.end("b", reason)

    home.eventually_dead()


def test_significant_transient(home: Home) -> None:
    matters = home.worker("a", TRANSIENT, significant=True)
    home.start(matters, home.worker("b"), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    home.crash("a")

    home.end("a", "normal")

    home.eventually_dead()


@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_significant_bystander(home: Home, strategy: Strategy) -> None:
    matters = home.worker("b", TEMPORARY, significant=True)
    flags = {"auto_shutdown": AutoShutdown.ANY_SIGNIFICANT}
    home.start(home.worker("a"), matters, strategy=strategy, **flags)

    home.crash("a")

    assert home.which() == [("a", UP)]


@pytest.mark.parametrize("is_significant", [True, False])
def test_significant_escalation(home: Home, *, is_significant: bool) -> None:
    flags = {"auto_shutdown": AutoShutdown.ANY_SIGNIFICANT}
    matters = home.worker("a", TRANSIENT, significant=True)
    fields = {"restart": TRANSIENT, "significant": is_significant}
    home.start(supervisor("inner", matters, **flags, **fields), home.worker("b"), **flags)

    home.end("a", "normal")

    if is_significant:
        home.eventually_dead()
    else:
        home.eventually_which([("b", UP), ("inner", UNDEFINED)])
