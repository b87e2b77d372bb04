"""Specifications that cannot be started, and why."""

from __future__ import annotations

from typing import Any

import pytest
from trial_house import supervisor, worker

from supervisors.spec import ChildSpec, SpecError, Strategy, SupervisorSpec
from supervisors.spec_check import check_spec, import_actor, import_actors
from supervisors.status import StartError


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (supervisor("r", strategy=Strategy.SIMPLE_ONE_FOR_ONE), "exactly one child spec"),
        (
            supervisor("r", supervisor("t", worker("a")), strategy=Strategy.SIMPLE_ONE_FOR_ONE),
            "children of a template would all have the same names",
        ),
        (supervisor("r", intensity=-1), "intensity was -1"),
        (supervisor("r", period_secs=0.0), "period_secs was 0.0"),
        (supervisor("r", worker("a"), worker("a")), "a: the name is used twice"),
        (supervisor("r", supervisor("s", worker("r"))), "r: the name is used twice"),
        (supervisor("r", worker("")), "name was ''"),
        (supervisor("r", worker("a", significant=True)), "a: significant was true"),
        (supervisor("r", worker("a", shutdown_secs=-1.0)), "shutdown_secs was -1.0"),
        (supervisor("r", worker("a", start_timeout_secs=0.0)), "start_timeout_secs was 0.0"),
        (supervisor("r", worker("a", beat_secs=0.0)), "beat_secs was 0.0"),
        (supervisor("r", worker("a", stall_timeout_secs=-2.0)), "stall_timeout_secs was -2.0"),
    ],
)
def test_mistake_is_named(tree: SupervisorSpec, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        check_spec(tree)


def test_all_mistakes_are_told_at_once() -> None:
    tree = supervisor("r", supervisor("s", intensity=-1), worker("a", beat_secs=0.0), intensity=-2)

    with pytest.raises(SpecError) as caught:
        check_spec(tree)

    assert str(caught.value).count(";") == 2


def test_good_tree_has_no_mistakes() -> None:
    check_spec(supervisor("r", worker("a"), supervisor("s", worker("b", shutdown_secs=None))))


@pytest.mark.parametrize("path", ["supervisors.spec", "supervisors.spec:Nobody"])
def test_path_that_names_no_class_is_refused(path: str) -> None:
    with pytest.raises(SpecError):
        import_actor(path)


def test_actor_that_cannot_be_imported_is_named_with_its_traceback() -> None:
    missing: Any = ChildSpec(name="a", actor="no.such:Thing")

    with pytest.raises(StartError) as caught:
        import_actors(supervisor("r", supervisor("s", missing)))

    assert caught.value.child == "a"
    assert "ModuleNotFoundError" in caught.value.traceback
