from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import asyncpg
import msgspec
import pytest

from krator_actors import tree
from krator_actors.adapters.market_store import MarketStore
from krator_actors.config import Config
from krator_actors.messages.market import MarketDataGap, TradeTick
from krator_actors.model import OrderSide
from krator_actors.recorder import RecorderActor, RecorderConfig
from supervisors.testing import ActorHarness

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
PLACES = "SELECT DISTINCT tableoid::regclass::text FROM krator_market.ticks"


def tick(number: int, ts_event: int | None = None, symbol: str = "BTC-USDT.SIM") -> TradeTick:
    return TradeTick(
        symbol=symbol,
        price=Decimal("61836.135") + number,
        size=Decimal("0.001"),
        aggressor=OrderSide.BUY,
        trade_id=number,
        ts_event=number * SECOND if ts_event is None else ts_event,
        ts_init=number,
    )


def recorder(folder: Path, dsn: str | None, *, waiting_limit: int = 1_000) -> ActorHarness:
    config = RecorderConfig(data_dir=folder, dsn=dsn, flush_secs=0.01, waiting_limit=waiting_limit)
    return ActorHarness(RecorderActor, name="recorder", config=config, runtime=folder / "run")


async def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


@pytest.fixture
async def market_dsn(postgres_dsn: str) -> str:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("DROP SCHEMA IF EXISTS krator_market CASCADE")
    await connection.close()
    return postgres_dsn


async def test_trades_and_their_bars_are_kept(short_dir: Path, market_dsn: str) -> None:
    async with recorder(short_dir, market_dsn) as harness:
        for number in range(1, 131):
            await harness.deliver(tick(number), sender="feed:SIM")
        await harness.eventually(lambda: harness.actor.written == 130)

    found = await rows(market_dsn, "SELECT trade_id, price FROM krator_market.ticks ORDER BY 1")
    assert found == [(n, Decimal("61836.135") + n) for n in range(1, 131)]
    bars = await rows(market_dsn, "SELECT ts_open, spec, trades FROM krator_market.bars ORDER BY 1")
    assert bars == [(0, "1-MINUTE-LAST", 59), (60 * SECOND, "1-MINUTE-LAST", 60)]


async def test_trade_of_a_venue_that_names_no_side_is_kept(
    short_dir: Path, market_dsn: str
) -> None:
    sided, sideless = tick(1), msgspec.structs.replace(tick(2), aggressor=None)
    async with recorder(short_dir, market_dsn) as harness:
        await harness.deliver(sided, sender="feed:SIM")
        await harness.deliver(sideless, sender="feed:SIM")
        await harness.eventually(lambda: harness.actor.written == 2)

    found = await rows(market_dsn, "SELECT aggressor FROM krator_market.ticks ORDER BY trade_id")
    assert found == [("BUY",), (None,)]


async def test_bar_with_a_gap_is_not_kept(short_dir: Path, market_dsn: str) -> None:
    gap = MarketDataGap(
        symbol="BTC-USDT.SIM",
        stream="trade",
        first_id=31,
        last_id=40,
        count=10,
        reason="OVERFLOW",
        ts_event=1,
        ts_init=1,
    )
    async with recorder(short_dir, market_dsn) as harness:
        for number in (*range(1, 31), *range(61, 130)):
            if number == 61:
                await harness.deliver(gap, sender="feed:SIM")
            await harness.deliver(tick(number), sender="feed:SIM")
        await harness.eventually(lambda: harness.actor.written == 99)

    bars = await rows(market_dsn, "SELECT ts_open FROM krator_market.bars")
    assert bars == [(60 * SECOND,)]


async def test_absent_database_keeps_nobody_waiting_and_the_newest_trades_stay(
    short_dir: Path,
) -> None:
    async with recorder(short_dir, None, waiting_limit=10) as harness:
        for number in range(1, 26):
            await harness.deliver(tick(number), sender="feed:SIM")

        assert [t.trade_id for t in harness.actor._ticks] == list(range(16, 26))
        assert harness.actor.left_out == 15


