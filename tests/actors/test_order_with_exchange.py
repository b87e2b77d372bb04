"""The order actor against the simulated venue, a process of its own that keeps a ledger."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.config import VenueConfig
from krator_actors.core.orders import OrderTable
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.orders import (
    CancelOrder,
    OrderEvent,
    OrderEventTold,
    OrderFilled,
    OrderInitialized,
    OrderUnknown,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType, TimeInForce
from krator_actors.order import OrderActor, OrderActorConfig
from supervisors.testing import ActorHarness

NAME = "order:SIM"
SYMBOL = "BTC-USDT.SIM"


class Exchange:
    """The process, its faults and its ledger."""

    def __init__(self, data_dir: Path, *, weight_limit: int = 1_000_000) -> None:
        self.data_dir = data_dir
        command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(data_dir)]
        self.process = subprocess.Popen(
            [
                *command,
                "--symbols",
                "BTCUSDT",
                "--order-limit",
                "10000",
                "--weight-limit",
                str(weight_limit),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]

    async def fault(self, action: str, **params: Any) -> None:
        request = urllib.request.Request(
            f"{self.url}/sim/faults", json.dumps({"action": action, **params}).encode()
        )
        request.add_header("Content-Type", "application/json")
        await asyncio.to_thread(lambda: urllib.request.urlopen(request).close())

    async def best(self) -> tuple[Decimal, Decimal]:
        url = f"{self.url}/api/v3/depth?symbol=BTCUSDT&limit=5"
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
        depth = json.loads(answer)
        return Decimal(depth["bids"][0][0]), Decimal(depth["asks"][0][0])

    def ledger(self) -> list[dict[str, Any]]:
        lines = (self.data_dir / "ledger.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    running = Exchange(tmp_path / "exchange")
    try:
        yield running
    finally:
        running.close()


def harness_of(exchange: Exchange, data_dir: Path, generation: int = 1) -> ActorHarness:
    config = OrderActorConfig(
        venue=VenueConfig(
            request_timeout_secs=1.0,
            recv_window_ms=500,
            reconnect_initial_secs=0.01,
            reconnect_max_secs=0.05,
        ),
        url=exchange.url,
        symbols=(SYMBOL,),
        data_dir=data_dir,
        durability="process",
        dry_run=True,
    )
    return ActorHarness(OrderActor, name=NAME, config=config, generation=generation)


def place(client_order_id: str, price: Decimal | None, **changes: Any) -> PlaceOrder:
    fields: dict[str, Any] = {
        "side": OrderSide.BUY,
        "order_type": OrderType.MARKET if price is None else OrderType.LIMIT,
        "quantity": Decimal("0.002"),
        "time_in_force": TimeInForce.GTC,
    }
    order = SubmitOrder(
        client_order_id=client_order_id,
        strategy="strategy:test",
        symbol=SYMBOL,
        price=price,
        cause="bar:1",
        ts_event=1,
        ts_init=1,
        **(fields | changes),
    )
    return PlaceOrder(order=order, risk_generation=1)


def cancel(client_order_id: str) -> CancelOrder:
    return CancelOrder(client_order_id=client_order_id, symbol=SYMBOL, requester="test")


async def reachable(harness: ActorHarness) -> None:
    def is_reachable() -> bool:
        statuses = [m for m in harness.told_to("risk") if isinstance(m, VenueStatus)]
        return bool(statuses) and statuses[-1].reachable

    await harness.eventually(is_reachable, timeout_secs=20)


async def ends_as(harness: ActorHarness, client_order_id: str, status: OrderStatus) -> None:
    table: OrderTable = harness.actor._table
    await harness.eventually(
        lambda: table.orders[client_order_id].status is status, timeout_secs=20
    )


def events_of(data_dir: Path) -> list[OrderEvent]:
    return [record.event for record in read_log(log_path(data_dir, NAME), types=OrderEvent)]


async def test_market_order_is_filled_with_its_fees(exchange: Exchange, tmp_path: Path) -> None:
    async with harness_of(exchange, tmp_path) as harness:
        await reachable(harness)
        await harness.deliver(place("k1", None), "risk")
        await ends_as(harness, "k1", OrderStatus.FILLED)

    fills = [e for e in events_of(tmp_path) if isinstance(e, OrderFilled)]
    assert sum(fill.last_quantity for fill in fills) == Decimal("0.002")
    assert {fill.fee_currency for fill in fills} == {"BTC"}


async def test_resting_order_is_canceled(exchange: Exchange, tmp_path: Path) -> None:
    async with harness_of(exchange, tmp_path) as harness:
        await reachable(harness)
        bid, _ = await exchange.best()
        price = (bid * Decimal("0.9")).quantize(Decimal(1))
        await harness.deliver(place("k1", price), "risk")
        await ends_as(harness, "k1", OrderStatus.ACCEPTED)
        await harness.deliver(cancel("k1"), "risk")

        await ends_as(harness, "k1", OrderStatus.CANCELED)


async def test_ioc_order_without_liquidity_expires(exchange: Exchange, tmp_path: Path) -> None:
    async with harness_of(exchange, tmp_path) as harness:
        await reachable(harness)
        bid, _ = await exchange.best()
        price = (bid * Decimal("0.9")).quantize(Decimal(1))
        await harness.deliver(place("k1", price, time_in_force=TimeInForce.IOC), "risk")

        await ends_as(harness, "k1", OrderStatus.EXPIRED)


async def test_order_below_the_venues_filters_is_rejected(
    exchange: Exchange, tmp_path: Path
) -> None:
    async with harness_of(exchange, tmp_path) as harness:
        await reachable(harness)
        await harness.deliver(place("k1", None, quantity=Decimal("0.000000001")), "risk")

        await ends_as(harness, "k1", OrderStatus.REJECTED)


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("lose_answer", {}),
        ("answer_error", {"method": "order.place", "code": -1006, "act": True}),
    ],
)
async def test_answer_lost_after_acting_is_found(
    exchange: Exchange, tmp_path: Path, action: str, params: dict[str, Any]
) -> None:
    async with harness_of(exchange, tmp_path) as harness:
        await reachable(harness)
        await exchange.fault(action, **params)
        await harness.deliver(place("k1", None), "risk")
        await ends_as(harness, "k1", OrderStatus.FILLED)

    assert [
        e for e in events_of(tmp_path) if isinstance(e, OrderUnknown)
    ] or action != "lose_answer"


async def test_order_that_the_venue_did_not_take_is_given_up(
    exchange: Exchange, tmp_path: Path
) -> None:
    async with harness_of(exchange, tmp_path) as harness:
        await reachable(harness)
        await exchange.fault("answer_error", method="order.place", code=-1001)
        await harness.deliver(place("k1", None), "risk")

        await ends_as(harness, "k1", OrderStatus.REJECTED)


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_or_doubled_whatever_breaks(
    exchange: Exchange, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    faults: list[tuple[str, dict[str, Any]]] = [
        ("drop_connections", {"only": "ws-api"}),
        ("lose_answer", {}),
        ("lose_answer", {"method": "order.cancel"}),
        ("answer_error", {"method": "order.place", "act": True}),
        ("answer_error", {"method": "order.status", "count": 3}),
        ("refuse_connections", {"secs": 0.2}),
    ]
    number = 0
    for generation in range(1, 6):
        async with harness_of(exchange, tmp_path, generation) as harness:
            await reachable(harness)
            bid, ask = await exchange.best()
            for _ in range(12):
                number += 1
                if dice.random() < 0.8:
                    await reachable(harness)
                side = dice.choice([OrderSide.BUY, OrderSide.SELL])
                price = dice.choice([None, bid, ask])
                await harness.deliver(place(f"k{number}", price, side=side), "risk")
                if dice.random() < 0.3:
                    await harness.deliver(cancel(f"k{dice.randint(1, number)}"), "risk")
                if dice.random() < 0.3:
                    action, params = dice.choice(faults)
                    await exchange.fault(action, **params)
    async with harness_of(exchange, tmp_path, 9) as harness:
        await exchange.fault("clear")
        table: OrderTable = harness.actor._table
        await reachable(harness)
        for order in table.open_orders:
            await harness.deliver(cancel(order.client_order_id), "risk")
        await harness.eventually(lambda: table.open_orders == (), timeout_secs=20)
        told = [m.number for m in harness.told_to("risk") if isinstance(m, OrderEventTold)]

    assert told == sorted(told)
    _agree(exchange, tmp_path)


def _agree(exchange: Exchange, data_dir: Path) -> None:
    ledger, events = exchange.ledger(), events_of(data_dir)
    initialized = {e.order.client_order_id for e in events if isinstance(e, OrderInitialized)}
    placed = [r["clientOrderId"] for r in ledger if r["record"] == "order"]
    assert len(placed) > 20
    assert max(Counter(placed).values()) == 1
    assert set(placed) <= initialized
    traded = Counter(
        (r["clientOrderId"], str(r["tradeId"])) for r in ledger if r["record"] == "fill"
    )
    filled = Counter((e.client_order_id, e.trade_id) for e in events if isinstance(e, OrderFilled))
    assert filled == traded
