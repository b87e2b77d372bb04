"""The local logs made whole again from the journal: for a start that needs their beginning.

The whole chain is verified on the way. All is written into ``log/rebuild`` first; not before every
log can be made whole is any of it put in its place. Stopped anywhere, the same again ends it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from krator_actors import place
from krator_actors.adapters.journal_reader import JournalReader
from krator_actors.adapters.local_log import log_path, writers_of
from krator_actors.adapters.log_repair import LogRepair, RebuildError
from krator_actors.core.chain import Anchor, JournalRow
from krator_actors.order_archive import ArchiveError, OrderArchive
from krator_actors.order_ledger import OrderLedger
from supervisors.launch import raise_generation

_ORDER = "order:"
_ASIDE = "replaced"
_FOLDED = (".snapshot", ".snapshot.before", ".closed", ".archive")
"""The order actor's files that are made from its log, in the order in which they are removed."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one log, and done."""

    writer: str
    last: int
    """its last record now"""
    written: tuple[tuple[int, int], ...]
    """first and last record of what was written from the journal; empty: it was whole"""
    compared: int
    """so many records were in the log and in the journal, and equal"""
    journal_last: int
    """what is behind it is in the log only"""
    was_absent: bool
    """True: what was logged behind ``journal_last`` is lost"""


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of folding an order log from its first record."""

    writer: str
    open_orders: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What ``rebuild`` has done."""

    rows: int
    """of the journal, all of them verified"""
    logs: tuple[Rebuilt, ...]
    folded: tuple[Folded, ...]
    aside: Path | None
    """where the files are that were replaced; None when none was"""


class UnknownWriterError(Exception):
    """Neither the journal nor the data folder has a log of that name."""


async def rebuild(
    dsn: str, data_dir: Path, names: Sequence[str], anchors: Sequence[Anchor], *, now_ns: int
) -> Outcome:
    """Make the logs called ``names`` whole, all when there are none, and fold those of orders.

    Nothing may run on ``data_dir``: the caller holds its lock. Raises RebuildError, LogError,
    JournalUnavailableError, UnknownWriterError (nothing of the logs was changed then), OSError.
    """
    staging, aside = data_dir / place.REBUILD_FOLDER, data_dir / "log" / _ASIDE / str(now_ns)
    place.clear_rebuild(data_dir)
    reader = await JournalReader.connect_reader(dsn)
    with contextlib.ExitStack() as stack:
        stack.callback(place.clear_rebuild, data_dir)
        stack.callback(reader.terminate)
        marks = await reader.watermarks()
        repairs: dict[str, LogRepair] = {}
        for writer in _chosen(names, {*marks, *writers_of(data_dir)}):
            number = marks[writer].number if writer in marks else 0
            repair = LogRepair(data_dir, writer, number, staging=staging, aside=aside)
            stack.callback(repair.close)
            repairs[writer] = repair
        rows = await _read(reader, repairs, anchors)
        generations = {writer: mark.generation for writer, mark in marks.items()}
        generations["journal"] = (await reader.last()).generation
        for writer, generation in generations.items():
            raise_generation(data_dir, writer, generation)
        _install(data_dir, list(repairs.values()))
        logs = tuple(map(_rebuilt, repairs.values()))
    folded = tuple(_fold(data_dir, log.writer, aside) for log in logs if _needs_fold(data_dir, log))
    return Outcome(rows=rows, logs=logs, folded=folded, aside=aside if aside.exists() else None)


def _chosen(names: Sequence[str], known: set[str]) -> list[str]:
    if unknown := [name for name in names if name not in known]:
        raise UnknownWriterError(
            f"neither journal nor data folder have a log of {', '.join(unknown)}; they have"
            f" {', '.join(sorted(known)) or 'none'}"
        )
    return sorted(set(names)) if names else sorted(known)


async def _read(
    reader: JournalReader, repairs: Mapping[str, LogRepair], anchors: Sequence[Anchor]
) -> int:
    """Show every row to the log that it is of; return how many there are. Raises RebuildError."""

    async def visit(row: JournalRow) -> None:
        repair = repairs.get(row.writer)
        if repair is not None:
            repair.take(await reader.record(row))

    verdict = await reader.verify(anchors, visit)
    if verdict.fault is not None:
        raise RebuildError(
            f"the journal is not what was written from row {verdict.fault.seq} on:"
            f" {verdict.fault.reason}. Put a backup in its place with krator journal restore"
        )
    problems = [problem for repair in repairs.values() if (problem := repair.problem())]
    if problems:
        raise RebuildError("\n".join(problems))
    return verdict.rows


def _install(data_dir: Path, repairs: Sequence[LogRepair]) -> None:
    if any(repair.holes for repair in repairs):
        place.owe_rebuild(data_dir)
    for repair in repairs:
        repair.install()
    place.end_rebuild(data_dir)


def _rebuilt(repair: LogRepair) -> Rebuilt:
    return Rebuilt(
        writer=repair.writer,
        last=repair.last,
        written=tuple((hole.first, hole.last) for hole in repair.holes),
        compared=repair.compared,
        journal_last=repair.journal_last,
        was_absent=not repair.first,
    )


def _needs_fold(data_dir: Path, log: Rebuilt) -> bool:
    if not log.writer.startswith(_ORDER):
        return False
    path = log_path(data_dir, log.writer).with_suffix(".archive")
    if log.written or not path.exists():
        return True
    with contextlib.closing(OrderArchive(path)) as archive:
        try:
            for _ in archive.orders():
                pass
        except ArchiveError:
            return True
    return False


def _fold(data_dir: Path, writer: str, aside: Path) -> Folded:
    """Make snapshot, archive and index of an order log anew, from its first record."""
    path = log_path(data_dir, writer)
    for suffix in _FOLDED:
        file = path.with_suffix(suffix)
        if file.exists():
            aside.mkdir(parents=True, exist_ok=True)
            file.rename(aside / file.name)
    ledger = OrderLedger.open(
        data_dir,
        writer=writer,
        venue=writer.removeprefix(_ORDER),
        generation=0,
        durability="process",
    )
    try:
        return Folded(writer=writer, open_orders=len(ledger.table.open_orders))
    finally:
        ledger.close()
