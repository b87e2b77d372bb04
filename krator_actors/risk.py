"""The risk actor: owner of the portfolio, and the only one that lets an order pass."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar, assert_never

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.local_log import Durability
from krator_actors.config import RiskConfig
from krator_actors.core.handshake import Answer, Handshake, Order
from krator_actors.core.limits import RiskLimits
from krator_actors.core.portfolio_report import portfolio_report, strategy_state
from krator_actors.core.risk import RiskEngine, deny
from krator_actors.core.rules import DenialReason
from krator_actors.messages.handshake import (
    OrderActorStarted,
    OrdersSynced,
    SyncOrders,
    VenueStatus,
)
from krator_actors.messages.market import Instruments, InstrumentsRequest, MarketStatus, QuoteTick
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import CancelOrder, OrderEventTold, PlaceOrder, SubmitOrder
from krator_actors.messages.risk import (
    DayStarted,
    Halt,
    OrderApproved,
    PortfolioRequest,
    Resume,
    TradingStateChanged,
)
from krator_actors.messages.strategy import StrategyStateRequest
from krator_actors.model import NANOS_PER_SEC
from krator_actors.risk_ledger import RiskLedger
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

    What risk knew came from a log that is gone; its snapshot is deleted, so that the restart
    begins from the log that there is.
    """


class RiskActorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ChildSpec.config`` holds for this actor."""

    risk: RiskConfig
    venue: str
    symbols: tuple[str, ...]
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
        | OrderEventTold
        | QuoteTick
        | MarketStatus
        | Instruments
        | OrderActorStarted
        | OrdersSynced
        | VenueStatus
        | Halt
        | Resume
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
        self._engine = RiskEngine(
            _limits(self.config.risk), symbols=self.config.symbols, venue=self.config.venue
        )
        self._ledger, watermark = RiskLedger.open(
            self._engine,
            self.config.data_dir,
            writer=self.name,
            generation=self.generation,
            durability=self.config.durability,
        )
        self._judge_log_size()
        self._handshake = Handshake(generation=self.generation, watermark=watermark)
        # When the order actor was last asked, or has told something new.
        self._progress_ns = 0
        await self._sync()
        self.start_task(self._keep_asking_feed(), name="feed")
        self.every(_HOUSEKEEPING_SECS, Housekeeping())

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Handle one message; requests of people and strategies are answered."""
        match message:
            case SubmitOrder():
                await self._submit(message)
            case QuoteTick():
                self._engine.on_quote(message, clock.monotonic_ns())
                await self._record_due()
            case OrderEventTold():
                await self._on_order_event(message)
            case CancelOrder():
                await self.tell(self._order_actor, message)
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
            case Halt():
                return await self._halt(message)
            case Resume():
                return await self._resume(message)
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
        self._ledger.snapshot_if_due(self._handshake.watermark)
        return None

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
            self._sync_later()

    async def on_stop(self) -> None:
        """Write a snapshot, so that the next start is short."""
        self._ledger.snapshot(self._handshake.watermark)
        self._ledger.close()

    # -- orders ---------------------------------------------------------------------------------

    async def _submit(self, order: SubmitOrder) -> None:
        await self._record_due()
        verdict = self._engine.decide(order, now_ns=clock.monotonic_ns(), utc_ns=clock.utc_ns())
        if isinstance(verdict, OrderApproved):
            if self._ledger.record(verdict):
                place = PlaceOrder(order=order, risk_generation=self.generation)
                await self.tell(self._order_actor, place)
                await self._after_logging()
                return
            verdict = deny(order, DenialReason.LOG_FULL, "cannot be written", clock.utc_ns())
        # A verdict that lets nothing pass is told even when it cannot be written.
        self._ledger.record(verdict)
        await self.tell(order.strategy, verdict)
        await self._after_logging()

    async def _on_order_event(self, told: OrderEventTold) -> None:
        match self._handshake.place(told.number):
            case Order.NEXT:
                self._progress_ns = clock.monotonic_ns()
                self._ledger.absorb(told.event)
                await self._record_due()
            case Order.GAP:
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
                self._ledger.forget_snapshot()
                raise OrderLogLostError(
                    f"{self._order_actor} has {synced.number} records; risk knew more of them"
                )

    async def _on_recovered(self, synced: OrdersSynced) -> None:
        was_recovered = self._engine.is_recovered
        self._engine.is_recovered = True
        lost = self._engine.lost_approvals(
            self._handshake.settled_approval,
            synced.open_orders,
            generation=self.generation,
            utc_ns=clock.utc_ns(),
        )
        for denied in lost:
            if self._ledger.record(denied):
                await self.tell(denied.strategy, denied)
        if not was_recovered or lost:
            self._logger.bind(
                event_type="orders_synced",
                number=synced.number,
                open_orders=len(synced.open_orders),
                lost_approvals=len(lost),
            ).info("risk and the order actor agree")
        await self._record_due()
        await self._after_logging()

    # -- halts and days -------------------------------------------------------------------------

    async def _halt(self, halt: Halt) -> TradingStateChanged:
        changed = self._engine.halt(by=halt.by, reason=halt.reason, utc_ns=clock.utc_ns())
        await self._latch(changed)
        return changed

    async def _resume(self, resume: Resume) -> TradingStateChanged:
        utc_ns = clock.utc_ns()
        try:
            changed = self._engine.resume(by=resume.by, reason=resume.reason, utc_ns=utc_ns)
        except ValueError as error:
            return self._unchanged(str(error))
        if not self._ledger.record(changed):
            return self._unchanged(f"{DenialReason.LOG_FULL}: a resume must be written down")
        self._log_latch(changed)
        await self._after_logging()
        return changed

    def _unchanged(self, reason: str) -> TradingStateChanged:
        return TradingStateChanged(
            state=self._engine.trading_state,
            by=self._engine.halted_by,
            reason=reason,
            ts_event=clock.utc_ns(),
        )

    async def _record_due(self) -> None:
        while (due := self._engine.due_event(clock.utc_ns())) is not None:
            await self._latch(due)

    async def _latch(self, event: TradingStateChanged | DayStarted) -> None:
        self._ledger.latch(event)
        self._log_latch(event)
        await self._after_logging()

    def _log_latch(self, event: TradingStateChanged | DayStarted) -> None:
        match event:
            case TradingStateChanged():
                self._logger.bind(
                    event_type="trading_state_changed",
                    state=event.state.value,
                    by=event.by,
                    reason=event.reason,
                ).warning("trading state changed")
            case DayStarted():
                self._logger.bind(
                    event_type="day_started", day=event.day, equity=event.equity
                ).info("trading day started")
            case _:
                assert_never(event)

    async def _after_logging(self) -> None:
        self._judge_log_size()
        await self.tell("journal", LogGrew(writer=self.name))

    def _judge_log_size(self) -> None:
        self._engine.is_log_full = self._ledger.size_bytes > self.config.risk.max_log_bytes

    # -- the rest -------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        await self._record_due()
        silence_ns = clock.monotonic_ns() - self._progress_ns
        if self._handshake.is_pending and silence_ns > _SYNC_SILENCE_NS:
            await self._sync()

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


def _limits(config: RiskConfig) -> RiskLimits:
    return RiskLimits(
        max_position_fraction=config.max_position_fraction,
        max_daily_loss_fraction=config.max_daily_loss_fraction,
        max_orders_per_sec=config.max_orders_per_sec,
        max_order_notional=config.max_order_notional,
        price_collar_fraction=config.price_collar_fraction,
        max_reconciliation_difference=config.max_reconciliation_difference,
        quote_stale_secs=config.quote_stale_secs,
    )
