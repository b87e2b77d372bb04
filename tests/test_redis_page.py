"""What docs/REDIS.md shows works, and what it lists is all there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from krator_actors.adapters.embedded_redis import EmbeddedRedis, embedded_redis_url
from krator_actors.adapters.redis_store import RedisStore
from krator_actors.core.backlog import LogName, Waiting
from krator_actors.core.log_frames import RawRecord
from krator_actors.core.publication import entry_of

PAGE = (Path(__file__).parent.parent / "docs" / "REDIS.md").read_text()
LOG = LogName("risk", 1)


class EnoughError(Exception):
    """Ends a consumer that would read for ever."""


def example() -> Any:
    """Return the page's ``consume``."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/REDIS.md", "exec"), namespace)
    return namespace["consume"]


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
