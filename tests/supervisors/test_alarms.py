"""Alarms are raised once, last as long as the fact, and clear themselves."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from supervisors.alarms import STORM_RESTARTS, STORM_SECS, Alarms
from supervisors.status import NodeStatus


def child(name: str = "a", **fields: Any) -> NodeStatus:
    fields = {"state": "running", "inbox_limit": 100} | fields
    return NodeStatus(name=name, type="worker", **fields)


class Watch:
    def __init__(self) -> None:
        self.alarms = Alarms()

    def look(self, *children: NodeStatus, hung: str = "", now: float = 0.0) -> list[str]:
        """Return e.g. ["+a backoff"]."""
        found = {"a": hung} if hung else {}
        changes = self.alarms.look(children, found, now=now, ts_ns=int(now))
        return [
            f"{'+' if each.is_raised else '-'}{each.name} {each.alarm.kind}" for each in changes
        ]


def test_alarm_is_raised_once_and_cleared_once() -> None:
    watch = Watch()

    assert watch.look(child(state="backoff")) == ["+a backoff"]
    assert watch.look(child(state="backoff")) == []
    assert watch.look(child()) == ["-a backoff"]
    assert watch.look(child()) == []


def test_alarm_has_stood_since_it_was_raised() -> None:
    watch = Watch()
    watch.look(child(state="quarantined"), now=5.0)
    watch.look(child(state="quarantined"), now=9.0)

    [alarm] = watch.alarms.of("a")

    assert (alarm.kind, alarm.since_ns) == ("quarantined", 5)
    assert watch.alarms.of("b") == ()


def test_suspended_actor_raises_an_alarm_and_no_hang() -> None:
    assert Watch().look(child(state="suspended")) == ["+a suspended"]


def test_high_inbox_clears_only_when_it_is_half_empty() -> None:
    watch = Watch()

    assert watch.look(child(inbox=79)) == []
    assert watch.look(child(inbox=80)) == ["+a inbox_high"]
    assert watch.look(child(inbox=50)) == []
    assert watch.look(child(inbox=49)) == ["-a inbox_high"]


def test_restart_storm_clears_when_it_is_quiet() -> None:
    watch = Watch()
    assert watch.look(child(restarts=STORM_RESTARTS - 1)) == []

    assert watch.look(child(restarts=STORM_RESTARTS), now=1.0) == ["+a restart_storm"]
    assert watch.look(child(restarts=STORM_RESTARTS), now=STORM_SECS) == ["-a restart_storm"]


def test_hung_process_raises_an_alarm_until_it_is_gone() -> None:
    watch = Watch()

    assert watch.look(child(), hung="no progress") == ["+a hung"]
    assert watch.look(child()) == ["-a hung"]


def test_told_alarm_lasts_until_it_is_taken_back_or_its_process_ends() -> None:
    watch = Watch()
    watch.alarms.tell("a", "breaker_open", "venue")
    assert watch.look(child()) == ["+a breaker_open"]

    watch.alarms.tell("a", "breaker_open", None)
    assert watch.look(child()) == ["-a breaker_open"]

    watch.alarms.tell("a", "breaker_open", "venue")
    watch.alarms.tell("b", "breaker_open", "venue")
    watch.look(child())
    watch.alarms.forget("a")
    assert watch.look(child()) == ["-a breaker_open"]


def test_alarm_of_a_forgotten_child_is_cleared() -> None:
    watch = Watch()
    watch.look(child(state="backoff"))

    assert watch.look() == ["-a backoff"]


STATES = st.sampled_from(["running", "backoff", "quarantined", "suspended", "stopped"])


@given(st.lists(st.tuples(STATES, st.integers(0, 100), st.integers(0, 2), st.booleans())))
def test_what_is_raised_and_not_cleared_is_what_stands(
    history: list[tuple[str, int, int, bool]],
) -> None:
    watch, standing, restarts = Watch(), set[str](), 0

    for now, (state, inbox, more, is_hung) in enumerate(history):
        restarts += more
        node = child(state=state, inbox=inbox, restarts=restarts)
        for change in watch.look(node, hung="x" if is_hung else "", now=now * 10.0):
            kind = change.split()[1]
            assert (kind in standing) == change.startswith("-")
            standing ^= {kind}

        assert standing == {alarm.kind for alarm in watch.alarms.of("a")}
