"""OTP's group administration, and what misc asks about answers and counts."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from paper_supervisor import FAIL, PaperSupervisor, child, paper

from supervisors.decisions import Outcome, RequestError
from supervisors.policy import Counts, Presence, initial_state, which_child
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
UP, RESTARTING, UNDEFINED = Presence.UP, Presence.RESTARTING, Presence.UNDEFINED
REASONS = ("normal", "shutdown", "{shutdown,x}", "boom", "kill")


def test_extra_return() -> None:
    supervisor = paper().start_link()
    supervisor.infos["a"] = {"port": 4711}

    assert supervisor.start_child(child("a")).info == {"port": 4711}

    supervisor.exit("a")  # restarted: its info is for nobody
    supervisor.terminate_child("a")
    assert supervisor.restart_child("a").info == {"port": 4711}


def test_child_adm() -> None:
    supervisor = paper(child("a")).start_link()
    assert supervisor.which() == [("a", UP)]
    assert supervisor.counts() == Counts(specs=1, active=1, supervisors=0, workers=1)
    assert supervisor.delete_child("a").error is RequestError.RUNNING
    assert supervisor.restart_child("a").error is RequestError.RUNNING
    assert supervisor.start_child(child("a")).error is RequestError.ALREADY_STARTED

    assert supervisor.terminate_child("a").error is None
    assert supervisor.terminate_child("a").error is None
    assert supervisor.which() == [("a", UNDEFINED)]
    assert supervisor.counts() == Counts(specs=1, active=0, supervisors=0, workers=1)
    assert supervisor.start_child(child("a")).error is RequestError.ALREADY_PRESENT

    assert supervisor.restart_child("a").error is None
    assert supervisor.which() == [("a", UP)]

    supervisor.terminate_child("a")
    assert supervisor.delete_child("a").error is None
    assert supervisor.which() == []
    for ask in (
        supervisor.terminate_child,
        supervisor.restart_child,
        supervisor.delete_child,
    ):
        assert ask("a").error is RequestError.NOT_FOUND

    assert supervisor.start_child(child("a")).error is None
    assert supervisor.start_child(Instance(name="b")).error is RequestError.SIMPLE_ONE_FOR_ONE
    assert supervisor.counts() == Counts(specs=1, active=1, supervisors=0, workers=1)


def test_child_adm_simple() -> None:
    supervisor = paper(child("t"), strategy=SIMPLE).start_link()
    assert supervisor.counts() == Counts(specs=1, active=0, supervisors=0, workers=0)
    assert supervisor.start_child(Instance(name="a")).error is None
    assert supervisor.start_child(Instance(name="b")).error is None
    assert supervisor.counts() == Counts(specs=1, active=2, supervisors=0, workers=2)

    for name in ("t", "a"):
        assert supervisor.delete_child(name).error is RequestError.SIMPLE_ONE_FOR_ONE
        assert supervisor.restart_child(name).error is RequestError.SIMPLE_ONE_FOR_ONE
    assert supervisor.terminate_child("t").error is RequestError.SIMPLE_ONE_FOR_ONE
    assert supervisor.start_child(child("c")).error is RequestError.SIMPLE_ONE_FOR_ONE
    assert supervisor.start_child(Instance(name="a")).error is RequestError.ALREADY_STARTED

    assert supervisor.terminate_child("a").error is None
    assert supervisor.terminate_child("a").error is RequestError.NOT_FOUND
    assert supervisor.which() == [("b", UP)]


VALUES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...], str]] = {
    "name": (("a",), ("", "\0", 3, None), "invalid_name"),
    "actor": (("m:C",), ("m", ":C", "m:", None), "invalid_actor"),
    "restart": (tuple(Restart), ("permanent", None), "invalid_restart_type"),
    "significant": ((False, True), (1, None), "invalid_significant"),
    "shutdown_secs": ((0, 0.5, None), (-1, "5", float("nan"), True), "invalid_shutdown"),
    "start_timeout_secs": ((1.0,), (0, None), "invalid_start_timeout"),
    "inbox_limit": ((0, 10), (-1, 1.5), "invalid_inbox_limit"),
}


def test_child_specs_map() -> None:
    fields = [[*good, *bad] for good, bad, _ in VALUES.values()]
    checked = 0
    for values in itertools.product(*fields):
        given = dict(zip(VALUES, values, strict=True))
        expected = {
            error
            for (_, bad, error), value in zip(VALUES.values(), values, strict=True)
            if any(value is each for each in bad)
        }
        if given["significant"] is True and given["restart"] is Restart.PERMANENT:
            expected.add("bad_combination")

        mistakes = mistakes_of_child(ChildSpec(**given), AutoShutdown.ANY_SIGNIFICANT)

        assert {mistake.error for mistake in mistakes} == expected, given
        checked += 1
    assert checked >= 7200

    twice = paper().start_link().state
    with pytest.raises(SpecError, match="duplicate_child_name"):
        initial_state(SupervisorSpec(name="root", children=(child("a"), child("a"))))
    assert twice.children == ()
    refused = paper().start_link().start_child(child("a", shutdown_secs=-1))
    assert refused.error is RequestError.INVALID_SPEC
    assert "invalid_shutdown" in refused.detail


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("strategy", "one_for_one", "invalid_strategy"),
        ("intensity", -1, "invalid_intensity"),
        ("intensity", 1.5, "invalid_intensity"),
        ("period_secs", 0, "invalid_period"),
        ("period_secs", "5", "invalid_period"),
        ("auto_shutdown", "never", "invalid_auto_shutdown"),
        ("max_children", -1, "invalid_max_children"),
        ("max_children", 3, "bad_combination"),
    ],
)
def test_sup_flags(field: str, value: Any, error: str) -> None:
    with pytest.raises(SpecError, match=error):
        initial_state(SupervisorSpec(name="root", **{field: value}))

    unknown = msgspec.convert({"name": "root", "unknown": 1}, SupervisorSpec)
    assert initial_state(unknown).children == ()


def test_multiple_restarts() -> None:
    supervisor = paper(child("a"), intensity=1, period_secs=1.0).start_link()

    for _ in range(4):
        supervisor.now += 2.1
        supervisor.exit("a", "kill")

    assert supervisor.presence("a") is UP


def test_count_children() -> None:
    inner = SupervisorSpec(name="s")
    supervisor = paper(inner, child("a"), child("b", Restart.TEMPORARY)).start_link()
    assert supervisor.counts() == Counts(specs=3, active=3, supervisors=1, workers=2)

    supervisor.exit("b")
    supervisor.terminate_child("a")

    assert supervisor.counts() == Counts(specs=2, active=1, supervisors=1, workers=1)


def test_count_children_supervisor() -> None:
    template = SupervisorSpec(name="t", restart=Restart.TEMPORARY)
    supervisor = paper(template, strategy=SIMPLE).start_link()
    for name in "abc":
        supervisor.start_child(Instance(name=name))
    assert supervisor.counts() == Counts(specs=1, active=3, supervisors=3, workers=0)

    supervisor.exit("b", "kill")

    assert supervisor.counts() == Counts(specs=1, active=2, supervisors=2, workers=0)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_count_restarting_children(strategy: Strategy) -> None:
    supervisor = paper(child("t"), strategy=strategy, intensity=9).start_link()
    name = "t"
    if strategy is SIMPLE:
        name = "a"
        supervisor.start_child(Instance(name=name))
    assert supervisor.counts().active == 1
    supervisor.fail_next_starts(name, 1)

    with supervisor.between_two_tries():
        supervisor.exit(name)
        assert supervisor.counts() == Counts(specs=1, active=0, supervisors=0, workers=1)

    assert supervisor.counts() == Counts(specs=1, active=1, supervisors=0, workers=1)


def test_do_not_save_start_parameters_for_temporary_children() -> None:
    sizes = {restart: state_bytes(restart, Strategy.ONE_FOR_ONE) for restart in Restart}

    assert sizes[Restart.TEMPORARY] < sizes[Restart.TRANSIENT] / 10
    assert sizes[Restart.TEMPORARY] < sizes[Restart.PERMANENT] / 10


def test_simple_one_for_one_corruption() -> None:
    sizes = {restart: state_bytes(restart, SIMPLE) for restart in Restart}

    assert sizes[Restart.TEMPORARY] < sizes[Restart.TRANSIENT] / 10
    assert sizes[Restart.TEMPORARY] < sizes[Restart.PERMANENT] / 10


def state_bytes(restart: Restart, strategy: Strategy) -> int:
    """How large the state is with 100 children of 10 kB of configuration each."""
    is_simple = strategy is SIMPLE
    supervisor = paper(*[child("t", restart)] * is_simple, strategy=strategy).start_link()
    for number in range(100):
        config = bytes(10_000) + bytes([number])
        name = f"c{number}"
        supervisor.start_child(
            Instance(name=name, config=config) if is_simple else child(name, restart, config=config)
        )
    assert supervisor.counts().active == 100
    return len(msgspec.msgpack.encode(supervisor.state))


def test_do_not_save_child_specs_for_temporary_children() -> None:
    for reason in (*REASONS, "terminate"):
        for restart in Restart:
            supervisor = paper(child("a", restart)).start_link()
            if reason == "terminate":
                supervisor.terminate_child("a")
            else:
                supervisor.exit("a", reason)

            answer = supervisor.start_child(child("a", restart))

            assert answer.error is error_of_second_start(restart, reason), (restart, reason)


def error_of_second_start(restart: Restart, reason: str) -> RequestError | None:
    if restart is Restart.TEMPORARY:
        return None
    is_clean = reason not in {"boom", "kill"}
    if reason == "terminate" or (restart is Restart.TRANSIENT and is_clean):
        return RequestError.ALREADY_PRESENT
    return RequestError.ALREADY_STARTED


def test_already_started_outside_supervisor() -> None:
    supervisor = paper().start_link()
    supervisor.next_starts["a"].append(FAIL)  # another process holds its name

    answer = supervisor.start_child(child("a"))

    assert answer.error is RequestError.START_FAILED
    assert supervisor.which() == []
    assert supervisor.counts().specs == 0


def test_which_children() -> None:
    supervisor = paper(child("a"), child("b")).start_link()
    assert supervisor.which() == [("b", UP), ("a", UP)]

    supervisor.start_child(child("c", Restart.TEMPORARY))
    supervisor.terminate_child("a")
    assert supervisor.which() == [("c", UP), ("b", UP), ("a", UNDEFINED)]
    assert which_child(supervisor.state, "c") is UP
    assert which_child(supervisor.state, "a") is UNDEFINED

    supervisor.exit("c")
    assert which_child(supervisor.state, "c") is RequestError.NOT_FOUND
    supervisor.delete_child("a")
    assert supervisor.which() == [("b", UP)]

    supervisor.fail_next_starts("b", 1)
    with supervisor.between_two_tries():
        supervisor.exit("b")
        assert which_child(supervisor.state, "b") is RESTARTING


def test_which_children_simple_one_for_one() -> None:
    supervisor = paper(child("t"), strategy=SIMPLE).start_link()
    supervisor.start_child(Instance(name="a"))
    supervisor.start_child(Instance(name="b"))

    assert sorted(supervisor.which()) == [("a", UP), ("b", UP)]
    assert which_child(supervisor.state, "a") is UP
    assert which_child(supervisor.state, "c") is RequestError.NOT_FOUND
    assert which_child(supervisor.state, "t") is RequestError.SIMPLE_ONE_FOR_ONE


def hanging(strategy: Strategy) -> PaperSupervisor:
    children = (child("a"), child("b"), child("c"))
    supervisor = paper(*children, strategy=strategy, intensity=1_000_000).start_link()
    supervisor.fail_next_starts("b", 10)
    supervisor.holds_timers = True
    supervisor.exit("b")
    assert supervisor.delete_child("b").error is RequestError.RESTARTING
    assert supervisor.restart_child("b").error is RequestError.RESTARTING
    assert supervisor.start_child(child("b")).error is RequestError.ALREADY_PRESENT
    return supervisor


def test_hanging_restart_loop() -> None:
    supervisor = hanging(Strategy.ONE_FOR_ONE)
    assert supervisor.which() == [("c", UP), ("b", RESTARTING), ("a", UP)]

    assert supervisor.terminate_child("b").error is None
    assert supervisor.presence("b") is UNDEFINED
    supervisor.holds_timers = False
    supervisor.stop()
    assert supervisor.outcome is Outcome.STOPPED


def test_hanging_restart_loop_rest_for_one() -> None:
    supervisor = hanging(Strategy.REST_FOR_ONE)
    assert supervisor.which() == [("c", UNDEFINED), ("b", RESTARTING), ("a", UP)]

    assert supervisor.terminate_child("b").error is None
    assert supervisor.which() == [("c", UNDEFINED), ("b", UNDEFINED), ("a", UP)]
    supervisor.stop()
    assert supervisor.outcome is Outcome.STOPPED


def test_hanging_restart_loop_simple() -> None:
    supervisor = paper(child("t"), strategy=SIMPLE, intensity=1_000_000).start_link()
    supervisor.start_child(Instance(name="a"))
    supervisor.start_child(Instance(name="b"))
    supervisor.fail_next_starts("a", 10)
    supervisor.holds_timers = True
    supervisor.exit("a")
    assert supervisor.presence("a") is RESTARTING

    assert supervisor.terminate_child("a").error is None
    assert supervisor.which() == [("b", UP)]
    supervisor.stop()
    assert supervisor.outcome is Outcome.STOPPED


def test_max_children_is_a_limit_as_in_elixir() -> None:
    supervisor = paper(child("t"), strategy=SIMPLE, max_children=2).start_link()
    supervisor.start_child(Instance(name="a"))
    supervisor.start_child(Instance(name="b"))

    assert supervisor.start_child(Instance(name="c")).error is RequestError.MAX_CHILDREN
    supervisor.terminate_child("a")
    assert supervisor.start_child(Instance(name="c")).error is None
