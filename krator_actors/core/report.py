"""What happened, folded from the journal: orders, fills, positions, totals. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from krator_actors.core.incident_list import ReportedIncident, take_incident
from krator_actors.core.order_life import TABLE, step_of
from krator_actors.core.positions import Portfolio
from krator_actors.messages.incidents import IncidentClosed, IncidentDiagnosed, IncidentOpened
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderModifyRejected,
    OrderPendingCancel,
    OrderPendingUpdate,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
    SubmitOrder,
)
from krator_actors.messages.risk import DuplicateRefused, OrderApproved, TradingStateChanged
from krator_actors.model import OrderSide, OrderStatus, OrderType, TradingState, venue_of
from supervisors.messages import Message

_ZERO = Decimal(0)
_NO_LIMIT = 1 << 62
_UNKNOWN = Decimal("Infinity")
_RESTART_KINDS = frozenset({"crash", "hang"})

_Step = (
    OrderSubmitted
    | OrderUnknown
    | OrderAccepted
    | OrderRejected
    | OrderTriggered
    | OrderPendingUpdate
    | OrderUpdated
    | OrderModifyRejected
    | OrderPendingCancel
    | OrderCanceled
    | OrderExpired
    | OrderFilled
)


class ReportedOrder(msgspec.Struct, kw_only=True):
    """One order; what a denial does not tell is None."""

    client_order_id: str
    strategy: str
    """empty for an external order"""
    symbol: str
    side: OrderSide | None = None
    order_type: OrderType | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    """the limit price; None for a market order"""
    status: OrderStatus = OrderStatus.INITIALIZED
    filled_quantity: Decimal = _ZERO
    average_price: Decimal | None = None
    """of the fills; None without any"""
    reason: str = ""
    """why it was denied or rejected, or is unknown"""
    ts_event: int
    """of its first event"""


class ReportedFill(msgspec.Struct, frozen=True, kw_only=True):
    """One fill."""

    client_order_id: str
    trade_id: str
    strategy: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    ts_event: int


class ReportedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One holding; money in the quote currency. What the words mean: ``core.positions``."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark_price: Decimal | None
    """the given mark, else the last fill's price"""
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal


