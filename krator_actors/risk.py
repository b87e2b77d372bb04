"""The risk actor: owner of the portfolio, and the only one that lets an order pass."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.local_log import Durability
from krator_actors.config import RiskConfig
from krator_actors.core.handshake import Answer, Handshake, Order
from krator_actors.core.portfolio_report import portfolio_report, strategy_state
from krator_actors.core.risk import RiskEngine
from krator_actors.core.rules import Denial, DenialReason, deny
from krator_actors.messages.handshake import (
    OrderActorStarted,
    OrdersAbsorbed,
    OrdersRemoved,
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
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    OrderEventTold,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.messages.risk import (
    Halt,
    OrderApproved,
    OverrideControl,
    PortfolioRequest,
    Reduce,
    Resume,
)
from krator_actors.messages.strategy import StrategyStateRequest
from krator_actors.model import NANOS_PER_SEC
from krator_actors.risk_acts import RiskActs
from krator_actors.risk_ledger import SNAPSHOT_SECS, RiskLedger
from krator_actors.risk_limits import limits_of
from supervisors.actor import Actor
from supervisors.messages import ActorError, Message

_HOUSEKEEPING_SECS = 1.0
_SYNC_AGAIN_SECS = 1.0
"""How soon a request to the order actor is repeated after something was lost on the way."""
_SYNC_SILENCE_NS = 10 * NANOS_PER_SEC
"""No progress for so long after a request: it is made again."""
_ASK_TIMEOUT_SECS = 1.0
_ASK_AGAIN_SECS = 0.2


class OrderLogLostError(Exception):
    """The order actor's log is shorter than what risk had read of it.

    What risk knew came from a log that is gone; a snapshot that knows too much is deleted, so that
    the restart begins from what both logs have.
    """


class RiskActorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ChildSpec.config`` holds for this actor."""

    risk: RiskConfig
    venue: str
    symbols: tuple[str, ...]
    permissions: dict[str, tuple[str, ...]]
    """strategy actor to the symbols that it may trade"""
    data_dir: Path
    durability: Durability


class Housekeeping(Message, frozen=True, kw_only=True):
    """To itself, each second: a day may have begun, an answer may be overdue."""


class SyncDue(Message, frozen=True, kw_only=True):
    """To itself: something told to the order actor was lost; agree with it anew."""


