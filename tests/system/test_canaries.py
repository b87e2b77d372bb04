"""Secrets that were planted in the environment are in no file, stream, table or terminal."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import psutil
import pytest
from redis import Redis

from krator_actors import place
from krator_actors.adapters.embedded_postgres import embedded_dsn
from krator_actors.adapters.embedded_redis import embedded_redis_url
from tests.system.harness import Krator, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

CANARIES = {
    "KRATOR_VENUE_API_KEY": "canaryKeyQ7x9vT2mZp4Lr8Wd",
    "KRATOR_VENUE_API_SECRET": "canary-secret/J5n+0tYb=Hs3",
    "dsn": "canaryDsnPw-88fe21",
    "redis": "canaryRedisPw-31bc90",
}


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KRATOR_VENUE_API_KEY", "KRATOR_VENUE_API_SECRET"):
        monkeypatch.setenv(name, CANARIES[name])


def forms() -> Iterator[bytes]:
    for value in CANARIES.values():
        raw = value.encode()
        yield raw
        yield raw[::-1]
        yield raw.hex().encode()
        yield quote(value, safe="").encode()
        yield base64.b64encode(raw).rstrip(b"=")[:-1]


def found_in(what: str, data: bytes) -> list[str]:
    return [f"{what}: {form!r}" for form in forms() if form in data]


def found_in_files(folder: Path) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found += found_in(str(path), path.read_bytes())
    return found


def logged(krator: Krator) -> str:
    path = krator.data_dir / "logs" / "krator.jsonl"
    return path.read_text() if path.exists() else ""


def test_servers_that_refuse_leave_no_canary(
    krator: Krator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "KRATOR_POSTGRES_DSN", f"postgresql://krator:{CANARIES['dsn']}@127.0.0.1:9/journal"
    )
    monkeypatch.setenv("KRATOR_REDIS_URL", f"redis://:{CANARIES['redis']}@127.0.0.1:9/0")
    run = krator.start()

    eventually(lambda: "journal_unavailable" in logged(krator), 90, "the journal complains")
    eventually(lambda: "redis_unavailable" in logged(krator), 90, "the publisher complains")
    commands = [krator.command(word) for word in ("status", "report", "doctor")]
    run.terminate()
    run.wait(60)

    said = "".join(done.stdout + done.stderr for done in commands)
    assert "127.0.0.1" in said  # it says where, and not how
    assert found_in("commands", said.encode()) == []
    assert found_in_files(krator.folder) == []


def test_venue_that_refuses_leaves_no_canary_in_the_record(krator: Krator) -> None:
    run = krator.start()
    krator.wait_ready(run)
    url = embedded_redis_url(place.runtime_dir(krator.data_dir))
    with Redis.from_url(url) as redis:
        eventually(lambda: redis.keys("*"), 60, "the publisher publishes")
        eventually(lambda: '"venue_status"' in logged(krator), 60, "the venue refuses")

        published = b"".join(repr(values(redis, key)).encode() for key in redis.scan_iter("*"))
        rows = asyncio.run(journal(krator))
    run.terminate()
    run.wait(60)

    assert found_in("Redis", published) == []
    assert found_in("PostgreSQL", rows) == []
    assert found_in("terminal", krator.output().encode()) == []
    assert found_in_files(krator.folder) == []


FAULTS = """
import os, sys, threading, time

SECRET = os.environ.get("KRATOR_VENUE_API_SECRET", "")


def crash():
    while not os.path.exists(WHEN):
        time.sleep(0.05)
    threading.Timer(0.3, os.abort).start()
    raise RuntimeError(f"no logger sees this: {SECRET}")


if "krator_actors.exchange" in sys.orig_argv:
    print(f"the venue begins with {SECRET}", file=sys.stderr)
    threading.Thread(target=crash, daemon=True).start()
"""


def test_what_passes_no_logger_leaves_no_canary(
    krator: Krator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    when = tmp_path / "now"
    (tmp_path / "sitecustomize.py").write_text(f"WHEN = {str(when)!r}\n{FAULTS}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    secret = CANARIES["KRATOR_VENUE_API_SECRET"]
    run = krator.start()
    krator.wait_ready(run)
    pids = {node["name"]: node["pid"] for node in nodes(krator.json("status"))}
    said = {
        "crash/stderr.log": "a C library of risk",
        "logs/postgres.log": "a crash of PostgreSQL",
        "logs/redis.log": "a crash of Redis",
    }

    for pid, words in zip((pids["risk"], *servers(pids)), said.values(), strict=True):
        Path(f"/proc/{pid}/fd/2").write_text(f"{words}\n{secret}\n")
    asyncio.run(failing_statements(krator, secret))
    when.touch()
    said["exchange/stderr.log"] = "no logger sees this"
    eventually(lambda: '"venue_ended"' in logged(krator), 60, "the venue crashes")
    for name, words in said.items():
        eventually(functools.partial(is_said, krator.data_dir / name, words), 20, name)
    run.terminate()
    run.wait(60)

    assert "the venue begins with ***" in text_of(krator.data_dir / "exchange" / "stderr.log")
    assert "division by zero" in text_of(krator.data_dir / "logs" / "postgres.log")
    assert found_in_files(krator.data_dir) == []
    assert found_in("terminal", krator.output().encode()) == []


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from nodes(child)


def is_said(path: Path, words: str) -> bool:
    return words in text_of(path)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def servers(pids: dict[str, int]) -> list[int]:
    """The processes of PostgreSQL and of Redis, which are the only children of their actors."""
    return [psutil.Process(pids[name]).children()[0].pid for name in ("storage", "redis")]


async def failing_statements(krator: Krator, secret: str) -> None:
    connection = await asyncpg.connect(embedded_dsn(place.runtime_dir(krator.data_dir)))
    try:
        for statement in (f"SELECT 1/0 -- {secret}", f"SELECT '{secret}'::int"):
            with pytest.raises(asyncpg.DataError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.DataError):
            await connection.execute(f"DO $$ BEGIN RAISE '{secret}' USING ERRCODE='22000'; END $$")
        with pytest.raises(asyncpg.DataError):
            await connection.fetch("SELECT $1::text::int", secret)
    finally:
        await connection.close()


def values(redis: Redis, key: bytes) -> object:
    match redis.type(key):
        case b"stream":
            return redis.xrange(key)
        case b"hash":
            return redis.hgetall(key)
        case b"string":
            return redis.get(key)
        case kind:
            return kind


async def journal(krator: Krator) -> bytes:
    """Every row of every table, as text."""
    connection = await asyncpg.connect(embedded_dsn(place.runtime_dir(krator.data_dir)))
    try:
        tables = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        rows = [
            await connection.fetch(f'SELECT * FROM "{schema}"."{table}"')
            for schema, table in tables
        ]
        return repr(rows).encode()
    finally:
        await connection.close()
