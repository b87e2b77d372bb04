"""Where a person's command goes, and that each one is answered once."""

from __future__ import annotations

from supervisors.commands import Commands
from supervisors.control import Command
from supervisors.decisions import Phase


class FakeSupervision:
    def __init__(self) -> None:
        self.phases: dict[str, Phase] = {"a": Phase.RUNNING, "inner": Phase.RUNNING}
        self.running = True
        self.below_takes = True
        self.restarted: list[str] = []
        self.forwarded: list[str] = []

    def phase_of(self, name: str) -> Phase | None:
        return self.phases.get(name)

    def is_running(self) -> bool:
        return self.running

    def order_restart(self, name: str) -> None:
        self.restarted.append(name)

    def child_with(self, name: str) -> str | None:
        return {"a": "a", "gone": "gone", "inner": "inner", "b": "inner"}.get(name)

    def forward(self, child: str, command: Command) -> bool:
        self.forwarded.append(f"{command.verb} {command.name} to {child}")
        return self.below_takes


class Desk:
    def __init__(self) -> None:
        self.supervision = FakeSupervision()
        self.commands = Commands(self.supervision)
        self.answers: list[str | None] = []

    def ask(self, verb: str, name: str) -> list[str | None]:
        self.commands.handle(Command("1", verb, name), self.answers.append)
        return self.answers


def test_own_child_is_restarted() -> None:
    desk = Desk()

    assert desk.ask("restart", "a") == [None]
    assert desk.supervision.restarted == ["a"]


def test_quarantine_of_own_child_is_lifted() -> None:
    desk = Desk()
    desk.supervision.phases["a"] = Phase.QUARANTINED

    assert desk.ask("reset-quarantine", "a") == [None]
    assert desk.supervision.restarted == ["a"]


def test_command_that_cannot_be_done_is_answered_with_why() -> None:
    desk = Desk()

    desk.ask("restart", "nobody")
    desk.ask("restart", "gone")
    desk.ask("reset-quarantine", "a")
    desk.ask("dance", "a")
    desk.supervision.running = False
    desk.ask("restart", "a")

    assert desk.answers == [
        "there is no actor named nobody",
        "gone was temporary, and has ended",
        "a is not quarantined but running",
        "unknown command dance",
        "the supervisor of a is starting or stopping",
    ]
    assert desk.supervision.restarted == []


def test_command_for_a_descendant_is_passed_on_and_its_answer_comes_back_once() -> None:
    desk = Desk()

    assert desk.ask("restart", "b") == []
    assert desk.supervision.forwarded == ["restart b to inner"]

    desk.commands.answered("1", "b is tired")
    desk.commands.answered("1", "again")
    assert desk.answers == ["b is tired"]


def test_command_passed_on_to_one_who_dies_is_answered() -> None:
    desk = Desk()
    desk.ask("restart", "b")

    desk.commands.child_died("a")
    desk.commands.child_died("inner")

    assert desk.answers == ["inner ended before it answered"]


def test_command_for_one_whose_supervisor_is_away_is_answered() -> None:
    desk = Desk()
    desk.supervision.below_takes = False

    assert desk.ask("restart", "b") == ["inner, which supervises b, is not running"]
