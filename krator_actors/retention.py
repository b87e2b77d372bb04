"""The job that compresses older logs and deletes what nobody needs: logs, crash files, replays.

Never anything of the record: the actors' logs, the journal, the reports, the venue's ledger.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from krator_actors import place
from krator_actors.core.schedule import DAY_SECS

_REPLAY = re.compile(r"replay-\d{8}T\d{12}")
_SETTLED_SECS = 60.0
_KEPT_CRASH_FILES = frozenset({"reports.jsonl"})


class RetentionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """For how many days things are kept after they were changed last."""

    logs_days: int
    crash_files_days: int
    replays_days: int


class Deleted(msgspec.Struct, kw_only=True):
    """What one run has done; ``compressed`` counts older logs."""

    compressed: int = 0
    logs: int = 0
    crash_files: int = 0
    replays: int = 0


def delete_old(
    data_dir: Path, limits: RetentionLimits, *, now_secs: float, stop: Callable[[], bool]
) -> Deleted:
    """Compress older logs, delete what is past its limit; called in a thread.

    ``stop`` is asked between files.

    One that cannot be deleted does not save the others: OSError is raised at the end, for the
    first of them.
    """
    deleted = Deleted()
    errors: list[OSError] = []
    for path in _uncompressed_logs(data_dir, now_secs):
        if stop():
            return deleted
        try:
            _compress(path)
            deleted.compressed += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            errors.append(error)
    for kind, days, paths, delete in (
        ("logs", limits.logs_days, _rotated_logs(data_dir), Path.unlink),
        ("crash_files", limits.crash_files_days, _crash_files(data_dir), Path.unlink),
        ("replays", limits.replays_days, _replays(data_dir), _delete_replay),
    ):
        for path in paths:
            if stop():
                return deleted
            try:
                if _changed_secs(path) < now_secs - days * DAY_SECS:
                    delete(path)
                    setattr(deleted, kind, getattr(deleted, kind) + 1)
            except FileNotFoundError:
                continue
            except OSError as error:
                errors.append(error)
    if errors:
        raise errors[0]
    return deleted


def _rotated_logs(data_dir: Path) -> Iterator[Path]:
    folder = data_dir / "logs"
    paths = sorted({*folder.glob("*.1"), *folder.glob("krator-*.jsonl*")})
    return (path for path in paths if _is_file(path))


def _uncompressed_logs(data_dir: Path, now_secs: float) -> Iterator[Path]:
    for path in sorted((data_dir / "logs").glob("krator-*.jsonl")):
        # A process notices within its next line that its file was renamed; that line is in it.
        if _is_file(path) and _changed_secs(path) < now_secs - _SETTLED_SECS:
            yield path


def _compress(path: Path) -> None:
    """Replace the file by ``<path>.gz``, which keeps its time; there is never none of the two."""
    draft = path.with_name(f".{path.name}.gz")
    status = path.stat()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with (
            path.open("rb") as plain,
            os.fdopen(descriptor, "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed,
        ):
            shutil.copyfileobj(plain, packed)
        os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
        draft.replace(path.with_name(f"{path.name}.gz"))
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    path.unlink()


def _crash_files(data_dir: Path) -> Iterator[Path]:
    for path in sorted((data_dir / "crash").glob("*")):
        if _is_file(path) and path.name not in _KEPT_CRASH_FILES:
            yield path


def _replays(data_dir: Path) -> Iterator[Path]:
    """The data folders that ``krator run --replay`` has made beside ours, and no others."""
    kept = {data_dir.resolve(), place.last_run(data_dir).resolve()}
    for path in sorted(data_dir.absolute().parent.glob("replay-*")):
        is_ours = _REPLAY.fullmatch(path.name) and (path / "krator.lock").is_file()
        if is_ours and not path.is_symlink() and path.resolve() not in kept:
            yield path


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _changed_secs(path: Path) -> float:
    changed = path.stat().st_mtime
    if path.is_dir():
        for name in ("logs/krator.jsonl", "log", "logs"):
            with contextlib.suppress(FileNotFoundError):
                changed = max(changed, (path / name).stat().st_mtime)
    return changed


def _delete_replay(path: Path) -> None:
    lock = place.DataDirLock(path)
    try:
        lock.acquire()
    except place.AlreadyRunningError as error:
        raise FileNotFoundError(f"{path} is in use") from error
    try:
        shutil.rmtree(path)
    finally:
        lock.release()
