"""Erlang's API against real processes: children added, stopped and forgotten while all runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors import children
from supervisors.children import ChildRefusedError
from supervisors.decisions import RequestError
from supervisors.policy import Counts, Presence
from supervisors.spec import Instance, Restart, Strategy, SupervisorSpec
from supervisors.status import StartError

UP, UNDEFINED = Presence.UP, Presence.UNDEFINED


def refused(call: object, *arguments: object) -> RequestError | None:
    assert callable(call)
    with pytest.raises(ChildRefusedError) as caught:
        call(*arguments)
    return caught.value.error


def test_child_is_added_stopped_started_and_forgotten(house: HouseBuilder) -> None:
    system = house(supervisor("root", supervisor("inner", worker("a")))).start()
    at = (system.runtime, "inner")

    assert not children.start_child(*at, worker("b")).ignored
    assert system.ask("b").generation == 1
    assert children.which_children(*at) == [("b", UP), ("a", UP)]
    assert refused(children.start_child, *at, worker("b")) is RequestError.ALREADY_STARTED
    assert refused(children.delete_child, *at, "b") is RequestError.RUNNING

    system.kill("b")
    system.eventually_runs("b", 2)

    children.terminate_child(*at, "b")
    assert children.which_children(*at) == [("b", UNDEFINED), ("a", UP)]
    assert children.count_children(*at) == Counts(specs=2, active=1, supervisors=0, workers=2)
    children.restart_child(*at, "b")
    assert system.ask("b").generation == 3

    children.terminate_child(*at, "b")
    children.delete_child(*at, "b")
    assert refused(children.terminate_child, *at, "b") is RequestError.NOT_FOUND
    assert children.get_childspec(*at, "a") == worker("a")


def test_start_that_fails_is_answered_with_its_reason(house: HouseBuilder) -> None:
    system = house(supervisor("root", worker("a"))).start()
    at = (system.runtime, "root")

    with pytest.raises(ChildRefusedError, match="TrialError: as told") as caught:
        children.start_child(*at, worker("b", config={"start": "raise"}))
    assert caught.value.error is RequestError.START_FAILED
    missing = worker("b", shutdown_secs=-1)
    assert refused(children.start_child, *at, missing) is RequestError.INVALID_SPEC
    unknown = SupervisorSpec(name="s", children=(worker("c"),), intensity=-1)
    assert refused(children.start_child, *at, unknown) is RequestError.INVALID_SPEC
    assert children.which_children(*at) == [("a", UP)]


def test_child_that_is_not_needed_ends_without_a_failure(house: HouseBuilder) -> None:
    idle = worker("b", config={"start": "not-needed"})
    system = house(supervisor("root", worker("a"), idle)).start()
    at = (system.runtime, "root")

    assert children.which_children(*at) == [("b", UNDEFINED), ("a", UP)]
    assert children.restart_child(*at, "b").ignored
    assert system.reports("start_error") == []


def test_dynamic_children_come_and_go_under_their_own_names(house: HouseBuilder) -> None:
    pool = supervisor(
        "pool", worker("template"), strategy=Strategy.SIMPLE_ONE_FOR_ONE, max_children=3
    )
    system = house(supervisor("root", pool)).start()
    at = (system.runtime, "pool")

    for name in ("x", "y", "z"):
        children.start_child(*at, Instance(name=name))
    assert refused(children.start_child, *at, Instance(name="w")) is RequestError.MAX_CHILDREN
    system.kill("y")
    system.eventually_runs("y", 2)
    assert system.ask("y").generation == 2

    children.terminate_child(*at, "x")
    assert refused(children.restart_child, *at, "y") is RequestError.SIMPLE_ONE_FOR_ONE
    assert sorted(children.which_children(*at)) == [("y", UP), ("z", UP)]


def test_supervisor_that_was_added_serves_its_own_children(house: HouseBuilder) -> None:
    system = house(supervisor("root")).start()
    inner = supervisor("inner", worker("a"), restart=Restart.TEMPORARY)

    children.start_child(system.runtime, "root", inner)
    children.start_child(system.runtime, "inner", worker("b"))
    system.eventually(lambda: system.heart.status().find("b") is not None)

    assert children.which_children(system.runtime, "inner") == [("b", UP), ("a", UP)]
    with pytest.raises(ChildRefusedError, match="there is no actor named nobody"):
        children.which_children(system.runtime, "nobody")


def test_group_is_restarted_together(house: HouseBuilder, short_dir: Path) -> None:
    system, diary = three(house, short_dir, Strategy.ONE_FOR_ALL)

    system.kill("b")
    for name in "abc":
        system.eventually_runs(name, 2)

    up = ["start a", "start b", "start c"]
    assert diary.read_text().splitlines() == [*up, "stop c", "stop a", *up]


def test_rest_of_the_group_is_restarted_together(house: HouseBuilder, short_dir: Path) -> None:
    system, diary = three(house, short_dir, Strategy.REST_FOR_ONE)
    first = system.pid("a")

    system.kill("b")
    system.eventually_runs("b", 2)
    system.eventually_runs("c", 2)

    assert system.pid("a") == first
    after = diary.read_text().splitlines()[3:]
    assert after == ["stop c", "start b", "start c"]


def three(house: HouseBuilder, folder: Path, strategy: Strategy) -> tuple[House, Path]:
    diary = folder / "diary"
    workers = [worker(name, config={"diary": str(diary)}) for name in "abc"]
    system = house(supervisor("root", *workers, strategy=strategy)).start()
    return system, diary


def test_failed_start_of_the_system_names_the_child(house: HouseBuilder) -> None:
    failing = worker("b", config={"start": "raise"})
    with pytest.raises(StartError) as caught:
        house(supervisor("root", worker("a"), failing, strategy=Strategy.ONE_FOR_ALL)).start()

    assert caught.value.child == "b"
