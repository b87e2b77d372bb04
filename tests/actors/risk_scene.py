"""A risk actor, and the order actor's log that the test writes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors.adapters.local_log import LocalLog, LogFullError, log_path, read_log
from krator_actors.config import RiskConfig
from krator_actors.core.risk import RiskEvent
from krator_actors.messages.handshake import (
    OpenOrder,
    OrdersAbsorbed,
    OrdersSynced,
    SyncOrders,
    VenueStatus,
)
from krator_actors.messages.market import (
    Instruments,
    MarketStatus,
    QuoteTick,
    TradeSummary,
)
from krator_actors.messages.orders import (
    AccountReport,
    CancelOrder,
    OrderDenied,
    OrderEvent,
    OrderEventTold,
    OrderFilled,
    OrderInitialized,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.messages.risk import (
    PortfolioReport,
    PortfolioRequest,
)
from krator_actors.model import Instrument, OrderSide, OrderType
from krator_actors.risk import RiskActor, RiskActorConfig
from supervisors.messages import Message
from supervisors.testing import ActorHarness

D = Decimal
BTC = "BTC-USDT.SIM"
ORDER, STRATEGY, FEED = "order:SIM", f"strategy:{BTC}/sma_cross", "feed:SIM"
INSTRUMENTS = Instruments(
    instruments=(
        Instrument(
            symbol=BTC,
            venue_symbol="BTCUSDT",
            base="BTC",
            quote="USDT",
            tick_size=D("0.01"),
            lot_size=D("0.001"),
            min_quantity=D("0.001"),
            max_quantity=D(1_000),
            min_notional=D(10),
        ),
    )
)
QUOTE = QuoteTick(
    symbol=BTC,
    bid=D("99.99"),
    bid_size=D(1),
    ask=D("100.01"),
    ask_size=D(1),
    update_id=1,
    ts_event=1,
    ts_init=1,
)


def order(client_order_id: str = "k1", side: OrderSide = OrderSide.BUY) -> SubmitOrder:
    return SubmitOrder(
        client_order_id=client_order_id,
        strategy=STRATEGY,
        symbol=BTC,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(1),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


def filled(client_order_id: str = "k1", trade_id: str = "1") -> OrderFilled:
    return OrderFilled(
        client_order_id=client_order_id,
        venue_order_id="1",
        trade_id=trade_id,
        symbol=BTC,
        strategy=STRATEGY,
        side=OrderSide.BUY,
        last_quantity=D(1),
        last_price=D(100),
        fee=D(0),
        fee_currency="USDT",
        ts_event=1,
        ts_init=1,
    )


def initialized(submitted: SubmitOrder) -> OrderInitialized:
    return OrderInitialized(
        order=submitted, risk_generation=1, request_valid_until_ms=1, ts_event=1
    )


class Bench:
    """A risk actor, and the order actor's log that the test writes."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.log: list[OrderEvent] = [
            AccountReport(balances={"USDT": D(100_000)}, ts_event=1),
        ]
        self.generation = 0
        self.harness: ActorHarness

    def start(self, **risk: Any) -> ActorHarness:
        """Return the next incarnation, to be entered."""
        self.generation += 1
        self.harness = ActorHarness(
            RiskActor,
            name="risk",
            generation=self.generation,
            config=RiskActorConfig(
                risk=RiskConfig(**({"duplicate_secs": 1e-9} | risk)),
                venue="SIM",
                symbols=(BTC,),
                permissions={STRATEGY: (BTC,)},
                data_dir=self.data_dir,
                durability="process",
            ),
            answers={FEED: INSTRUMENTS},
        )
        return self.harness

    async def recover(self) -> None:
        """Answer the latest SyncOrders as an order actor would; market and venue are fine."""
        await self.harness.eventually(lambda: bool(self.harness.asked))
        await self.harness.deliver(INSTRUMENTS, FEED)
        await self.harness.deliver(QUOTE, FEED)
        live = MarketStatus(symbol=BTC, fresh=True, reason="LIVE", ts_event=1)
        await self.harness.deliver(live, FEED)
        summary = TradeSummary(
            symbol=BTC, last_price=D(100), volume=D(1_000), counted_secs=1, ts_event=1
        )
        await self.harness.deliver(summary, FEED)
        await self.sync()
        status = VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1)
        await self.harness.deliver(status, ORDER)

    async def sync(self, *open_orders: OpenOrder) -> None:
        request = self.requests()[-1]
        for number in range(request.watermark + 1, len(self.log) + 1):
            await self.tell_number(number)
        await self.harness.deliver(self.synced(request, *open_orders), ORDER)

    def synced(self, request: SyncOrders, *open_orders: OpenOrder) -> OrdersSynced:
        return OrdersSynced(
            venue="SIM",
            risk_generation=request.risk_generation,
            number=len(self.log),
            open_orders=open_orders,
            sync_id=request.sync_id,
        )

    async def happen(self, event: OrderEvent) -> None:
        """The order actor logs an event and tells it."""
        self.log.append(event)
        await self.tell_number(len(self.log))

    async def tell_number(self, number: int) -> None:
        told = OrderEventTold(venue="SIM", number=number, event=self.log[number - 1])
        await self.harness.deliver(told, ORDER)

    async def submit(self, submitted: SubmitOrder) -> Message:
        """Return what became of an order."""
        before = len(self.harness.told)
        await self.harness.deliver(submitted, STRATEGY)
        told = self.harness.told[before:]
        answers = [
            m for to, m in told if to in {ORDER, STRATEGY} and not isinstance(m, OrdersAbsorbed)
        ]
        assert len(answers) == 1
        return answers[0]

    async def reason(self, submitted: SubmitOrder) -> str:
        verdict = await self.submit(submitted)
        return verdict.reason if isinstance(verdict, OrderDenied) else "APPROVED"

    async def portfolio(self) -> PortfolioReport:
        report = await self.harness.deliver(PortfolioRequest(), "cli")
        assert isinstance(report, PortfolioReport)
        return report

    def requests(self) -> list[SyncOrders]:
        return [m for m in self.harness.told_to(ORDER) if isinstance(m, SyncOrders)]

    def logged(self, kind: type[Message]) -> list[Any]:
        path = log_path(self.data_dir, "risk")
        return [r.event for r in read_log(path, types=RiskEvent) if isinstance(r.event, kind)]


async def open_order(bench: Bench) -> SubmitOrder:
    """An order that is approved and begun."""
    resting = order("resting")
    await bench.submit(resting)
    await bench.happen(initialized(resting))
    await bench.happen(OrderSubmitted(client_order_id="resting", symbol=BTC, ts_event=1))
    return resting


def cancels(harness: ActorHarness) -> list[str]:
    told = harness.told_to(ORDER)
    return [m.client_order_id for m in told if isinstance(m, CancelOrder)]


def disk_filler(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, nothing can be logged until ``monkeypatch`` is undone."""

    def full(*_: object, **__: object) -> int:
        raise LogFullError("no space left on device")

    return lambda: monkeypatch.setattr(LocalLog, "append", full)
