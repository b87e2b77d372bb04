"""The job that closes a day: its report, from the journal, into ``<data_dir>/reports``."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import msgspec

from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.daily_report import DayFold, DayReport, day_text

_encode = msgspec.json.Encoder(decimal_format="string").encode


async def close_day(data_dir: Path, dsn: str, day: dt.date) -> Path:
    """Write ``reports/<day>.json`` and ``.txt`` and return the first; an older one is replaced.

    Raises JournalUnavailableError, OSError.
    """
    fold = DayFold(day)
    store = await JournalStore.connect_reader(dsn)
    try:
        async for entry in store.events():
            fold.take(entry.event, entry.ts_logged)
    finally:
        # Not close, because a server that hangs would not answer the goodbye.
        store.terminate()
    return await asyncio.to_thread(_write, data_dir / "reports", fold.report())


def _write(folder: Path, report: DayReport) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{report.day:%Y-%m-%d}.json"
    _replace(path.with_suffix(".txt"), day_text(report).encode())
    _replace(path, _encode(report) + b"\n")
    return path


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(content)
    draft.replace(path)
