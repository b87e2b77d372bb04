"""An order actor before the simulated venue; also as a process of its own, to be killed.

``python -m tests.actors.order_venue URL DIR GENERATION [ORDER]`` runs the actor; ORDER, a JSON
``SubmitOrder``, is placed when the venue can be reached.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.config import VenueConfig
from krator_actors.core.orders import OrderTable
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.orders import Bracket, OrderEvent, PlaceOrder, SubmitOrder
from krator_actors.model import Instrument, OrderSide, OrderType
from krator_actors.order import OrderActor, OrderActorConfig
from supervisors.testing import ActorHarness

NAME = "order:SIM"
SYMBOL = "BTC-USDT.SIM"


class Exchange:
    """The venue's process and its ledger."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.data_dir = data_dir
        command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(data_dir)]
        command += ["--symbols", "BTCUSDT", "--weight-limit", "1000000", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path) as answer:
            return json.loads(answer.read())

    def fault(self, action: str, **params: Any) -> None:
        body = json.dumps({"action": action, **params}).encode()
        with urllib.request.urlopen(f"{self.url}/sim/faults", body) as answer:
            answer.read()

    def best(self) -> tuple[Decimal, Decimal]:
        ticker = self.get("/api/v3/ticker/bookTicker?symbol=BTCUSDT")
        return Decimal(ticker["bidPrice"]), Decimal(ticker["askPrice"])

    def ledger(self, *kinds: str) -> list[dict[str, Any]]:
        lines = (self.data_dir / "ledger.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [record for record in records if not kinds or record["record"] in kinds]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def harness_of(url: str, data_dir: Path, generation: int = 1) -> ActorHarness:
    venue = VenueConfig(
        request_timeout_secs=0.5,
        recv_window_ms=300,
        reconnect_initial_secs=0.01,
        reconnect_max_secs=0.05,
    )
    config = OrderActorConfig(
        venue=venue,
        url=url,
        symbols=(SYMBOL,),
        data_dir=data_dir,
        durability="process",
        dry_run=True,
    )
    return ActorHarness(OrderActor, name=NAME, config=config, generation=generation)


def order_of(client_order_id: str, **fields: Any) -> SubmitOrder:
    terms: dict[str, Any] = {
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT if "price" in fields else OrderType.MARKET,
        "quantity": Decimal("0.01"),
    }
    return SubmitOrder(
        client_order_id=client_order_id,
        strategy="strategy:test",
        symbol=SYMBOL,
        cause="bar:1",
        ts_event=1,
        ts_init=1,
        **(terms | fields),
    )


def bracket_of(stop_price: Decimal, take_profit_price: Decimal) -> Bracket:
    instrument = Instrument(
        symbol=SYMBOL,
        venue_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00001"),
        min_quantity=Decimal("0.00001"),
        max_quantity=Decimal(9_000),
        min_notional=Decimal(5),
    )
    return Bracket(
        stop_price=stop_price, take_profit_price=take_profit_price, instrument=instrument
    )


def table_of(data_dir: Path) -> OrderTable:
    table = OrderTable()
    path = log_path(data_dir, NAME)
    if path.exists():
        for record in read_log(path, types=OrderEvent):
            table.apply(record.event, record.number)
    return table


async def reachable(harness: ActorHarness) -> None:
    def is_reachable() -> bool:
        statuses = [m for m in harness.told_to("risk") if isinstance(m, VenueStatus)]
        return bool(statuses) and statuses[-1].reachable

    await harness.eventually(is_reachable, timeout_secs=20)


async def _run(url: str, data_dir: Path, generation: int, order: SubmitOrder | None) -> None:
    async with harness_of(url, data_dir, generation) as harness:
        await reachable(harness)
        if order is not None:
            await harness.deliver(PlaceOrder(order=order, risk_generation=1), "risk")
        while True:
            await harness.eventually(lambda: False, timeout_secs=3_600)


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.argv[4], type=SubmitOrder) if len(sys.argv) > 4 else None
    asyncio.run(_run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), wanted))
