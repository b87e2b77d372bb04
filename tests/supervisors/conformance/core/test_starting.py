"""OTP's groups sup_start, sup_start_map: starting, ignore, and start errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from paper_supervisor import FAIL, IGNORE, PaperSupervisor, child, paper

from supervisors.decisions import Answer, ChildIgnored, Outcome, ReportKind, RequestError
from supervisors.policy import Counts, Presence, get_childspec, initial_state
from supervisors.spec import (
    AutoShutdown,
    ChildSpec,
    Instance,
    Restart,
    SpecError,
    Strategy,
    SupervisorSpec,
)
from supervisors.spec_check import mistakes_of_child

SIMPLE = Strategy.SIMPLE_ONE_FOR_ONE


def test_sup_start_normal() -> None:
    supervisor = paper().start_link()
    assert supervisor.is_ready

    supervisor.stop()

    assert supervisor.outcome is Outcome.STOPPED


def test_sup_start_ignore_init() -> None:
    outer = paper(SupervisorSpec(name="inner"))
    outer.next_starts["inner"].append(IGNORE)

    outer.start_link()

    assert outer.is_ready
    assert outer.presence("inner") is Presence.UNDEFINED
    assert outer.reports == []


def test_sup_start_ignore_child() -> None:
    supervisor = paper(child("a")).start_link()
    supervisor.next_starts["b"].append(IGNORE)

    answer = supervisor.start_child(child("b"))

    assert answer == Answer(answer.request, ignored=True)
    assert supervisor.presence("b") is Presence.UNDEFINED
    assert supervisor.counts() == Counts(specs=2, active=1, supervisors=0, workers=2)


def test_sup_start_ignore_temporary_child() -> None:
    supervisor = paper(child("a", Restart.TEMPORARY), child("b"))
    supervisor.next_starts["a"].append(IGNORE)

    supervisor.start_link()

    assert supervisor.which() == [("b", Presence.UP)]
    assert supervisor.is_ready


def test_sup_start_ignore_temporary_child_start_child() -> None:
    supervisor = paper().start_link()
    supervisor.next_starts["a"].append(IGNORE)

    answer = supervisor.start_child(child("a", Restart.TEMPORARY))

    assert answer.ignored
    assert supervisor.which() == []


@pytest.mark.parametrize("restart", [Restart.TEMPORARY])
def test_sup_start_ignore_temporary_child_start_child_simple(restart: Restart) -> None:
    supervisor = ignored_instance(restart)

    assert supervisor.counts() == Counts(specs=1, active=0, supervisors=0, workers=0)


def test_sup_start_ignore_permanent_child_start_child_simple() -> None:
    supervisor = ignored_instance(Restart.PERMANENT)
    assert supervisor.counts() == Counts(specs=1, active=0, supervisors=0, workers=0)

    supervisor.stop()

    assert supervisor.outcome is Outcome.STOPPED


def ignored_instance(restart: Restart) -> PaperSupervisor:
    supervisor = paper(child("t", restart), strategy=SIMPLE).start_link()
    supervisor.next_starts["a"].append(IGNORE)
    assert supervisor.start_child(Instance(name="a")).ignored
    return supervisor


@pytest.mark.parametrize("children", ["junk", None, [child("a")], ("junk",)])
def test_sup_start_error_return(children: Any) -> None:
    with pytest.raises(SpecError):
        initial_state(SupervisorSpec(name="root", children=children))


def test_sup_start_fail() -> None:
    supervisor = paper(child("a"), child("b"), child("c"))
    supervisor.next_starts["b"].append(FAIL)

    supervisor.start_link()

    assert supervisor.outcome is Outcome.START_FAILED
    assert supervisor.finish is not None
    assert supervisor.finish.culprit == "b"
    assert supervisor.events == [["start", "a"], ["fail", "b"], ["stop", "a", "shutdown"]]
    assert supervisor.reports == [(ReportKind.START_ERROR, "b")]


def test_sup_start_child_returns_error() -> None:
    supervisor = paper().start_link()
    supervisor.next_starts["a"].append(FAIL)

    answer = supervisor.start_child(child("a"))

    assert (answer.error, answer.detail) == (RequestError.START_FAILED, "injected")
    assert supervisor.which() == []


def test_sup_start_restart_child_returns_error() -> None:
    supervisor = paper(child("a")).start_link()
    supervisor.terminate_child("a")
    supervisor.next_starts["a"].append(FAIL)

    answer = supervisor.restart_child("a")

    assert answer.error is RequestError.START_FAILED
    assert supervisor.which() == [("a", Presence.UNDEFINED)]


def test_sup_start_child_returns_error_simple() -> None:
    supervisor = paper(child("t"), strategy=SIMPLE).start_link()
    supervisor.next_starts["a"].append(FAIL)

    answer = supervisor.start_child(Instance(name="a"))

    assert (answer.error, answer.detail) == (RequestError.START_FAILED, "injected")
    assert supervisor.which() == []


def test_sup_start_map() -> None:
    worker = ChildSpec(name="a", actor="m:C")
    inner = SupervisorSpec(name="s")
    supervisor = paper(worker, inner).start_link()

    assert get_childspec(supervisor.state, "a") == ChildSpec(
        name="a", actor="m:C", restart=Restart.PERMANENT, significant=False, shutdown_secs=5.0
    )
    found = get_childspec(supervisor.state, "s")
    assert isinstance(found, SupervisorSpec)
    assert found.shutdown_secs is None
    assert get_childspec(supervisor.state, "nobody") is RequestError.NOT_FOUND


def test_sup_start_map_simple() -> None:
    template = child("t", config="of the template")
    supervisor = paper(template, strategy=SIMPLE).start_link()
    supervisor.start_child(Instance(name="a", config="own"))

    assert get_childspec(supervisor.state, "a") == child("a", config="own")
    assert get_childspec(supervisor.state, "t") is RequestError.SIMPLE_ONE_FOR_ONE
    assert get_childspec(supervisor.state, "b") is RequestError.NOT_FOUND


@pytest.mark.parametrize(
    "faulty", [{"actor": "m:C"}, {"name": "a"}, "not a map", {"name": "a", "actor": 3}]
)
def test_sup_start_map_faulty_specs(faulty: Mapping[str, Any] | str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(faulty, ChildSpec)

    known = msgspec.convert({"name": "a", "actor": "m:C", "unknown": 1}, ChildSpec)
    assert known == ChildSpec(name="a", actor="m:C")
    assert mistakes_of_child(known, AutoShutdown.NEVER) == []


def test_ignore_of_a_child_that_is_being_stopped_is_its_end() -> None:
    supervisor = paper(child("a")).start_link()
    before = supervisor.state

    supervisor._happen(ChildIgnored("nobody"))

    assert supervisor.state == before
