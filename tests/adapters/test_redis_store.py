from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from krator_actors.adapters.embedded_redis import EmbeddedRedis, embedded_redis_url
from krator_actors.adapters.redis_store import RedisStore, RedisUnavailableError, check_url
from krator_actors.core.backlog import LogName

RISK = LogName("risk", 17)
ORDER = LogName("order:SIM", 18)


@pytest.fixture
async def store(redis_server: EmbeddedRedis, short_dir: Path) -> AsyncIterator[RedisStore]:
    made = await RedisStore.connect(embedded_redis_url(short_dir / "run"), timeout_secs=5)
    yield made
    await made.close()


@pytest.fixture
async def reader(redis_server: EmbeddedRedis, short_dir: Path) -> AsyncIterator[Redis]:
    """A reader as outsiders have one."""
    async with Redis.from_url(
        embedded_redis_url(short_dir / "run"), decode_responses=True
    ) as client:
        yield client


def entries(first: int, last: int) -> list[dict[str, str | bytes | int]]:
    return [{"writer": "risk", "number": n, "body": b"{}"} for n in range(first, last + 1)]


async def test_entries_and_marks_are_there_together(store: RedisStore, reader: Redis) -> None:
    await store.publish(entries(1, 3), {RISK: 3}, max_length=100)

    stored: Any = await reader.xrange("krator:events")
    assert [fields["number"] for _, fields in stored] == ["1", "2", "3"]
    assert await store.marks([RISK, ORDER]) == {RISK: 3}
    assert await store.marks([]) == {}


async def test_stream_is_bounded(store: RedisStore, reader: Redis) -> None:
    await store.publish(entries(1, 1_000), {RISK: 1_000}, max_length=200)

    assert 200 <= await reader.xlen("krator:events") <= 300


async def test_states_expire(store: RedisStore, reader: Redis) -> None:
    await store.cache({"state": b"{}", "price:X": b"1"}, ttl_secs=30)

    assert await reader.get("krator:price:X") == "1"
    assert 0 < await reader.pttl("krator:state") <= 30_000


async def test_full_redis_takes_nothing_and_says_so(store: RedisStore, reader: Redis) -> None:
    await store.publish(entries(1, 2), {RISK: 2}, max_length=100)
    await reader.config_set("maxmemory", "1")

    with pytest.raises(RedisUnavailableError, match="Redis is full"):
        await store.publish(entries(3, 4), {RISK: 4}, max_length=100)

    await reader.config_set("maxmemory", "0")
    assert await reader.xlen("krator:events") == 2
    assert await reader.get("krator:mark:risk@17") == "2"


async def test_hung_redis_is_given_up_in_time_and_the_lost_answer_is_no_doubt_later(
    redis_server: EmbeddedRedis, store: RedisStore, short_dir: Path
) -> None:
    store._timeout_secs = 0.2
    os.kill(redis_server.pid, signal.SIGSTOP)

    with pytest.raises(RedisUnavailableError, match=r"did not answer within 0\.2 s"):
        await store.publish(entries(1, 2), {RISK: 2}, max_length=100)

    os.kill(redis_server.pid, signal.SIGCONT)
    again = await RedisStore.connect(embedded_redis_url(short_dir / "run"), timeout_secs=5)
    # The kernel had taken the bytes: whether they were executed, the marks say.
    marks = await again.marks([RISK])
    length = (await again._ask([("XLEN", "krator:events")]))[0]
    assert length == marks.get(RISK, 0)
    await again.close()


async def test_connection_to_a_server_that_has_died_is_not_made_again_in_silence(
    redis_server: EmbeddedRedis, store: RedisStore, short_dir: Path
) -> None:
    await redis_server.kill()
    second = EmbeddedRedis(short_dir / "data", short_dir / "run", max_memory_bytes=16_000_000)
    await second.start(timeout_secs=20)

    try:
        with pytest.raises(RedisUnavailableError):
            await store.publish(entries(1, 1), {RISK: 1}, max_length=100)
    finally:
        await second.kill()


async def test_server_that_is_not_there_is_unavailable(short_dir: Path) -> None:
    with pytest.raises(RedisUnavailableError, match="ConnectionError"):
        await RedisStore.connect(embedded_redis_url(short_dir), timeout_secs=1)


async def test_server_that_accepts_and_says_nothing_is_given_up_in_time(short_dir: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()
    listener = await asyncio.start_unix_server(silent, short_dir / "s")

    with pytest.raises(RedisUnavailableError, match="did not answer within"):
        await RedisStore.connect(f"unix://{short_dir}/s", timeout_secs=0.1)

    await asyncio.wait_for(gone.wait(), 10)
    listener.close()


async def test_server_that_answers_byte_by_byte_is_given_up_in_time(short_dir: Path) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"+")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()
    listener = await asyncio.start_unix_server(trickle, short_dir / "s")

    with pytest.raises(RedisUnavailableError, match="did not answer within"):
        await RedisStore.connect(f"unix://{short_dir}/s", timeout_secs=0.2)

    await asyncio.wait_for(gone.wait(), 10)
    listener.close()


async def test_canceled_call_leaves_no_connection(
    redis_server: EmbeddedRedis, store: RedisStore
) -> None:
    os.kill(redis_server.pid, signal.SIGSTOP)
    call = asyncio.create_task(store.marks([RISK]))
    await asyncio.sleep(0)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert not store._connection.is_connected


async def test_wrong_password_is_unavailable_and_is_not_told(
    redis_server: EmbeddedRedis, short_dir: Path
) -> None:
    url = f"{embedded_redis_url(short_dir / 'run')}?password=hunter2"

    with pytest.raises(RedisUnavailableError) as caught:
        await RedisStore.connect(url, timeout_secs=5)

    assert "hunter2" not in str(caught.value)


async def test_command_that_fails_inside_the_transaction_is_an_error(
    store: RedisStore, reader: Redis
) -> None:
    await reader.set("krator:events", "not a stream")

    with pytest.raises(RedisUnavailableError, match="WRONGTYPE"):
        await store.publish(entries(1, 1), {RISK: 1}, max_length=100)


@pytest.mark.parametrize(
    "url", ["redis://h:6379/0", "rediss://u:p@h", "unix:///tmp/s?db=1", "redis://[::1]:1/2"]
)
def test_redis_urls_are_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize("url", ["http://h", "h:6379", "redis://h:none/0", "redis://h?what=1"])
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ValueError, match="no Redis URL") as caught:
        check_url(url)

    assert url not in str(caught.value)
