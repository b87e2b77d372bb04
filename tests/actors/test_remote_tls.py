"""PostgreSQL and Redis on another host are reached by verified TLS, or not at all.

Real servers behind a door that speaks TLS. The other host is a name that leads to this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from loguru import logger
from redis.asyncio import Redis

from krator_actors.adapters import journal_reader
from krator_actors.adapters.embedded_postgres import EmbeddedPostgres
from krator_actors.adapters.embedded_redis import EmbeddedRedis, embedded_redis_url
from krator_actors.config import Config
from krator_actors.external import external_dsn, external_redis
from krator_actors.publisher import PublisherActor, PublisherConfig
from supervisors.testing import ActorHarness
from tests.actors.journal_scene import SECS, Load, execute, loaded, scene, served
from tests.adapters.tls_front import TlsFront, tls_front
from tests.private_ca import PrivateCa

HOST = "record.krator.test"
PASSWORD = "canary-of-the-wire-51b7"

Context = Callable[[PrivateCa, Path], ssl.SSLContext | None]
# What a door may show that is not to be trusted; and what is to be read of it.
WRONG: dict[str, tuple[Context, str]] = {
    "expired": (lambda ca, _: ca.server(HOST, days=(-9, -1)), "expired"),
    "foreign_ca": (
        lambda _, folder: PrivateCa(folder, "foreign").server(HOST),
        "unable to get local issuer|self-signed",
    ),
    "another_host": (lambda ca, _: ca.server("other.krator.test"), "Hostname mismatch"),
    "no_tls": (lambda _ca, _: None, "SSL"),
}
wrong = pytest.mark.parametrize("fault", WRONG)


@pytest.fixture(autouse=True)
def another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name of the other host lead to this one."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == HOST else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture
def events() -> Iterator[list[tuple[str, str]]]:
    """What was logged: (event type, reason)."""
    found: list[tuple[str, str]] = []

    def keep(line: Any) -> None:
        extra = line.record["extra"]
        found.append((extra.get("event_type", ""), extra.get("reason", "")))

    sink = logger.add(keep)
    yield found
    logger.remove(sink)


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path)


@pytest.fixture
async def server(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL that asks its users for their passwords as they are."""
    monkeypatch.setattr(journal_reader, "COMMAND_TIMEOUT_SECS", 5.0)
    async with served(short_dir) as made:
        rules = made.cluster / "pg_hba.conf"
        rules.write_text("local all remote password\n" + rules.read_text())
        await execute(
            short_dir,
            f"CREATE ROLE remote SUPERUSER LOGIN PASSWORD '{PASSWORD}'",
            "SELECT pg_reload_conf()",
        )
        yield made


@contextlib.asynccontextmanager
async def remote_postgres(
    folder: Path, ca: PrivateCa, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[TlsFront, str]]:
    """The server behind its door, and the URL that the configuration makes of ours."""
    socket_path = next((folder / "run").rglob(".s.PGSQL.5432"))
    async with tls_front(socket_path, is_postgres=True, context=ca.server(HOST)) as front:
        url = f"postgresql://remote:{PASSWORD}@{HOST}:{front.port}/postgres"
        monkeypatch.setenv("KRATOR_POSTGRES_DSN", f"{url}?sslrootcert={ca.file}")
        dsn = external_dsn(Config())
        assert dsn is not None
        assert dsn.startswith(url)
        yield front, dsn


def is_sealed(front: TlsFront) -> bool:
    """Say that clients sent something, and neither password nor events in clear."""
    plain = (PASSWORD.encode(), b"remote", b"OrderSubmitted", b"application_name", b"krator:")
    return bool(front.wire) and not any(word in front.wire for word in plain)


async def test_journal_is_written_through_verified_tls(
    short_dir: Path, server: EmbeddedPostgres, ca: PrivateCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        remote_postgres(short_dir, ca, monkeypatch) as (front, dsn),
        scene(short_dir, dsn) as (_, load),
    ):
        await load.append(50)

    assert is_sealed(front)


