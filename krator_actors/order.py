"""The order actor: writes every order down, sends it once, and believes nobody but the venue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec
from loguru import logger

from krator_actors.adapters.binance_errors import INVALID_TIMESTAMP
from krator_actors.adapters.binance_reports import Execution
from krator_actors.adapters.local_log import Durability
from krator_actors.adapters.trading import OrderAnswer
from krator_actors.clock import utc_ns
from krator_actors.config import VenueConfig
from krator_actors.core import order_rules as rules
from krator_actors.core.orders import Order
from krator_actors.messages.handshake import (
    OrderActorStarted,
    OrdersSynced,
    SyncOrders,
    VenueStatus,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    AccountReport,
    CancelOrder,
    OrderEventTold,
    OrderInitialized,
    OrderSubmitted,
    PlaceOrder,
)
from krator_actors.model import OrderStatus
from krator_actors.order_ledger import OrderLedger
from krator_actors.order_telemetry import log_order_event
from krator_actors.reconciliation import (
    BalancesSeen,
    NoSuchOrder,
    Reconciled,
    ReconcileFailed,
    Reconciliation,
    VenueSaid,
)
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueRefusedError,
    VenueUnavailableError,
)
from krator_actors.venue_login import trading_client
from supervisors.actor import Actor
from supervisors.messages import Message

_WORKING = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


class OrderActorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ChildSpec.config`` holds for this actor."""

    venue: VenueConfig
    url: str
    """HTTP base of the venue; empty for Binance itself"""
    symbols: tuple[str, ...]
    data_dir: Path
    durability: Durability
    dry_run: bool
    """Nothing that changes anything is sent to a real venue. The simulated one is not real."""


class ConnectionChanged(Message, frozen=True, kw_only=True):
    """To itself: the connection came, went, or could not be made."""

    connected: bool
    reason: str


class PlaceFailed(Message, frozen=True, kw_only=True):
    """To itself: ``order.place`` was answered with an error, or not at all."""

    client_order_id: str
    refused: bool
    """True: it did not happen. False: nobody knows."""
    reason: str


class CancelFailed(Message, frozen=True, kw_only=True):
    """To itself: ``order.cancel`` was answered with an error, or not at all."""

    client_order_id: str
    reason: str


