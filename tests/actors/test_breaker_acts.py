"""A named person leaves PostgreSQL or Redis alone; it is on record and outlives a restart."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from krator_actors import breaker_acts, breaker_commands
from krator_actors.adapters.embedded_redis import EmbeddedRedis, embedded_redis_url
from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.journal import JournalActor, JournalConfig
from krator_actors.messages.operations import BreakerForced, ForceBreaker, SystemStarted
from krator_actors.messages.risk import ActRefused
from krator_actors.publisher import PublisherActor, PublisherConfig
from supervisors.breaker import BreakerSettings, BreakerState, CircuitBreaker
from supervisors.testing import ActorHarness, eventually, running
from tests.actors.journal_scene import Load, caught_up, status

OPEN = ForceBreaker(opens=True, by="ada", reason="maintenance")
CLOSE = ForceBreaker(opens=False, by="bob", reason="it is over")


def journal(folder: Path, dsn: str, *, generation: int = 1) -> ActorHarness:
    config = JournalConfig(data_dir=folder / "data", dsn=dsn, commit_interval_ms=1)
    return ActorHarness(JournalActor, name="journal", config=config, generation=generation)


def publisher_config(folder: Path) -> PublisherConfig:
    return PublisherConfig(
        data_dir=folder / "data",
        url=embedded_redis_url(folder / "run"),
        stream_max_length=10_000,
        timeout_secs=5.0,
        cache_interval_secs=0.05,
        cache_ttl_secs=0.5,
    )


def acts(folder: Path, writer: str) -> list[tuple[bool, str]]:
    """Return what the writer's log has: (opens, by)."""
    path = log_path(folder / "data", writer)
    logged: Any = BreakerForced | SystemStarted
    events = [record.event for record in read_log(path, types=logged)]
    return [(event.opens, event.by) for event in events if isinstance(event, BreakerForced)]


async def test_journal_leaves_postgresql_alone_until_the_same_is_taken_back(
    short_dir: Path, postgres_dsn: str
) -> None:
    load = Load(short_dir / "data")
    try:
        async with journal(short_dir, postgres_dsn) as harness:
            await load.append(5)
            await caught_up(harness, load.acknowledged)
            done = await harness.deliver(OPEN, sender="cli")
            await harness.eventually(lambda: harness.actor._store is None)
            before = (await status(harness)).watermarks
            await load.append(5)
            refused = await harness.deliver(OPEN, sender="cli")

        async with journal(short_dir, postgres_dsn, generation=2) as harness:
            now = await status(harness)
            assert (now.breaker, now.connected) == ("forced_open", False)
            await harness.deliver(CLOSE, sender="cli")
            await caught_up(harness, load.acknowledged)
            await caught_up(harness, {"journal": 4})
    finally:
        for log in load.logs.values():
            log.close()

    assert isinstance(done, BreakerForced)
    assert (done.breaker, done.opens, done.by) == ("postgresql", True, "ada")
    assert isinstance(refused, ActRefused)
    assert "forced_open already" in refused.reason
    assert all(number <= 5 for writer, number in before.items() if writer != "journal")
    assert acts(short_dir, "journal") == [(True, "ada"), (False, "bob")]


@pytest.mark.parametrize("missing", ["by", "reason"])
async def test_breaker_is_not_opened_by_nobody_or_for_nothing(
    short_dir: Path, postgres_dsn: str, missing: str
) -> None:
    act = {"by": "ada", "reason": "maintenance", missing: " "}

    async with journal(short_dir, postgres_dsn) as harness:
        answer = await harness.deliver(ForceBreaker(opens=True, **act), sender="cli")
        now = await status(harness)

    assert isinstance(answer, ActRefused)
    assert now.breaker != "forced_open"
    assert acts(short_dir, "journal") == []


def options(word: str, **more: str) -> argparse.Namespace:
    known = {"name": "redis", "by": "ada", "reason": "maintenance"}
    return argparse.Namespace(word=word, json=False, **{**known, **more})


async def test_words_of_krator_admin_open_list_and_close_it(
    redis_server: EmbeddedRedis, short_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def word(verb: str, **more: str) -> tuple[int, str]:
        code = await asyncio.to_thread(
            breaker_commands.main, short_dir / "run", options(verb, **more)
        )
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    load = Load(short_dir / "data")
    async with (
        running(
            PublisherActor,
            name="publisher",
            runtime=short_dir / "run",
            config=publisher_config(short_dir),
        ) as brain,
        Redis.from_url(embedded_redis_url(short_dir / "run")) as reader,
    ):
        actor: Any = brain.actor
        await eventually(lambda: actor._store is not None, timeout_secs=20)
        opened = await word("open-breaker")
        await eventually(lambda: actor._store is None)
        await load.append(3)
        listed = await word("breakers")
        twice = await word("open-breaker")
        nobody = await word("open-breaker", name="venue")
        length = await reader.xlen("krator:events")
        closed = await word("close-breaker", by="bob")
        await eventually(lambda: actor._published >= 9, timeout_secs=20)
    for log in load.logs.values():
        log.close()

    assert opened[0] == closed[0] == listed[0] == 0
    assert "by ada: maintenance" in opened[1]
    assert "redis" in listed[1]
    assert "forced_open" in listed[1]
    assert "does not answer" in listed[1]  # the journal does not run here
    assert twice == (2, "krator: redis is forced_open already\n")
    assert nobody[0] == 2
    assert length <= 1
    assert acts(short_dir, "publisher") == [(True, "ada"), (False, "bob")]


def test_act_that_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder belongs")
    breaker = CircuitBreaker("redis", BreakerSettings())

    answer = breaker_acts.force(breaker, OPEN, data_dir=tmp_path, writer="publisher", generation=1)

    assert isinstance(answer, ActRefused)
    assert "cannot be written down" in answer.reason
    assert breaker.state is BreakerState.CLOSED
