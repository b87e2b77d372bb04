from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from krator_actors.adapters.local_log import LocalLog, log_path, write_committed
from krator_actors.adapters.log_follower import LogFollower
from krator_actors.adapters.log_segments import segments_of
from krator_actors.messages.orders import OrderSubmitted


class Mark(msgspec.Struct, frozen=True):
    number: int
    generation: int = 1
    ts_logged: int = 0


def write(data_dir: Path, writer: str, times: list[int], *, generation: int = 1) -> None:
    path = log_path(data_dir, writer)
    with LocalLog.open(path, writer=writer, generation=generation, durability="process") as log:
        for ts_ns in times:
            event = OrderSubmitted(client_order_id="o", symbol="S", ts_event=ts_ns)
            log.append(event, ts_ns=ts_ns)


def drain(follower: LogFollower) -> list[tuple[str, int]]:
    """Take and commit batches until there is nothing more."""
    found: list[tuple[str, int]] = []
    while True:
        batch = follower.batch()
        if not batch and not follower.catching_up:
            return found
        found += [(writer, record.number) for writer, record in batch]
        follower.committed(batch)


def test_older_records_go_first_and_each_log_keeps_its_order(tmp_path: Path) -> None:
    write(tmp_path, "a", [10, 30, 20])  # its clock was set back
    write(tmp_path, "b", [15, 25])

    found = drain(LogFollower(tmp_path, limit=100))

    assert found == [("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 3)]


@given(
    st.dictionaries(
        st.sampled_from(["a", "order:SIM", "s:B/x"]), st.lists(st.integers(0, 99), max_size=30)
    ),
    st.integers(1, 12),
)
def test_everything_comes_once_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, logs: dict[str, list[int]], limit: int
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    for writer, times in logs.items():
        write(data_dir, writer, times)
    follower = LogFollower(data_dir, limit=limit)

    found = drain(follower)

    expected = [(w, n) for w, times in logs.items() for n in range(1, len(times) + 1)]
    assert sorted(found) == sorted(expected)
    for writer in logs:
        numbers = [number for w, number in found if w == writer]
        assert numbers == sorted(numbers)
    assert follower.watermarks() == {w: len(times) for w, times in logs.items()}
    assert follower.lag() == 0
    follower.close()


def test_batch_that_was_not_committed_comes_again(tmp_path: Path) -> None:
    write(tmp_path, "a", [1, 2, 3])
    follower = LogFollower(tmp_path, limit=2)

    first = follower.batch()

    assert follower.batch() == first
    follower.committed(first[:1])
    assert [record.number for _, record in follower.batch()] == [2, 3]


def test_log_that_appears_later_is_followed(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path, limit=10)
    assert follower.batch() == []

    write(tmp_path, "a", [1])

    assert drain(follower) == [("a", 1)]


def test_following_continues_behind_what_is_committed(tmp_path: Path) -> None:
    write(tmp_path, "a", list(range(1, 51)))
    follower = LogFollower(tmp_path, limit=7)
    follower.continue_behind({"a": Mark(45, 1, 45), "gone": Mark(3)})

    assert drain(follower) == [("a", n) for n in range(46, 51)]
    assert follower.watermarks() == {"a": 50, "gone": 3}


def test_what_the_journal_has_may_be_removed_before_it_is_read(tmp_path: Path) -> None:
    path = log_path(tmp_path, "a")
    with LocalLog.open(
        path, writer="a", generation=1, durability="process", segment_bytes=200
    ) as log:
        for number in range(1, 41):
            event = OrderSubmitted(client_order_id="o", symbol="S", ts_event=number)
            log.append(event, ts_ns=number)
    follower = LogFollower(tmp_path, limit=2)
    follower.lag()  # the first records are read, before any journal has said what it has

    follower.continue_behind({"a": Mark(38, 1, 38)})
    for segment in segments_of(path)[1:-2]:
        segment.path.unlink()

    assert drain(follower) == [("a", 39), ("a", 40)]


def test_lost_commit_is_handed_out_again_and_a_hidden_one_is_not(tmp_path: Path) -> None:
    write(tmp_path, "a", [1, 2, 3, 4])
    follower = LogFollower(tmp_path, limit=3)
    follower.batch()

    follower.continue_behind({"a": Mark(2, 1, 2)})  # the commit's answer was lost
    assert drain(follower) == [("a", 3), ("a", 4)]

    follower.continue_behind({})  # another database
    assert drain(follower) == [("a", n) for n in range(1, 5)]


def test_lag_is_exact_in_a_batch_and_estimated_beyond(tmp_path: Path) -> None:
    write(tmp_path, "a", [1] * 1_000)
    follower = LogFollower(tmp_path, limit=100)

    assert follower.lag() == pytest.approx(1_000, rel=0.3)
    follower.committed(follower.batch())
    assert follower.lag() == pytest.approx(900, rel=0.3)
    drain(follower)
    write(tmp_path, "a", [1] * 10)
    assert follower.lag() == 10


def test_damaged_log_stops_where_it_is_damaged_and_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path, "a", [1, 2, 3])
    write(tmp_path, "b", [1])
    path = log_path(tmp_path, "a")
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    follower = LogFollower(tmp_path, limit=10)

    assert sorted(drain(follower)) == [("a", 1), ("a", 2), ("b", 1)]
    write(tmp_path, "b", [2])
    assert drain(follower) == [("b", 2)]
    assert follower.lag() == 0


@pytest.mark.parametrize("length", [2, 8])
def test_log_that_is_not_what_was_journaled_is_stopped(tmp_path: Path, length: int) -> None:
    write(tmp_path, "a", [7] * length)
    follower = LogFollower(tmp_path, limit=10)
    follower.continue_behind({"a": Mark(5, 1, 99)})

    assert drain(follower) == []


def test_copy_of_a_log_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "a", [1])
    path = log_path(tmp_path, "a")
    path.with_name("a copy.log").write_bytes(path.read_bytes())

    assert drain(LogFollower(tmp_path, limit=10)) == [("a", 1)]


