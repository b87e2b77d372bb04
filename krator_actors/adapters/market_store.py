"""Trades and bars in PostgreSQL, for research: in bulk, in a partition for each day of event time.

This is not the record: what the database does not take is gone.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any, Self

from krator_actors.adapters.journal_reader import connected, translated
from krator_actors.adapters.journal_schema import DAY_NS
from krator_actors.messages.market import Bar, TradeTick
from krator_actors.model import OrderSide

TICK_COLUMNS = ("symbol", "trade_id", "price", "size", "aggressor", "ts_event", "ts_init")
BAR_COLUMNS = (
    "symbol", "spec", "ts_open", "ts_close",
    "open", "high", "low", "close", "volume", "trades",
)  # fmt: skip

_SCHEMA = """
    CREATE SCHEMA IF NOT EXISTS krator_market;
    CREATE TABLE IF NOT EXISTS krator_market.ticks (
        symbol text NOT NULL,
        trade_id bigint NOT NULL,
        price numeric NOT NULL,
        size numeric NOT NULL,
        aggressor text,
        ts_event bigint NOT NULL,
        ts_init bigint NOT NULL
    ) PARTITION BY RANGE (ts_event);
    CREATE INDEX IF NOT EXISTS ticks_by_time ON krator_market.ticks USING brin (ts_event);
    CREATE TABLE IF NOT EXISTS krator_market.bars (
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
    ) PARTITION BY RANGE (ts_open);
    CREATE INDEX IF NOT EXISTS bars_by_symbol
        ON krator_market.bars (symbol, spec, ts_open);
"""


_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


class MarketStore:
    """One connection. Not for use by two tasks at once.

    Everything raises JournalUnavailableError when the database cannot be asked: connect again then.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # The days, by table and begin, that have their partitions for certain.
        self._days: set[tuple[str, int]] = set()

    @classmethod
    async def connect(cls, dsn: str) -> Self:
        """Connect, and make the tables where there are none."""
        store = cls(await connected(dsn))
        try:
            async with translated():
                await store._connection.execute(_SCHEMA)
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
        for day_ns in sorted(days):
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


def _written(value: Any) -> str:
    return r"\N" if value is None else str(value).translate(_ESCAPED)


def _side(aggressor: OrderSide | None) -> str | None:
    return None if aggressor is None else aggressor.value
