"""``krator audit`` and ``krator journal``: an order's story, the chain's proof, backup, restore."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from krator_actors import place
from krator_actors.adapters import journal_backup, local_log
from krator_actors.adapters.anchors import (
    AnchorBook,
    AnchorError,
    anchors_file,
    public_key_file,
    read_anchors,
)
from krator_actors.adapters.at_rest import DataKeyError
from krator_actors.adapters.embedded_postgres import (
    EmbeddedPostgresError,
    embedded_dsn,
    temporary_server,
)
from krator_actors.adapters.journal_backup import BackupError
from krator_actors.adapters.journal_reader import JournalReader, JournalUnavailableError, Verdict
from krator_actors.clock import utc_ns
from krator_actors.config import Config
from krator_actors.core.audit import Story, tell_story, time_stamp
from krator_actors.core.chain import Anchor
from krator_actors.external import external_dsn
from krator_actors.terminal import (
    EXIT_ALREADY_RUNNING,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    fail,
    print_json,
    print_table,
    say,
)
from supervisors.system import NotRunningError

_SHOWN_MATCHES = 5
_JOURNAL_ERRORS = (
    AnchorError,
    BackupError,
    DataKeyError,
    EmbeddedPostgresError,
    JournalUnavailableError,
)


def main(name: str, options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    """Run ``audit order``, ``audit verify``, ``journal backup``, ``restore`` or ``rebuild``.

    Raises NotRunningError when there is no journal in that folder.
    """
    try:
        match name:
            case "audit order":
                return asyncio.run(_order(options, config, data_dir))
            case "audit verify":
                return asyncio.run(_verify(options, config, data_dir))
            case "journal backup":
                return asyncio.run(_backup(options, config, data_dir))
            case _:
                return _restore(options, config, data_dir)
    except _JOURNAL_ERRORS as error:
        return fail(str(error), EXIT_FAILED)
    except FileNotFoundError as error:
        return fail(str(error), EXIT_USAGE)


@contextlib.asynccontextmanager
async def journal_dsn(config: Config, data_dir: Path, *, is_running: bool) -> AsyncIterator[str]:
    """Yield the URL of the journal's server, which is started for it when nothing runs.

    Raises NotRunningError when there is no journal in that folder yet, EmbeddedPostgresError.
    """
    dsn = external_dsn(config)
    if dsn is not None:
        yield dsn
    elif is_running:
        yield embedded_dsn(place.runtime_dir(data_dir))
    elif not (data_dir / "postgres").is_dir():
        raise NotRunningError(f"no journal in {data_dir}")
    else:
        with tempfile.TemporaryDirectory(prefix="krator-") as runtime:
            async with temporary_server(data_dir, Path(runtime)) as dsn:
                yield dsn


@contextlib.asynccontextmanager
async def _reader(config: Config, data_dir: Path) -> AsyncIterator[JournalReader]:
    is_running = place.DataDirLock(data_dir).is_held()
    async with journal_dsn(config, data_dir, is_running=is_running) as dsn:
        reader = await JournalReader.connect_reader(dsn)
        try:
            yield reader
        finally:
            reader.terminate()


async def _order(options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    async with _reader(config, data_dir) as reader:
        found = await reader.correlations(options.id, limit=_SHOWN_MATCHES)
        if options.id in found:
            found = [options.id]
        if len(found) > 1:
            return fail(f"{options.id} begins {', '.join(found)}; say more of it", EXIT_USAGE)
        if not found:
            return fail(f"the journal has no order or incident {options.id}", EXIT_USAGE)
        story = tell_story(found[0], await reader.story(found[0]))
    if options.json:
        print_json(story)
    else:
        _print_story(story)
    return EXIT_OK


def _print_story(story: Story) -> None:
    for name, value in msgspec.structs.asdict(story).items():
        if name != "steps" and value is not None:
            say(f"{name:<32} {_plain(value)}")
    say("")
    print_table(
        ("seq", "date and time", "code", "event", "writer", "because of"),
        [
            (
                str(step.sequence_number),
                step.date_and_time,
                step.order_event or "",
                step.event,
                step.writer,
                step.causation_id or "",
            )
            for step in story.steps
        ],
        right="seq",
    )
    say("")
    for step in story.steps:
        if step.details:
            say(f"{step.sequence_number} {step.event}: {_fields(step.details)}")


def _fields(details: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in details.items())


def _plain(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def anchors_of(options: argparse.Namespace, data_dir: Path) -> list[Anchor]:
    """Return the anchors that the command names, else the data folder's. Raises AnchorError."""
    return read_anchors(
        options.anchors or anchors_file(data_dir),
        options.public_key or public_key_file(data_dir),
    )


async def _verify(options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    anchors = anchors_of(options, data_dir)
    async with _reader(config, data_dir) as reader:
        verdict = await reader.verify(anchors)
    if options.json:
        print_json(
            {"ok": verdict.fault is None, **msgspec.to_builtins(verdict), "anchors": len(anchors)}
        )
    else:
        _print_verdict(verdict, anchors)
    return EXIT_OK if verdict.fault is None else EXIT_FAILED


def _print_verdict(verdict: Verdict, anchors: list[Anchor]) -> None:
    if verdict.fault is not None:
        say(f"NOT AS WRITTEN from row {verdict.fault.seq} on: {verdict.fault.reason}")
        return
    say(f"ok: {verdict.rows} rows up to {verdict.last_seq}, none changed, missing or added")
    if anchors:
        behind = verdict.last_seq - verdict.anchored_seq
        say(
            f"anchored up to row {verdict.anchored_seq}, {time_stamp(anchors[-1].ts)};"
            f" {behind} rows behind it"
        )
    else:
        say("there are no anchors: a chain computed anew could not be told from this one")


async def _backup(options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    anchors = anchors_of(options, data_dir)
    is_running = place.DataDirLock(data_dir).is_held()
    async with journal_dsn(config, data_dir, is_running=is_running) as dsn:
        contents = await journal_backup.back_up(dsn, options.file, anchors)
    _say_done("backed up", contents, options)
    return EXIT_OK


def _restore(options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    place.prepare(data_dir)
    lock = place.DataDirLock(data_dir)
    try:
        lock.acquire()
    except place.AlreadyRunningError:
        return fail("a system runs on that data folder; stop it first", EXIT_ALREADY_RUNNING)
    try:
        contents = asyncio.run(_restore_locked(options, config, data_dir))
    finally:
        lock.release()
    _say_done("restored", contents, options)
    return EXIT_OK


async def _restore_locked(
    options: argparse.Namespace, config: Config, data_dir: Path
) -> journal_backup.Contents:
    anchors = anchors_of(options, data_dir)
    dsn = external_dsn(config)
    async with contextlib.AsyncExitStack() as stack:
        if dsn is None:
            runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="krator-"))
            dsn = await stack.enter_async_context(temporary_server(data_dir, Path(runtime)))
        now_ns = utc_ns()
        contents = await journal_backup.restore(dsn, options.file, anchors, now_ns=now_ns)
    if not local_log.writers_of(data_dir):
        place.owe_rebuild(data_dir)
    head = contents.head
    AnchorBook(data_dir).write(
        Anchor(journal_id=head.journal_id, seq=head.seq, hash=head.hash, ts=now_ns, kind="restored")
    )
    return contents


def _say_done(what: str, contents: journal_backup.Contents, options: argparse.Namespace) -> None:
    if options.json:
        print_json({what.replace(" ", "_"): contents.head.seq, "file": str(options.file)})
    else:
        say(f"{what} {contents.head.seq} rows, {options.file}")
