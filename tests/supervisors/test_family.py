"""Erlang's requests as one supervisor serves them: texts and builtins instead of values."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from supervisors import decisions as facts
from supervisors.control import Command
from supervisors.family import Family
from supervisors.policy import State, initial_state
from supervisors.spec import ChildSpec, Instance, SupervisorSpec

A = ChildSpec(name="a", actor="m:C", config=object())
B = ChildSpec(name="b", actor="m:C", config=object())
TREE = SupervisorSpec(name="root", children=(A, SupervisorSpec(name="s", children=(B,))))


class Policy:
    """Answers every request as the test says."""

    def __init__(self, *answers: facts.Answer) -> None:
        self.state: State = initial_state(TREE)
        self.given = list(answers)
        self.events: list[facts.Request] = []

    def request(self, event: facts.Request, asker: Callable[[facts.Answer], object]) -> None:
        self.events.append(event)
        asker(self.given.pop(0))


def ask(policy: Policy, verb: str, child: str = "", spec: Any = None) -> tuple[str | None, Any]:
    answers: list[tuple[str | None, Any]] = []
    command = Command("1", verb, "root", child, pickle.dumps(spec))
    Family(policy).handle(command, lambda error, result=None: answers.append((error, result)))
    [answer] = answers
    return answer


def test_children_are_told_in_builtin_types() -> None:
    policy = Policy()

    assert ask(policy, "which_children") == (None, [["s", "undefined"], ["a", "undefined"]])
    counts = {"specs": 2, "active": 0, "supervisors": 1, "workers": 1}
    assert ask(policy, "count_children") == (None, counts)


@pytest.mark.parametrize("name", ["a", "s"])
def test_spec_is_told_without_configurations(name: str) -> None:
    error, found = ask(Policy(), "get_childspec", name)

    assert error is None
    assert found["name"] == name
    assert "object" not in str(found)


def test_unknown_child_is_refused_with_erlangs_word() -> None:
    assert ask(Policy(), "get_childspec", "nobody") == ("not_found", None)


def test_request_is_answered_with_what_came_of_it() -> None:
    policy = Policy(facts.Answer("0", info=4711))

    assert ask(policy, "restart_child", "a") == (None, {"ignored": False, "info": 4711})
    assert policy.events == [facts.RestartChildRequested("0", "a")]


def test_refusal_has_its_detail() -> None:
    failed = facts.Answer("0", facts.RequestError.START_FAILED, "as told")
    policy = Policy(failed)

    error, _ = ask(policy, "start_child", spec=Instance(name="x"))

    assert error == "start_failed: as told"
    assert policy.events == [facts.StartChildRequested("0", Instance(name="x"))]


def test_child_whose_class_is_missing_is_not_asked_for() -> None:
    policy = Policy()

    error, _ = ask(policy, "start_child", spec=ChildSpec(name="x", actor="no.such:Thing"))

    assert error is not None
    assert error.startswith("start_failed: cannot import no.such:Thing")
    assert policy.events == []


def test_verb_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown verb dance"):
        ask(Policy(), "dance")
