"""Redis and its publisher may do what they like: trading does not notice."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from krator_actors import place
from krator_actors.adapters.embedded_redis import EmbeddedRedis, embedded_redis_url
from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.messages.orders import OrderEvent, OrderFilled
from tests.system.harness import Krator, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

BYSTANDERS = ("storage", "journal", "risk", "order:SIM", "feed:SIM", "rca", "jobs")
STRATEGY = """
[[strategies]]
symbol = "{base}-USDT.SIM"
bar = "1-SECOND-LAST"
fast = 2
slow = 3
order_notional = "200"
"""


def busy(krator: Krator, more: str = "") -> None:
    """Configure strategies that trade every few seconds."""
    strategies = "".join(STRATEGY.format(base=base) for base in ("BTC", "ETH", "SOL"))
    krator.config.write_text(f"[exchange]\nticks_per_sec = 40\n{more}{strategies}")


def fills(krator: Krator) -> int:
    log = log_path(krator.data_dir, "order:SIM")
    return sum(isinstance(record.event, OrderFilled) for record in read_log(log, types=OrderEvent))


def trades_on(krator: Krator, what: str) -> None:
    before = fills(krator)
    eventually(lambda: fills(krator) > before, 60, f"a fill after {what}")


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree["children"]:
        yield from nodes(child)


def pids(krator: Krator) -> dict[str, int]:
    """Return the process id of each running actor, and of the Redis server as ``server``."""
    found = {n["name"]: n["pid"] for n in nodes(krator.json("status")) if n["state"] == "running"}
    if found.get("redis"):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has died since it was asked about
            for child in psutil.Process(found["redis"]).children():
                if child.name() == "redis-server":
                    found["server"] = child.pid
    return found


def healed(krator: Krator, name: str, killed: int) -> dict[str, int]:
    """Wait until ``name`` and a Redis server run again; return all process ids."""

    def new() -> dict[str, int] | None:
        now = pids(krator)
        return now if {"server", "publisher"} <= now.keys() and now[name] != killed else None

    found: dict[str, int] = eventually(new, 60, f"{name} runs again")
    return found


def test_nothing_that_trades_notices_what_happens_to_redis(krator: Krator) -> None:
    busy(krator)
    run = krator.start("--for", "45")
    krator.wait_ready(run)
    before = healed(krator, "redis", 0)
    client = Redis.from_url(embedded_redis_url(place.runtime_dir(krator.data_dir)))
    eventually(lambda: fills(krator), 60, "the first fill")

    now = before
    for name in ("server", "redis", "publisher"):
        os.kill(now[name], signal.SIGKILL)
        now = healed(krator, name, now[name])
        trades_on(krator, f"kill -9 of {name}")

    eventually(lambda: client.xlen("krator:events"), 30, "the new Redis has events")
    eventually(lambda: client.get("krator:state"), 30, "the new Redis has states")
    client.close()
    assert {name: now[name] for name in BYSTANDERS} == {name: before[name] for name in BYSTANDERS}
    os.kill(now["server"], signal.SIGSTOP)
    trades_on(krator, "kill -STOP of the server")
    assert run.wait(120) == 0, krator.output()
    assert "embedded Redis" in krator.output()
    assert krator.leftovers() == []


async def test_redis_of_ones_own_is_used_and_its_death_is_nobodys(
    krator: Krator, redis_server: EmbeddedRedis, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRATOR_REDIS_URL", embedded_redis_url(short_dir / "run"))
    busy(krator)
    run = krator.start()
    krator.wait_ready(run)
    client = Redis.from_url(os.environ["KRATOR_REDIS_URL"])
    eventually(lambda: client.xlen("krator:events"), 60, "the stream has events")
    client.close()

    await redis_server.kill()
    trades_on(krator, "the end of Redis")

    assert "redis" not in pids(krator)
    assert "external Redis" in krator.output()
    assert krator.command("stop").returncode == 0
    assert run.wait(60) == 0, krator.output()


def test_url_that_is_none_starts_nothing_and_is_not_repeated(krator: Krator) -> None:
    environment = {**os.environ, "KRATOR_REDIS_URL": "http://ada:hunter2@localhost"}

    done = krator.command("run", env=environment)

    assert done.returncode == 2
    assert "KRATOR_REDIS_URL" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert krator.leftovers() == []
