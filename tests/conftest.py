"""Fixtures that more than one part's tests use."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from krator_actors.adapters.embedded_postgres import EmbeddedPostgres, embedded_dsn
from krator_actors.adapters.embedded_redis import EmbeddedRedis

settings.register_profile("krator", deadline=None)  # two noisy cores: no example has a deadline
settings.load_profile("krator")


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets in it; removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="krt", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="krt", dir="/tmp"))
    server = EmbeddedPostgres(folder, folder / "run")
    dsn = embedded_dsn(folder / "run")
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(lambda: runner.run(server.kill()))
        runner.run(server.start(timeout_secs=30))
        runner.run(_execute(dsn, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
        yield dsn


@pytest.fixture
def postgres_dsn(_postgres_server: str) -> str:
    """A database without a journal, on one real server for all tests."""
    # A loop of its own, because a test may be given this one from inside another.
    with asyncio.Runner() as runner:
        runner.run(
            _execute(
                _postgres_server,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
                "DROP SCHEMA IF EXISTS krator CASCADE",
            )
        )
    return _postgres_server


@pytest.fixture
async def redis_server(short_dir: Path) -> AsyncIterator[EmbeddedRedis]:
    """A real, empty Redis over ``short_dir`` that the test may stop, fill and kill."""
    server = EmbeddedRedis(short_dir / "data", short_dir / "run", max_memory_bytes=64_000_000)
    await server.start(timeout_secs=20)
    try:
        yield server
    finally:
        await server.kill()


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
