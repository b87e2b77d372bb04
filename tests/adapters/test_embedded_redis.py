from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from krator_actors.adapters import embedded_redis
from krator_actors.adapters.embedded_redis import (
    EmbeddedRedis,
    EmbeddedRedisError,
    embedded_redis_url,
)
from supervisors import output


def server(folder: Path) -> EmbeddedRedis:
    return EmbeddedRedis(folder / "data", folder / "run", max_memory_bytes=16_000_000)


async def command(redis: EmbeddedRedis, words: str) -> bytes:
    """Send one inline command; return what comes within the first read."""
    reader, writer = await asyncio.open_unix_connection(str(redis.socket))
    try:
        writer.write(f"{words}\r\n".encode())
        return await asyncio.wait_for(reader.read(65_536), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_nobody_else_can_reach_it_and_nothing_is_kept(
    redis_server: EmbeddedRedis, short_dir: Path
) -> None:
    await command(redis_server, "SET a b")

    assert psutil.Process(redis_server.pid).net_connections(kind="inet") == []
    assert stat.S_IMODE(redis_server.socket.parent.stat().st_mode) == 0o700
    assert b"noeviction" in await command(redis_server, "CONFIG GET maxmemory-policy")
    assert b"64000000" in await command(redis_server, "CONFIG GET maxmemory")

    await redis_server.stop(timeout_secs=10)

    assert list((short_dir / "run" / "redis").iterdir()) == []


async def test_stop_leaves_no_process(redis_server: EmbeddedRedis) -> None:
    pid = redis_server.pid

    await redis_server.stop(timeout_secs=10)

    assert not psutil.pid_exists(pid)
    assert redis_server.pid == 0


async def test_hung_server_does_not_answer_and_is_ended_all_the_same(
    redis_server: EmbeddedRedis,
) -> None:
    pid = redis_server.pid
    assert await redis_server.answers(timeout_secs=10)

    os.kill(pid, signal.SIGSTOP)

    assert not await redis_server.answers(timeout_secs=0.2)
    await redis_server.stop(timeout_secs=0.1)
    assert not psutil.pid_exists(pid)


async def test_killed_server_is_seen_and_the_next_one_is_empty(
    redis_server: EmbeddedRedis, short_dir: Path
) -> None:
    await command(redis_server, "SET a b")

    os.kill(redis_server.pid, signal.SIGKILL)

    assert await redis_server.exited() == -signal.SIGKILL
    assert not await redis_server.answers(timeout_secs=1)
    await redis_server.kill()
    second = server(short_dir)
    await second.start(timeout_secs=20)
    try:
        assert await command(second, "DBSIZE") == b":0\r\n"
    finally:
        await second.kill()


async def test_path_that_is_too_long_for_a_socket_is_said(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)

    with pytest.raises(EmbeddedRedisError, match="choose a shorter runtime folder"):
        await server(folder).start(timeout_secs=5)


async def test_folder_that_cannot_be_written_is_said(short_dir: Path) -> None:
    (short_dir / "run").write_text("a file")

    with pytest.raises(EmbeddedRedisError, match="Redis cannot be started"):
        await server(short_dir).start(timeout_secs=5)


async def test_server_that_ends_at_once_is_said_with_its_log(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(embedded_redis._SETTINGS, "maxclients", "many")
    redis = server(short_dir)

    with pytest.raises(EmbeddedRedisError, match=r"status 1.*(?s:.*)maxclients"):
        await redis.start(timeout_secs=20)

    assert redis.pid == 0


async def test_server_that_never_answers_is_ended(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = short_dir / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o700)
    monkeypatch.setattr(embedded_redis, "_server_binary", lambda: sleeper)
    redis = server(short_dir)

    with pytest.raises(EmbeddedRedisError, match=r"did not answer within 0\.3 s"):
        await redis.start(timeout_secs=0.3)

    assert redis.pid == 0


async def test_missing_binary_says_what_to_do(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_redis, "_WHEEL", "no_such_package_is_here")

    with pytest.raises(EmbeddedRedisError, match="is not installed: make setup"):
        await server(short_dir).start(timeout_secs=5)


async def test_long_log_is_put_aside(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_MAX_FILE_BYTES", 100_000)
    redis = server(short_dir)
    redis.log_file.parent.mkdir(parents=True)
    redis.log_file.write_text("older lines\n" * 9_000)

    await redis.start(timeout_secs=20)
    await redis.kill()

    assert redis.log_file.with_name("redis.log.1").read_text() == "older lines\n" * 9_000
    assert "older" not in redis.log_tail()


async def test_log_that_cannot_be_read_is_said(short_dir: Path) -> None:
    redis = server(short_dir)
    await redis.start(timeout_secs=20)
    await redis.kill()

    redis.log_file.unlink()

    assert "cannot be read" in redis.log_tail()


def test_url_is_of_the_socket_in_the_runtime_folder() -> None:
    assert embedded_redis_url(Path("/tmp/a b")) == "unix:///tmp/a%20b/redis/redis.sock"
