from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.backlog import Backlog, LogName
from krator_actors.core.log_frames import RawRecord

RISK = LogName("risk", 1)
ORDER = LogName("order:SIM", 1)


def record(number: int) -> RawRecord:
    """A record whose time is its number."""
    return RawRecord(number, 1, number, "OrderSubmitted", b"")


def backlog(count: int, *, limit: int = 10, writer: str = "risk") -> Backlog:
    made = Backlog(limit)
    for number in range(1, count + 1):
        made.read(LogName(writer, 1), record(number))
    return made


def numbers(made: Backlog) -> list[int]:
    return [item.record.number for item in made.batch(1_000)]


def test_everything_waits_while_there_is_room() -> None:
    made = backlog(10)

    assert numbers(made) == list(range(1, 11))
    assert (made.waiting, made.left_out, made.logs) == (10, 0, (RISK,))


def test_oldest_make_room_and_are_counted() -> None:
    made = backlog(13)

    assert numbers(made) == list(range(4, 14))
    assert made.left_out == 3


def test_what_is_put_is_forgotten_and_what_was_left_out_before_stays_counted() -> None:
    made = backlog(13)

    made.put(made.batch(4))

    assert numbers(made) == list(range(8, 14))
    assert made.left_out == 3


def test_what_the_stream_has_is_not_put_again() -> None:
    made = backlog(9)

    made.continue_behind({RISK: 7})
    made.read(RISK, record(10))

    assert numbers(made) == [8, 9, 10]
    assert made.left_out == 0


def test_known_record_that_comes_later_does_not_wait() -> None:
    made = backlog(1)
    made.continue_behind({RISK: 1})

    made.read(ORDER, record(1))
    made.read(RISK, record(2))

    assert [item.log for item in made.batch(9)] == [ORDER, RISK]


def test_log_that_lost_its_end_goes_on_from_what_it_has() -> None:
    made = backlog(5)

    made.continue_behind({RISK: 8})
    made.read(RISK, record(6))

    assert numbers(made) == [6]
    assert made.left_out == 0


def test_log_of_a_folder_made_anew_is_another_log() -> None:
    made = backlog(3)

    made.continue_behind({LogName("risk", 77): 3})

    assert numbers(made) == [1, 2, 3]


def test_stream_that_has_less_than_was_put_into_it_was_lost() -> None:
    made = backlog(3)
    made.put(made.batch(2))

    assert made.is_behind({})
    assert made.is_behind({RISK: 1})
    assert not made.is_behind({RISK: 2})
    assert not made.is_behind({RISK: 3})


def test_nothing_was_lost_before_anything_was_put() -> None:
    assert not backlog(3).is_behind({})


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.sampled_from(["risk", "order:SIM"])),
            st.tuples(st.just("put"), st.integers(1, 5)),
            st.tuples(st.just("again"), st.just(0)),
        ),
        max_size=60,
    ),
    st.integers(1, 6),
)
def test_each_record_is_published_once_in_order_or_counted(
    steps: list[tuple[str, object]], limit: int
) -> None:
    made = Backlog(limit)
    stream: dict[str, list[int]] = {"risk": [], "order:SIM": []}
    read = dict.fromkeys(stream, 0)

    for step, argument in steps:
        if step == "read":
            writer = str(argument)
            read[writer] += 1
            made.read(LogName(writer, 1), record(read[writer]))
        elif step == "put":
            batch = made.batch(int(str(argument)))
            made.put(batch)
            for log, raw in batch:
                stream[log.writer].append(raw.number)
        else:
            made.continue_behind(
                {LogName(writer, 1): has[-1] for writer, has in stream.items() if has}
            )

    assert all(has == sorted(set(has)) for has in stream.values())
    published = sum(map(len, stream.values()))
    assert sum(read.values()) == published + made.waiting + made.left_out