class OrderActor(Actor):
    """``order:<VENUE>``: the only one that sends orders; its log is the truth about them."""

    inbox: ClassVar[object] = (
        PlaceOrder
        | CancelOrder
        | SyncOrders
        | ConnectionChanged
        | PlaceFailed
        | CancelFailed
        | VenueSaid
        | NoSuchOrder
        | BalancesSeen
        | Reconciled
        | ReconcileFailed
    )
    config: OrderActorConfig

    async def on_start(self) -> None:
        """Recover the log, doubt what may have been sent, connect in the background."""
        venue = self.config.venue
        self._dry_run = self.config.dry_run and venue.kind != "sim"
        self._client = trading_client(
            venue,
            self.config.url,
            self.config.symbols,
            on_execution=self._on_execution,
            on_connection=self._on_connection,
        )
        self._ledger = OrderLedger.open(
            self.config.data_dir,
            writer=self.name,
            venue=venue.name,
            generation=self.generation,
            durability=self.config.durability,
        )
        self._table = self._ledger.table
        # PlaceOrders of an older generation of risk are denied.
        self._risk_generation = self._ledger.risk_generation
        # What risk was told last; the venue is reachable once a connection is reconciled.
        self._status = VenueStatus(
            venue=venue.name, reachable=False, reason="CONNECTING", ts_event=utc_ns()
        )
        self._reconciliation = Reconciliation(
            self._client,
            self._table,
            symbols=self.config.symbols,
            period_secs=venue.reconcile_secs,
            may_cancel=not self._dry_run,
            found=self.tell_self,
        )
        doubts = rules.doubts_at_start(self._table.open_orders, now_ns=utc_ns())
        await self._publish([self._ledger.record(event) for event in doubts])
        await self.tell("risk", OrderActorStarted(venue=venue.name, generation=self.generation))
        self.start_task(self._client.run(), name="venue session")
        self.start_task(self._reconciliation.run(), name="reconciliation")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Handle one message. An order that did not come from risk is not sent."""
        match message:
            case PlaceOrder() if sender != "risk":
                logger.bind(event_type="order_refused", sender=sender).error(
                    "an order did not come from risk; nothing is sent"
                )
            case PlaceOrder():
                await self._place(message)
            case CancelOrder():
                await self._cancel(message)
            case SyncOrders():
                await self._sync(message)
            case ConnectionChanged():
                await self._connection_changed(message)
            case VenueSaid():
                await self._hear(message)
            case PlaceFailed():
                await self._place_failed(message)
            case CancelFailed():
                self._cancel_failed(message)
            case NoSuchOrder():
                await self._no_such_order(message)
            case BalancesSeen(balances=balances, ts_event=ts_event):
                if self._table.account is None or self._table.account.balances != balances:
                    report = AccountReport(balances=balances, ts_event=ts_event)
                    await self._publish([self._ledger.record(report)])
            case Reconciled(connection=connection):
                if self._client.connected and connection == self._client.connections:
                    await self._set_status(reachable=True, reason="CONNECTED")
            case ReconcileFailed(reason=reason):
                if self._client.connected and not self._status.reachable:
                    await self._set_status(reachable=False, reason=reason)
            case _:
                raise TypeError(f"{type(message).__name__} from {sender} is not in the inbox")
        return None

    async def on_stop(self) -> None:
        """Leave open orders at work: they are known, and are found again at the next start."""
        await self._client.close()
        self._ledger.close()

    # -- what risk asks for ----------------------------------------------------------------------

    async def _place(self, message: PlaceOrder) -> None:
        order = message.order
        known = self._table.orders.get(order.client_order_id)
        if known is not None:
            logger.bind(
                event_type="duplicate_order", order_id=order.client_order_id, symbol=order.symbol
            ).warning("order was placed before; nothing is sent")
            await self.tell(known.strategy, self._ledger.latest(known))
            return
        obstacle = rules.obstacle(
            message,
            symbols=self.config.symbols,
            risk_generation=self._risk_generation,
            dry_run=self._dry_run,
            unreachable=None if self._status.reachable else self._status.reason,
        )
        if obstacle is not None:
            await self._deny(message, *obstacle)
            return
        await self._publish(await self._send(message))

    async def _send(self, message: PlaceOrder) -> list[OrderEventTold]:
        """Log, send, log. What comes between waits in the inbox."""
        order = message.order
        timestamp_ms = self._client.now_ms()
        initialized = OrderInitialized(
            order=order,
            risk_generation=message.risk_generation,
            request_valid_until_ms=timestamp_ms + self.config.venue.recv_window_ms,
            ts_event=utc_ns(),
        )
        told = [self._ledger.record(initialized)]
        try:
            answer = self._client.place(order, timestamp_ms=timestamp_ms)
        except VenueUnavailableError as error:
            told.append(
                self._ledger.record(rules.denied(order, "VENUE_UNREACHABLE", str(error), utc_ns()))
            )
            return told
        answer.add_done_callback(partial(self._place_answered, order.client_order_id))
        # The bytes leave when the loop turns. Killed here, the next start asks for this order.
        await asyncio.sleep(0)
        submitted = OrderSubmitted(
            client_order_id=order.client_order_id, symbol=order.symbol, ts_event=utc_ns()
        )
        told.append(self._ledger.record(submitted))
        return told

    async def _deny(self, message: PlaceOrder, reason: str, detail: str) -> None:
        now_ns = utc_ns()
        initialized = OrderInitialized(
            order=message.order,
            risk_generation=message.risk_generation,
            request_valid_until_ms=rules.NEVER_SENT,
            ts_event=now_ns,
        )
        denied = rules.denied(message.order, reason, detail, now_ns)
        await self._publish([self._ledger.record(initialized), self._ledger.record(denied)])

    async def _cancel(self, message: CancelOrder) -> None:
        order = self._table.orders.get(message.client_order_id)
        if order is None or not order.status.is_open or self._dry_run:
            logger.bind(
                event_type="cancel_ignored", order_id=message.client_order_id, dry_run=self._dry_run
            ).warning("there is nothing to cancel")
            return
        # Logged first: the log is the queue from which a cancel goes out after a reconnect.
        told = (
            []
            if order.cancel_requested
            else [self._ledger.record(rules.pending_cancel(order, utc_ns()))]
        )
        self._send_cancel(order)
        await self._publish(told)

    def _send_cancel(self, order: Order) -> None:
        if self._dry_run:
            return
        try:
            answer = self._client.cancel(
                order.symbol,
                venue_order_id=order.venue_order_id,
                client_order_id=order.client_order_id,
            )
        except VenueUnavailableError:
            return
        answer.add_done_callback(partial(self._cancel_answered, order.client_order_id))

    async def _sync(self, message: SyncOrders) -> None:
        if message.risk_generation < self._risk_generation:
            return
        # From here on, what an older risk has approved and we have not begun is denied.
        self._risk_generation = message.risk_generation
        for told in self._ledger.told_after(message.watermark):
            await self.tell("risk", told)
        synced = OrdersSynced(
            venue=self.config.venue.name,
            risk_generation=message.risk_generation,
            number=self._ledger.last_number,
            open_orders=tuple(order.to_open_order() for order in self._table.open_orders),
            sync_id=message.sync_id,
        )
        await self.tell("risk", synced)
        await self.tell("risk", self._status)

    # -- what the venue says ---------------------------------------------------------------------

    async def _hear(self, said: VenueSaid) -> None:
        heard = self._ledger.hear(said.report, said.fills, whole=said.whole)
        if heard.wanted and said.report is not None:
            self._reconciliation.want(said.report.symbol, said.report.venue_order_id)
        order = heard.order
        if order is not None and order.cancel_requested and order.status in _WORKING:
            self._send_cancel(order)  # it was asked for while nobody knew what there was to cancel
        await self._publish(heard.told)

    async def _no_such_order(self, message: NoSuchOrder) -> None:
        order = self._table.orders[message.client_order_id]
        if rules.never_arrived(order, asked_at_ms=message.asked_at_ms):
            rejected = rules.rejected(order, "NEVER_ARRIVED", utc_ns())
            await self._publish([self._ledger.record(rejected)])
        elif order.status.is_open and not order.is_unanswered:
            logger.bind(event_type="order_vanished", order_id=order.client_order_id).error(
                "the venue does not know an order that it had accepted"
            )

    # -- answers and the connection: called by the client, handled from the inbox ----------------

    def _place_answered(self, client_order_id: str, answer: asyncio.Future[OrderAnswer]) -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is None:
            report, fills = answer.result()
            self.tell_self(VenueSaid(report=report, fills=fills))
            return
        refused = not isinstance(error, OutcomeUnknownError)
        if isinstance(error, VenueRefusedError) and error.code == INVALID_TIMESTAMP:
            self._reconciliation.forget_clock()
        self.tell_self(
            PlaceFailed(client_order_id=client_order_id, refused=refused, reason=str(error))
        )

    async def _place_failed(self, message: PlaceFailed) -> None:
        order = self._table.orders[message.client_order_id]
        if not order.is_unanswered:
            return  # the user stream was faster and knows better
        if message.refused:
            await self._publish(
                [self._ledger.record(rules.rejected(order, message.reason, utc_ns()))]
            )
        elif order.status is not OrderStatus.UNKNOWN:
            await self._publish(
                [self._ledger.record(rules.unknown(order, message.reason, utc_ns()))]
            )
            self._reconciliation.wake()

    def _cancel_answered(self, client_order_id: str, answer: asyncio.Future[OrderAnswer]) -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is None:
            report, _ = answer.result()
            self.tell_self(VenueSaid(report=report))
        else:
            self.tell_self(CancelFailed(client_order_id=client_order_id, reason=str(error)))

    def _cancel_failed(self, message: CancelFailed) -> None:
        order = self._table.orders[message.client_order_id]
        logger.bind(
            event_type="cancel_failed", order_id=order.client_order_id, reason=message.reason
        ).warning("cancel failed")
        if order.status.is_open and order.venue_order_id:
            self._reconciliation.want(order.symbol, order.venue_order_id)

    async def _connection_changed(self, message: ConnectionChanged) -> None:
        if message.connected:
            self._reconciliation.wake()
        else:
            await self._set_status(reachable=False, reason=message.reason)

    async def _set_status(self, *, reachable: bool, reason: str) -> None:
        if (self._status.reachable, self._status.reason) == (reachable, reason):
            return
        self._status = VenueStatus(
            venue=self.config.venue.name, reachable=reachable, reason=reason, ts_event=utc_ns()
        )
        logger.bind(event_type="venue_status", reachable=reachable, reason=reason).info(
            "venue status"
        )
        await self.tell("risk", self._status)

    # -- the log, and who is told ----------------------------------------------------------------

    async def _publish(self, told: Sequence[OrderEventTold]) -> None:
        for message in told:
            await self.tell("risk", message)
            order = self._ledger.order_of(message.event)
            if order is not None and order.strategy:
                await self.tell(order.strategy, message)
        if told:
            await self.tell("journal", LogGrew(writer=self.name))
        # Last, because others work on what they were told while a line takes 100 us to format.
        for message in told:
            log_order_event(message.event, self._ledger.order_of(message.event), message.number)

    def _on_execution(self, execution: Execution) -> None:
        fills = (execution.fill,) if execution.fill else ()
        self.tell_self(VenueSaid(report=execution.report, fills=fills))

    def _on_connection(self, connected: bool, reason: str) -> None:  # noqa: FBT001 - a callback
        self.tell_self(ConnectionChanged(connected=connected, reason=reason))
