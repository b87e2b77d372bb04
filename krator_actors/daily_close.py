"""Closing a day: its report, from the journal, into ``<data_dir>/reports``."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import msgspec

from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.daily_page import day_page
from krator_actors.core.daily_report import DayFold, DayReport
from krator_actors.core.daily_tables import day_text

_encode = msgspec.json.Encoder(decimal_format="string").encode


async def close_day(data_dir: Path, dsn: str, day: dt.date) -> tuple[DayReport, Path]:
    """Write ``reports/<day>.txt``, ``.html`` and ``.json``; return the report and the last path.

    Older ones are replaced; the ``.json`` last, so that it stands for all three. Raises
    JournalUnavailableError, OSError.
    """
    fold = DayFold(day)
    store = await JournalStore.connect_reader(dsn)
    try:
        async for entry in store.events():
            fold.take(entry.event, entry.ts_logged, writer=entry.writer, number=entry.number)
    finally:
        # Not close, because a server that hangs would not answer the goodbye.
        store.terminate()
    report = fold.report()
    return report, await asyncio.to_thread(_write, data_dir / "reports", report)


def _write(folder: Path, report: DayReport) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{report.day:%Y-%m-%d}.json"
    _replace(path.with_suffix(".txt"), day_text(report).encode())
    _replace(path.with_suffix(".html"), day_page(report).encode())
    _replace(path, _encode(report) + b"\n")
    return path


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(content)
    draft.replace(path)
