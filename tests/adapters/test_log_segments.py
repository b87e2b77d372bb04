from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.local_log import (
    LocalLog,
    LogDamagedError,
    LogLockedError,
    LogRemovedError,
    LogTail,
    last_record,
    log_path,
    read_log,
    write_committed,
    writers_of,
)
from krator_actors.adapters.log_segments import segments_of
from krator_actors.core.log_frames import SegmentHeader, encode_header
from krator_actors.messages.orders import OrderEvent, OrderSubmitted

WRITER = "order:SIM"
SEGMENT_BYTES = 1_000
"""About ten of the records below."""


def opened(path: Path, *, generation: int = 1, segment_bytes: int = SEGMENT_BYTES) -> LocalLog:
    return LocalLog.open(
        path,
        writer=WRITER,
        generation=generation,
        durability="process",
        segment_bytes=segment_bytes,
    )


def append(log: LocalLog, count: int) -> None:
    for _ in range(count):
        name = f"o-{log.last_number + 1}"
        event = OrderSubmitted(client_order_id=name, symbol="BTC-USDT.SIM", ts_event=7)
        log.append(event, ts_ns=1_000 + log.last_number)


def numbers(path: Path, after: int = 0) -> list[int]:
    return [record.number for record in read_log(path, after=after, types=OrderEvent)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return log_path(tmp_path, WRITER)


@pytest.fixture
def log(path: Path) -> Iterator[LocalLog]:
    with opened(path) as log:
        append(log, 100)
        yield log


def test_log_is_read_over_all_its_segments(log: LocalLog, path: Path) -> None:
    assert len(segments_of(path)) > 5
    assert numbers(path) == list(range(1, 101))
    assert log.size_bytes == sum(s.path.stat().st_size for s in segments_of(path))
    assert writers_of(path.parent.parent) == [WRITER]


def test_name_of_a_segment_is_its_first_record(log: LocalLog, path: Path) -> None:
    for segment in segments_of(path):
        assert numbers(path, after=segment.first - 1)[0] == segment.first


def test_opening_reads_the_last_segment_only(log: LocalLog, path: Path) -> None:
    log.close()
    for segment in segments_of(path)[:-1]:
        segment.path.write_bytes(b"not looked at")

    with opened(path, generation=2) as again:
        assert again.last_number == 100


def test_reading_behind_a_number_leaves_earlier_segments_alone(log: LocalLog, path: Path) -> None:
    for segment in segments_of(path)[:-2]:
        segment.path.write_bytes(b"not looked at")

    assert numbers(path, after=99) == [100]


def test_numbers_go_on_behind_a_segment_that_is_still_empty(log: LocalLog, path: Path) -> None:
    log._begin_segment()
    log.close()

    with opened(path, generation=2) as again:
        assert again.last_number == 100
        append(again, 1)

    assert numbers(path) == list(range(1, 102))
    assert last_record(path) is not None


def test_last_record_is_found_behind_an_empty_segment(log: LocalLog, path: Path) -> None:
    log._begin_segment()

    record = last_record(path)

    assert record is not None
    assert record.number == 100


def test_header_that_a_power_cut_left_empty_costs_no_record(log: LocalLog, path: Path) -> None:
    log._begin_segment()
    log.close()
    segments_of(path)[-1].path.write_bytes(bytes(100))

    with opened(path, generation=2) as again:
        append(again, 1)

    assert numbers(path) == list(range(1, 102))


def test_lock_is_held_across_segments(log: LocalLog, path: Path) -> None:
    with pytest.raises(LogLockedError):
        opened(path)


def test_log_of_one_file_is_read_and_continued(path: Path) -> None:
    with opened(path, segment_bytes=1 << 30) as log:
        append(log, 20)
    whole = path.read_bytes()
    name = WRITER.encode()
    head = struct.pack("<5sBH", b"KRLOG", 1, len(name)) + name
    records = whole[len(encode_header(SegmentHeader(WRITER))) :]
    path.write_bytes(head + struct.pack("<I", zlib.crc32(head)) + records)

    with opened(path, generation=2) as log:
        append(log, 20)

    assert numbers(path) == list(range(1, 41))
    assert len(segments_of(path)) > 1


@pytest.mark.parametrize("index", [1, 3])
def test_missing_segment_in_the_middle_is_damage(log: LocalLog, path: Path, index: int) -> None:
    missing = segments_of(path)[index]
    missing.path.unlink()

    with pytest.raises(LogDamagedError, match=rf"ends with record {missing.first - 1}.*missing"):
        numbers(path)


def test_torn_segment_in_the_middle_is_damage(log: LocalLog, path: Path) -> None:
    segment = segments_of(path)[2].path
    segment.write_bytes(segment.read_bytes()[:-3])

    with pytest.raises(LogDamagedError, match="torn, and a later segment was begun"):
        numbers(path)


@given(st.data())
def test_wrong_bit_in_any_segment_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = log_path(tmp_path_factory.mktemp("log"), WRITER)
    with opened(path) as log:
        append(log, 40)
    segment = data.draw(st.sampled_from(segments_of(path)))
    content = bytearray(segment.path.read_bytes())
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    segment.path.write_bytes(content)

    found: list[int] = []
    with pytest.raises(LogDamagedError) as raised:
        found.extend(record.number for record in read_log(path, types=OrderEvent))

    assert raised.value.path == segment.path
    assert found == list(range(1, len(found) + 1))


def test_segment_of_another_log_is_damage(log: LocalLog, path: Path, tmp_path: Path) -> None:
    other = log_path(tmp_path / "other", WRITER)
    with opened(other) as foreign:
        foreign.append(
            OrderSubmitted(client_order_id="o-1", symbol="BTC-USDT.SIM", ts_event=7), ts_ns=5
        )
        append(foreign, 99)
    assert [s.first for s in segments_of(other)] == [s.first for s in segments_of(path)]
    segments_of(path)[2].path.write_bytes(segments_of(other)[2].path.read_bytes())

    with pytest.raises(LogDamagedError, match="segment of another log"):
        numbers(path)


@pytest.mark.parametrize(("released", "committed"), [(100, 0), (0, 100), (0, 0)])
def test_segment_is_kept_until_both_are_done_with_it(
    log: LocalLog, path: Path, released: int, committed: int
) -> None:
    write_committed(path.parent.parent, {WRITER: committed, "risk": 100})

    log.release(released)

    assert numbers(path) == list(range(1, 101))


@pytest.mark.parametrize(("released", "committed"), [(60, 100), (100, 60)])
def test_segments_that_both_are_done_with_are_removed(
    log: LocalLog, path: Path, released: int, committed: int
) -> None:
    before = log.size_bytes
    write_committed(path.parent.parent, {WRITER: committed})

    log.release(released)

    first = segments_of(path)[0].first
    assert 50 < first <= 61
    assert numbers(path, after=60) == list(range(61, 101))
    assert log.size_bytes == sum(s.path.stat().st_size for s in segments_of(path)) < before
    with pytest.raises(LogRemovedError, match=f"the records 1 to {first - 1} were removed"):
        numbers(path)


def test_last_segment_is_never_removed_and_numbers_go_on(log: LocalLog, path: Path) -> None:
    write_committed(path.parent.parent, {WRITER: 100})
    log.release(100)
    log.close()
    assert len(segments_of(path)) == 1

    with opened(path, generation=2) as again:
        append(again, 50)

    assert numbers(path, after=100) == list(range(101, 151))


def test_birth_of_a_log_outlives_its_first_segment(log: LocalLog, path: Path) -> None:
    births = []
    for released in (0, 60):
        write_committed(path.parent.parent, {WRITER: 100})
        log.release(released)
        log.close()
        with opened(path, generation=2) as again:
            append(again, 30)
        tail = LogTail(path, after=None)
        while tail.poll():
            births.append(tail.birth_ns)
        tail.close()

    assert set(births) == {1_000}


def test_damaged_word_of_the_journal_removes_nothing(log: LocalLog, path: Path) -> None:
    (path.parent / "committed.json").write_text("{")

    log.release(100)

    assert numbers(path) == list(range(1, 101))


def test_tail_follows_while_segments_are_begun_and_removed(path: Path) -> None:
    tail = LogTail(path)
    found: list[int] = []
    with opened(path) as log:
        for _ in range(30):
            append(log, 7)
            found += [record.number for record in tail.poll(5)]
            write_committed(path.parent.parent, {WRITER: found[-1]})
            log.release(found[-1])
        while records := tail.poll(50):
            found += [record.number for record in records]
    tail.close()

    assert found == list(range(1, 211))


def test_tail_follows_a_writer_of_another_thread_without_a_gap(path: Path) -> None:
    def write() -> None:
        with opened(path) as log:
            append(log, 3_000)

    thread = threading.Thread(target=write)
    thread.start()
    tail = LogTail(path)
    found: list[int] = []
    while len(found) < 3_000:
        found += [record.number for record in tail.poll(64)]
        assert thread.is_alive() or tail.unread_bytes() or len(found) == 3_000
    thread.join()
    tail.close()

    assert found == list(range(1, 3_001))


def test_full_disk_keeps_the_old_segment_in_use(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as log:
        append(log, 5)
        monkeypatch.setattr(LocalLog, "_new_file", _no_space)
        append(log, 20)
        assert len(segments_of(path)) == 1
        monkeypatch.undo()
        append(log, 20)

    assert numbers(path) == list(range(1, 46))
    assert len(segments_of(path)) > 1


def _no_space(*_: object) -> int:
    raise OSError(28, os.strerror(28))
