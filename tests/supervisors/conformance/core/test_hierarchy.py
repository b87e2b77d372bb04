"""OTP's groups hierarchy and significant, and what misc asks of trees, size and reports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
import pytest
from paper_supervisor import FAIL, PaperSupervisor, child, paper

from supervisors.decisions import Outcome, ReportKind
from supervisors.policy import Counts, Presence
from supervisors.reports import Reason, SupervisorReport, one_line
from supervisors.spec import (
    AutoShutdown,
    ChildSpec,
    Instance,
    Restart,
    Strategy,
    SupervisorSpec,
)

NEVER, ANY, ALL = AutoShutdown.NEVER, AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
TRANSIENT, TEMPORARY = Restart.TRANSIENT, Restart.TEMPORARY
SIMPLE = Strategy.SIMPLE_ONE_FOR_ONE
UP, UNDEFINED = Presence.UP, Presence.UNDEFINED
REASONS = ("normal", "shutdown", "{shutdown,x}", "boom", "kill")
CLEAN = REASONS[:3]


def inner_spec(name: str, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    return SupervisorSpec(name=name, children=children, **fields)


# -- trees --


def test_tree() -> None:
    bottom = inner_spec("bottom", child("t"), strategy=SIMPLE, intensity=0)
    middle = inner_spec("middle", child("a"), bottom, intensity=1)
    top = paper(middle).start_link()
    top.inner["middle"].inner["bottom"].start_child(Instance(name="dynamic"))

    # A crash in the middle is nobody else's business.
    before = top.inner["middle"].inner["bottom"]
    top.inner["middle"].exit("a", "kill")
    assert top.inner["middle"].inner["bottom"] is before
    assert top.starts == {"middle": 1}

    # Escalation restarts the subtree, with its static children and without its dynamic ones.
    before.exit("dynamic", "kill")
    assert before.outcome is Outcome.GAVE_UP
    assert top.starts == {"middle": 2}
    rebuilt = top.inner["middle"]
    assert rebuilt.which() == [("bottom", UP), ("a", UP)]
    assert rebuilt.inner["bottom"].which() == []


def test_simple_global_supervisor() -> None:
    top = paper(inner_spec("inner", child("a"))).start_link()
    first = top.inner["inner"]

    top.exit("inner", "kill")

    assert top.inner["inner"] is not first
    assert top.which() == [("inner", UP)]
    assert top.inner["inner"].which() == [("a", UP)]
    for reason in ("kill", "boom"):
        top.inner["inner"].exit("a", reason)
        assert top.inner["inner"].which() == [("a", UP)]


def test_faulty_application_shutdown() -> None:
    # The deepest reason passes up whole; on processes with the child's traceback.
    middle = inner_spec("middle", child("a", shutdown_secs=-1))

    answer = paper().start_link().start_child(inner_spec("top", middle))

    assert "a: shutdown_secs was -1" in answer.detail
    failing = paper(child("a"), child("b"))
    failing.next_starts["b"].append(FAIL)
    failing.start_link()
    assert failing.finish is not None
    assert (failing.finish.outcome, failing.finish.culprit) == (Outcome.START_FAILED, "b")


# -- significant children --


def significant(*children: ChildSpec, mode: AutoShutdown, **fields: Any) -> PaperSupervisor:
    return paper(*children, auto_shutdown=mode, **fields).start_link()


@pytest.mark.parametrize("mode", list(AutoShutdown))
@pytest.mark.parametrize("reason", REASONS)
def test_nonsignificant_temporary(mode: AutoShutdown, reason: str) -> None:
    supervisor = significant(child("a", TEMPORARY), mode=mode)

    supervisor.exit("a", reason)

    assert supervisor.is_alive


@pytest.mark.parametrize("mode", list(AutoShutdown))
@pytest.mark.parametrize("reason", REASONS)
def test_nonsignificant_transient(mode: AutoShutdown, reason: str) -> None:
    supervisor = significant(child("a", TRANSIENT), mode=mode)

    supervisor.exit("a", reason)

    assert supervisor.is_alive


@pytest.mark.parametrize("reason", REASONS)
def test_significant_temporary(reason: str) -> None:
    both = [child(name, TEMPORARY, significant=True) for name in "ab"]
    any_one = significant(*both, child("c"), mode=ANY)
    any_one.exit("a", reason)
    assert any_one.outcome is Outcome.AUTO_SHUTDOWN
    assert any_one.up == set()

    stopped = significant(*both, mode=ANY)
    stopped.terminate_child("a")
    assert stopped.is_alive

    all_of_them = significant(*both, child("c"), mode=ALL)
    all_of_them.exit("a", reason)
    assert all_of_them.is_alive
    all_of_them.exit("b", reason)
    assert all_of_them.outcome is Outcome.AUTO_SHUTDOWN


@pytest.mark.parametrize("reason", REASONS)
def test_significant_transient(reason: str) -> None:
    both = [child(name, TRANSIENT, significant=True) for name in "ab"]
    any_one = significant(*both, mode=ANY)
    any_one.exit("a", reason)
    assert any_one.is_alive is (reason not in CLEAN)
    if any_one.is_alive:
        assert any_one.starts["a"] == 2

    all_of_them = significant(*both, mode=ALL)
    all_of_them.terminate_child("a")
    assert all_of_them.is_alive
    all_of_them.exit("b", reason)
    assert all_of_them.is_alive is (reason not in CLEAN)


@pytest.mark.parametrize("restart", [TRANSIENT, TEMPORARY])
def test_significant_simple(restart: Restart) -> None:
    template = child("t", restart, significant=True)

    def two(mode: AutoShutdown) -> PaperSupervisor:
        supervisor = significant(template, mode=mode, strategy=SIMPLE)
        supervisor.start_child(Instance(name="a"))
        supervisor.start_child(Instance(name="b"))
        return supervisor

    any_one = two(ANY)
    any_one.exit("a", "normal")
    assert any_one.outcome is Outcome.AUTO_SHUTDOWN

    all_of_them = two(ALL)
    all_of_them.exit("a", "shutdown")
    assert all_of_them.is_alive
    all_of_them.terminate_child("b")
    assert all_of_them.is_alive
    all_of_them.start_child(Instance(name="c"))
    all_of_them.exit("c", "{shutdown,x}")
    assert all_of_them.outcome is Outcome.AUTO_SHUTDOWN


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
@pytest.mark.parametrize("mode", [ANY, ALL])
def test_significant_bystander(strategy: Strategy, mode: AutoShutdown) -> None:
    children = (child("a"), child("b", TEMPORARY, significant=True))
    supervisor = significant(*children, mode=mode, strategy=strategy)

    supervisor.exit("a", "kill")

    assert supervisor.is_alive
    assert supervisor.which() == [("a", UP)]


@pytest.mark.parametrize("is_significant", [True, False])
def test_significant_escalation(*, is_significant: bool) -> None:
    inner = inner_spec(
        "inner",
        child("a", TRANSIENT, significant=True),
        auto_shutdown=ANY,
        restart=TRANSIENT,
        significant=is_significant,
    )
    outer = significant(child("b"), mode=ANY)
    assert outer.start_child(inner).error is None

    outer.inner["inner"].exit("a", "normal")

    assert outer.is_alive is not is_significant
    if not is_significant:
        assert outer.presence("inner") is UNDEFINED


# -- size --


def steps(work: Callable[[], None]) -> int:
    """How many calls ``work`` makes: what it costs, as no noise can change it."""
    count = 0

    def on_event(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def steps_to_start_and_stop(count: int) -> int:
    children = [child(f"c{number}") for number in range(count)]

    def work() -> None:
        supervisor = paper(*children).start_link()
        assert supervisor.counts().active == count
        supervisor.stop()
        assert supervisor.outcome is Outcome.STOPPED

    return steps(work)


def test_scale_start_stop_many_children() -> None:
    few, many = steps_to_start_and_stop(100), steps_to_start_and_stop(1000)

    assert many < few * 10 * 10  # ten times as many: at most ten times worse than linear


def steps_to_terminate(count: int) -> int:
    supervisor = paper(child("t", TEMPORARY), strategy=SIMPLE).start_link()
    for number in range(count):
        supervisor.start_child(Instance(name=f"c{number}"))
    terminated = steps(supervisor.stop)
    assert supervisor.outcome is Outcome.STOPPED
    return terminated


def test_simple_one_for_one_scale_many_temporary_children() -> None:
    few, many = steps_to_terminate(100), steps_to_terminate(1000)

    assert many < few * 50


# -- reports --


def test_format_log_2() -> None:
    report = SupervisorReport(
        ts_ns=1,
        report=ReportKind.CHILD_TERMINATED.value,
        supervisor="root",
        child="a",
        pid=4711,
        generation=2,
        reason=Reason("exception", "as told\nin two lines " + "x" * 500, "TrialError"),
        crash_file=None,
        restart_in_secs=0.0,
    )

    line = one_line(report, max_chars=120)

    assert line.startswith(
        "Supervisor: root. Context: child_terminated. Reason: TrialError: as told"
    )
    assert line.endswith("… Offender: id=a,pid=4711.")
    assert "\n" not in line
    assert len(line) <= 120
    assert msgspec.json.decode(msgspec.json.encode(report), type=SupervisorReport) == report


def test_counts_of_a_tree_are_those_of_one_level() -> None:
    top = paper(inner_spec("inner", child("a"), child("b"))).start_link()

    assert top.counts() == Counts(specs=1, active=1, supervisors=1, workers=0)
