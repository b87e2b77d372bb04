"""What docs/REDIS.md shows works, and what it lists is all there is."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from krator_actors.adapters.embedded_redis import EmbeddedRedis, embedded_redis_url
from krator_actors.adapters.postgres import JournalStore
from krator_actors.adapters.redis_store import RedisStore
from krator_actors.core.backlog import LogName, Waiting
from krator_actors.core.log_frames import RawRecord
from krator_actors.core.publication import entry_of
from krator_actors.messages.orders import OrderSubmitted

PAGE = (Path(__file__).parent.parent / "docs" / "REDIS.md").read_text()
LOG = LogName("risk", 1)
BTC = "BTC-USDT.SIM"


class EnoughError(Exception):
    """Ends a consumer that would read for ever."""


def example(name: str = "consume") -> Any:
    """Return what the page's Python defines by that name."""
    namespace: dict[str, Any] = {"__name__": "example"}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/REDIS.md", "exec"), namespace)
    return namespace[name]


def entry(number: int) -> dict[str, str | bytes | int]:
    return entry_of(Waiting(LOG, RawRecord(number, 1, number, "Odd", b"\x81\xa1n\x01")))


@pytest.fixture
def client(redis_server: EmbeddedRedis, short_dir: Path) -> Any:
    with Redis.from_url(embedded_redis_url(short_dir / "run"), decode_responses=True) as made:
        yield made


async def publish(short_dir: Path, first: int, last: int) -> None:
    store = await RedisStore.connect(embedded_redis_url(short_dir / "run"), timeout_secs=10)
    entries = [entry(number) for number in range(first, last + 1)]
    await store.publish(entries, {LOG: last}, max_length=1_000)
    await store.close()


def consumed(client: Any, *, until: int, die_at: int = 0) -> list[int]:
    """Run the page's consumer until it has got an event; return the numbers that it got."""
    numbers: list[int] = []

    def handle(writer: str, number: int, body: dict[str, Any]) -> None:
        assert (writer, body) == ("risk", {"n": 1})
        numbers.append(number)
        if number in {until, die_at}:
            raise EnoughError

    with pytest.raises(EnoughError):
        example()(client, handle)
    return numbers


async def test_example_reads_every_event(client: Any, short_dir: Path) -> None:
    await publish(short_dir, 1, 250)

    assert consumed(client, until=250) == list(range(1, 251))


async def test_example_that_died_gets_what_it_had_not_acknowledged(
    client: Any, short_dir: Path
) -> None:
    await publish(short_dir, 1, 20)
    first = consumed(client, until=20, die_at=5)
    await publish(short_dir, 21, 30)

    second = consumed(client, until=30)

    assert first == [1, 2, 3, 4, 5]
    assert second == list(range(5, 31))


def test_page_names_every_field_of_an_entry() -> None:
    rows = set(re.findall(r"`(\w+)`", PAGE))

    assert entry(1).keys() <= rows


async def test_reader_that_fell_behind_the_stream_catches_up_from_the_journal(
    client: Any, short_dir: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", postgres_dsn)
    events = [OrderSubmitted(client_order_id=f"o-{n}", symbol=BTC, ts_event=n) for n in range(30)]
    records = [
        RawRecord(n, 1, n, type(e).__name__, msgspec.msgpack.encode(e))
        for n, e in enumerate(events, 1)
    ]
    store = await JournalStore.connect(postgres_dsn, generation=1, now_ns=1)
    await store.append([("risk", record) for record in records], ts_written=1)
    await store.close()
    redis = await RedisStore.connect(embedded_redis_url(short_dir / "run"), timeout_secs=10)
    entries = [entry_of(Waiting(LOG, record)) for record in records]
    await redis.publish(entries[:5], {LOG: 5}, max_length=1_000)
    seen: list[tuple[str, int, Any]] = []
    command = [sys.executable, "-m", "krator_actors.cli", "journal", "events"]

    def handle(writer: str, number: int, body: Any) -> None:
        seen.append((writer, number, body))
        if number in {5, 30}:
            raise EnoughError

    gapless = example("Gapless")(handle, [*command, "--data-dir", str(short_dir / "data")])
    await asyncio.to_thread(_until_enough, client, gapless)
    gapless.done["risk"] = 5  # it had handled the fifth when it died
    await redis.publish(entries[5:], {LOG: 30}, max_length=1_000)
    await redis.close()
    client.xtrim("krator:events", maxlen=3, approximate=False)
    await asyncio.to_thread(_until_enough, client, gapless)

    assert [number for _, number, _ in seen] == list(range(1, 31))
    bodies = [
        msgspec.json.decode(made["body"]) for made in entries if isinstance(made["body"], bytes)
    ]
    assert [body for _, _, body in seen] == bodies


def _until_enough(client: Any, handle: Any) -> None:
    with pytest.raises(EnoughError):
        example()(client, handle)
