from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters import local_log
from krator_actors.adapters.local_log import (
    LocalLog,
    LogDamagedError,
    LogEventError,
    LogFullError,
    LogLockedError,
    LogTail,
    log_path,
    read_log,
)
from krator_actors.core.log_frames import (
    MAX_PAYLOAD_BYTES,
    SegmentHeader,
    encode_header,
)
from krator_actors.messages.orders import OrderEvent, OrderRejected, OrderSubmitted

WRITER = "order:SIM"


def submitted(name: str = "o-1") -> OrderSubmitted:
    return OrderSubmitted(client_order_id=name, symbol="BTC-USDT.SIM", ts_event=7)


def opened(
    path: Path, *, generation: int = 1, durability: local_log.Durability = "process"
) -> LocalLog:
    return LocalLog.open(path, writer=WRITER, generation=generation, durability=durability)


def filled(path: Path, count: int, *, generation: int = 1) -> bytes:
    with opened(path, generation=generation) as log:
        for _ in range(count):
            log.append(submitted(f"o-{log.last_number + 1}"), ts_ns=1_000 + log.last_number)
    return path.read_bytes()


def numbers(path: Path, after: int = 0) -> list[int]:
    return [record.number for record in read_log(path, after=after, types=OrderEvent)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return log_path(tmp_path, WRITER)


def test_what_was_appended_is_read(path: Path) -> None:
    with opened(path, generation=4) as log:
        number = log.append(submitted(), ts_ns=123)

    (record,) = read_log(path, types=OrderEvent)

    assert number == 1
    assert (record.number, record.generation, record.ts_ns) == (1, 4, 123)
    assert record.event == submitted()


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_numbers_go_on_in_the_next_incarnation(
    path: Path, durability: local_log.Durability
) -> None:
    for generation in (1, 2, 3):
        with opened(path, generation=generation, durability=durability) as log:
            log.append(submitted(), ts_ns=generation)
            log.append(submitted(), ts_ns=generation)

    records = list(read_log(path, types=OrderEvent))

    assert [(r.number, r.generation) for r in records] == [
        (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3),
    ]  # fmt: skip


def test_reading_begins_behind_a_number(path: Path) -> None:
    filled(path, 5)

    assert numbers(path, after=3) == [4, 5]


def test_log_longer_than_one_read_is_read_whole(path: Path) -> None:
    with opened(path) as log:
        for _ in range(300):
            log.append(submitted("x" * 5_000), ts_ns=1)
        log.append(submitted("y" * (MAX_PAYLOAD_BYTES - 200)), ts_ns=1)

    with opened(path) as log:
        assert log.last_number == 301
    assert numbers(path) == list(range(1, 302))


def test_log_that_is_not_there_is_empty(path: Path) -> None:
    assert numbers(path) == []


def test_size_says_what_the_file_has(path: Path) -> None:
    filled(path, 3)
    with opened(path) as log:
        log.append(submitted(), ts_ns=1)

        assert log.size_bytes == path.stat().st_size
        assert log.last_number == 4


def test_one_writer_at_a_time(path: Path) -> None:
    first = opened(path)

    with pytest.raises(LogLockedError):
        opened(path)
    first.close()

    opened(path).close()


def test_lock_ends_with_its_process(path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from krator_actors.adapters.local_log import LocalLog\n"
        f"log = LocalLog.open(pathlib.Path({str(path)!r}), writer={WRITER!r}, generation=1,"
        " durability='process')\n"
        "print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            with pytest.raises(LogLockedError):
                opened(path)
        finally:
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait()

        opened(path).close()


@given(st.data())
def test_log_cut_anywhere_opens_with_its_whole_records(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = log_path(tmp_path_factory.mktemp("log"), WRITER)
    whole = filled(path, 3)
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])

    kept = numbers(path)
    with opened(path, generation=2) as log:
        assert log.last_number == len(kept)
        log.append(submitted("new"), ts_ns=9)

    assert numbers(path) == [*kept, len(kept) + 1]


def test_torn_tail_is_cut_and_reported(path: Path) -> None:
    whole = filled(path, 2)
    frame = len(whole) - len(filled(path.with_name("one"), 1))
    path.write_bytes(whole + whole[-frame : -frame + 30])

    with opened(path) as log:
        assert log.truncated_bytes == 30
        assert log.last_number == 2
    assert path.read_bytes() == whole


def test_torn_header_is_written_again(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_header(SegmentHeader(WRITER))[:9])

    assert filled(path, 1).startswith(encode_header(SegmentHeader(WRITER)))


@given(st.data())
def test_any_wrong_bit_is_damage(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = log_path(tmp_path_factory.mktemp("log"), WRITER)
    whole = bytearray(filled(path, 3))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)

    with pytest.raises(LogDamagedError) as raised:
        opened(path)

    assert raised.value.offset <= bit // 8
    assert path.read_bytes() == whole


def test_damage_says_where(path: Path) -> None:
    with opened(path) as log:
        log.append(submitted(), ts_ns=1)
        offset = log.size_bytes
        log.append(submitted(), ts_ns=2)
        log.append(submitted(), ts_ns=3)
    whole = bytearray(path.read_bytes())
    whole[offset + 30] ^= 0xFF
    path.write_bytes(whole)

    with pytest.raises(LogDamagedError) as raised:
        list(read_log(path, types=OrderEvent))

    assert raised.value.offset == offset
    assert str(path) in str(raised.value)


def test_missing_record_is_damage(path: Path) -> None:
    with opened(path) as log:
        starts = [log.size_bytes]
        for _ in range(3):
            log.append(submitted(), ts_ns=1)
            starts.append(log.size_bytes)
    whole = path.read_bytes()
    path.write_bytes(whole[: starts[1]] + whole[starts[2] :])

    with pytest.raises(LogDamagedError, match="record 3 stands where 2 belongs"):
        opened(path)


def test_long_run_of_zeros_is_damage_when_more_follows(path: Path) -> None:
    whole = filled(path, 1)
    path.write_bytes(whole + bytes(4 * MAX_PAYLOAD_BYTES) + whole[-50:])

    with pytest.raises(LogDamagedError, match="too much follows"):
        opened(path)


def test_log_of_another_writer_is_refused(path: Path) -> None:
    filled(path, 1)

    with pytest.raises(LogDamagedError, match="it is the log of 'order:SIM', not of 'risk'"):
        LocalLog.open(path, writer="risk", generation=1, durability="process")


def test_file_that_is_no_log_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("hello, this is not a log")

    with pytest.raises(LogDamagedError):
        opened(path)


def test_event_of_an_unknown_type_is_named(path: Path) -> None:
    filled(path, 1)

    with pytest.raises(LogEventError, match=r"record 1 \(OrderSubmitted\)"):
        list(read_log(path, types=OrderRejected))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A disk that is full at ``size`` bytes.

    Ended within the test, because what pytest prints may go to a file that is longer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 17])
