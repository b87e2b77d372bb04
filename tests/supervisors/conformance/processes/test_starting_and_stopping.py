"""OTP's cases of starting and stopping, with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import HouseBuilder
from process_home import Home
from trial_house import supervisor, worker

from supervisors import children
from supervisors.children import ChildRefusedError
from supervisors.decisions import RequestError
from supervisors.policy import Counts, Presence
from supervisors.spec import Instance, Restart, Strategy
from supervisors.status import StartError

UP, UNDEFINED = Presence.UP, Presence.UNDEFINED
TEMPORARY = Restart.TEMPORARY
SIMPLE = Strategy.SIMPLE_ONE_FOR_ONE
IDLE = {"start": "not-needed"}
FAILING = {"start": "raise"}


@pytest.fixture
def home(house: HouseBuilder, short_dir: Path) -> Home:
    return Home(house, short_dir)


def test_sup_start_normal(home: Home) -> None:
    home.start()
    assert home.which() == []

    home.stop()

    assert home.which() is None


def test_sup_start_ignore_child(home: Home) -> None:
    home.start(home.worker("a"))

    assert home.start_child(home.worker("b", config=IDLE)).ignored

    assert home.which() == [("b", UNDEFINED), ("a", UP)]
    assert home.counts() == Counts(specs=2, active=1, supervisors=0, workers=2)


def test_sup_start_ignore_temporary_child(home: Home) -> None:
    home.start(home.worker("a", TEMPORARY, config=IDLE), home.worker("b"))

    assert home.which() == [("b", UP)]


def test_sup_start_ignore_temporary_child_start_child(home: Home) -> None:
    home.start()

    assert home.start_child(home.worker("a", TEMPORARY, config=IDLE)).ignored
    assert home.which() == []


@pytest.mark.parametrize("restart", [TEMPORARY])
def test_sup_start_ignore_temporary_child_start_child_simple(home: Home, restart: Restart) -> None:
    home.start(home.worker("t", restart), strategy=SIMPLE)

    assert home.start_child(Instance(name="a", config=IDLE)).ignored
    assert home.which() == []


def test_sup_start_ignore_permanent_child_start_child_simple(home: Home) -> None:
    test_sup_start_ignore_temporary_child_start_child_simple(home, Restart.PERMANENT)

    home.stop()

    assert home.which() is None


def test_sup_start_fail(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"), worker("b", config=FAILING)))

    with pytest.raises(StartError) as caught:
        system.start()

    assert caught.value.child == "b"
    assert "raise TrialError" in caught.value.traceback
    assert list(system.processes()) == []


def test_faulty_application_shutdown(house: HouseBuilder) -> None:
    deep = supervisor("top", supervisor("middle", worker("a", config=FAILING)))

    with pytest.raises(StartError, match="TrialError: as told") as caught:
        house(supervisor("root", deep)).start()

    assert caught.value.child == "a"
    assert "raise TrialError" in caught.value.traceback


def test_sup_start_child_returns_error(home: Home) -> None:
    home.start()

    with pytest.raises(ChildRefusedError, match="start_failed: TrialError: as told"):
        home.start_child(home.worker("a", config=FAILING))

    assert home.which() == []


def test_sup_start_restart_child_returns_error(home: Home) -> None:
    broken = home.folder / "broken"
    home.start(home.worker("a", config={"start": f"raise-while {broken}"}))
    home.terminate_child("a")
    broken.touch()

    assert home.refused(home.restart_child, "a") is RequestError.START_FAILED

    assert home.which() == [("a", UNDEFINED)]


def test_sup_start_child_returns_error_simple(home: Home) -> None:
    home.start(home.worker("t"), strategy=SIMPLE)

    failing = Instance(name="a", config=FAILING)
    assert home.refused(home.start_child, failing) is RequestError.START_FAILED
    assert home.which() == []


def test_extra_return(home: Home) -> None:
    home.start()
    talkative = home.worker("a", config={"info": {"port": 4711}})

    assert home.start_child(talkative).info == {"port": 4711}
    home.crash("a")
    home.terminate_child("a")
    assert home.restart_child("a").info == {"port": 4711}


def test_already_started_outside_supervisor(home: Home) -> None:
    home.start()
    # Another supervisor's child holds the name.
    children.start_child(home.system.runtime, "root", worker("outside"))

    late = home.worker("outside", start_timeout_secs=0.5)
    assert home.refused(home.start_child, late) is RequestError.START_FAILED

    assert home.which() == []
    assert home.system.ask("outside").generation >= 1


def test_sup_stop_infinity(home: Home) -> None:
    slow = home.worker("a", shutdown_secs=None, config={"stop": "sleep 0.5"})
    home.start(slow, home.worker("b"))

    home.stop()

    assert home.diary()[2:] == ["stop b", "stop a"]


def test_sup_stop_timeout(home: Home) -> None:
    stubborn = home.worker("b", shutdown_secs=0.3, config={"stop": "busy"})
    home.start(home.worker("a"), stubborn)

    home.stop()

    assert home.diary()[2:] == ["stop a"]
    assert len(home.system.reports("shutdown_error", "b")) == 1


def test_sup_stop_timeout_dynamic(home: Home) -> None:
    template = home.worker("t", shutdown_secs=0.5)
    home.start(template, strategy=SIMPLE)
    for name in ("x", "y"):
        home.start_child(Instance(name=name, config={"stop": "busy"}))

    home.stop()

    assert len(home.system.reports("shutdown_error")) == 2


def test_sup_stop_brutal_kill(home: Home) -> None:
    home.start(home.worker("a"), home.worker("b", shutdown_secs=0), home.worker("c"))

    home.stop()

    assert home.diary()[3:] == ["stop c", "stop a"]
    assert home.system.reports("shutdown_error") == []


def test_sup_stop_brutal_kill_dynamic(home: Home) -> None:
    template = home.worker("t", shutdown_secs=0)
    home.start(template, strategy=SIMPLE)
    for name in ("x", "y"):
        home.start_child(Instance(name=name, config=template.config))

    home.stop()

    assert home.diary() == ["start x", "start y"]
    assert home.system.reports("shutdown_error") == []


def test_simple_one_for_one_shutdown(home: Home, tmp_path: Path) -> None:
    template = home.worker("t", shutdown_secs=None)
    home.start(template, strategy=SIMPLE)
    # Each one's stop ends when all five are stopping: one after the other it never would.
    config = {"stop": f"meet {tmp_path} 5"} | template.config
    for number in range(5):
        home.start_child(Instance(name=f"x{number}", config=config))

    home.stop()

    assert sorted(home.diary()[5:]) == [f"stop x{number}" for number in range(5)]
    assert home.system.reports("shutdown_error") == []


def test_child_unlink(home: Home) -> None:
    home.start(home.worker("naughty", shutdown_secs=0.3, config={"stop": "block"}))
    home.system.tell("naughty", "execute")

    home.terminate_child("naughty")

    assert home.which() == [("naughty", UNDEFINED)]
    assert home.system.node("naughty").pid is None


def test_order_of_children(home: Home) -> None:
    names = [f"c{number}" for number in range(5)]
    home.start(*(home.worker(name) for name in names), strategy=Strategy.REST_FOR_ONE)
    assert home.diary() == [f"start {name}" for name in names]

    home.new_page()
    home.crash("c2")
    home.system.eventually_runs("c4", 2)
    tail = ["start c2", "start c3", "start c4"]
    assert home.diary() == ["stop c4", "stop c3", *tail]

    home.new_page()
    home.stop()
    assert home.diary() == [f"stop {name}" for name in reversed(names)]
