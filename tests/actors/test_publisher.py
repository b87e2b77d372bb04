from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from krator_actors.adapters.embedded_redis import EmbeddedRedis, embedded_redis_url
from krator_actors.adapters.local_log import LocalLog, log_path
from krator_actors.messages.operations import PublisherStatus, PublisherStatusRequest
from krator_actors.messages.orders import OrderSubmitted
from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.model import TradingState
from krator_actors.publisher import PublisherActor, PublisherConfig
from supervisors.messages import PeerUnreachableError
from supervisors.testing import ActorHarness

BTC = "BTC-USDT.SIM"


@pytest.fixture
def log(short_dir: Path) -> LocalLog:
    return log_of(short_dir, "risk")


@pytest.fixture
async def reader(short_dir: Path) -> AsyncIterator[Redis]:
    """A reader as outsiders have one; made before the server is there."""
    url = embedded_redis_url(short_dir / "run")
    async with Redis.from_url(url, decode_responses=True) as client:
        yield client


def log_of(folder: Path, writer: str) -> LocalLog:
    path = log_path(folder / "data", writer)
    return LocalLog.open(path, writer=writer, generation=1, durability="process")


def append(log: LocalLog, count: int = 1) -> None:
    for _ in range(count):
        number = log.last_number + 1
        event = OrderSubmitted(client_order_id=f"o-{number}", symbol=BTC, ts_event=number)
        log.append(event, ts_ns=1_000 + number)


def publisher(
    folder: Path,
    *,
    generation: int = 1,
    stream_max_length: int = 10_000,
    timeout_secs: float = 0.3,
) -> ActorHarness:
    return ActorHarness(
        PublisherActor,
        name="publisher",
        generation=generation,
        config=PublisherConfig(
            data_dir=folder / "data",
            stream_max_length=stream_max_length,
            timeout_secs=timeout_secs,
            cache_interval_secs=0.05,
            cache_ttl_secs=0.5,
        ),
        runtime=folder / "run",
        answers={"risk": portfolio()},
    )


def portfolio() -> PortfolioReport:
    zero = Decimal(0)
    position = PositionReport(
        symbol=BTC,
        quantity=Decimal("0.5"),
        average_price=Decimal(100),
        mark_price=Decimal(101),
        realized_pnl=zero,
        unrealized_pnl=zero,
        fees=zero,
        reserved_buy=zero,
        reserved_sell=zero,
        quote_ts_init=5,
    )
    return PortfolioReport(
        state=TradingState.ACTIVE,
        recovered=True,
        cash=zero,
        equity=zero,
        day_start_equity=zero,
        positions=(position,),
        open_orders=(),
        orders_approved=0,
        orders_denied=0,
        fills=0,
        ts_event=6,
    )


async def status(harness: ActorHarness) -> PublisherStatus:
    answer = await harness.deliver(PublisherStatusRequest(), sender="cli")
    assert isinstance(answer, PublisherStatus)
    return answer


async def until(harness: ActorHarness, **expected: Any) -> PublisherStatus:
    """Wait until the publisher's status has these values."""
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        now = await status(harness)
        if all(getattr(now, name) == value for name, value in expected.items()):
            return now
        assert asyncio.get_running_loop().time() < deadline, now
        await asyncio.sleep(0.01)


async def stream(reader: Redis, writer: str = "risk") -> list[int]:
    """Return the numbers of a writer's events in the stream."""
    entries: Any = await reader.xrange("krator:events")
    return [int(fields["number"]) for _, fields in entries if fields["writer"] == writer]


async def grown(reader: Redis, number: int) -> None:
    """Wait until the stream has risk's record ``number``."""
    deadline = asyncio.get_running_loop().time() + 30
    while number not in await stream(reader):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def again(redis: EmbeddedRedis, folder: Path) -> EmbeddedRedis:
    """Start a new, empty server where ``redis`` was."""
    await redis.kill()
    second = EmbeddedRedis(folder / "data", folder / "run", max_memory_bytes=64_000_000)
    await second.start(timeout_secs=20)
    return second