def test_full_disk_loses_nothing_and_tears_nothing(path: Path, room: int) -> None:
    with opened(path) as log:
        log.append(submitted(), ts_ns=1)
        size = log.size_bytes

        with file_size_limit(size + room), pytest.raises(LogFullError):
            log.append(submitted(), ts_ns=2)

        assert path.stat().st_size == size
        assert log.append(submitted(), ts_ns=3) == 2
    assert numbers(path) == [1, 2]


def test_closed_log_takes_nothing(path: Path) -> None:
    log = opened(path)
    log.close()
    log.close()

    with pytest.raises(ValueError, match="is closed"):
        log.append(submitted(), ts_ns=1)


def test_failed_sync_closes_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "disk broke")

    log = opened(path, durability="disk")
    monkeypatch.setattr(os, "fdatasync", fail)

    with pytest.raises(OSError, match="disk broke"):
        log.append(submitted(), ts_ns=1)

    with pytest.raises(ValueError, match="is closed"):
        log.append(submitted(), ts_ns=1)


def test_failed_write_closes_the_log(path: Path) -> None:
    log = opened(path)
    read_only = os.open(path, os.O_RDONLY)
    os.dup2(read_only, log._descriptor)
    os.close(read_only)

    with pytest.raises(OSError, match="Bad file descriptor"):
        log.append(submitted(), ts_ns=1)

    with pytest.raises(ValueError, match="is closed"):
        log.append(submitted(), ts_ns=1)


def test_failed_cut_closes_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "disk broke")

    filled(path, 1)
    path.write_bytes(path.read_bytes() + b"\x40")
    monkeypatch.setattr(os, "ftruncate", fail)

    with pytest.raises(OSError, match="disk broke"):
        opened(path)
    monkeypatch.undo()

    opened(path).close()


def test_names_are_escaped_into_one_folder(tmp_path: Path) -> None:
    path = log_path(tmp_path, "strategy:BTC-USDT.SIM/sma_cross")

    assert path == tmp_path / "log" / "strategy%3ABTC-USDT.SIM%2Fsma_cross.log"


def test_tail_follows_a_growing_log(path: Path) -> None:
    tail = LogTail(path)
    assert tail.poll() == []
    with opened(path) as log:
        assert tail.poll() == []
        assert tail.writer == WRITER

        log.append(submitted("a"), ts_ns=1)
        first = tail.poll()
        log.append(submitted("b"), ts_ns=2)
        log.append(submitted("c"), ts_ns=3)
        rest = tail.poll()

    assert [r.number for r in first] == [1]
    assert [r.number for r in rest] == [2, 3]
    assert rest[0].event_type == "OrderSubmitted"
    tail.close()


@given(st.data())
def test_tail_never_reads_a_partial_record(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = log_path(tmp_path_factory.mktemp("log"), WRITER)
    whole = filled(path, 3)
    path.write_bytes(b"")
    tail = LogTail(path)
    found: list[int] = []

    for cut in sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6))):
        path.write_bytes(whole[:cut])
        found += [r.number for r in tail.poll()]
        assert tail.unread_bytes() >= 0
    path.write_bytes(whole)
    found += [r.number for r in tail.poll()]
    tail.close()

    assert found == [1, 2, 3]


def test_tail_begins_behind_a_number_and_reads_at_most_its_limit(path: Path) -> None:
    filled(path, 10)
    tail = LogTail(path, after=4)

    assert [r.number for r in tail.poll(3)] == []
    assert tail.number == 3
    assert [r.number for r in tail.poll(3)] == [5, 6]
    assert [r.number for r in tail.poll(3)] == [7, 8, 9]
    assert tail.unread_bytes() > 0
    tail.close()


def test_tail_tells_of_damage_at_every_poll(path: Path) -> None:
    whole = bytearray(filled(path, 2))
    whole[-1] ^= 1
    path.write_bytes(whole)
    tail = LogTail(path)

    assert [r.number for r in tail.poll()] == [1]
    for _ in range(2):
        with pytest.raises(LogDamagedError):
            tail.poll()
    tail.close()


def test_tail_notices_a_log_that_became_shorter(path: Path) -> None:
    whole = filled(path, 2)
    tail = LogTail(path)
    tail.poll()
    path.write_bytes(whole[:-30])

    with pytest.raises(LogDamagedError, match="it ended at"):
        tail.poll()
    tail.close()


def test_file_with_an_unfinished_header_that_cannot_be_one_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_header(SegmentHeader("x" * 200))[:50])

    with pytest.raises(LogDamagedError, match="header is not complete"):
        opened(path)