class Totals(msgspec.Struct, kw_only=True):
    """Counts and sums; money in the quote currency."""

    orders: int = 0
    fills: int = 0
    denied: int = 0
    duplicates_refused: int = 0
    realized_pnl: Decimal = _ZERO
    """fees not included"""
    unrealized_pnl: Decimal = _ZERO
    fees: Decimal = _ZERO
    halts: int = 0
    incidents: int = 0
    restarts: int = 0
    """incidents that were a crash or a hang"""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole, oldest first."""

    orders: list[ReportedOrder]
    fills: list[ReportedFill]
    positions: list[ReportedPosition]
    """of every symbol that was ever held, once there was a fill"""
    incidents: list[ReportedIncident]
    totals: Totals


def build_report(events: Iterable[Message], marks: Mapping[str, Decimal] | None = None) -> Report:
    """Fold the events of all writers; each writer's in its own order, however they are mixed.

    ``marks`` are prices by symbol for the unrealized profit and loss. A fill that is there twice
    counts once. Messages that are nobody's business here are passed over.
    """
    fold = ReportFold()
    for event in events:
        fold.take(event)
    return fold.report(marks or {})


class ReportFold:
    """A report in the making: for whoever has too many events for one list."""

    def __init__(self) -> None:
        self.orders: dict[str, ReportedOrder] = {}
        self.fills: list[ReportedFill] = []
        self.incidents: dict[str, ReportedIncident] = {}
        self.totals = Totals()
        # Quantity times price of each order's fills.
        self._traded: dict[str, Decimal] = defaultdict(Decimal)
        # By (quote currency, venue), because a symbol says both and an account has one of each.
        self._portfolios: dict[tuple[str, str], Portfolio] = {}
        self._opening: AccountReport | None = None

    def take(self, event: Message) -> None:
        """Take the next event; see ``build_report``."""
        match event:
            case OrderApproved(order=order) | OrderInitialized(order=order):
                self._describe(order, event.ts_event)
            case OrderExternal():
                self._external(event)
            case OrderDenied():
                reported = self._order(event.client_order_id, event.symbol, event.ts_event)
                reported.strategy = reported.strategy or event.strategy
                reported.status = OrderStatus.DENIED
                reported.reason = f"{event.reason}: {event.detail}"
            case OrderUnknown() | OrderRejected():
                self._advance(event).reason = event.reason
            case OrderUpdated():
                self._advance(event).quantity = event.quantity
            case (
                OrderSubmitted()
                | OrderAccepted()
                | OrderTriggered()
                | OrderPendingUpdate()
                | OrderModifyRejected()
                | OrderPendingCancel()
                | OrderCanceled()
                | OrderExpired()
            ):
                self._advance(event)
            case OrderFilled():
                self._fill(event)
            case AccountReport():
                self._opening = self._opening or event
            case DuplicateRefused():
                self.totals.duplicates_refused += 1
            case TradingStateChanged(state=TradingState.HALTED):
                self.totals.halts += 1
            case IncidentOpened() | IncidentDiagnosed() | IncidentClosed():
                take_incident(self.incidents, event, event.ts_event)
            case _:
                pass

    def report(self, marks: Mapping[str, Decimal]) -> Report:
        """Return the report of all events so far; it shares its lists with the fold."""
        positions = self._positions(marks)
        totals = msgspec.structs.replace(
            self.totals,
            orders=len(self.orders),
            fills=len(self.fills),
            denied=sum(o.status is OrderStatus.DENIED for o in self.orders.values()),
            realized_pnl=sum((p.realized_pnl for p in positions), _ZERO),
            unrealized_pnl=sum((p.unrealized_pnl for p in positions), _ZERO),
            fees=sum((p.fees for p in positions), _ZERO),
            incidents=len(self.incidents),
            restarts=sum(i.kind in _RESTART_KINDS for i in self.incidents.values()),
        )
        return Report(
            orders=list(self.orders.values()),
            fills=self.fills,
            positions=positions,
            incidents=list(self.incidents.values()),
            totals=totals,
        )

    def held(self, symbol: str) -> Decimal:
        """Return how much of a symbol is held after all events so far."""
        return self._portfolio(symbol).position(symbol).quantity

    def _order(self, client_order_id: str, symbol: str, ts_event: int) -> ReportedOrder:
        reported = self.orders.get(client_order_id)
        if reported is None:
            reported = self.orders[client_order_id] = ReportedOrder(
                client_order_id=client_order_id, strategy="", symbol=symbol, ts_event=ts_event
            )
        return reported

    def _describe(self, order: SubmitOrder, ts_event: int) -> None:
        reported = self._order(order.client_order_id, order.symbol, ts_event)
        reported.strategy = order.strategy
        reported.side = order.side
        reported.order_type = order.order_type
        reported.quantity = order.quantity
        reported.price = order.price

    def _external(self, event: OrderExternal) -> None:
        reported = self._order(event.client_order_id, event.symbol, event.ts_event)
        reported.side = event.side
        reported.order_type = event.order_type
        reported.quantity = event.quantity
        reported.price = event.price
        reported.status = OrderStatus.ACCEPTED

    def _advance(self, event: _Step) -> ReportedOrder:
        reported = self._order(event.client_order_id, event.symbol, event.ts_event)
        # Without its first event (it is older than the report) an order's quantity is not known.
        quantity = _UNKNOWN if reported.quantity is None else reported.quantity
        step = step_of(event, filled=reported.filled_quantity, quantity=quantity)
        row = TABLE.get((reported.status, step))
        if row is not None:
            reported.status = row.status
        return reported

    def _fill(self, fill: OrderFilled) -> None:
        if not self._portfolio(fill.symbol).apply_fill(fill):
            return
        self.fills.append(
            ReportedFill(
                client_order_id=fill.client_order_id,
                trade_id=fill.trade_id,
                strategy=fill.strategy,
                symbol=fill.symbol,
                side=fill.side,
                quantity=fill.last_quantity,
                price=fill.last_price,
                fee=fill.fee,
                fee_currency=fill.fee_currency,
                ts_event=fill.ts_event,
            )
        )
        reported = self._advance(fill)
        reported.filled_quantity += fill.last_quantity
        traded = self._traded[fill.client_order_id] + fill.last_price * fill.last_quantity
        self._traded[fill.client_order_id] = traded
        reported.average_price = _plain(traded / reported.filled_quantity)

    def _portfolio(self, symbol: str) -> Portfolio:
        pair, venue = symbol.rpartition(".")[0], venue_of(symbol)
        quote = pair.partition("-")[2]
        portfolio = self._portfolios.get((quote, venue))
        if portfolio is None:
            portfolio = Portfolio(quote=quote, venue=venue, symbols=(), trades_limit=_NO_LIMIT)
            if self._opening is not None:
                portfolio.open(self._opening.balances)
            self._portfolios[quote, venue] = portfolio
        return portfolio

    def _positions(self, marks: Mapping[str, Decimal]) -> list[ReportedPosition]:
        found = []
        for portfolio in self._portfolios.values():
            for symbol, position in sorted(portfolio.positions.items()):
                if symbol in marks:
                    portfolio.mark(symbol, marks[symbol])
                found.append(
                    ReportedPosition(
                        symbol=symbol,
                        quantity=_plain(position.quantity),
                        average_price=_plain(position.average_price),
                        mark_price=None if position.mark is None else _plain(position.mark),
                        realized_pnl=_plain(position.realized_pnl),
                        unrealized_pnl=_plain(position.unrealized_pnl),
                        fees=_plain(position.fees),
                    )
                )
        return found


def _plain(value: Decimal) -> Decimal:
    """Without trailing zeros and without an exponent: for people's eyes."""
    return Decimal(f"{value.normalize():f}")