async def test_what_the_logs_have_and_get_is_published(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    append(log, 3)

    async with publisher(short_dir) as harness:
        await grown(reader, 3)
        append(log, 2)
        with log_of(short_dir, "order:SIM") as late:
            append(late, 1)
        await grown(reader, 5)
        await until(harness, published=6)

        assert await stream(reader) == [1, 2, 3, 4, 5]
        assert await stream(reader, "order:SIM") == [1]
        assert not harness.told
        state = harness.actor.describe_state()
        assert (state["connected"], state["published"], state["waiting"]) == (True, 6, 0)
        assert "redis" not in str(state), "an address, which may hold a password"


async def test_states_are_cached_while_risk_answers_and_expire_when_it_does_not(
    redis_server: EmbeddedRedis, short_dir: Path, reader: Redis
) -> None:
    async with publisher(short_dir) as harness:
        while await reader.get(f"krator:price:{BTC}") is None:
            await asyncio.sleep(0.01)
        price = msgspec.json.decode(await reader.get(f"krator:price:{BTC}") or "")
        own = msgspec.json.decode(await reader.get("krator:publisher") or "")

        harness.answer("risk", PeerUnreachableError("risk has died"))
        while await reader.get("krator:state") is not None:
            await asyncio.sleep(0.01)

    assert price == {"symbol": BTC, "price": "101", "quote_ts": 5, "ts": 6}
    assert own["connected"] is True


async def test_redis_that_comes_late_gets_everything(
    short_dir: Path, log: LocalLog, reader: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("krator_actors.publisher._GRACE_SECS", 0.0)
    append(log, 4)
    server = EmbeddedRedis(short_dir / "data", short_dir / "run", max_memory_bytes=64_000_000)

    async with publisher(short_dir) as harness:
        waiting = await until(harness, outages=1, waiting=4)
        await server.start(timeout_secs=20)
        try:
            await grown(reader, 4)
            await until(harness, connected=True, reason="", outages=1)
        finally:
            await server.kill()

    assert not waiting.connected
    assert "ConnectionError" in waiting.reason


async def test_start_of_redis_beside_the_publisher_is_no_outage(short_dir: Path) -> None:
    server = EmbeddedRedis(short_dir / "data", short_dir / "run", max_memory_bytes=64_000_000)

    async with publisher(short_dir) as harness:
        harness.actor._quiet_until_ns = 1 << 63
        await harness.eventually(lambda: bool(harness.actor._reason))
        await server.start(timeout_secs=20)
        try:
            await until(harness, connected=True, reason="", outages=0)
        finally:
            await server.kill()


async def test_hung_redis_is_left_alone_and_gets_each_event_once_afterwards(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    append(log, 1)
    async with publisher(short_dir) as harness:
        await grown(reader, 1)
        harness.actor._quiet_until_ns = 0

        os.kill(redis_server.pid, signal.SIGSTOP)
        append(log, 20)
        await until(harness, connected=False, outages=1, waiting=20)
        os.kill(redis_server.pid, signal.SIGCONT)

        await grown(reader, 21)
        assert await stream(reader) == list(range(1, 22))


async def test_full_redis_is_told_once_and_caught_up_when_there_is_room(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    append(log, 1)
    async with publisher(short_dir) as harness:
        await grown(reader, 1)
        harness.actor._quiet_until_ns = 0

        await reader.config_set("maxmemory", "1")
        append(log, 5)
        full = await until(harness, outages=1, waiting=5)
        await harness.eventually(
            lambda: harness.actor._breaker.snapshot().opened > 4, timeout_secs=30
        )
        assert (await status(harness)).outages == 1
        await reader.config_set("maxmemory", "0")

        await until(harness, waiting=0, reason="")
        assert await stream(reader) == [1, 2, 3, 4, 5, 6]
    assert "Redis is full" in full.reason


async def test_redis_killed_under_load_is_filled_again(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    async with publisher(short_dir) as harness:
        append(log, 3_000)
        await harness.eventually(lambda: harness.actor._published > 0, timeout_secs=30)

        os.kill(redis_server.pid, signal.SIGKILL)
        append(log, 200)
        second = await again(redis_server, short_dir)
        try:
            await grown(reader, 3_200)

            assert await stream(reader) == list(range(1, 3_201))
            assert (await status(harness)).left_out == 0
        finally:
            await second.kill()


async def test_slow_redis_costs_events_that_are_counted_and_nothing_else(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    # Slow, not out: on a busy machine a shorter time would be over, and its breaker open.
    async with publisher(short_dir, stream_max_length=100, timeout_secs=5.0) as harness:
        append(log, 1)
        await grown(reader, 1)
        async with Redis.from_url(embedded_redis_url(short_dir / "run")) as slow:
            for _ in range(10):
                await slow.client_pause(100)  # from now on, for all
                append(log, 300)
                await until(harness, connected=True)
        late = await status(harness)

        await grown(reader, 3_001)
        now = await until(harness, waiting=0)
        assert now.published + now.left_out == log.last_number == 3_001
        assert late.published < 3_001
        assert now.left_out > 0
        numbers = await stream(reader)
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == 3_001


async def test_what_an_outage_makes_too_much_is_left_out_and_counted(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    append(log, 10)
    async with publisher(short_dir, stream_max_length=100) as harness:
        await grown(reader, 10)
        os.kill(redis_server.pid, signal.SIGSTOP)
        append(log, 250)
        await until(harness, waiting=100, left_out=150)
        os.kill(redis_server.pid, signal.SIGCONT)

        await until(harness, waiting=0, published=110, left_out=150)

        assert (await stream(reader))[-100:] == list(range(161, 261))


async def test_next_incarnation_continues_where_the_last_one_was(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    append(log, 5)
    async with publisher(short_dir):
        await grown(reader, 5)
    append(log, 2)

    async with publisher(short_dir, generation=2) as harness:
        await until(harness, published=2)

    assert await stream(reader) == [1, 2, 3, 4, 5, 6, 7]


async def test_new_redis_begins_with_the_newest_events(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    append(log, 2_500)

    async with publisher(short_dir, stream_max_length=100) as harness:
        await until(harness, published=100, waiting=0, left_out=2_400)

    assert await stream(reader) == list(range(2_401, 2_501))


async def test_other_messages_are_refused(redis_server: EmbeddedRedis, short_dir: Path) -> None:
    async with publisher(short_dir) as harness:
        with pytest.raises(TypeError, match="publisher has no use for"):
            await harness.actor.receive(portfolio(), "risk")


async def test_writer_that_never_rests_keeps_nothing_back(
    redis_server: EmbeddedRedis, short_dir: Path, log: LocalLog, reader: Redis
) -> None:
    async def write() -> None:
        while True:
            append(log)
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    async with publisher(short_dir) as harness:
        await harness.eventually(lambda: harness.actor._published > 0, timeout_secs=20)
        writing.cancel()
        await grown(reader, log.last_number)
