"""A local log is made whole from the journal's records, or stays as it is."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krator_actors.adapters.at_rest import KEY_VARIABLE
from krator_actors.adapters.local_log import LocalLog, LogKeyError, LogLockedError, log_path
from krator_actors.adapters.log_reader import LogTail
from krator_actors.adapters.log_repair import LogRepair, RebuildError
from krator_actors.adapters.log_segments import segments_of
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages.orders import OrderSubmitted

WRITER = "order:SIM"
SEGMENT_BYTES = 1_000
KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("krator_actors.adapters.local_log.SEGMENT_BYTES", SEGMENT_BYTES)


def event(number: int) -> OrderSubmitted:
    return OrderSubmitted(client_order_id=f"k{number}", symbol="BTC-USDT.SIM", ts_event=number)


def write(data_dir: Path, count: int, *, generation: int = 1) -> None:
    with LocalLog.open(
        log_path(data_dir, WRITER), writer=WRITER, generation=generation, durability="process"
    ) as log:
        for _ in range(count):
            log.append(event(log.last_number + 1), ts_ns=1_000 + log.last_number)


def records(data_dir: Path) -> list[RawRecord]:
    """Return every record of the log; fails when it is not whole."""
    tail = LogTail(log_path(data_dir, WRITER))
    found: list[RawRecord] = []
    while more := tail.poll():
        found += more
    tail.close()
    return found


def files(data_dir: Path) -> dict[str, bytes]:
    return {s.path.name: s.path.read_bytes() for s in segments_of(log_path(data_dir, WRITER))}


def repair(
    data_dir: Path, journal: Iterable[RawRecord], *, stop: Callable[[], None] = lambda: None
) -> LogRepair:
    """Make the log whole from ``journal``; ``stop`` is called before anything is installed."""
    rows = list(journal)
    folder = data_dir / "log"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "rebuild", ignore_errors=True)
    last = rows[-1].number if rows else 0
    log = LogRepair(data_dir, WRITER, last, staging=folder / "rebuild", aside=folder / "replaced")
    try:
        for row in rows:
            log.take(row)
        if problem := log.problem():
            raise RebuildError(problem)
        stop()
        log.install()
    finally:
        log.close()
    return log


def test_removed_head_comes_back_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path, 100)
    written, journal = files(tmp_path), records(tmp_path)
    segments = segments_of(log_path(tmp_path, WRITER))
    for segment in segments[:5]:
        segment.path.unlink()

    done = repair(tmp_path, journal)

    assert files(tmp_path) == written
    assert done.compared == 100 - (segments[5].first - 1)


def test_log_that_is_lost_comes_back_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path, 100)
    written, journal = files(tmp_path), records(tmp_path)
    for name in written:
        (tmp_path / "log" / name).unlink()

    done = repair(tmp_path, journal)

    assert files(tmp_path) == written
    assert (done.first, done.compared) == (0, 0)


def test_what_the_journal_has_not_yet_stays(tmp_path: Path) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    write(tmp_path, 20, generation=2)
    everything = records(tmp_path)
    log_path(tmp_path, WRITER).unlink()

    done = repair(tmp_path, journal)

    assert records(tmp_path) == everything
    assert (done.last, done.journal_last) == (80, 60)


def test_end_that_the_log_has_lost_comes_back(tmp_path: Path) -> None:
    write(tmp_path, 60)
    everything = records(tmp_path)
    last = segments_of(log_path(tmp_path, WRITER))[-1].path
    torn = last.read_bytes()[:-5]
    last.write_bytes(torn)

    repair(tmp_path, everything)

    assert records(tmp_path) == everything
    assert (tmp_path / "log" / "replaced" / last.name).read_bytes() == torn
    write(tmp_path, 1, generation=2)
    assert len(records(tmp_path)) == 61


def test_damage_in_the_middle_is_replaced_and_kept_aside(tmp_path: Path) -> None:
    write(tmp_path, 60)
    written, journal = files(tmp_path), records(tmp_path)
    victim = segments_of(log_path(tmp_path, WRITER))[2].path
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)

    repair(tmp_path, journal)

    assert files(tmp_path) == written
    assert (tmp_path / "log" / "replaced" / victim.name).read_bytes() == data


def test_missing_segment_in_the_middle_comes_back(tmp_path: Path) -> None:
    write(tmp_path, 60)
    written, journal = files(tmp_path), records(tmp_path)
    segments_of(log_path(tmp_path, WRITER))[2].path.unlink()

    repair(tmp_path, journal)

    assert files(tmp_path) == written


def test_damage_at_the_end_is_left_to_a_person(tmp_path: Path) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    last = segments_of(log_path(tmp_path, WRITER))[-1].path
    data = bytearray(last.read_bytes())
    data[-20] ^= 1
    last.write_bytes(data)
    before = files(tmp_path)

    with pytest.raises(RebuildError, match="nobody knows what it had"):
        repair(tmp_path, journal)

    assert files(tmp_path) == before
    last.unlink()
    repair(tmp_path, journal)
    assert records(tmp_path) == journal


def test_records_that_are_in_neither_are_named(tmp_path: Path) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    segments = segments_of(log_path(tmp_path, WRITER))
    for segment in segments[:4]:
        segment.path.unlink()
    before, head = files(tmp_path), segments[4].first - 1

    with pytest.raises(RebuildError, match=f"the records 11 to {head} are in neither.*with 10"):
        repair(tmp_path, journal[:10])
    with pytest.raises(RebuildError, match=f"1 to {head} are in neither.*keep_days"):
        repair(tmp_path, journal[5:])

    assert files(tmp_path) == before


@pytest.mark.parametrize("number", [1, 30, 60])
def test_record_that_differs_from_the_journal_is_refused(tmp_path: Path, number: int) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    log = log_path(tmp_path, WRITER)
    if number > 1:
        log.unlink()
    before = files(tmp_path)
    body = msgspec.msgpack.encode(event(0))
    journal[number - 1] = msgspec.structs.replace(journal[number - 1], body=body)

    with pytest.raises(RebuildError, match=f"record {number} of the log is not the one"):
        repair(tmp_path, journal)

    assert files(tmp_path) == before


def test_journal_of_a_log_that_was_born_at_another_time_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    log_path(tmp_path, WRITER).unlink()
    journal[0] = msgspec.structs.replace(journal[0], ts_ns=7)

    with pytest.raises(RebuildError, match="two histories"):
        repair(tmp_path, journal)


def test_log_that_somebody_writes_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    path = log_path(tmp_path, WRITER)
    path.unlink()

    with LocalLog.open(path, writer=WRITER, generation=2, durability="process"):
        before = files(tmp_path)
        with pytest.raises(LogLockedError):
            repair(tmp_path, journal)

    assert files(tmp_path) == before


def test_log_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    for segment in segments_of(log_path(tmp_path, WRITER)):
        segment.path.unlink()

    with pytest.raises(RebuildError, match="was written meanwhile"):
        repair(tmp_path, journal, stop=lambda: write(tmp_path, 3))

    assert [record.number for record in records(tmp_path)] == [1, 2, 3]


@settings(max_examples=20)  # each example waits for the disk
@given(st.data())
def test_rebuild_that_is_stopped_anywhere_is_ended_by_the_next_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("krator_actors.adapters.local_log.SEGMENT_BYTES", SEGMENT_BYTES)
        write(folder, 60)
        journal = records(folder)
        segments = segments_of(log_path(folder, WRITER))
        for segment in segments[: data.draw(st.integers(1, len(segments)), "removed")]:
            segment.path.unlink()
        steps = data.draw(st.integers(0, len(segments)), "steps")
        link = os.link

        def dying(staged: Path, target: Path) -> None:
            nonlocal steps
            if not steps:
                raise KeyboardInterrupt
            steps -= 1
            link(staged, target)

        patch.setattr(os, "link", dying)
        try:
            repair(folder, journal)
        except KeyboardInterrupt:
            left = segments_of(log_path(folder, WRITER))
            assert not left or left[0].first > 1  # it is still refused by its actor
        patch.setattr(os, "link", link)

        repair(folder, journal)

        assert records(folder) == journal


def test_plain_log_is_rebuilt_sealed_when_there_is_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 60)
    journal = records(tmp_path)
    for name in files(tmp_path):
        (tmp_path / "log" / name).unlink()
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    repair(tmp_path, journal)

    assert records(tmp_path) == journal
    assert all(b"OrderSubmitted" not in data for data in files(tmp_path).values())


def test_sealed_log_without_its_key_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    write(tmp_path, 60)
    journal = records(tmp_path)
    log_path(tmp_path, WRITER).unlink()
    before = files(tmp_path)
    monkeypatch.delenv(KEY_VARIABLE)

    with pytest.raises(LogKeyError):
        repair(tmp_path, journal)

    assert files(tmp_path) == before
