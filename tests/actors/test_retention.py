from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from krator_actors import retention
from krator_actors.retention import Deleted, RetentionLimits, delete_old

NOW_SECS = 2_000_000_000.0
DAY_SECS = 86_400
LIMITS = RetentionLimits(logs_days=14, crash_files_days=30, replays_days=7)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "var" / "krator"
    for name in ("log", "logs", "crash"):
        (folder / name).mkdir(parents=True)
    return folder


def aged(path: Path, days: float) -> Path:
    """Make a file that was changed last so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return touched(path, days)


def touched(path: Path, days: float) -> Path:
    os.utime(path, (NOW_SECS - days * DAY_SECS,) * 2)
    return path


def replay(data_dir: Path, name: str, days: float) -> Path:
    folder = data_dir.parent / name
    for file in ("krator.lock", "log/risk.log", "logs/krator.jsonl"):
        aged(folder / file, days)
    for part in ("log", "logs", "."):
        touched(folder / part, days)
    return folder


def delete(data_dir: Path) -> Deleted:
    return delete_old(data_dir, LIMITS, now_secs=NOW_SECS, stop=lambda: False)


def test_old_rotated_logs_go_and_the_others_stay(data_dir: Path) -> None:
    old = aged(data_dir / "logs" / "krator.jsonl.1", 15)
    young = aged(data_dir / "logs" / "postgres.log.1", 13)
    current = aged(data_dir / "logs" / "krator.jsonl", 99)

    deleted = delete(data_dir)

    assert (old.exists(), young.exists(), current.exists()) == (False, True, True)
    assert deleted == Deleted(logs=1)


def test_old_crash_files_go_and_the_reports_of_supervisors_stay(data_dir: Path) -> None:
    old = aged(data_dir / "crash" / "risk-1.txt", 31)
    young = aged(data_dir / "crash" / "risk-2.txt", 29)
    reports = aged(data_dir / "crash" / "reports.jsonl", 99)

    assert delete(data_dir) == Deleted(crash_files=1)
    assert (old.exists(), young.exists(), reports.exists()) == (False, True, True)


def test_the_record_is_never_touched(data_dir: Path) -> None:
    record = [
        aged(data_dir / "log" / "risk.log", 999),
        aged(data_dir / "reports" / "2020-01-01.json", 999),
        aged(data_dir / "exchange" / "ledger.jsonl", 999),
        aged(data_dir / "postgres" / "PG_VERSION", 999),
    ]

    delete(data_dir)

    assert all(path.exists() for path in record)


def test_old_replays_go_and_young_ones_stay(data_dir: Path) -> None:
    old = replay(data_dir, "replay-20260101T000000000000", 8)
    young = replay(data_dir, "replay-20260102T000000000000", 6)

    assert delete(data_dir) == Deleted(replays=1)
    assert (old.exists(), young.exists()) == (False, True)


def test_replay_in_which_something_was_logged_lately_stays(data_dir: Path) -> None:
    folder = replay(data_dir, "replay-20260101T000000000000", 99)
    aged(folder / "logs" / "krator.jsonl", 1)

    delete(data_dir)

    assert folder.exists()


def test_folder_that_no_replay_has_made_stays(data_dir: Path) -> None:
    named_alike = replay(data_dir, "replay-of-my-thesis", 99)
    without_lock = replay(data_dir, "replay-20260101T000000000000", 99)
    (without_lock / "krator.lock").unlink()
    touched(without_lock, 99)

    delete(data_dir)

    assert named_alike.exists()
    assert without_lock.exists()


def test_link_to_a_replay_and_what_it_points_to_stay(data_dir: Path, tmp_path: Path) -> None:
    elsewhere = replay(tmp_path / "elsewhere" / "krator", "replay-20260101T000000000000", 99)
    link = data_dir.parent / "replay-20260101T000000000000"
    link.symlink_to(elsewhere)

    delete(data_dir)

    assert link.is_symlink()
    assert elsewhere.exists()


def test_replay_that_was_started_last_stays(data_dir: Path) -> None:
    folder = replay(data_dir, "replay-20260101T000000000000", 99)
    (data_dir.parent / "last-run").write_text(str(folder))

    delete(data_dir)

    assert folder.exists()


def test_replay_that_runs_stays(data_dir: Path) -> None:
    folder = replay(data_dir, "replay-20260101T000000000000", 99)
    code = (
        "import sys; from pathlib import Path; from krator_actors.place import DataDirLock\n"
        "lock = DataDirLock(Path(sys.argv[1])); lock.acquire()\n"
        "print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "held\n"

        deleted = delete(data_dir)

        running.communicate("")
    assert folder.exists()
    assert deleted == Deleted()


def test_what_cannot_be_deleted_does_not_save_the_others_and_is_told(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replay(data_dir, "replay-20260101T000000000000", 99)
    second = replay(data_dir, "replay-20260102T000000000000", 99)
    remove = shutil.rmtree

    def refuse_first(path: Path) -> None:
        if path == first:
            raise PermissionError(13, "Permission denied", str(path))
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", refuse_first)

    with pytest.raises(PermissionError):
        delete(data_dir)

    assert not second.exists()


def test_stop_is_heard_between_files(data_dir: Path) -> None:
    old = aged(data_dir / "logs" / "krator.jsonl.1", 15)

    deleted = delete_old(data_dir, LIMITS, now_secs=NOW_SECS, stop=lambda: True)

    assert old.exists()
    assert deleted == Deleted()


def test_file_that_goes_by_itself_is_no_error(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(data_dir / "logs" / "krator.jsonl.1", 15)

    def gone(_path: Path) -> float:
        raise FileNotFoundError

    monkeypatch.setattr(retention, "_changed_secs", gone)

    assert delete(data_dir) == Deleted()


def test_older_log_is_compressed_and_keeps_its_lines_its_time_and_its_rights(
    data_dir: Path,
) -> None:
    old = aged(data_dir / "logs" / "krator-20260101T000000000000.jsonl", 2)
    old.write_text("line\n" * 1_000)
    os.utime(old, (NOW_SECS - 2 * 86_400, NOW_SECS - 2 * 86_400))
    young = data_dir / "logs" / "krator-20260103T000000000000.jsonl"
    young.write_text("still written to")
    os.utime(young, (NOW_SECS - 5, NOW_SECS - 5))

    deleted = delete(data_dir)

    packed = old.with_name(f"{old.name}.gz")
    assert deleted == Deleted(compressed=1)
    assert gzip.decompress(packed.read_bytes()) == b"line\n" * 1_000
    assert packed.stat().st_mtime == NOW_SECS - 2 * 86_400
    assert packed.stat().st_mode & 0o777 == 0o600
    assert not old.exists()
    assert young.exists()


def test_compressed_log_goes_when_its_time_is_over(data_dir: Path) -> None:
    packed = aged(data_dir / "logs" / "krator-20250101T000000000000.jsonl.gz", 15)

    assert delete(data_dir) == Deleted(logs=1)
    assert not packed.exists()


def test_log_that_cannot_be_compressed_stays_whole(data_dir: Path) -> None:
    old = aged(data_dir / "logs" / "krator-20260101T000000000000.jsonl", 2)
    (data_dir / "logs" / f".{old.name}.gz").mkdir()

    with pytest.raises(OSError, match="Is a directory"):
        delete(data_dir)

    assert old.exists()