@wrong
async def test_postgres_that_cannot_be_verified_gets_nothing_until_it_can(
    short_dir: Path,
    server: EmbeddedPostgres,
    ca: PrivateCa,
    tmp_path: Path,
    events: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    make, said = WRONG[fault]
    async with (
        remote_postgres(short_dir, ca, monkeypatch) as (front, dsn),
        scene(short_dir, dsn) as (harness, load),
    ):
        front.context = make(ca, tmp_path)
        front.drop_all()
        await harness.eventually(lambda: harness.actor._outage_began is not None, timeout_secs=SECS)
        tried = front.connections
        await harness.eventually(lambda: front.connections > tried + 2, timeout_secs=SECS)
        # Trading goes on: nobody who appends waits for the journal.
        before = load.acknowledged
        await load.append(200)
        assert all(load.acknowledged[writer] >= before[writer] + 200 for writer in before)
        assert is_sealed(front)
        front.context = ca.server(HOST)

    told = [reason for kind, reason in events if kind == "journal_not_verified"]
    assert len(told) == 1
    assert re.search(said, told[0])
    assert PASSWORD not in told[0]
    assert [kind for kind, _ in events].count("journal_unavailable") == 1
    assert [kind for kind, _ in events].count("journal_reconnected") == 1
    assert is_sealed(front)


@contextlib.asynccontextmanager
async def remote_redis(
    folder: Path, ca: PrivateCa, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[TlsFront, ActorHarness]]:
    """A publisher whose Redis, with a password, is behind a door."""
    path = Path(unquote(urlsplit(embedded_redis_url(folder / "run")).path))
    async with tls_front(path, is_postgres=False, context=ca.server(HOST)) as front:
        url = f"rediss://:{PASSWORD}@{HOST}:{front.port}/0?ssl_ca_certs={ca.file}"
        monkeypatch.setenv("KRATOR_REDIS_URL", url)
        config = PublisherConfig(
            data_dir=folder / "data",
            url=external_redis(Config()),
            stream_max_length=100_000,
            timeout_secs=5.0,
            cache_interval_secs=0.05,
            cache_ttl_secs=0.5,
        )
        yield (
            front,
            ActorHarness(PublisherActor, name="publisher", config=config, runtime=folder / "run"),
        )


@pytest.fixture
async def reader(redis_server: EmbeddedRedis, short_dir: Path) -> AsyncIterator[Redis]:
    """Who looks into the Redis beside the door, and makes it ask for a password."""
    url = embedded_redis_url(short_dir / "run")
    async with Redis.from_url(url, password=PASSWORD, decode_responses=True) as client:
        async with Redis.from_url(url) as first:
            await first.config_set("requirepass", PASSWORD)
        yield client


async def published(reader: Redis, load: Load) -> None:
    """Wait until the stream has all that was acknowledged until now."""
    wanted = load.acknowledged
    async with asyncio.timeout(SECS):
        while True:
            marks = {
                str(key).removeprefix("krator:mark:").partition("@")[0]: int(
                    await reader.get(key) or 0
                )
                for key in await reader.keys("krator:mark:*")
            }
            if all(marks.get(writer, 0) >= number for writer, number in wanted.items()):
                return
            await asyncio.sleep(0.02)


async def everything_is_in_the_stream_once(reader: Redis) -> None:
    entries: Any = await reader.xrange("krator:events")
    numbers: dict[str, list[int]] = {}
    for _, fields in entries:
        numbers.setdefault(fields["writer"], []).append(int(fields["number"]))
    assert numbers
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


@wrong
async def test_redis_that_cannot_be_verified_gets_nothing_until_it_can(
    short_dir: Path,
    reader: Redis,
    ca: PrivateCa,
    tmp_path: Path,
    events: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    make, said = WRONG[fault]
    async with (
        remote_redis(short_dir, ca, monkeypatch) as (front, harness),
        loaded(short_dir / "data") as load,
        harness,
    ):
        await load.append(20)
        await published(reader, load)
        harness.actor._quiet_until_ns = 0
        front.context = make(ca, tmp_path)
        front.drop_all()
        await harness.eventually(lambda: harness.actor._outage_began is not None, timeout_secs=SECS)
        tried = front.connections
        await harness.eventually(lambda: front.connections > tried + 2, timeout_secs=SECS)
        before = load.acknowledged
        await load.append(50)
        assert all(load.acknowledged[writer] >= before[writer] + 50 for writer in before)
        assert is_sealed(front)
        front.context = ca.server(HOST)
        await harness.eventually(lambda: harness.actor._outage_began is None, timeout_secs=SECS)
        await published(reader, load)

    told = [reason for kind, reason in events if kind == "redis_not_verified"]
    assert len(told) == 1
    assert re.search(said, told[0])
    assert PASSWORD not in told[0]
    assert [kind for kind, _ in events].count("redis_unavailable") == 1
    assert is_sealed(front)
    await everything_is_in_the_stream_once(reader)
