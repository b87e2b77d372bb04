"""The order actor: writes every order down, sends it once, and believes nobody but the venue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors.adapters.binance_reports import Execution
from krator_actors.adapters.local_log import Durability
from krator_actors.clock import utc_ns
from krator_actors.config import VenueConfig
from krator_actors.core import order_rules as rules
from krator_actors.core.orders import Order
from krator_actors.messages.handshake import (
    OrderActorStarted,
    OrdersAbsorbed,
    SyncOrders,
    VenueStatus,
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
from krator_actors.order_doubts import judged
from krator_actors.order_holding import HeldOrders, HoldingDue
from krator_actors.order_ledger import OrderGoneError, OrderLedger
from krator_actors.order_sender import CancelFailed, ModifyFailed, OrderSender, PlaceFailed
from krator_actors.order_sync import Retelling, TellOn, removed
from krator_actors.order_telemetry import log_order_event
from krator_actors.reconciliation import (
    BalancesSeen,
    NoSuchOrder,
    Reconciled,
    ReconcileFailed,
    Reconciliation,
    StillThere,
    VenueSaid,
)
from krator_actors.venue_login import key_is_safe, trading_client
from supervisors.actor import Actor
from supervisors.messages import Message


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


class OrderActor(Actor):
    """``order:<VENUE>``: the only one that sends orders; its log is the truth about them."""

    inbox: ClassVar[object] = (
        PlaceOrder
        | CancelOrder
        | CancelAllOrders
        | ModifyOrder
        | SyncOrders
        | OrdersAbsorbed
        | TellOn
        | ConnectionChanged
        | PlaceFailed
        | CancelFailed
        | ModifyFailed
        | HoldingDue
        | VenueSaid
        | NoSuchOrder
        | StillThere
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
        # What risk is being told again; None when it knows everything.
        self._retelling: Retelling | None = None
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
        self._sender = OrderSender(
            self._client,
            self._ledger,
            recv_window_ms=venue.recv_window_ms,
            may_send=not self._dry_run,
            found=self.tell_self,
            clock_refused=self._reconciliation.forget_clock,
        )
        self._held = HeldOrders(
            self._client,
            self._ledger,
            tell_self=self.tell_self,
            place=self._place_held,
            cancel=self._request_cancel,
        )
        doubts = rules.doubts_at_start(self._table.open_orders, now_ns=utc_ns())
        await self._publish([self._ledger.record(event) for event in doubts])
        await self.tell("risk", OrderActorStarted(venue=venue.name, generation=self.generation))
        self.start_task(self._keep_session(), name="venue session")
        self.start_task(self._reconciliation.run(), name="reconciliation")
        self.start_task(self._ledger.keep_snapshots(), name="snapshots")
        self.start_task(self._held.run(), name="held orders")

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
            case CancelAllOrders():
                for order in self._table.open_orders:
                    if rules.is_meant(order, message):
                        await self._request_cancel(order, message.requester)
            case ModifyOrder() if sender == "risk" and self._can_send:
                await self._modify(message)
            case ModifyOrder():
                logger.bind(event_type="modify_refused", sender=sender).error("nothing is sent")
            case SyncOrders():
                await self._sync(message)
            case OrdersAbsorbed(number=number):
                self._ledger.absorbed(number)
            case TellOn():
                if self._retelling is not None and self._retelling.is_called_by(message):
                    await self._tell_again(self._retelling)
            case ConnectionChanged():
                await self._connection_changed(message)
            case VenueSaid():
                await self._hear(message)
            case PlaceFailed() | ModifyFailed():
                await self._publish(judged(self._ledger, message))
                self._reconciliation.wake()
            case CancelFailed():
                self._cancel_failed(message)
            case HoldingDue():
                await self._held.look(can_send=self._can_send)
            case NoSuchOrder() | StillThere():
                await self._publish(judged(self._ledger, message))
            case BalancesSeen(balances=balances, ts_event=asked_ns):
                await self._publish(self._ledger.weigh(balances, asked_ns=asked_ns))
                if self._ledger.balances.is_suspicious:
                    self._reconciliation.look_again()
            case Reconciled(connection=connection):
                if self._client.connected and connection == self._client.connections:
                    await self._set_status(reachable=True, reason="CONNECTED")
            case ReconcileFailed(reason=reason):
                if self._client.connected and not self._status.reachable:
                    await self._set_status(reachable=False, reason=reason)
            case _:
                raise TypeError(f"{type(message).__name__} from {sender} is not in the inbox")
        return None

    async def _keep_session(self) -> None:
        venue = self.config.venue
        if await key_is_safe(venue, self.config.url, on_connection=self._on_connection):
            await self._client.run()

    def describe_state(self) -> Mapping[str, Any]:
        """Return the connection and how many orders are in which status; no id, no amount."""
        statuses = Counter(order.status.value for order in self._table.open_orders)
        return {
            "reachable": self._status.reachable,
            "reason": self._status.reason,
            "open_orders": dict(statuses),
            "log_number": self._ledger.last_number,
            "risk_generation": self._risk_generation,
        }

    async def on_stop(self) -> None:
        """Leave open orders at work: they are known, and are found again at the next start."""
        await self._client.close()
        self._ledger.close()

    # -- what risk asks for ----------------------------------------------------------------------

    async def _place(self, message: PlaceOrder) -> None:
        client_order_id = message.order.client_order_id
        if client_order_id in self._table.orders or self._ledger.is_forgotten(client_order_id):
            await self._refuse_duplicate(message.order)
            return
        obstacle = rules.obstacle(
            message,
            symbols=self.config.symbols,
            risk_generation=self._risk_generation,
            dry_run=self._dry_run,
            unreachable=None if self._status.reachable else self._status.reason,
            old=self._table.orders.get(message.order.replaces),
            now_ns=utc_ns(),
        )
        if obstacle is None:
            await self._publish(await self._sender.place(message))
        else:
            await self._publish(self._sender.deny(message, *obstacle))

    async def _refuse_duplicate(self, order: SubmitOrder) -> None:
        logger.bind(
            event_type="duplicate_order", order_id=order.client_order_id, symbol=order.symbol
        ).warning("order was placed before; nothing is sent")
        known = self._table.orders.get(order.client_order_id)
        try:
            known = known or await self._ledger.recall(order.client_order_id)
        except OrderGoneError as error:
            _log_gone(order.client_order_id, error)
        if known is not None:
            await self.tell(known.strategy, self._ledger.latest(known))

    async def _cancel(self, message: CancelOrder) -> None:
        order = self._table.orders.get(message.client_order_id)
        if order is None or not order.status.is_open or self._dry_run:
            logger.bind(
                event_type="cancel_ignored", order_id=message.client_order_id, dry_run=self._dry_run
            ).warning("there is nothing to cancel")
            return
        await self._request_cancel(order, message.requester)

    async def _request_cancel(self, order: Order, requester: str) -> None:
        await self._publish(self._sender.cancel(order, requester))

    async def _modify(self, message: ModifyOrder) -> None:
        order = self._table.orders.get(message.client_order_id)
        if order is None or not rules.can_be_reduced(order, message.quantity):
            logger.bind(event_type="modify_ignored", order_id=message.client_order_id).warning(
                "there is nothing to make smaller"
            )
            return
        await self._publish(self._sender.reduce(order, message.quantity))

    @property
    def _can_send(self) -> bool:
        return self._status.reachable and not self._dry_run

    async def _place_held(self, order: SubmitOrder) -> None:
        placed = PlaceOrder(order=order, risk_generation=self._risk_generation)
        await self._publish(await self._sender.place(placed))

    async def _sync(self, message: SyncOrders) -> None:
        if message.risk_generation < self._risk_generation:
            return
        # From here on, what an older risk has approved and we have not begun is denied.
        self._risk_generation = message.risk_generation
        if not self._ledger.can_tell_after(message.watermark):
            self._retelling = None
            await self.tell("risk", removed(self._ledger, message, self.config.venue.name))
            return
        self._retelling = Retelling(self._ledger, message)
        await self._tell_again(self._retelling)

    async def _tell_again(self, retelling: Retelling) -> None:
        for told in await retelling.piece():
            await self.tell("risk", told)
        if not retelling.is_done:
            self.tell_self(retelling.goes_on())
            return
        self._retelling = None
        await self.tell("risk", retelling.end(self.config.venue.name))
        await self.tell("risk", self._status)

    # -- what the venue says ---------------------------------------------------------------------

    async def _hear(self, said: VenueSaid) -> None:
        if not await self._is_heard_whole(said):
            return
        heard = self._ledger.hear(said.report, said.fills, whole=said.whole)
        if heard.wanted and said.report is not None:
            self._reconciliation.want(said.report.symbol, said.report.venue_order_id)
        order = heard.order
        if order is not None and order.cancel_requested and order.status in rules.WORKING:
            # It was asked for while nobody knew what there was to cancel.
            self._sender.send_cancel(order)
        await self._publish(heard.told)
        if heard.told and self._table.brackets():
            self.tell_self(HoldingDue())  # what was bought now must not wait to be protected

    async def _is_heard_whole(self, said: VenueSaid) -> bool:
        """Return whether all that we ever knew of the order is in the table again."""
        symbol, venue_order_id, client_order_id = said.names
        if self._table.find(symbol, venue_order_id) is not None:
            return True
        try:
            if self._ledger.is_forgotten(venue_order_id, symbol):
                await self._ledger.recall(venue_order_id, symbol)
            elif client_order_id not in self._table.orders:
                await self._ledger.recall(client_order_id)
        except OrderGoneError as error:
            _log_gone(client_order_id or venue_order_id, error)
            return False
        return True

    def _cancel_failed(self, message: CancelFailed) -> None:
        logger.bind(
            event_type="cancel_failed", order_id=message.client_order_id, reason=message.reason
        ).warning("cancel failed")
        order = self._table.orders.get(message.client_order_id)
        if order is not None and order.status.is_open:
            self._reconciliation.wake()

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
            if self._retelling is None:
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


def _log_gone(order_id: str, error: OrderGoneError) -> None:
    logger.bind(event_type="order_gone", order_id=order_id, detail=str(error)).error(
        "an order is known to have been ours and cannot be read again"
    )
