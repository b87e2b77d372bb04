"""One simulated day: the order and risk actors trade on a bad venue, die, and are checked.

Both actors are the real ones, with their real logs and snapshots on disk. Simulated are time, the
lanes, the supervisor, the venue and the strategies. A seed is a day: run again, it is the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from krator_actors import clock, order, order_ledger, order_sync, risk_ledger
from krator_actors.adapters.local_log import LocalLog, LogFullError
from krator_actors.config import RiskConfig, VenueConfig
from krator_actors.messages.market import (
    Instruments,
    InstrumentsRequest,
    MarketStatus,
    QuoteTick,
    TradeSummary,
)
from krator_actors.messages.risk import Halt, Resume, Scope
from krator_actors.order import OrderActor, OrderActorConfig
from krator_actors.risk import RiskActor, RiskActorConfig
from supervisors.messages import Message
from tests.simulation.eager_strategies import SYMBOLS, Strategies, instrument
from tests.simulation.model_client import RECV_WINDOW_MS, ModelClient, Weather
from tests.simulation.model_venue import ModelVenue
from tests.simulation.processes import Town
from tests.simulation.verdict import Verdict, judge
from tests.simulation.virtual_time import KilledError, World

TRADING_SECS = 16.0
QUIET_SECS = 24.0
PERSON = "ann"
ORDER = "order:SIM"

RISK = RiskConfig(
    max_order_notional=Decimal(1_000),
    max_order_quantity=Decimal(1_000),
    max_symbol_open_orders=4,
    max_open_orders=6,
    max_orders_per_sec=5,
    max_symbol_orders_per_sec=4,
    max_strategy_orders_per_sec=4,
    max_executions=10_000,
    quote_stale_secs=30,
    max_daily_loss_fraction=Decimal(1),
    max_drawdown_fraction=Decimal(1),
    duplicate_secs=0.01,
)


class Day:
    """The world of one seed; ``run`` lets it happen and returns the verdict."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.world = World(seed)
        self.venue = ModelVenue(self.world, {SYMBOLS[0]: Decimal(100), SYMBOLS[1]: Decimal(50)})
        self.weather = Weather()
        self.clients: list[ModelClient] = []
        self.folder = folder
        venue = VenueConfig(
            recv_window_ms=RECV_WINDOW_MS, reconcile_secs=self.world.dice.choice((8, 60))
        )
        self.strategies = Strategies(self.world, self.venue, self._tell)
        permissions = self.strategies.permissions()
        orders = OrderActorConfig(
            venue=venue,
            url="",
            symbols=SYMBOLS,
            data_dir=folder,
            durability="process",
            dry_run=False,
        )
        risk = RiskActorConfig(
            risk=RISK,
            venue="SIM",
            symbols=SYMBOLS,
            permissions=permissions,
            data_dir=folder,
            durability="process",
        )
        specs: dict[str, Any] = {"risk": (RiskActor, risk), ORDER: (OrderActor, orders)}
        self.town = Town(self.world, specs, answer=self._answer)
        self._is_disk_full = False

    def run(self) -> Verdict:
        with self._in_place():
            for name in ("risk", ORDER):
                self.town.start(name)
            self.strategies.is_trading = True
            self._quote()
            self._move()
            self._trade()
            self._keep_quiet()
            verdict = judge(self.folder, self.venue, self.town, person=PERSON, risk=RISK)
            self.town.close()
        return verdict

    def _trade(self) -> None:
        self.town.mortality = 0.002
        self._suffer()
        self.world.after(1.0, self.strategies.decide)
        self.world.run(TRADING_SECS)

    def _keep_quiet(self) -> None:
        self.strategies.is_trading = False
        self.town.mortality = 0.0
        self.weather.storm(0.0)
        self.weather.is_closed = self._is_disk_full = False
        for _ in range(3):  # a halt may be lost on its way to one who has just died
            self._tell(PERSON, "risk", Halt(by=PERSON, reason="quiet phase", cancels=True))
            self.world.run(QUIET_SECS / 3)

    # -- what goes wrong -------------------------------------------------------------------------

    def _suffer(self) -> None:
        """Let one thing go wrong, then the next."""
        if not self.strategies.is_trading:
            return
        dice = self.world.dice
        running = [p for p in self.town.processes.values() if p.alive]
        match dice.randrange(10):
            case 0 | 1 if running:
                self.town.kill(dice.choice(running))
            case 2 if running:
                dice.choice(running).stop()
            case 3:
                self.clients[-1].cut() if self.clients else None
            case 4:
                self.weather.storm(0.2)
                self.world.after(5.0 * dice.random(), self.weather.storm, 0.0)
            case 5:
                self.weather.is_closed = True
                self.world.after(3.0 * dice.random(), setattr, self.weather, "is_closed", False)
            case 6:
                self._is_disk_full = True
                self.world.after(2.0 * dice.random(), setattr, self, "_is_disk_full", False)
            case 7:
                self._halt()
            case _:
                self.weather.storm(0.03)
        self.world.after(4.0 * dice.random(), self._suffer)

    def _halt(self) -> None:
        dice = self.world.dice
        scope, target = dice.choice(
            [
                (Scope.SYSTEM, ""),
                (Scope.SYMBOL, SYMBOLS[0]),
                (Scope.STRATEGY, next(iter(self.strategies.permissions()))),
            ]
        )
        halt = Halt(
            scope=scope, target=target, by=PERSON, reason="look", cancels=dice.random() < 0.5
        )
        self._tell(PERSON, "risk", halt)
        resume = Resume(scope=scope, target=target, by=PERSON, reason="seen")
        self.world.after(0.5 + 2.5 * dice.random(), self._tell, PERSON, "risk", resume)

    def _before_write(self, log: LocalLog, frame: bytes) -> None:
        process = self.world.current
        if self._is_disk_full and self.world.dice.random() < 0.5:
            raise LogFullError(f"{log.path}: no space left")
        if process is not None and self.world.dice.random() < self.town.mortality / 4:
            os.write(log._descriptor, frame[: self.world.dice.randrange(len(frame))])
            self.town.kill(process)
            raise KilledError
        self.town.point()

    # -- the market ------------------------------------------------------------------------------

    def _quote(self) -> None:
        for symbol in SYMBOLS:
            for message in self._market(symbol):
                self._tell("feed:SIM", "risk", message)
        self.world.after(1.0 if self.strategies.is_trading else 6.0, self._quote)

    def _move(self) -> None:
        """Let prices go where they will; of most moves risk hears with the next quote only."""
        for symbol in SYMBOLS:
            self.venue.move(symbol)
        if self.strategies.is_trading:
            self.world.after(0.6, self._move)

    def _market(self, symbol: str) -> tuple[Message, ...]:
        price, now_ns = self.venue.prices[symbol], self.world.time_ns()
        tick = Decimal("0.01")
        quote = QuoteTick(
            symbol=symbol,
            bid=price - tick,
            bid_size=Decimal(1),
            ask=price + tick,
            ask_size=Decimal(1),
            update_id=1,
            ts_event=now_ns,
            ts_init=now_ns,
        )
        traded = TradeSummary(
            symbol=symbol,
            last_price=price,
            volume=Decimal(10_000_000),
            counted_secs=1,
            ts_event=now_ns,
        )
        status = MarketStatus(symbol=symbol, fresh=True, reason="LIVE", ts_event=now_ns)
        return status, quote, traded

    def _answer(self, receiver: str, message: Message) -> Message | None:
        if not isinstance(message, InstrumentsRequest):
            return None
        for symbol in SYMBOLS:
            for told in self._market(symbol):
                self._tell("feed:SIM", "risk", told)
        return Instruments(instruments=tuple(instrument(symbol) for symbol in SYMBOLS))

    def _tell(self, sender: str, receiver: str, message: Message) -> None:
        self.town.tell(sender, receiver, message)

    # -- the real parts, with the simulated ones under them ---------------------------------------

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        write, take = LocalLog._write, LocalLog._take_last_segment

        def write_or_die(log: LocalLog, frame: bytes) -> None:
            self._before_write(log, frame)
            write(log, frame)
            self.town.point()

        def take_and_note(log: LocalLog) -> None:
            self.world.current.logs.append(log)
            take(log)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clock, "time", self.world)
            patch.setattr(order, "trading_client", self._client)
            patch.setattr(LocalLog, "_write", write_or_die)
            patch.setattr(LocalLog, "_take_last_segment", take_and_note)
            # So small that a short day has snapshots, forgotten orders and tellings in pieces.
            patch.setattr(order_ledger, "SNAPSHOT_EVENTS", 40)
            patch.setattr(order_ledger, "KEEP_CLOSED", 4)
            patch.setattr(order_sync, "PIECE_EVENTS", 9)
            patch.setattr(risk_ledger, "SNAPSHOT_EVENTS", 40)
            yield

    def _client(self, *_: object, **callbacks: Any) -> ModelClient:
        client = ModelClient(self.town, self.venue, self.weather, **callbacks)
        self.clients.append(client)
        return client


def simulate(seed: int) -> Verdict:
    """Let the day of ``seed`` happen, on files of its own."""
    logger.disable("krator_actors")
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="krator-sim-", dir=memory if memory.is_dir() else None))
    try:
        return Day(seed, folder).run()
    finally:
        logger.enable("krator_actors")
        shutil.rmtree(folder)
