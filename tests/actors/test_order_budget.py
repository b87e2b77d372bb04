"""A thousand orders in doubt do not use up what is needed to cancel one."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from krator_actors.adapters.local_log import LocalLog, log_path
from krator_actors.messages.orders import OrderAccepted, OrderEventTold
from krator_actors.model import OrderStatus
from tests.actors.order_scene import NAME, initialized
from tests.actors.test_order_with_exchange import (
    Exchange,
    cancel,
    ends_as,
    harness_of,
    place,
    reachable,
)

WEIGHT_LIMIT = 400
IN_DOUBT = 1_000


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    running = Exchange(tmp_path / "exchange", weight_limit=WEIGHT_LIMIT)
    try:
        yield running
    finally:
        running.close()


def used_weight(exchange: Exchange) -> int:
    """Return what the venue has counted this minute, refused requests too."""
    with urllib.request.urlopen(f"{exchange.url}/api/v3/time") as answer:
        return int(answer.headers["X-MBX-USED-WEIGHT-1M"])


def doubt(data_dir: Path, *, after: int) -> None:
    """Let the log have orders of which nobody knows whether they were sent."""
    path = log_path(data_dir, NAME)
    until_ms = time.time_ns() // 1_000_000 - 60_000
    with LocalLog.open(path, writer=NAME, generation=1, durability="process") as log:
        assert log.last_number >= after
        for number in range(IN_DOUBT):
            log.append(initialized(f"doubt-{number}", valid_until_ms=until_ms), ts_ns=1)


async def test_cancel_passes_while_a_thousand_orders_are_in_doubt(
    exchange: Exchange, tmp_path: Path
) -> None:
    bid, _ = await exchange.best()
    async with harness_of(exchange, tmp_path) as harness:
        await reachable(harness)
        price = (bid * Decimal("0.9")).quantize(Decimal("0.01"))
        await harness.deliver(place("k1", price), "risk")
        await harness.eventually(lambda: has_accepted(harness.told_to("risk")))
    doubt(tmp_path, after=1)

    async with harness_of(exchange, tmp_path, generation=2) as harness:
        table = harness.actor._table
        await harness.eventually(lambda: harness.actor._client.connected, timeout_secs=20)
        await harness.eventually(lambda: len(table.open_orders) < IN_DOUBT, timeout_secs=20)
        await harness.deliver(cancel("k1"), "risk")
        await ends_as(harness, "k1", OrderStatus.CANCELED)
        left = len(table.open_orders)

    assert left > IN_DOUBT / 2
    assert await asyncio.to_thread(used_weight, exchange) <= WEIGHT_LIMIT


def has_accepted(messages: Sequence[object]) -> bool:
    events = [m.event for m in messages if isinstance(m, OrderEventTold)]
    return any(isinstance(event, OrderAccepted) for event in events)
