"""Death watch: told once, when a name is gone for good, and only then."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from conftest import HouseBuilder
from trial_house import House, supervisor, worker

from supervisors import children
from supervisors.names import look_up
from supervisors.spec import Budget, ChildSpec, Restart


class Watchers:
    """A house with two watchers, ``w`` and ``v``, whose notices are in a diary."""

    def __init__(self, house: HouseBuilder, folder: Path, *specs: object) -> None:
        self.diary = folder / "diary"
        config = {"diary": str(self.diary)}
        watchers = (worker("w", config=config), worker("v", config=config))
        self.system: House = house(supervisor("root", *watchers, *specs, intensity=100)).start()

    def watch(self, name: str, by: str = "wv") -> None:
        for watcher in by:
            self.system.ask(watcher, f"watch {name}")

    def told(self) -> Counter[str]:
        lines = self.diary.read_text().splitlines()
        return Counter(line for line in lines if line.startswith("terminated"))

    def eventually_told(self, *expected: str) -> None:
        self.system.eventually(lambda: self.told() == Counter(expected))

    def still_told(self, *expected: str) -> None:
        """Nothing more comes: what happens for a sentinel afterwards has happened to it before."""
        self.watch("nobody", by="w")
        self.system.eventually(lambda: self.told()["terminated nobody for w"] > 0)
        assert self.told() == Counter([*expected, "terminated nobody for w"])


def test_each_watcher_is_told_once_when_a_child_is_stopped(
    house: HouseBuilder, tmp_path: Path
) -> None:
    home = Watchers(house, tmp_path, worker("a"))
    home.watch("a")
    home.watch("a", by="w")

    children.terminate_child(home.system.runtime, "root", "a")

    home.eventually_told("terminated a for w", "terminated a for v")
    home.still_told("terminated a for w", "terminated a for v")


def test_restart_is_not_told_also_not_that_of_the_supervisor(
    house: HouseBuilder, tmp_path: Path
) -> None:
    home = Watchers(house, tmp_path, supervisor("s", worker("a")))
    home.watch("a")

    home.system.kill("a")
    home.system.eventually_runs("a", 2)
    home.system.kill("s")
    home.system.eventually_runs("a", 3)

    home.still_told()


def test_watching_the_dead_is_told_at_once(house: HouseBuilder, tmp_path: Path) -> None:
    home = Watchers(house, tmp_path, worker("a", restart=Restart.TRANSIENT))
    home.system.tell("a", "end-cleanly")
    home.system.eventually(lambda: home.system.node("a").state == "stopped")

    home.watch("a", by="w")

    home.eventually_told("terminated a for w")


def test_new_child_of_the_same_name_is_watched_anew(house: HouseBuilder, tmp_path: Path) -> None:
    home = Watchers(house, tmp_path)
    a: ChildSpec = worker("a", restart=Restart.TEMPORARY)
    for told in range(1, 3):
        children.start_child(home.system.runtime, "root", a)
        home.watch("a", by="w")
        home.system.kill("a")
        home.eventually_told(*["terminated a for w"] * told)


def test_quarantine_is_the_end_until_a_person_ends_it(house: HouseBuilder, tmp_path: Path) -> None:
    home = Watchers(house, tmp_path, worker("a", budget=Budget(max_restarts=0)))
    home.watch("a", by="w")

    home.system.kill("a")

    home.eventually_told("terminated a for w")


def test_supervisor_that_is_gone_takes_the_names_below_along(
    house: HouseBuilder, tmp_path: Path
) -> None:
    home = Watchers(house, tmp_path, supervisor("s", supervisor("t", worker("a"))))
    home.watch("a", by="w")

    children.terminate_child(home.system.runtime, "root", "s")

    home.eventually_told("terminated a for w")


def test_dynamic_child_is_gone_when_its_supervisor_was_restarted(
    house: HouseBuilder, tmp_path: Path
) -> None:
    home = Watchers(house, tmp_path, supervisor("s", worker("b")))
    children.start_child(home.system.runtime, "s", worker("a"))
    home.watch("a", by="w")
    home.watch("b", by="w")

    home.system.kill("s")
    home.system.eventually_runs("b", 2)

    home.eventually_told("terminated a for w")


def test_all_names_of_a_running_tree_are_there(house: HouseBuilder) -> None:
    system = house(supervisor("root", supervisor("s", worker("a")))).start()

    entries = [look_up(system.runtime, name) for name in ("root", "s", "a")]

    assert [each.supervisor if each else None for each in entries] == ["", "root", "s"]
    assert look_up(system.runtime, "nobody") is None
