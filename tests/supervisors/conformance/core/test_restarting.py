"""OTP's groups restart_* and *_termination: who is started again, and when that ends."""

from __future__ import annotations

import pytest
from paper_supervisor import FAIL, IGNORE, READY, PaperSupervisor, child, paper

from supervisors.decisions import Outcome, ReportKind, RequestError
from supervisors.policy import Counts, Presence
from supervisors.spec import Instance, Restart, Strategy

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
ONE_FOR_ALL, REST_FOR_ONE = Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE
SIMPLE = Strategy.SIMPLE_ONE_FOR_ONE
UP, RESTARTING, UNDEFINED = Presence.UP, Presence.RESTARTING, Presence.UNDEFINED
SHUTDOWNS = ("shutdown", "{shutdown,x}")
CRASHES = ("boom", "kill")


def events(*texts: str) -> list[list[str]]:
    """E.g. ``"start a"``, ``"stop b"`` for one that was told to stop."""
    split = [text.split() for text in texts]
    return [[*words, "shutdown"] if words[0] == "stop" else words for words in split]


def three(strategy: Strategy, intensity: int = 9) -> PaperSupervisor:
    children = [child(name) for name in "abc"]
    supervisor = paper(*children, strategy=strategy, intensity=intensity).start_link()
    supervisor.take_events()
    return supervisor


def simple(*names: str, restart: Restart = PERMANENT, intensity: int = 2) -> PaperSupervisor:
    supervisor = paper(child("t", restart), strategy=SIMPLE, intensity=intensity).start_link()
    for name in names:
        supervisor.start_child(Instance(name=name))
    supervisor.take_events()
    return supervisor


# -- one_for_one --


def test_one_for_one() -> None:
    supervisor = three(Strategy.ONE_FOR_ONE, intensity=2)

    supervisor.exit("b", "kill")
    supervisor.exit("b", "kill")
    assert supervisor.take_events() == events("start b", "start b")

    supervisor.exit("b", "kill")
    assert supervisor.outcome is Outcome.GAVE_UP
    assert supervisor.take_events() == events("stop c", "stop a")
    assert supervisor.reports[-1] == (ReportKind.SHUTDOWN, "b")


def test_one_for_one_escalation() -> None:
    supervisor = three(Strategy.ONE_FOR_ONE, intensity=4)
    supervisor.fail_next_starts("a", 9)

    supervisor.exit("a", "kill")

    assert supervisor.take_events() == events(*["fail a"] * 4, "stop c", "stop b")
    assert supervisor.outcome is Outcome.GAVE_UP


# -- one_for_all --


def test_one_for_all() -> None:
    supervisor = three(ONE_FOR_ALL, intensity=2)

    for _ in range(2):  # one count per event, though three children start each time
        supervisor.exit("b", "kill")
        restarted = events("stop c", "stop a", "start a", "start b", "start c")
        assert supervisor.take_events() == restarted

    supervisor.exit("b", "kill")
    assert supervisor.take_events() == events("stop c", "stop a")
    assert supervisor.outcome is Outcome.GAVE_UP


def test_one_for_all_escalation() -> None:
    supervisor = three(ONE_FOR_ALL, intensity=2)
    supervisor.fail_next_starts("b", 9)

    supervisor.exit("a", "kill")

    assert supervisor.outcome is Outcome.GAVE_UP
    assert supervisor.up == set()


def test_one_for_all_other_child_fails_restart() -> None:
    supervisor = three(ONE_FOR_ALL)
    supervisor.fail_next_starts("b", 2)

    supervisor.exit("a", "kill")

    again = ("start a", "fail b", "stop a")
    finally_up = ("start a", "start b", "start c")
    assert supervisor.take_events() == events("stop c", "stop b", *again, *again, *finally_up)


# -- rest_for_one --


def test_rest_for_one() -> None:
    supervisor = three(REST_FOR_ONE, intensity=2)

    for _ in range(2):
        supervisor.exit("b", "kill")
        assert supervisor.take_events() == events("stop c", "start b", "start c")

    supervisor.exit("b", "kill")
    assert supervisor.take_events() == events("stop c", "stop a")
    assert supervisor.outcome is Outcome.GAVE_UP


def test_rest_for_one_escalation() -> None:
    supervisor = three(REST_FOR_ONE, intensity=2)
    supervisor.fail_next_starts("c", 9)

    supervisor.exit("b", "kill")

    assert supervisor.outcome is Outcome.GAVE_UP
    assert supervisor.take_events()[-1] == ["stop", "a", "shutdown"]


def test_rest_for_one_other_child_fails_restart() -> None:
    supervisor = three(REST_FOR_ONE)
    supervisor.fail_next_starts("b", 2)

    supervisor.exit("a", "kill")

    expected = ("stop c", "stop b", "start a", "fail b", "fail b", "start b", "start c")
    assert supervisor.take_events() == events(*expected)


# -- simple_one_for_one --


def test_simple_one_for_one() -> None:
    supervisor = simple("a", "b")

    supervisor.exit("a", "kill")
    supervisor.exit("a", "boom")
    assert supervisor.starts == {"a": 3, "b": 1}

    supervisor.exit("a", "kill")
    assert supervisor.outcome is Outcome.GAVE_UP
    assert supervisor.up == set()