def test_closed_follower_begins_again(tmp_path: Path) -> None:
    write(tmp_path, "a", [1])
    follower = LogFollower(tmp_path, limit=10)
    drain(follower)

    follower.close()

    assert [record.number for _, record in follower.batch()] == [1]


def segmented(data_dir: Path, count: int, *, removed_up_to: int) -> int:
    """Write a log of several segments, remove the first ones; return the oldest record left."""
    path = log_path(data_dir, "a")
    with LocalLog.open(
        path, writer="a", generation=1, durability="process", segment_bytes=600
    ) as log:
        for number in range(1, count + 1):
            event = OrderSubmitted(client_order_id="o", symbol="S", ts_event=number)
            log.append(event, ts_ns=number)
        write_committed(data_dir, {"a": removed_up_to})
        log.release(removed_up_to)
    return segments_of(path)[0].first


def test_journal_continues_where_segments_were_removed(tmp_path: Path) -> None:
    oldest = segmented(tmp_path, 100, removed_up_to=60)
    for known in (oldest - 1, oldest, 60, 99, 100):
        follower = LogFollower(tmp_path, limit=10)
        follower.continue_behind({"a": Mark(known, 1, known)})

        assert drain(follower) == [("a", n) for n in range(known + 1, 101)]
        assert follower.birth_ns("a") == 1


def test_journal_that_lacks_removed_records_is_told_and_gets_nothing(tmp_path: Path) -> None:
    oldest = segmented(tmp_path, 100, removed_up_to=60)
    follower = LogFollower(tmp_path, limit=10)
    reported: list[str] = []
    sink = logger.add(lambda message: reported.append(message.record["extra"]["reason"]))

    follower.continue_behind({"a": Mark(oldest - 2, 1, oldest - 2)})
    found = drain(follower)
    logger.remove(sink)

    assert found == []
    assert "were removed" in reported[0]


def test_reader_without_a_journal_gets_what_is_there(tmp_path: Path) -> None:
    oldest = segmented(tmp_path, 100, removed_up_to=60)

    assert drain(LogFollower(tmp_path, limit=10)) == [("a", n) for n in range(oldest, 101)]
