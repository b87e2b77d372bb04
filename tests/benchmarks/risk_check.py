"""One decision of the running risk actor, among many symbols and open orders."""

from __future__ import annotations

import asyncio
import os
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from krator_actors import clock
from krator_actors.config import RiskConfig
from krator_actors.messages.handshake import (
    OrderActorStarted,
    OrdersSynced,
    SyncOrders,
    VenueStatus,
)
from krator_actors.messages.market import (
    Instruments,
    InstrumentsRequest,
    MarketStatus,
    QuoteTick,
    TradeSummary,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderEventTold,
    OrderInitialized,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.messages.risk import PortfolioReport, PortfolioRequest
from krator_actors.model import Instrument, OrderSide, OrderType
from krator_actors.risk import RiskActorConfig
from supervisors.actor import Actor
from supervisors.client import Client
from supervisors.heart import Heart
from supervisors.messages import Message
from supervisors.spec import Budget, ChildSpec, SupervisorSpec
from tests.benchmarks.measure import Counts, p50_p99, short_folder
from tests.benchmarks.timed_actors import read_notes

_LIMIT_SECS = 120.0
_WARM_UP = 200
_QUOTE_SECS = 1.0
_RATE = 100_000


class Submit(Message, frozen=True, kw_only=True):
    """To the strategies' stand-in: send so many orders, each when the one before is done with."""

    count: int
    stay_open: bool


class Progress(Message, frozen=True, kw_only=True):
    """Ask; answered with the same, filled in."""

    sent: int = 0
    denied: str = ""


class Renew(Message, frozen=True, kw_only=True):
    """To itself: quotes grow stale."""


class Strategies(Actor):
    """Stands for all strategies: submits limit orders over all symbols in turn."""

    inbox: ClassVar[Any] = Submit | Progress | OrderEventTold | OrderDenied
    config: tuple[str, ...]

    async def on_start(self) -> None:
        self._sent = 0
        self._left = 0
        self._denied = ""
        # The event that an order is done with.
        self._last: type[OrderAccepted | OrderCanceled] = OrderAccepted

    async def receive(self, message: Message, sender: str) -> Message | None:
        match message:
            case Submit():
                self._left = message.count
                self._last = OrderAccepted if message.stay_open else OrderCanceled
                await self._submit()
            case Progress():
                return Progress(sent=self._sent, denied=self._denied)
            case OrderEventTold(event=event) if isinstance(event, self._last):
                await self._submit()
            case OrderDenied():
                self._denied = f"{message.reason}: {message.detail}"
            case _:
                pass  # events on the way to the last one
        return None

    async def _submit(self) -> None:
        if not self._left:
            return
        self._left -= 1
        self._sent += 1
        symbols = self.config
        order = SubmitOrder(
            client_order_id=f"{'keep' if self._last is OrderAccepted else 'drop'}{self._sent}",
            strategy=self.name,
            symbol=symbols[self._sent % len(symbols)],
            side=OrderSide.BUY,
            order_type=OrderType.LIMIT,
            quantity=Decimal("0.100"),
            price=Decimal("99.90"),
            cause=f"trade:{self._sent}",
            ts_event=clock.utc_ns(),
            ts_init=clock.utc_ns(),
        )
        await self.tell("risk", order)


class Venue(Actor):
    """Stands for the order actor and the feed: accepts what is approved, keeps or cancels it."""

    inbox: ClassVar[Any] = SyncOrders | PlaceOrder | InstrumentsRequest | LogGrew | Renew
    config: tuple[str, ...]

    async def on_start(self) -> None:
        self._number = 0
        if self.name.startswith("feed:"):
            self.every(_QUOTE_SECS, Renew())
            return
        await self.tell("risk", OrderActorStarted(venue="SIM", generation=self.generation))

    async def receive(self, message: Message, sender: str) -> Message | None:
        match message:
            case SyncOrders():
                await self._sync(message)
            case PlaceOrder():
                await self._place(message)
            case InstrumentsRequest():
                await self._quote()
                return Instruments(instruments=tuple(map(_instrument, self.config)))
            case Renew():
                await self._quote()
            case _:
                pass  # hints
        return None

    async def _sync(self, message: SyncOrders) -> None:
        balances = {"USDT": Decimal(1_000_000_000)}
        await self._say(AccountReport(balances=balances, ts_event=clock.utc_ns()))
        synced = OrdersSynced(
            venue="SIM",
            risk_generation=message.risk_generation,
            number=self._number,
            open_orders=(),
            sync_id=message.sync_id,
        )
        await self.tell("risk", synced)
        status = VenueStatus(venue="SIM", reachable=True, reason="", ts_event=clock.utc_ns())
        await self.tell("risk", status)

    async def _place(self, message: PlaceOrder) -> None:
        order = message.order
        now_ns = clock.utc_ns()
        key, symbol = order.client_order_id, order.symbol
        begun = OrderInitialized(
            order=order,
            risk_generation=message.risk_generation,
            request_valid_until_ms=0,
            ts_event=now_ns,
        )
        accepted = OrderAccepted(
            client_order_id=key, venue_order_id=key, symbol=symbol, ts_event=now_ns
        )
        events: list[OrderEvent] = [begun, accepted]
        if key.startswith("drop"):
            events.append(OrderCanceled(client_order_id=key, symbol=symbol, ts_event=now_ns))
        for event in events:
            await self.tell(order.strategy, await self._say(event))

    async def _say(self, event: OrderEvent) -> OrderEventTold:
        self._number += 1
        told = OrderEventTold(venue="SIM", number=self._number, event=event)
        await self.tell("risk", told)
        return told

    async def _quote(self) -> None:
        now_ns = clock.utc_ns()
        for symbol in self.config:
            status = MarketStatus(symbol=symbol, fresh=True, reason="LIVE", ts_event=now_ns)
            quote = QuoteTick(
                symbol=symbol,
                bid=Decimal("99.99"),
                bid_size=Decimal(5),
                ask=Decimal("100.01"),
                ask_size=Decimal(5),
                update_id=now_ns,
                ts_event=now_ns,
                ts_init=now_ns,
            )
            summary = TradeSummary(
                symbol=symbol,
                last_price=Decimal(100),
                volume=Decimal(1_000),
                counted_secs=1.0,
                ts_event=now_ns,
            )
            await self.tell("risk", status)
            await self.tell("risk", summary)
            await self.tell("risk", quote)


class Journal(Actor):
    """Takes hints."""

    inbox: ClassVar[Any] = LogGrew

    async def receive(self, message: Message, sender: str) -> None:
        return


def run(counts: Counts) -> dict[str, Any]:
    free = _check(counts, cpu=None)
    pinned = _check(counts, cpu=max(os.sched_getaffinity(0)))
    return {**free, "pinned": pinned}


def _check(counts: Counts, cpu: int | None) -> dict[str, float]:
    symbols = tuple(f"S{number:03}-USDT.SIM" for number in range(counts.risk_symbols))
    with short_folder() as folder:
        heart = Heart(
            _spec(folder, symbols, cpu),
            runtime=folder / "run",
            state_dir=folder / "state",
            crash_dir=folder / "crash",
            budget=Budget(),
        )
        heart.start()
        try:
            asyncio.run(_submit(folder / "run", counts))
        finally:
            heart.stop()
        took_ns = read_notes(folder, "risk")[-counts.risk_checks :]
    p50, p99 = p50_p99(took_ns, 1e3)
    return {"risk_check_p50_us": p50, "risk_check_p99_us": p99}


def _spec(folder: Path, symbols: tuple[str, ...], cpu: int | None) -> SupervisorSpec:
    # Every control is on; what would stop a benchmark of one strategy is as far away as it may be.
    config = RiskActorConfig(
        risk=RiskConfig(
            max_orders_per_sec=_RATE,
            max_strategy_orders_per_sec=_RATE,
            max_symbol_orders_per_sec=_RATE,
            max_messages_per_sec=_RATE,
            max_strategy_messages_per_sec=_RATE,
            max_symbol_messages_per_sec=_RATE,
            max_executions=_RATE,
            executions_secs=1.0,
            max_open_orders=_RATE,
            max_symbol_open_orders=_RATE,
            duplicate_secs=1e-9,
        ),
        venue="SIM",
        symbols=symbols,
        permissions={"strategies": symbols},
        data_dir=folder,
        durability="process",
    )
    here = "tests.benchmarks.risk_check"
    timed = "tests.benchmarks.timed_actors:TimedRiskActor"
    return SupervisorSpec(
        name="root",
        children=(
            ChildSpec(name="journal", actor=f"{here}:Journal"),
            ChildSpec(name="risk", actor=timed, config=config, cpu=cpu),
            ChildSpec(name="order:SIM", actor=f"{here}:Venue", config=symbols, cpu=cpu),
            ChildSpec(name="feed:SIM", actor=f"{here}:Venue", config=symbols),
            ChildSpec(name="strategies", actor=f"{here}:Strategies", config=symbols, cpu=cpu),
        ),
    )


async def _submit(runtime: Path, counts: Counts) -> None:
    async with Client(runtime, name="bench") as client:
        # Everything that an order needs is there when one could be judged.
        await _until(client, lambda report: report.recovered and report.equity > 0)
        await asyncio.sleep(_QUOTE_SECS)
        wanted = 0
        for count, stay_open in (
            (counts.risk_open_orders, True),
            (_WARM_UP, False),
            (counts.risk_checks, False),
        ):
            await client.tell("strategies", Submit(count=count, stay_open=stay_open))
            wanted += count
            await _until(client, lambda report, wanted=wanted: report.orders_approved >= wanted)
        await _until(client, lambda report: len(report.open_orders) == counts.risk_open_orders)


async def _until(client: Client, condition: Any) -> None:
    deadline = time.monotonic() + _LIMIT_SECS
    while True:
        report = await client.ask("risk", PortfolioRequest(), PortfolioReport, timeout_secs=10.0)
        if condition(report):
            return
        progress = await client.ask("strategies", Progress(), Progress, timeout_secs=10.0)
        assert not progress.denied, progress.denied
        assert time.monotonic() < deadline, msgspec.json.encode(progress)
        await asyncio.sleep(0.3)


def _instrument(symbol: str) -> Instrument:
    base = symbol.partition("-")[0]
    return Instrument(
        symbol=symbol,
        venue_symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        max_quantity=Decimal(9000),
        min_notional=Decimal(5),
    )
