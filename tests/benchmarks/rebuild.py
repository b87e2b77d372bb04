"""``krator journal rebuild`` of an order log that is gone: ``--only rebuild``, on request.

From the command's beginning on the journal's rows to a folded log, on an embedded server with its
own durability; the process and its imports are there already.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from krator_actors import place
from krator_actors.adapters.embedded_postgres import temporary_server
from krator_actors.adapters.local_log import log_path
from krator_actors.adapters.log_segments import segments_of
from krator_actors.order_ledger import OrderLedger
from krator_actors.rebuild import rebuild
from tests.benchmarks.measure import Counts, short_folder
from tests.benchmarks.recovery import write_history
from tests.journaled import journal

_WRITER = "order:SIM"


def run(counts: Counts) -> dict[str, Any]:
    with short_folder() as folder:
        return {"details": asyncio.run(_measured(folder, counts.rebuild_events))}


async def _measured(folder: Path, events: int) -> dict[str, Any]:
    data_dir = folder / "data"
    place.prepare(data_dir)
    write_history(data_dir, events)
    segments = segments_of(log_path(data_dir, _WRITER))
    written = [segment.path.read_bytes() for segment in segments]
    async with temporary_server(data_dir, folder / "run") as dsn:
        rows = await journal(data_dir, dsn, generation=1)
        for segment in segments:
            segment.path.unlink()
        began, cpu = time.monotonic(), time.process_time()
        outcome = await rebuild(dsn, data_dir, (), (), now_ns=time.time_ns())
        took, cpu = time.monotonic() - began, time.process_time() - cpu
    again = [segment.path.read_bytes() for segment in segments_of(log_path(data_dir, _WRITER))]
    assert outcome.rows == rows
    assert again == written
    return {
        "rebuild_events": rows,
        "rebuild_secs": took,
        "rebuild_cpu_secs": cpu,
        "rebuild_fold_secs": _fold_secs(data_dir),
        "rebuild_log_bytes": sum(map(len, written)),
    }


def _fold_secs(data_dir: Path) -> float:
    """Return how long the fold alone takes: it is a part of the whole."""
    for file in (data_dir / "log").glob("*.snapshot*"):
        file.unlink()
    began = time.monotonic()
    OrderLedger.open(
        data_dir, writer=_WRITER, venue="SIM", generation=1, durability="process"
    ).close()
    return time.monotonic() - began
