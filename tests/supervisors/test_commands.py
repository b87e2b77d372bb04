"""Where a person's command goes, and that each one is answered once."""

from __future__ import annotations

from typing import Any

from supervisors.commands import Answer, Commands
from supervisors.control import Command
from supervisors.decisions import BudgetReset, Phase, RestartRequested


class FakeSupervision:
    name = "root"

    def __init__(self) -> None:
        self.served: list[str] = []
        self.phases: dict[str, Phase] = {"a": Phase.RUNNING, "inner": Phase.RUNNING}
        self.running = True
        self.below_takes = True
        self.orders: list[RestartRequested | BudgetReset] = []
        self.forwarded: list[str] = []

    def phase_of(self, name: str) -> Phase | None:
        return self.phases.get(name)

    def is_running(self) -> bool:
        return self.running

    def order(self, event: RestartRequested | BudgetReset) -> None:
        self.orders.append(event)

    def kill(self, name: str) -> bool:
        return self.phases.get(name) is Phase.RUNNING

    def serve(self, command: Command, answer: Answer) -> None:
        self.served.append(command.verb)
        answer(None, "served")

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
        self.results: list[Any] = []

    def ask(self, verb: str, name: str) -> list[str | None]:
        self.commands.handle(Command("1", verb, name), self.take)
        return self.answers

    def take(self, error: str | None, result: Any = None) -> None:
        self.answers.append(error)
        self.results.append(result)


def test_own_child_is_restarted() -> None:
    desk = Desk()

    assert desk.ask("restart", "a") == [None]
    assert desk.supervision.orders == [RestartRequested("a")]


def test_quarantine_of_own_child_is_lifted() -> None:
    desk = Desk()
    desk.supervision.phases["a"] = Phase.QUARANTINED

    assert desk.ask("reset-budget", "a") == [None]
    assert desk.supervision.orders == [BudgetReset("a")]


def test_command_that_cannot_be_done_is_answered_with_why() -> None:
    desk = Desk()

    desk.ask("restart", "nobody")
    desk.ask("restart", "gone")
    desk.supervision.phases["a"] = Phase.BACKOFF
    desk.ask("kill", "a")
    desk.ask("dance", "a")
    desk.supervision.running = False
    desk.ask("restart", "a")

    assert desk.answers == [
        "there is no actor named nobody",
        "gone was temporary, and has ended",
        "a is not running",
        "unknown command dance",
        "the supervisor of a is starting or stopping",
    ]
    assert desk.supervision.orders == []


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


def test_what_erlang_asks_of_a_supervisor_is_served_by_itself() -> None:
    desk = Desk()

    assert desk.ask("which_children", "root") == [None]
    assert desk.supervision.served == ["which_children"]
    assert desk.results == ["served"]


def test_what_erlang_asks_of_a_supervisor_below_is_passed_on_to_it() -> None:
    desk = Desk()

    desk.ask("start_child", "inner")
    desk.commands.answered("1", None, {"ignored": False})

    assert desk.supervision.forwarded == ["start_child inner to inner"]
    assert desk.results == [{"ignored": False}]


def test_supervisor_that_does_not_run_cannot_be_asked() -> None:
    desk = Desk()
    desk.supervision.below_takes = False

    assert desk.ask("count_children", "inner") == ["inner is not running"]


def test_own_child_is_killed() -> None:
    assert Desk().ask("kill", "a") == [None]


def test_look_at_a_worker_is_passed_on_to_itself() -> None:
    desk = Desk()

    desk.ask("state", "a")
    desk.commands.answered("1", None, "seen")

    assert desk.supervision.forwarded == ["state a to a"]
    assert desk.results == ["seen"]


def test_supervisor_has_no_messages_to_look_at() -> None:
    assert Desk().ask("suspend", "root") == ["root is a supervisor: it handles no messages"]