def test_simple_one_for_one_extra() -> None:
    supervisor = simple()
    supervisor.infos["a"] = "extra"

    assert supervisor.start_child(Instance(name="a")).info == "extra"
    supervisor.exit("a", "kill")

    assert supervisor.presence("a") is UP


def test_simple_one_for_one_escalation() -> None:
    supervisor = simple("a", "b", intensity=4)
    supervisor.fail_next_starts("a", 9)

    supervisor.exit("a", "kill")

    assert supervisor.take_events() == events(*["fail a"] * 4, "stop b")
    assert supervisor.outcome is Outcome.GAVE_UP


def test_simple_one_for_one_restart_ignore() -> None:
    supervisor = simple("a", "b")
    supervisor.next_starts["a"].append(IGNORE)

    supervisor.exit("a", "kill")

    assert supervisor.which() == [("b", UP)]
    assert supervisor.counts() == Counts(specs=1, active=1, supervisors=0, workers=1)
    assert supervisor.is_alive


# -- normal, shutdown and abnormal ends --


def after(restart: Restart, reason: str) -> PaperSupervisor:
    supervisor = paper(child("a", restart)).start_link()
    supervisor.exit("a", reason)
    return supervisor


def test_permanent_normal() -> None:
    assert after(PERMANENT, "normal").which() == [("a", UP)]


def test_transient_normal() -> None:
    assert after(TRANSIENT, "normal").which() == [("a", UNDEFINED)]


def test_temporary_normal() -> None:
    assert after(TEMPORARY, "normal").which() == []


@pytest.mark.parametrize("reason", SHUTDOWNS)
def test_permanent_shutdown(reason: str) -> None:
    assert after(PERMANENT, reason).which() == [("a", UP)]


@pytest.mark.parametrize("reason", SHUTDOWNS)
def test_transient_shutdown(reason: str) -> None:
    supervisor = after(TRANSIENT, reason)
    assert supervisor.which() == [("a", UNDEFINED)]

    assert supervisor.restart_child("a").error is None
    assert supervisor.which() == [("a", UP)]


@pytest.mark.parametrize("reason", SHUTDOWNS)
def test_temporary_shutdown(reason: str) -> None:
    supervisor = after(TEMPORARY, reason)
    assert supervisor.which() == []

    assert supervisor.start_child(child("a", TEMPORARY)).error is None


@pytest.mark.parametrize("reason", CRASHES)
def test_permanent_abnormal(reason: str) -> None:
    assert after(PERMANENT, reason).which() == [("a", UP)]


@pytest.mark.parametrize("reason", CRASHES)
def test_transient_abnormal(reason: str) -> None:
    assert after(TRANSIENT, reason).which() == [("a", UP)]


@pytest.mark.parametrize("reason", CRASHES)
def test_temporary_abnormal(reason: str) -> None:
    supervisor = after(TEMPORARY, reason)

    assert supervisor.which() == []
    assert supervisor.reports == [(ReportKind.CHILD_TERMINATED, "a")]


# -- the window --


@pytest.mark.parametrize(("gap_secs", "lives"), [(4, False), (5, False), (6, True)])
def test_restarts_within_the_period_count_with_an_inclusive_edge(
    gap_secs: int, *, lives: bool
) -> None:
    supervisor = paper(child("a"), intensity=1, period_secs=5.0).start_link()
    supervisor.exit("a")

    supervisor.now += gap_secs
    supervisor.exit("a")

    assert supervisor.is_alive is lives


# -- bystanders --


@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_temporary_bystander(strategy: Strategy) -> None:
    children = (child("a"), child("b", TEMPORARY), child("c"))
    supervisor = paper(*children, strategy=strategy).start_link()

    supervisor.exit("a", "kill")

    assert supervisor.which() == [("c", UP), ("a", UP)]
    assert supervisor.start_child(child("b", TEMPORARY)).error is None


def test_group_restart_also_starts_who_had_ended_normally_or_was_stopped() -> None:
    children = (child("a"), child("b", TRANSIENT), child("c"))
    supervisor = paper(*children, strategy=ONE_FOR_ALL).start_link()
    supervisor.exit("b", "normal")
    supervisor.terminate_child("c")

    supervisor.exit("a", "kill")

    assert supervisor.which() == [("c", UP), ("b", UP), ("a", UP)]


def test_try_that_is_due_is_forgotten_when_a_sibling_brought_the_child_up() -> None:
    supervisor = three(ONE_FOR_ALL)
    supervisor.next_starts["b"].extend([FAIL, READY])
    with supervisor.between_two_tries():
        supervisor.exit("a", "kill")
        assert supervisor.presence("b") is RESTARTING
        supervisor.exit("a", "kill")  # still up: it is stopped by the next try only
        supervisor.take_events()

    assert supervisor.take_events() == []
    assert supervisor.which() == [("c", UP), ("b", UP), ("a", UP)]


def test_request_for_a_child_that_waits_for_its_next_try_is_refused() -> None:
    supervisor = three(REST_FOR_ONE)
    supervisor.fail_next_starts("a", 1)

    with supervisor.between_two_tries():
        supervisor.exit("a", "kill")

        assert supervisor.restart_child("a").error is RequestError.RESTARTING
        assert supervisor.restart_child("b").error is None
