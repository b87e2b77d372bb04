"""Random kills and stops under load, and the checker that judges what was written meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.soak.faults import MAX_PAUSE_SECS, MIN_PAUSE_SECS, faults
from tests.soak.history import Entry, Pen, breaches, read_history

ROOT = Path(__file__).parent.parent.parent
SECS = float(os.environ.get("KRATOR_SOAK_SECONDS", "60"))
"""How long processes are struck."""

TOLD = [Entry("told", "b", 1, number) for number in (1, 2, 3)]
ASKED = Entry("asked", "b", 1, 4)
ANSWERED = Entry("answered", "b", 1, 4)
HANDLED = [Entry("handled", "a", 1, number) for number in (1, 2, 3, 4)]


@pytest.mark.timeout(SECS + 200)
def test_no_promise_is_broken_whatever_is_killed_or_stopped() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--secs", str(SECS), "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECS + 180,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["breaches"], result["silent"], result["left"]) == ([], [], [])
    struck = sum(n for what, n in result["struck"].items() if not what.startswith("missed"))
    assert struck > SECS / MAX_PAUSE_SECS / 2
    assert result["messages"]["answered"] > 0


def test_same_seed_strikes_the_same_processes_in_the_same_order() -> None:
    names = ("a", "b", "root")

    blows = list(faults(7, 600.0, names))

    assert blows == list(faults(7, 600.0, names))
    assert blows != list(faults(8, 600.0, names))
    pauses = [later.at_secs - earlier.at_secs for earlier, later in pairwise(blows)]
    assert min(pauses) >= MIN_PAUSE_SECS
    assert max(pauses) <= MAX_PAUSE_SECS
    assert {blow.target for blow in blows} == set(names)
    assert {blow.is_stop for blow in blows} == {True, False}


def test_history_in_which_all_is_well_has_no_breach() -> None:
    again = [Entry("told", "b", 2, 1), Entry("told", "b", 2, 2), Entry("unknown", "b", 2, 1)]
    sender = [*TOLD, ASKED, ANSWERED, *again]

    # Of the next incarnation one came back though it was handled, and one was under way.
    assert breaches({"a": sender, "b": [*HANDLED, Entry("handled", "a", 2, 1)]}) == []
    assert breaches({"a": sender, "b": HANDLED}) == []


def test_message_that_came_back_need_not_have_been_handled() -> None:
    back = Entry("unknown", "b", 1, 2)
    without = [HANDLED[0], *HANDLED[2:]]

    assert breaches({"a": [*TOLD, back, ASKED, ANSWERED], "b": without}) == []
    assert breaches({"a": [*TOLD, ASKED, ANSWERED], "b": without}) == [
        "message 2 of a (generation 1) to b was acknowledged and not handled"
    ]


def test_answer_acknowledges_its_own_lane_only() -> None:
    other = Entry("told", "c", 1, 1)
    earlier = Entry("told", "b", 0, 9)

    assert breaches({"a": [earlier, other, *TOLD, ASKED, ANSWERED], "b": HANDLED}) == []


def test_answered_ask_that_was_not_handled_is_a_breach() -> None:
    assert breaches({"a": [*TOLD, ASKED, ANSWERED], "b": HANDLED[:3]}) == [
        "message 4 of a (generation 1) to b was acknowledged and not handled"
    ]


def test_message_handled_twice_is_a_breach() -> None:
    assert breaches({"a": TOLD, "b": [*HANDLED[:3], HANDLED[2]]}) == [
        "message 3 of a (generation 1) to b was handled twice"
    ]


@pytest.mark.parametrize(
    "late", [Entry("handled", "a", 1, 2), Entry("handled", "a", 0, 7)], ids=["number", "generation"]
)
def test_message_handled_out_of_order_is_a_breach(late: Entry) -> None:
    sender = [Entry("told", "b", 0, 7), *TOLD]

    assert breaches({"a": sender, "b": [HANDLED[0], HANDLED[2], late]}) == [
        f"message {late.number} of a (generation {late.generation}) to b was handled after (1, 3)"
    ]


def test_failed_message_that_was_handled_is_a_breach() -> None:
    sender = [*TOLD, ASKED, Entry("failed", "b", 1, 4)]

    assert breaches({"a": sender, "b": HANDLED[:3]}) == []
    assert breaches({"a": sender, "b": HANDLED}) == [
        "message 4 of a (generation 1) to b failed and was handled"
    ]


@pytest.mark.parametrize("word", ["unknown", "failed"])
def test_acknowledged_message_that_comes_back_is_a_breach(word: str) -> None:
    sender = [*TOLD, ASKED, ANSWERED, Entry(word, "b", 1, 2)]

    assert breaches({"a": sender, "b": HANDLED}) == [
        f"message 2 of a (generation 1) to b was acknowledged and {word}"
    ]


def test_message_from_nowhere_is_a_breach() -> None:
    assert breaches({"a": TOLD[:2], "b": HANDLED[:3]}) == [
        "message 3 of a (generation 1) to b was handled and never sent"
    ]


def test_what_is_written_can_be_read_back_by_actor(tmp_path: Path) -> None:
    for name, entries in (("a", TOLD), ("b", HANDLED[:2])):
        Pen(tmp_path, name).write(*entries)
    Pen(tmp_path, "a").write(ASKED)

    assert read_history(tmp_path) == {"a": [*TOLD, ASKED], "b": HANDLED[:2]}
