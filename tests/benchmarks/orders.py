"""The order actor before the simulated venue: until an order is acknowledged, until it knows 1,000.

The actor runs in its real brain, the venue in a process of its own; no lane is in between.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from loguru import logger

from krator_actors.config import VenueConfig
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderEvent,
    OrderEventTold,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderType, venue_symbol_of
from krator_actors.order import OrderActor, OrderActorConfig
from supervisors.testing import ActorHarness
from tests.benchmarks.measure import Counts, child, percentile, short_folder

_QUANTITIES = {
    "BTC-USDT.SIM": Decimal("0.0004"),
    "ETH-USDT.SIM": Decimal("0.008"),
    "SOL-USDT.SIM": Decimal("0.15"),
    "BNB-USDT.SIM": Decimal("0.05"),
    "XRP-USDT.SIM": Decimal(40),
}
"""Five symbols, because the venue takes 200 open orders of each; about 20 USDT an order."""
_SYMBOLS = tuple(_QUANTITIES)
_PATIENCE_SECS = 20.0


def run(counts: Counts) -> dict[str, Any]:
    """Measure both; see ``measure.Counts`` for how often."""
    logger.remove()
    with short_folder() as folder:
        names = ",".join(venue_symbol_of(symbol) for symbol in _SYMBOLS)
        command = [sys.executable, "-m", "krator_actors.exchange", "--symbols", names]
        command += ["--data-dir", str(folder / "venue"), "--order-limit", "1000000"]
        command += ["--weight-limit", "1000000000"]
        with child(command) as process:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            return asyncio.run(_measure(url, folder / "data", counts))


async def _measure(url: str, data_dir: Path, counts: Counts) -> dict[str, Any]:
    prices = {symbol: await asyncio.to_thread(_far_below, url, symbol) for symbol in _SYMBOLS}
    async with _actor(url, data_dir, 1) as harness:
        await _reachable(harness)
        acks_ns = [
            await _acknowledged(harness, number, prices) for number in range(counts.open_orders)
        ]
    reconciled_ns = []
    for generation in range(2, 2 + counts.reconciliations):
        began_ns = time.perf_counter_ns()
        async with _actor(url, data_dir, generation) as harness:
            await _reachable(harness)
            reconciled_ns.append(time.perf_counter_ns() - began_ns)
            assert len(harness.actor._table.open_orders) == counts.open_orders
    return {
        "order_ack_p50_ms": percentile(acks_ns, 0.5) / 1e6,
        "reconcile_1000_orders_ms": percentile(reconciled_ns, 0.5) / 1e6,
        "details": {
            "order_ack_p99_ms": percentile(acks_ns, 0.99) / 1e6,
            "reconciled_orders": counts.open_orders,
        },
    }


def _far_below(url: str, symbol: str) -> Decimal:
    with urlopen(f"{url}/api/v3/depth?symbol={venue_symbol_of(symbol)}&limit=5") as answer:
        bid = Decimal(json.load(answer)["bids"][0][0])
    return (bid * Decimal("0.9")).quantize(Decimal("0.01"))


def _actor(url: str, data_dir: Path, generation: int) -> ActorHarness:
    config = OrderActorConfig(
        venue=VenueConfig(),
        url=url,
        symbols=_SYMBOLS,
        data_dir=data_dir,
        durability="process",
        dry_run=True,
    )
    return ActorHarness(OrderActor, name="order:SIM", config=config, generation=generation)


async def _reachable(harness: ActorHarness) -> None:
    def is_reachable() -> bool:
        statuses = [m for m in harness.told_to("risk") if isinstance(m, VenueStatus)]
        return bool(statuses) and statuses[-1].reachable

    await _until(is_reachable)


async def _acknowledged(harness: ActorHarness, number: int, prices: dict[str, Decimal]) -> int:
    symbol = _SYMBOLS[number % len(_SYMBOLS)]
    order = SubmitOrder(
        client_order_id=f"bench{number}",
        strategy="strategy:bench",
        symbol=symbol,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=_QUANTITIES[symbol],
        price=prices[symbol],
        cause=f"bar:{number}",
        ts_event=1,
        ts_init=1,
    )
    already = len(harness.told)
    began_ns = time.perf_counter_ns()
    await harness.deliver(PlaceOrder(order=order, risk_generation=1), "risk")
    await _until(lambda: any(_is_accepted(m) for _, m in harness.told[already:]))
    return time.perf_counter_ns() - began_ns


def _is_accepted(message: object) -> bool:
    event: OrderEvent | None = message.event if isinstance(message, OrderEventTold) else None
    return isinstance(event, OrderAccepted)


async def _until(condition: Any) -> None:
    deadline = time.monotonic() + _PATIENCE_SECS
    while not condition():
        assert time.monotonic() < deadline, "the order actor has not come so far"
        # Each turn of the loop, because a poll's pause would be in the number.
        await asyncio.sleep(0)
