"""Recorded frames: whole lines in every file, also in one that a crash has left."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from krator_actors.adapters import frame_file
from krator_actors.adapters.frame_file import FrameFile, RecordedLine
from krator_actors.exchange.recording import Recording
from krator_actors.model import NANOS_PER_SEC


def line(number: int, secs: float = 0.0) -> RecordedLine:
    ts_ns = 1_000 + number + int(secs * NANOS_PER_SEC)
    data = f'{{"stream":"btcusdt@other","data":{{"n":{number}}}}}'
    return RecordedLine(ts_ns=ts_ns, dir="recv", data=data)


def read(folder: Path) -> list[RecordedLine]:
    lines = []
    for path in sorted(folder.iterdir()):
        for text in gzip.decompress(path.read_bytes()).splitlines():
            lines.append(msgspec.json.decode(text, type=RecordedLine))  # noqa: PERF401 - two loops
    return lines


def nothing() -> None:
    pass


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = FrameFile(tmp_path, "spot_btcusdt", on_new_file=nothing)
    file.append(line(1))
    file.flush()
    file.append(line(2))
    file.close()

    assert read(tmp_path) == [line(1), line(2)]
    assert file.frames == 2
    assert file.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_what_was_flushed_is_whole_when_the_process_dies(tmp_path: Path) -> None:
    file = FrameFile(tmp_path, "spot_btcusdt", on_new_file=nothing)
    for number in range(5):
        file.append(line(number))
        file.flush()
    file.append(line(99))  # lost: it was not flushed, and close is never called

    assert len(Recording.scan(tmp_path).files) == 1
    assert read(tmp_path) == [line(number) for number in range(5)]


def test_file_that_is_old_or_large_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    file = FrameFile(tmp_path, "spot_btcusdt", on_new_file=lambda: opened.append(1))
    for secs in (0.0, 1.0, 4_000.0):
        file.append(line(1, secs))
        file.flush()
    monkeypatch.setattr(frame_file, "_ROTATE_BYTES", 1)
    file.append(line(2, 4_001.0))
    file.close()

    assert len(opened) == len(list(tmp_path.iterdir())) == 3
    assert len(read(tmp_path)) == 4


def test_nothing_recorded_is_no_file(tmp_path: Path) -> None:
    FrameFile(tmp_path, "spot_btcusdt", on_new_file=nothing).close()

    assert list(tmp_path.iterdir()) == []
