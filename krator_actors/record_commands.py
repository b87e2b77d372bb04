"""``krator close`` and ``krator journal events``: a day's report, and the record for programs."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from krator_actors import audit_commands, place
from krator_actors.act_commands import ask_portfolio
from krator_actors.adapters.journal_reader import JournalEvent, JournalReader
from krator_actors.clock import utc_ns
from krator_actors.config import Config
from krator_actors.core.daily_report import day_before, day_of
from krator_actors.core.daily_tables import day_text
from krator_actors.daily_close import close_day
from krator_actors.terminal import EXIT_FAILED, EXIT_OK, EXIT_USAGE, fail, print_json, say

_encode = msgspec.json.Encoder(decimal_format="string").encode


def main(name: str, options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    """Run ``close`` or ``journal events``; returns the exit code.

    Raises NotRunningError when there is no journal in that folder, JournalUnavailableError,
    EmbeddedPostgresError, OSError.
    """
    if name == "close":
        return _close(options, config, data_dir)
    return asyncio.run(_events(options, config, data_dir))


def _close(options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    today = day_of(utc_ns())
    try:
        day = dt.date.fromisoformat(options.day) if options.day else day_before(utc_ns())
    except ValueError:
        return fail(f"{options.day} is not a day like {today}", EXIT_USAGE)
    if day > today:
        return fail(f"{day} is not over, and has not begun; today is {today} (UTC)", EXIT_USAGE)
    report, path = asyncio.run(_closed(config, data_dir, day))
    if options.json:
        print_json(report)
    else:
        say(day_text(report))
        say(f"{path.with_suffix('.html')}\n{path.with_suffix('.txt')}\n{path}")
    return EXIT_FAILED if report.differences else EXIT_OK


async def _closed(config: Config, data_dir: Path, day: dt.date) -> tuple[Any, Path]:
    is_running = place.DataDirLock(data_dir).is_held()
    url = place.venue_url(config, data_dir)
    async with audit_commands.journal_dsn(config, data_dir, is_running=is_running) as dsn:
        return await close_day(
            config,
            data_dir,
            dsn,
            day,
            venue_url=url,
            ask_risk=partial(ask_portfolio, place.runtime_dir(data_dir)) if is_running else None,
        )


async def _events(options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    is_running = place.DataDirLock(data_dir).is_held()
    async with audit_commands.journal_dsn(config, data_dir, is_running=is_running) as dsn:
        reader = await JournalReader.connect_reader(dsn)
        try:
            left = options.limit
            async for entry in reader.events(options.after):
                _print_event(entry, as_json=options.json)
                left -= 1
                if not left:
                    break
        finally:
            reader.terminate()
    return EXIT_OK


def _print_event(entry: JournalEvent, *, as_json: bool) -> None:
    kind = type(entry.event).__name__
    if not as_json:
        say(f"{entry.seq} {entry.writer} {entry.number} {kind} {entry.event}")
        return
    # As in the stream: docs/REDIS.md promises the same body.
    body = msgspec.msgpack.decode(msgspec.msgpack.encode(entry.event))
    fields = {
        "seq": entry.seq,
        "writer": entry.writer,
        "number": entry.number,
        "generation": entry.generation,
        "type": kind,
        "ts": entry.ts_logged,
        "body": body,
    }
    say(_encode(fields).decode())
