"""What an actor has handled lately, and what of its state may be shown."""

from __future__ import annotations

import time
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from supervisors.observation import Handled, Observer, limited


class Job:
    pass


class Other:
    pass


def test_last_ten_messages_are_kept_newest_first() -> None:
    observer = Observer()

    for number in range(25):
        observer.note(Job(), f"sender {number}", time.monotonic())

    recent = observer.recent()
    assert [each.sender for each in recent] == [f"sender {n}" for n in range(24, 14, -1)]
    assert {each.message for each in recent} == {"Job"}


def test_handled_messages_are_counted_by_class_with_upper_bounds_of_their_times() -> None:
    observer = Observer()
    for _ in range(99):
        observer.note(Job(), "a", time.monotonic())
    observer.note(Job(), "a", time.monotonic() - 3.0)
    observer.note(Other(), "a", time.monotonic())

    job, other = observer.classes()

    assert (job.message, job.handled, other.message, other.handled) == ("Job", 100, "Other", 1)
    assert job.p50_secs <= job.p99_secs < 3.0 <= job.max_secs < 6.1


def test_trace_ends_by_itself_after_its_messages() -> None:
    observer = Observer()
    seen: list[tuple[Handled, ...]] = []
    trace = observer.start_trace(2, seen.append)

    for name in ("a", "b", "c"):
        observer.note(Job(), name, time.monotonic())
    trace.end()

    assert [[each.sender for each in found] for found in seen] == [["a", "b"]]


def test_trace_that_is_ended_before_hands_over_what_it_saw() -> None:
    observer = Observer()
    seen: list[tuple[Handled, ...]] = []
    trace = observer.start_trace(5, seen.append)
    observer.note(Job(), "a", time.monotonic())

    trace.end()
    observer.note(Job(), "b", time.monotonic())

    assert [[each.sender for each in found] for found in seen] == [["a"]]


def test_two_traces_at_once_see_the_same() -> None:
    observer = Observer()
    seen: list[tuple[Handled, ...]] = []
    for limit in (1, 2):
        observer.start_trace(limit, seen.append)

    observer.note(Job(), "a", time.monotonic())
    observer.note(Job(), "b", time.monotonic())

    assert [len(found) for found in seen] == [1, 2]


def test_state_shows_no_secret_and_no_text_of_unknown_types() -> None:
    state = {
        "api_key": "abc",
        "venue": {"Secret": "abc", "dsn_env": "abc", "name": "sim"},
        "price": Decimal("1.5"),
        "raw": b"abc",
        "open": ("a", "b"),
    }

    shown = limited(state)

    assert shown == {
        "api_key": "***",
        "venue": {"Secret": "***", "dsn_env": "***", "name": "sim"},
        "price": "<Decimal>",
        "raw": "<bytes of 3>",
        "open": ["a", "b"],
    }


def test_state_is_cut_in_depth_and_width() -> None:
    deep: object = "x"
    for _ in range(10):
        deep = [deep]

    assert limited(deep) == [[[["<list of 1>"]]]]
    assert limited(list(range(60)))[-1] == "… 10 more"
    assert limited({n: n for n in range(60)})["…"] == "10 more"
    assert len(limited("x" * 500)) == 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=500) | st.binary(),
    lambda inner: st.lists(inner, max_size=80) | st.dictionaries(st.text(), inner, max_size=80),
    max_leaves=200,
)


@given(VALUES)
def test_limited_state_is_always_small_and_builtin(value: object) -> None:
    def size(part: object) -> int:
        if isinstance(part, dict):
            return sum(len(key) + size(item) for key, item in part.items())
        if isinstance(part, list):
            return sum(map(size, part))
        assert part is None or isinstance(part, bool | int | float | str)
        return len(part) if isinstance(part, str) else 8

    assert size(limited(value)) < 500_000


class Aged(msgspec.Struct):
    ts_init: int


def test_age_is_kept_of_messages_that_say_when_they_were_made() -> None:
    observer = Observer()

    observer.note(Aged(time.time_ns() - 5_000_000_000), "a", time.monotonic())
    observer.note(Job(), "a", time.monotonic())

    times = observer.times()
    age = times["Aged"].age
    assert age is not None
    assert 5.0 <= age.total_secs < 60.0
    assert times["Aged"].handling.count == 1
    assert times["Job"].age is None
