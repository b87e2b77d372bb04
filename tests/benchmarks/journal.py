"""The record: acknowledged, in the database, drained, replayed; and bulk against one by one.

The journal actor runs in a process of its own, as it does in the system; its server notes when each
transaction was committed, so the lag is to the commit itself.
"""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from krator_actors.adapters.embedded_postgres import EmbeddedPostgres, embedded_dsn
from krator_actors.adapters.local_log import LocalLog, log_path
from krator_actors.adapters.market_store import TICK_COLUMNS, MarketStore
from krator_actors.adapters.postgres import JournalReader
from krator_actors.messages.market import TradeTick
from krator_actors.messages.orders import OrderFilled
from krator_actors.model import OrderSide
from tests.benchmarks.measure import ROOT, Counts, p50_p99, percentile, short_folder

_BULK_TURNS = 10
_WRITER = "order:SIM"
_LIMIT_SECS = 120.0
_POLL_SECS = 0.02
_LOAD_PER_SEC = 1_000
_BURST = 10
_ACTOR = """
import asyncio, pathlib, sys
from krator_actors.journal import JournalActor, JournalConfig
from supervisors.testing import ActorHarness
async def main():
    config = JournalConfig(data_dir=pathlib.Path(sys.argv[1]), dsn=sys.argv[2])
    async with ActorHarness(JournalActor, name="journal", config=config,
                            generation=int(sys.argv[3])):
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


def run(counts: Counts) -> dict[str, Any]:
    """Measure all of it on one new server."""
    with short_folder() as folder:
        return asyncio.run(_measured(folder, counts))


async def _measured(folder: Path, counts: Counts) -> dict[str, Any]:
    server = EmbeddedPostgres(folder / "data", folder / "run")
    await server.start(timeout_secs=60)
    dsn = embedded_dsn(folder / "run")
    try:
        await _execute(dsn, "ALTER SYSTEM SET track_commit_timestamp = on")
        await server.stop(timeout_secs=10)
        await server.start(timeout_secs=60)
        return {
            **await _drained(folder / "drained", dsn, counts.journal_events),
            **await _under_load(folder / "load", dsn, counts.journal_secs),
            **await _bulk(dsn, counts.journal_bulk_rows),
        }
    finally:
        await server.stop(timeout_secs=10)


async def _drained(data_dir: Path, dsn: str, events: int) -> dict[str, Any]:
    """How fast the journal takes what waits in the logs, and how fast that is read again."""
    with _log(data_dir) as log:
        for number in range(events):
            log.append(_fill(number), ts_ns=time.time_ns())
    journal = await _start_journal(data_dir, dsn, 1)
    await _until_stored(dsn, events)
    await _stop(journal)
    # From when the first batch was taken in hand until the last one was committed.
    (secs,) = await _fetchrow(
        dsn,
        "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin))) - min(ts_written) / 1e9"
        f" FROM krator.journal WHERE writer = '{_WRITER}'",
    )
    reader = await JournalReader.connect_reader(dsn)
    began = time.perf_counter()
    replayed = [event.number async for event in reader.events(types=OrderFilled)]
    replay_secs = time.perf_counter() - began
    await reader.close()
    return {
        "journal_events_per_second": events / float(secs),
        "replay_events_per_second": len(replayed) / replay_secs,
    }


async def _under_load(data_dir: Path, dsn: str, secs: float) -> dict[str, Any]:
    """What an append takes, and when its event is committed, at a thousand events a second."""
    await _execute(dsn, "DROP SCHEMA krator CASCADE")
    journal = await _start_journal(data_dir, dsn, 2)
    await _until_connected(dsn)
    acks: list[float] = []
    with _log(data_dir) as log:
        begin = time.perf_counter()
        for burst in range(max(1, int(secs * _LOAD_PER_SEC / _BURST))):
            due = begin + burst * _BURST / _LOAD_PER_SEC
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            for _ in range(_BURST):
                event = _fill(log.last_number)
                before = time.perf_counter_ns()
                log.append(event, ts_ns=time.time_ns())
                acks.append(time.perf_counter_ns() - before)
    await _until_stored(dsn, len(acks))
    await _stop(journal)
    connection = await asyncpg.connect(dsn)
    lags = await connection.fetch(
        "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 - ts_logged / 1e6"
        f" FROM krator.journal WHERE writer = '{_WRITER}'"
    )
    await connection.close()
    p50, p99 = p50_p99(acks, 1e6)
    return {
        "journal_ack_p50_ms": p50,
        "journal_ack_p99_ms": p99,
        "journal_lag_p99_ms": percentile([float(row[0]) for row in lags], 0.99),
    }


async def _bulk(dsn: str, rows: int) -> dict[str, Any]:
    """The same trades in bulk, and by plain ``executemany``."""
    ticks = [_tick(number) for number in range(rows)]
    store = await MarketStore.connect(dsn)
    await store.write(ticks[:1], [])  # so that neither way has to make the day
    connection = await asyncpg.connect(dsn)
    places = ", ".join(f"${n}" for n in range(1, len(TICK_COLUMNS) + 1))
    insert = f"INSERT INTO krator_market.ticks ({', '.join(TICK_COLUMNS)}) VALUES ({places})"
    bulk_secs = many_secs = 0.0
    # In turn, so that neither has the server's checkpoint to itself.
    size = -(-rows // _BULK_TURNS)
    for at in range(0, rows, size):
        began = time.perf_counter()
        await store.write(ticks[at : at + size], [])
        turned = time.perf_counter()
        rows_of_turn = [
            (t.symbol, t.trade_id, t.price, t.size, OrderSide.BUY.value, t.ts_event, t.ts_init)
            for t in ticks[at : at + size]
        ]
        await connection.executemany(insert, rows_of_turn)
        bulk_secs += turned - began
        many_secs += time.perf_counter() - turned
    store.terminate()
    await connection.close()
    return {
        "tick_bulk_rows_per_second": rows / bulk_secs,
        "tick_executemany_rows_per_second": rows / many_secs,
    }


def _log(data_dir: Path) -> LocalLog:
    path = log_path(data_dir, _WRITER)
    return LocalLog.open(path, writer=_WRITER, generation=1, durability="process")


def _fill(number: int) -> OrderFilled:
    return OrderFilled(
        client_order_id=f"{number:032x}",
        venue_order_id=str(number),
        trade_id=str(number),
        symbol="BTC-USDT.SIM",
        strategy="strategy:BTC-USDT.SIM/sma_cross",
        side=OrderSide.BUY,
        last_quantity=Decimal("0.01230"),
        last_price=Decimal("61836.13"),
        fee=Decimal("0.0000123"),
        fee_currency="BTC",
        ts_event=number,
        ts_init=number,
    )


def _tick(number: int) -> TradeTick:
    return TradeTick(
        symbol="BTC-USDT.SIM",
        price=Decimal("61836.13") + number % 100,
        size=Decimal("0.01230"),
        aggressor=OrderSide.BUY,
        trade_id=number,
        ts_event=number,
        ts_init=number,
    )


async def _start_journal(data_dir: Path, dsn: str, generation: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ACTOR, str(data_dir), dsn, str(generation),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _stop(journal: asyncio.subprocess.Process) -> None:
    assert journal.stdin is not None
    journal.stdin.close()
    await journal.wait()


async def _until_connected(dsn: str) -> None:
    async with asyncio.timeout(_LIMIT_SECS):
        while (await _fetchrow(dsn, "SELECT to_regclass('krator.owner')"))[0] is None:
            await asyncio.sleep(_POLL_SECS)


async def _until_stored(dsn: str, events: int) -> None:
    await _until_connected(dsn)
    query = f"SELECT coalesce(max(number), 0) FROM krator.writers WHERE writer = '{_WRITER}'"
    async with asyncio.timeout(_LIMIT_SECS):
        while (await _fetchrow(dsn, query))[0] < events:
            await asyncio.sleep(_POLL_SECS)


async def _fetchrow(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchrow(query)
    finally:
        await connection.close()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