async def test_trades_of_any_day_have_a_place(market_dsn: str) -> None:
    store = await MarketStore.connect(market_dsn)
    again = await MarketStore.connect(market_dsn)

    await store.write([tick(1, 5 * DAY), tick(2, 20_000 * DAY)], [])
    await again.write([tick(3, 5 * DAY + 1)], [])

    found = await rows(
        market_dsn, "SELECT tableoid::regclass::text, count(*) FROM krator_market.ticks GROUP BY 1"
    )
    assert sorted(map(str, (name for name, _ in found))) == [
        "krator_market.ticks_19700106", "krator_market.ticks_20241004",
    ]  # fmt: skip
    store.terminate()
    again.terminate()


STAND_IN = """
CREATE TABLE hypertable (relation regclass, column_name name, chunk bigint, indexes boolean);
CREATE FUNCTION create_hypertable(
    relation regclass, time_column_name name,
    chunk_time_interval anyelement = NULL::bigint, create_default_indexes boolean = true
) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = relation) <> 'r' THEN
        RAISE 'table is already partitioned';
    END IF;
    INSERT INTO timescaledb.hypertable
        VALUES (relation, time_column_name, chunk_time_interval, create_default_indexes);
END $$;
"""


def extension(folder: Path, script: str) -> None:
    """Put an extension called timescaledb, which is none, into the folder."""
    (folder / "extension").mkdir()
    control = "default_version = '2.0'\nschema = timescaledb\nrelocatable = false\n"
    (folder / "extension" / "timescaledb.control").write_text(control)
    (folder / "extension" / "timescaledb--2.0.sql").write_text(script)


@pytest.fixture
async def extended_dsn(market_dsn: str, short_dir: Path) -> AsyncIterator[str]:
    """A server that finds extensions in the test's folder, too."""
    path = quote(f"$system:{short_dir}", safe="")
    yield f"{market_dsn}&extension_control_path={path}"
    await rows(market_dsn, "DROP SCHEMA IF EXISTS krator_market, timescaledb CASCADE")


async def test_with_timescaledb_new_tables_are_hypertables(
    extended_dsn: str, short_dir: Path
) -> None:
    extension(short_dir, STAND_IN)

    for number in range(2):  # the second finds what the first has made
        store = await MarketStore.connect(extended_dsn)
        await store.write([tick(number, number * DAY)], [])
        store.terminate()

    made = await rows(extended_dsn, "SELECT relation::text, column_name, chunk, indexes FROM"
                      " timescaledb.hypertable ORDER BY 1")  # fmt: skip
    assert made == [
        ("krator_market.bars", "ts_open", DAY, False),
        ("krator_market.ticks", "ts_event", DAY, False),
    ]
    assert await rows(extended_dsn, "SELECT count(*) FROM ONLY krator_market.ticks") == [(2,)]


async def test_timescaledb_that_comes_later_leaves_tables_as_they_are(
    extended_dsn: str, short_dir: Path
) -> None:
    (await MarketStore.connect(extended_dsn)).terminate()
    extension(short_dir, STAND_IN)

    store = await MarketStore.connect(extended_dsn)
    await store.write([tick(1, 5 * DAY)], [])
    store.terminate()

    assert await rows(extended_dsn, PLACES) == [("krator_market.ticks_19700106",)]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("DO $$ BEGIN RAISE 'no right'; END $$;", id="refused"),
        pytest.param(
            "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5);", id="session ended"
        ),
    ],
)
async def test_timescaledb_that_cannot_be_used_is_left_out(
    extended_dsn: str, short_dir: Path, script: str
) -> None:
    extension(short_dir, script)

    store = await MarketStore.connect(extended_dsn)
    await store.write([tick(1, 5 * DAY)], [])
    store.terminate()

    assert await rows(extended_dsn, PLACES) == [("krator_market.ticks_19700106",)]


def test_recorder_is_there_when_it_is_configured_only() -> None:
    configured = Config.model_validate({"postgres": {"store_ticks": True}})

    names = str(tree.build(configured, venue_url="http://127.0.0.1:1"))

    assert "recorder" in names
    assert "recorder" not in str(tree.build(Config(), venue_url="http://127.0.0.1:1"))
