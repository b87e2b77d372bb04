from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from loguru import logger

from krator_actors import redis_server
from krator_actors.adapters.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from krator_actors.redis_server import (
    RedisDiedError,
    RedisHungError,
    RedisServerActor,
    RedisServerConfig,
    RedisServerMessage,
)
from supervisors.testing import ActorHarness


def redis(folder: Path) -> ActorHarness:
    return ActorHarness(
        RedisServerActor,
        name="redis",
        config=RedisServerConfig(
            data_dir=folder / "data", max_memory_bytes=16_000_000, hung_after_secs=0.3
        ),
        runtime=folder / "run",
    )


@pytest.fixture(autouse=True)
def events() -> Iterator[list[str]]:
    """The types of what was logged."""
    found: list[str] = []
    sink = logger.add(lambda line: found.append(line.record["extra"].get("event_type", "")))
    yield found
    logger.remove(sink)


async def started(harness: ActorHarness, events: list[str]) -> EmbeddedRedis:
    await harness.eventually(lambda: "redis_started" in events, timeout_secs=20)
    server: EmbeddedRedis = harness.actor._server
    return server


async def test_server_answers_soon_and_stop_means_that_it_has_gone(
    short_dir: Path, events: list[str]
) -> None:
    async with redis(short_dir) as harness:
        pid = (await started(harness, events)).pid
        state = harness.actor.describe_state()

    assert state["server_pid"] == pid
    assert state["silent_secs"] >= 0
    assert not psutil.pid_exists(pid)


async def test_stop_that_comes_first_leaves_nothing(short_dir: Path) -> None:
    async with redis(short_dir) as harness:
        pass

    assert harness.actor._server.pid == 0


async def test_death_of_the_server_crashes_the_actor(short_dir: Path, events: list[str]) -> None:
    async with redis(short_dir) as harness:
        os.kill((await started(harness, events)).pid, signal.SIGKILL)

        with pytest.raises(RedisDiedError, match="status -9"):
            await harness.eventually(lambda: False, timeout_secs=20)

    assert harness.actor._server.pid == 0


async def test_server_that_hangs_is_killed_and_crashes_the_actor(
    short_dir: Path, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "_PING_EVERY_SECS", 0.05)
    monkeypatch.setattr(redis_server, "_PING_TIMEOUT_SECS", 0.1)
    async with redis(short_dir) as harness:
        pid = (await started(harness, events)).pid
        os.kill(pid, signal.SIGSTOP)

        with pytest.raises(RedisHungError, match="has not answered for"):
            await harness.eventually(lambda: False, timeout_secs=20)

    assert not psutil.pid_exists(pid)


async def test_server_that_cannot_start_says_why_and_nobody_waits_for_it(short_dir: Path) -> None:
    (short_dir / "run").write_text("a file")

    async with redis(short_dir) as harness:
        with pytest.raises(EmbeddedRedisError, match="cannot be started"):
            await harness.eventually(lambda: False, timeout_secs=20)


async def test_nobody_has_anything_to_say_to_it(short_dir: Path, events: list[str]) -> None:
    harness = redis(short_dir)

    async with harness:
        await started(harness, events)
        with pytest.raises(TypeError, match="redis has no use for RedisServerMessage of cli"):
            await harness.deliver(RedisServerMessage(), sender="cli")

    # A crashed actor's process ends, and the server with it; this one is the test's.
    await harness.actor._server.kill()
