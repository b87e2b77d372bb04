"""The commands that read the journal: report, close, audit and journal."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from krator_actors import audit_commands, place, rebuild_commands, record_commands, report_text
from krator_actors.adapters.embedded_postgres import EmbeddedPostgresError
from krator_actors.adapters.journal_reader import JournalReader, JournalUnavailableError
from krator_actors.config import Config
from krator_actors.core.report import Report, build_report
from krator_actors.terminal import EXIT_FAILED, EXIT_OK, fail, print_json
from supervisors.messages import Message
from supervisors.system import NotRunningError


def main(name: str, options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    """Run one of them; returns the exit code. Raises ConfigError, NotRunningError, OSError."""
    try:
        match name:
            case "report":
                return _report(data_dir, config, options)
            case "close" | "journal events":
                return record_commands.main(name, options, config, data_dir)
            case "journal rebuild":
                return rebuild_commands.main(options, config, data_dir)
            case _:
                return audit_commands.main(name, options, config, data_dir)
    except (EmbeddedPostgresError, JournalUnavailableError) as error:
        return _unread(error)


def print_summary(data_dir: Path, config: Config) -> None:
    """Print the report at the end of a run; says so when the journal cannot be read."""
    try:
        report_text.print_report(asyncio.run(_fold(config, data_dir, is_running=False)))
    except (EmbeddedPostgresError, JournalUnavailableError, NotRunningError, OSError) as error:
        _unread(error)


def _report(data_dir: Path, config: Config, options: argparse.Namespace) -> int:
    is_running = place.DataDirLock(data_dir).is_held()
    report = asyncio.run(_fold(config, data_dir, is_running=is_running))
    if options.json:
        print_json(report)
    else:
        report_text.print_report(report)
    return EXIT_OK


async def _fold(config: Config, data_dir: Path, *, is_running: bool) -> Report:
    async with audit_commands.journal_dsn(config, data_dir, is_running=is_running) as dsn:
        reader = await JournalReader.connect_reader(dsn)
        try:
            events: list[Message] = [entry.event async for entry in reader.events()]
        finally:
            await reader.close()
    return build_report(events)


def _unread(error: Exception) -> int:
    return fail(f"the journal cannot be read: {error}", EXIT_FAILED)
