"""The commands of a second terminal: status, report, stop, halt, resume."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from krator_actors import place, tree
from krator_actors.adapters.embedded_postgres import (
    EmbeddedPostgresError,
    embedded_dsn,
    temporary_server,
)
from krator_actors.adapters.postgres import JournalStore, JournalUnavailableError
from krator_actors.config import Config, ConfigError
from krator_actors.core.report import Report, build_report
from krator_actors.messages import Halt, Resume, TradingStateChanged
from supervisors.client import Client
from supervisors.messages import ActorError, Message
from supervisors.status import NodeStatus
from supervisors.system import NotRunningError, request_stop, status

EXIT_OK, EXIT_USAGE, EXIT_NOT_RUNNING, EXIT_FAILED, EXIT_NO_ANSWER = 0, 2, 3, 5, 6
_ASK_TIMEOUT_SECS = 5.0
_STOP_TIMEOUT_SECS = 60.0
_STOP_POLL_SECS = 0.1
_ROWS = 20
"""Orders and fills that the text report shows; ``--json`` has them all."""


def main(name: str, options: argparse.Namespace) -> int:
    """Run the command called ``name``; returns the exit code, says what went wrong on stderr."""
    try:
        config = place.load_config(options.config)
        data_dir = options.data_dir or place.last_run(config.system.data_dir)
        runtime = place.runtime_dir(data_dir)
        match name:
            case "status":
                return _status(runtime, options)
            case "report":
                return _report(data_dir, runtime, config, options)
            case "stop":
                return _stop(data_dir, runtime, options)
            case _:
                return _trading_state(name, runtime, options)
    except ConfigError as error:
        return _fail(str(error), EXIT_USAGE)
    except NotRunningError:
        return _fail("nothing is running on that data folder; start it with krator run", 3)
    except (EmbeddedPostgresError, JournalUnavailableError) as error:
        return _fail(f"the journal cannot be read: {error}", EXIT_FAILED)
    except (ActorError, TimeoutError) as error:
        return _fail(f"no answer from the running system: {error}", EXIT_NO_ANSWER)


def _status(runtime: Path, options: argparse.Namespace) -> int:
    node = status(runtime)
    if options.json:
        _print_json(node)
        return EXIT_OK
    rows = list(_tree_rows(node, 0))
    header = ("NAME", "STATE", "PID", "GEN", "RESTARTS", "UPTIME", "INBOX", "LAST REASON")
    _print_table(header, rows)
    return EXIT_OK


def _tree_rows(node: NodeStatus, depth: int) -> Iterable[tuple[str, ...]]:
    yield (
        "  " * depth + node.name,
        node.state,
        str(node.pid or "-"),
        str(node.generation),
        str(node.restarts),
        _duration(node.uptime_secs),
        str(node.inbox) if node.type == "worker" else "-",
        node.last_reason or "",
    )
    for child in node.children:
        yield from _tree_rows(child, depth + 1)


def _duration(secs: float) -> str:
    minutes, seconds = divmod(int(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _report(data_dir: Path, runtime: Path, config: Config, options: argparse.Namespace) -> int:
    report = read_report(data_dir, runtime, config)
    if options.json:
        _print_json(report)
    else:
        print_text(report)
    return EXIT_OK


def read_report(data_dir: Path, runtime: Path, config: Config) -> Report:
    """Return the report of the whole journal, starting PostgreSQL for it when nothing runs.

    Raises EmbeddedPostgresError, JournalUnavailableError, or NotRunningError when there is no
    journal in that folder yet.
    """
    dsn = tree.external_dsn(config)
    if dsn is not None:
        return asyncio.run(_fold(dsn))
    if not (data_dir / "postgres").is_dir():
        raise NotRunningError(str(data_dir))
    if place.DataDirLock(data_dir).is_held():
        return asyncio.run(_fold(embedded_dsn(runtime)))
    return asyncio.run(_fold_stopped(data_dir))


async def _fold_stopped(data_dir: Path) -> Report:
    with tempfile.TemporaryDirectory(prefix="krator-") as runtime:
        async with temporary_server(data_dir, Path(runtime)) as dsn:
            return await _fold(dsn)


async def _fold(dsn: str) -> Report:
    store = await JournalStore.connect_reader(dsn)
    try:
        events: list[Message] = [entry.event async for entry in store.events()]
    finally:
        await store.close()
    return build_report(events)


def print_report(data_dir: Path, runtime: Path, config: Config) -> None:
    """Print the summary at the end of a run; says so when the journal cannot be read."""
    try:
        print_text(read_report(data_dir, runtime, config))
    except (EmbeddedPostgresError, JournalUnavailableError, NotRunningError) as error:
        _fail(f"the journal cannot be read: {error}", EXIT_FAILED)


def print_text(report: Report) -> None:
    """Print a report for a person: totals, positions, the last orders and fills."""
    totals = msgspec.to_builtins(report.totals)
    _print_table(("TOTAL", ""), [(key.replace("_", " "), str(totals[key])) for key in totals])
    for title, items in (
        ("positions", report.positions),
        ("orders", report.orders),
        ("fills", report.fills),
    ):
        shown = list(items)[-_ROWS:]
        _say(f"\n{title}: {len(items)}" + (f" (the last {_ROWS})" if len(items) > _ROWS else ""))
        rows = [msgspec.to_builtins(item) for item in shown]
        if rows:
            header = tuple(key.upper() for key in rows[0])
            _print_table(header, [tuple(_cell(row[key]) for key in row) for row in rows])


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def _stop(data_dir: Path, runtime: Path, options: argparse.Namespace) -> int:
    lock = place.DataDirLock(data_dir)
    if not data_dir.is_dir() or not lock.is_held():
        raise NotRunningError(str(data_dir))
    request_stop(runtime)
    deadline = time.monotonic() + _STOP_TIMEOUT_SECS
    while lock.is_held():
        if time.monotonic() > deadline:
            return _fail(f"still running after {_STOP_TIMEOUT_SECS:g} s", EXIT_NO_ANSWER)
        time.sleep(_STOP_POLL_SECS)
    if options.json:
        _print_json({"stopped": True})
    else:
        _say("stopped")
    return EXIT_OK


def _trading_state(name: str, runtime: Path, options: argparse.Namespace) -> int:
    if not runtime.is_dir():
        raise NotRunningError(str(runtime))
    for option in ("by", "reason"):
        if not getattr(options, option).strip():
            return _fail(f"--{option} is empty; say who decides this, and why", EXIT_USAGE)
    message = (
        Halt(by=options.by, reason=options.reason)
        if name == "halt"
        else Resume(by=options.by, reason=options.reason)
    )
    changed = asyncio.run(_ask_risk(runtime, message))
    if options.json:
        _print_json(changed)
    else:
        _say(f"trading is {changed.state.value}, by {changed.by}: {changed.reason}")
    return EXIT_OK


async def _ask_risk(runtime: Path, message: Halt | Resume) -> TradingStateChanged:
    async with Client(runtime, name="cli") as client:
        answer: TradingStateChanged = await client.ask(
            "risk", message, TradingStateChanged, timeout_secs=_ASK_TIMEOUT_SECS
        )
        return answer


def _print_json(value: Any) -> None:
    _say(json.dumps(msgspec.to_builtins(value, enc_hook=str)))


def _print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"krator: {text}\n")
    return code