class RiskActor(Actor):
    """Shell around ``RiskEngine``: logs what the engine says, then lets it take effect."""

    inbox: ClassVar[Any] = (
        SubmitOrder
        | CancelOrder
        | CancelAllOrders
        | ModifyOrder
        | OrderEventTold
        | QuoteTick
        | TradeSummary
        | MarketStatus
        | Instruments
        | OrderActorStarted
        | OrdersSynced
        | OrdersRemoved
        | VenueStatus
        | Halt
        | Reduce
        | Resume
        | OverrideControl
        | PortfolioRequest
        | StrategyStateRequest
        | SyncDue
        | Housekeeping
    )
    answers: ClassVar[Any] = Instruments
    config: RiskActorConfig

    async def on_start(self) -> None:
        """Recover from snapshot and log, then ask the order actor for what has happened since."""
        self._logger = logger.bind(component=self.name)
        self._order_actor = f"order:{self.config.venue}"
        # True while a SyncDue is on its way.
        self._is_sync_due = False
        config = self.config
        limits = limits_of(config.risk, config.symbols, config.permissions)
        self._engine = RiskEngine(limits, symbols=config.symbols, venue=config.venue)
        self._ledger, watermark = RiskLedger.open(
            self._engine,
            self.config.data_dir,
            writer=self.name,
            generation=self.generation,
            durability=self.config.durability,
        )
        self._judge_log_size()
        self._acts = RiskActs(self._ledger, config.data_dir, component=self.name)
        self._acts.adopt_filed_halt()
        self._handshake = Handshake(generation=self.generation, watermark=watermark)
        # When the order actor was last asked, or has told something new.
        self._progress_ns = 0
        await self._sync()
        self.start_task(self._keep_asking_feed(), name="feed")
        self.start_task(self._keep_snapshots(), name="snapshots")
        self.every(_HOUSEKEEPING_SECS, Housekeeping())

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Handle one message; requests of people and strategies are answered."""
        match message:
            case SubmitOrder():
                await self._submit(message)
            case QuoteTick():
                self._engine.on_quote(message, clock.monotonic_ns())
                if self._acts.record_due():
                    await self._after_act()
            case OrderEventTold():
                await self._on_order_event(message)
            case CancelOrder():
                await self._cancel(message)
            case CancelAllOrders() | ModifyOrder():
                # Both can only lower exposure: nobody has to approve them.
                self._engine.on_message(message, clock.monotonic_ns())
                await self.tell(self._order_actor, message)
            case TradeSummary():
                self._engine.on_trade_summary(message, clock.monotonic_ns())
            case MarketStatus():
                self._engine.on_market_status(message)
            case Instruments():
                self._engine.on_instruments(message)
            case VenueStatus():
                self._engine.on_venue_status(message)
            case OrderActorStarted():
                # Not connected yet; it says so again after OrdersSynced.
                self._engine.is_venue_reachable = False
                await self._sync()
            case OrdersSynced():
                await self._on_synced(message)
            case OrdersRemoved():
                self._on_removed(message)
            case Halt() | Reduce() | Resume() | OverrideControl():
                return await self._act(message)
            case PortfolioRequest():
                return portfolio_report(self._engine, clock.utc_ns())
            case StrategyStateRequest():
                return strategy_state(self._engine, message)
            case SyncDue():
                self._is_sync_due = False
                await self._sync()
            case Housekeeping():
                await self._keep_house()
            case _:
                raise TypeError(f"{type(message).__name__} from {sender} is not in the inbox")
        return None

    def describe_state(self) -> Mapping[str, Any]:
        """Return whether it may approve, how much it did, what is open; no account, no price."""
        engine = self._engine
        return {
            "is_recovered": engine.is_recovered,
            "is_venue_reachable": engine.is_venue_reachable,
            "are_positions_current": engine.are_positions_current,
            "is_log_full": engine.is_log_full,
            "approved": engine.approved,
            "denied": engine.denied,
            "open_orders": len(engine.reservations),
            "watermark": self._handshake.watermark,
            "log_number": self._ledger.last_number,
        }

    async def on_undelivered(self, receiver: str, message: Message) -> None:
        """Agree with the order actor anew; a reservation is kept until that has happened.

        A cancel is not repeated: its sender sees that the order is still open. What a strategy was
        told it finds in its ``StrategyState``.
        """
        if receiver != self._order_actor:
            return
        self._logger.bind(event_type="undelivered", what=type(message).__name__).warning(
            "the order actor may not have it"
        )
        if isinstance(message, PlaceOrder | SyncOrders):
            self._engine.are_positions_current = False
            self._sync_later()

    async def on_stop(self) -> None:
        """Write a snapshot, so that the next start is short."""
        self._ledger.snapshot(self._handshake.watermark)
        self._ledger.close()

    # -- orders ---------------------------------------------------------------------------------

    async def _submit(self, order: SubmitOrder) -> None:
        if self._acts.record_due():
            await self._after_act()
        verdict = self._engine.decide(order, now_ns=clock.monotonic_ns(), utc_ns=clock.utc_ns())
        if isinstance(verdict, OrderApproved):
            if self._ledger.record(verdict):
                place = PlaceOrder(order=order, risk_generation=self.generation)
                await self.tell(self._order_actor, place)
                await self._after_logging()
                return
            denial = Denial(DenialReason.LOG_FULL, "cannot be written")
            verdict = deny(order, denial, clock.utc_ns())
        # A verdict that lets nothing pass is told even when it cannot be written.
        self._ledger.record(verdict)
        await self.tell(order.strategy, verdict)
        await self._after_logging()

    async def _on_order_event(self, told: OrderEventTold) -> None:
        match self._handshake.place(told.number):
            case Order.NEXT:
                self._progress_ns = clock.monotonic_ns()
                self._ledger.absorb(told.event)
                if self._acts.record_due():
                    await self._after_act()
            case Order.GAP:
                self._engine.are_positions_current = False
                if not self._handshake.is_pending:
                    await self._sync()
            case Order.KNOWN:
                pass

    # -- the handshake --------------------------------------------------------------------------

    async def _sync(self) -> None:
        self._progress_ns = clock.monotonic_ns()
        await self.tell(self._order_actor, self._handshake.request(self._ledger.last_number))

    def _sync_later(self) -> None:
        if not self._is_sync_due:
            self._is_sync_due = True
            self.after(_SYNC_AGAIN_SECS, SyncDue())

    async def _on_synced(self, synced: OrdersSynced) -> None:
        match self._handshake.answer(synced):
            case Answer.SYNCED:
                await self._on_recovered(synced)
            case Answer.GAP:
                self._sync_later()
            case Answer.FOREIGN:
                pass
            case Answer.LOG_SHRANK:
                self._ledger.forget_beyond(synced.number)
                raise OrderLogLostError(
                    f"{self._order_actor} has {synced.number} records; risk knew more of them"
                )

    def _on_removed(self, removed: OrdersRemoved) -> None:
        if removed.risk_generation == self.generation:
            self._ledger.is_complete = False
            self._engine.waits_for = "its snapshot, which is lost"
            self._logger.bind(
                event_type="positions_lost", first_number=removed.first_number
            ).critical(
                "risk's snapshot is lost, and the order log begins later; nothing is traded until "
                "krator journal rebuild has made the logs whole, with krator stopped, or "
                "risk.snapshot is put back from a backup and risk is restarted"
            )

    async def _on_recovered(self, synced: OrdersSynced) -> None:
        was_recovered = self._engine.is_recovered
        self._engine.is_recovered = self._engine.are_positions_current = True
        lost = self._engine.lost_approvals(
            self._handshake.settled_approval,
            synced.open_orders,
            generation=self.generation,
            utc_ns=clock.utc_ns(),
        )
        for denied in lost:
            if self._ledger.record(denied):
                await self.tell(denied.strategy, denied)
            else:
                # Asked again until it can be written, because it stays reserved till then.
                self._sync_later()
        if not was_recovered or lost:
            self._logger.bind(
                event_type="orders_synced",
                number=synced.number,
                open_orders=len(synced.open_orders),
                lost_approvals=len(lost),
            ).info("risk and the order actor agree")
        if self._acts.record_due():
            await self._after_act()
        await self._after_logging()

    # -- halts ----------------------------------------------------------------------------------

    async def _act(self, act: Halt | Reduce | Resume | OverrideControl) -> Message:
        done: Message
        match act:
            case Halt() | Reduce():
                done = self._acts.restrict(act)
            case Resume():
                done = self._acts.resume(act)
            case OverrideControl():
                done = self._acts.override(act)
        await self._after_act()
        return done

    async def _after_act(self) -> None:
        await self._cancel_halted()
        await self._after_logging()

    async def _cancel_halted(self) -> None:
        for cancel in self._engine.to_cancel():
            await self._cancel(cancel)

    async def _cancel(self, cancel: CancelOrder) -> None:
        self._engine.on_message(cancel, clock.monotonic_ns())
        await self.tell(self._order_actor, cancel)

    async def _after_logging(self) -> None:
        self._judge_log_size()
        await self.tell("journal", LogGrew(writer=self.name))

    def _judge_log_size(self) -> None:
        self._engine.is_log_full = self._ledger.size_bytes > self.config.risk.max_log_bytes

    # -- the rest -------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        if self._acts.adopt_filed_halt() is not None:
            await self._after_logging()
        if self._acts.record_due():
            await self._after_act()
        await self._cancel_halted()
        silence_ns = clock.monotonic_ns() - self._progress_ns
        if self._handshake.is_pending and silence_ns > _SYNC_SILENCE_NS:
            await self._sync()

    async def _keep_snapshots(self) -> None:
        while True:
            number = await self._ledger.next_snapshot(lambda: self._handshake.watermark)
            await self.tell(self._order_actor, OrdersAbsorbed(number=number))
            await asyncio.sleep(SNAPSHOT_SECS)

    async def _keep_asking_feed(self) -> None:
        feed = f"feed:{self.config.venue}"
        # Whoever asks is also told, one by one, whether each symbol is fresh.
        markets = self._engine.markets.values()
        while any(market.instrument is None or market.is_fresh is None for market in markets):
            try:
                answer = await self.ask(feed, InstrumentsRequest(), timeout_secs=_ASK_TIMEOUT_SECS)
            except ActorError:
                pass  # it is not there yet
            else:
                self.tell_self(answer)
            await asyncio.sleep(_ASK_AGAIN_SECS)
