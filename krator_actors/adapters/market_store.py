"""Trades and bars in PostgreSQL, for research: in bulk, in a partition for each day of event time.

Where the server has TimescaleDB, new tables are its hypertables; tables that are there stay as they
are. This is not the record: what the database does not take is gone.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any, Self

from loguru import logger

from krator_actors.adapters.journal_reader import (
    JournalUnavailableError,
    connected,
    translated,
)
from krator_actors.adapters.journal_schema import DAY_NS
from krator_actors.messages.market import Bar, TradeTick
from krator_actors.model import OrderSide

TICK_COLUMNS = ("symbol", "trade_id", "price", "size", "aggressor", "ts_event", "ts_init")
BAR_COLUMNS = (
    "symbol", "spec", "ts_open", "ts_close",
    "open", "high", "low", "close", "volume", "trades",
)  # fmt: skip

_TIMES = {"ticks": "ts_event", "bars": "ts_open"}
# Only one connection makes them at a time; the number is arbitrary, and Krator's.
_LOCK = 7_025_719_447
_TABLES = """
    CREATE SCHEMA IF NOT EXISTS krator_market;
    CREATE TABLE krator_market.ticks (
        symbol text NOT NULL,
        trade_id bigint NOT NULL,
        price numeric NOT NULL,
        size numeric NOT NULL,
        aggressor text,
        ts_event bigint NOT NULL,
        ts_init bigint NOT NULL
    ) {ticks};
    CREATE INDEX ticks_by_time ON krator_market.ticks USING brin (ts_event);
    CREATE TABLE krator_market.bars (
        symbol text NOT NULL,
        spec text NOT NULL,
        ts_open bigint NOT NULL,
        ts_close bigint NOT NULL,
        open numeric NOT NULL,
        high numeric NOT NULL,
        low numeric NOT NULL,
        close numeric NOT NULL,
        volume numeric NOT NULL,
        trades bigint
    ) {bars};
    CREATE INDEX bars_by_symbol
        ON krator_market.bars (symbol, spec, ts_open);
"""
_IS_AVAILABLE = "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"
_EXTENSION_SCHEMA = """
    SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
    WHERE extname = 'timescaledb'
"""
_IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'krator_market.ticks'::regclass"

_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


class MarketStore:
    """One connection. Not for use by two tasks at once.

    Everything raises JournalUnavailableError when the database cannot be asked: connect again then.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # False: hypertables, which make their own partitions.
        self._is_partitioned = True
        # The days, by table and begin, that have their partitions for certain.
        self._days: set[tuple[str, int]] = set()

    @classmethod
    async def connect(cls, dsn: str) -> Self:
        """Connect, and make the tables where there are none."""
        store = cls(await connected(dsn))
        try:
            async with translated():
                if await store._is_to_be_made() and await store._connection.fetchval(_IS_AVAILABLE):
                    await _create_extension(dsn)
                async with store._connection.transaction():
                    await store._make_tables()
        except BaseException:
            store.terminate()
            raise
        return store

    def terminate(self) -> None:
        """Drop the connection at once."""
        self._connection.terminate()

    async def write(self, ticks: Sequence[TradeTick], bars: Sequence[Bar]) -> None:
        """Store all of them, or nothing; committed when it returns."""
        tick_rows = [
            (t.symbol, t.trade_id, t.price, t.size, _side(t.aggressor), t.ts_event, t.ts_init)
            for t in ticks
        ]
        bar_rows = [tuple(getattr(bar, column) for column in BAR_COLUMNS) for bar in bars]
        await self._make_days("ticks", {tick.ts_event // DAY_NS * DAY_NS for tick in ticks})
        await self._make_days("bars", {bar.ts_open // DAY_NS * DAY_NS for bar in bars})
        async with translated(), self._connection.transaction():
            await self._copy("ticks", TICK_COLUMNS, tick_rows)
            await self._copy("bars", BAR_COLUMNS, bar_rows)

    async def _is_to_be_made(self) -> bool:
        return await self._connection.fetchval("SELECT to_regclass('krator_market.bars')") is None

    async def _make_tables(self) -> None:
        await self._connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        if await self._is_to_be_made():
            schema = await self._connection.fetchval(_EXTENSION_SCHEMA)
            kinds = {
                table: f"PARTITION BY RANGE ({column})" if schema is None else ""
                for table, column in _TIMES.items()
            }
            await self._connection.execute(_TABLES.format_map(kinds))
            for table, column in _TIMES.items() if schema is not None else ():
                # The older of two interfaces, because versions before 2.13 have no other.
                await self._connection.execute(
                    f"SELECT {schema}.create_hypertable('krator_market.{table}', '{column}',"
                    f" chunk_time_interval => {DAY_NS}::bigint, create_default_indexes => false)"
                )
        self._is_partitioned = await self._connection.fetchval(_IS_PARTITIONED)

    async def _copy(self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        # As text, because turning decimals into PostgreSQL's binary form takes three times as long.
        lines = ["\t".join(map(_written, row)) for row in rows]
        await self._connection.copy_to_table(
            table,
            schema_name="krator_market",
            columns=columns,
            source=io.BytesIO("\n".join(lines).encode()),
            format="text",
        )

    async def _make_days(self, table: str, days: set[int]) -> None:
        for day_ns in sorted(days) if self._is_partitioned else ():
            if (table, day_ns) in self._days:
                continue
            name = f"{table}_{dt.datetime.fromtimestamp(day_ns // 1_000_000_000, dt.UTC):%Y%m%d}"
            async with translated():
                await self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS krator_market.{name}"
                    f" PARTITION OF krator_market.{table}"
                    f" FOR VALUES FROM ('{day_ns}') TO ('{day_ns + DAY_NS}')"
                )
            self._days.add((table, day_ns))


async def _create_extension(dsn: str) -> None:
    """Try; who may not, or has it not preloaded, goes on without.

    On a connection of its own, because TimescaleDB that is not preloaded ends the session.
    """
    connection = await connected(dsn)
    try:
        async with translated():
            await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except JournalUnavailableError as error:
        logger.bind(event_type="no_timescaledb", reason=str(error)).info(
            "TimescaleDB is there and cannot be used; trades and bars are kept without it"
        )
    finally:
        connection.terminate()


def _written(value: Any) -> str:
    return r"\N" if value is None else str(value).translate(_ESCAPED)


def _side(aggressor: OrderSide | None) -> str | None:
    return None if aggressor is None else aggressor.value
