"""Fixtures that more than one part's tests use."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from krator_actors.adapters.embedded_postgres import EmbeddedPostgres, embedded_dsn

settings.register_profile("krator", deadline=None)  # two noisy cores: no example has a deadline
settings.load_profile("krator")

_databases = itertools.count(1)


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
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(lambda: runner.run(server.kill()))
        runner.run(server.start(timeout_secs=30))
        yield embedded_dsn(folder / "run")


@pytest.fixture
def postgres_dsn(_postgres_server: str) -> str:
    """An empty database of its own, on one real server for all tests."""
    name = f"test_{next(_databases)}"
    # One more loop, because a test may run in its own one already.
    with asyncio.Runner() as runner:
        runner.run(_create_database(_postgres_server, name))
    return _postgres_server.replace("/postgres?", f"/{name}?")


async def _create_database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
