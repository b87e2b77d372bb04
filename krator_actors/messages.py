"""Every message of the trading system.

Commands are imperative, events past tense, the venue's truth is a report. Who sends what to whom
is in docs/ARCHITECTURE.md. Events of an order (``OrderEvent``) are also what the order actor's log
holds, one record each: append first, then act.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from krator_actors.model import (
    Instrument,
    OrderSide,
    OrderStatus,
    OrderType,
    TimeInForce,
    TradingState,
)
from supervisors.messages import Delivery, Message

# -- market data: feed to strategies and risk ------------------------------------------------


class MarketDataGap(Message, frozen=True, kw_only=True):
    """Data of a stream is missing between two events; what depends on it is no longer true."""

    symbol: str
    stream: str
    """``trade``, ``quote`` or ``book``"""
    first_id: int
    """first missing trade or update id, 0 when not known"""
    last_id: int
    count: int
    reason: str
    ts_event: int
    ts_init: int


class TradeTick(Message, frozen=True, kw_only=True):
    """One trade at the venue."""

    delivery: ClassVar[Delivery] = Delivery.GAP

    symbol: str
    price: Decimal
    size: Decimal
    aggressor: OrderSide
    trade_id: int
    ts_event: int
    ts_init: int

    def gap_key(self) -> str:
        """One gap never spans two symbols."""
        return self.symbol

    def gap_message(self, last: Message, count: int) -> MarketDataGap:
        """Declare the trades from self to ``last`` as missing."""
        assert isinstance(last, TradeTick)
        return MarketDataGap(
            symbol=self.symbol,
            stream="trade",
            first_id=self.trade_id,
            last_id=last.trade_id,
            count=count,
            reason="OVERFLOW",
            ts_event=last.ts_event,
            ts_init=last.ts_init,
        )


class QuoteTick(Message, frozen=True, kw_only=True):
    """Best bid and offer of one symbol."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    update_id: int
    ts_event: int
    """the venue's event time; ``ts_init`` where the venue sends none (Binance bookTicker)"""
    ts_init: int

    def conflation_key(self) -> str:
        """Only the newest quote of a symbol matters."""
        return self.symbol


class MarketStatus(Message, frozen=True, kw_only=True):
    """Whether a symbol's data is fresh. Sent on every change, and to whoever asks."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    fresh: bool
    reason: str
    """``LIVE``, ``CONNECTING``, ``DISCONNECTED``, ``STALE_TRADES``, ``STALE_QUOTES``, ``GAP``"""
    ts_event: int

    def conflation_key(self) -> str:
        """Only the newest word on a symbol matters: a receiver that is away never blocks a feed."""
        return self.symbol


class Bar(Message, frozen=True, kw_only=True):
    """Open, high, low, close and volume of one period of event time; ``ts_open`` inclusive."""

    symbol: str
    period_secs: int
    ts_open: int
    ts_close: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


class BarsRequest(Message, frozen=True, kw_only=True):
    """Strategy to feed (ask): the last ``count`` finished bars. Answer: ``BarHistory``."""

    symbol: str
    period_secs: int
    count: int


class BarHistory(Message, frozen=True, kw_only=True):
    """Oldest first; may be shorter than asked for. Only finished bars."""

    symbol: str
    bars: tuple[Bar, ...]


class InstrumentsRequest(Message, frozen=True, kw_only=True):
    """Anybody to feed (ask). Answer: ``Instruments``, empty while the venue has not answered."""


class Instruments(Message, frozen=True, kw_only=True):
    """The trading rules of the venue's configured symbols.

    Also told by the feed to risk and strategies when known or changed.
    """

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    instruments: tuple[Instrument, ...]

    def conflation_key(self) -> str:
        """Only the newest rules matter."""
        return ""


# -- orders ----------------------------------------------------------------------------------


class SubmitOrder(Message, frozen=True, kw_only=True):
    """Strategy to risk. ``client_order_id`` is a hash of the cause: see ``core.orders``."""

    client_order_id: str
    strategy: str
    """the strategy actor's name, ``strategy:BTC-USDT.SIM/sma_cross``"""
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    """limit price; None for a market order"""
    time_in_force: TimeInForce = TimeInForce.GTC
    cause: str
    """id of the event that caused it: ``trade:3735683259``, ``bar:1723161255000000000``"""
    ts_event: int
    """event time of the cause"""
    ts_init: int


class CancelOrder(Message, frozen=True, kw_only=True):
    """Strategy or person to risk, and risk to order. Always let through."""

    client_order_id: str
    symbol: str
    requester: str


class PlaceOrder(Message, frozen=True, kw_only=True):
    """Risk to order: an approved order. Exposure is already reserved."""

    order: SubmitOrder
    risk_generation: int


class OrderInitialized(Message, frozen=True, kw_only=True):
    """The order is ours and logged; nothing has been sent yet. First event of every own order."""

    order: SubmitOrder
    risk_generation: int
    request_valid_until_ms: int
    """venue clock, Unix ms: request timestamp + recvWindow. "No such order" is final only after
    the venue's clock has passed it."""
    ts_event: int


class OrderDenied(Message, frozen=True, kw_only=True):
    """Ours: not sent, and will not be. Reason codes are in docs/OPERATIONS.md."""

    client_order_id: str
    strategy: str
    symbol: str
    reason: str
    detail: str
    """fact with both numbers: ``notional 1500 exceeds max 1000``"""
    ts_event: int


class OrderSubmitted(Message, frozen=True, kw_only=True):
    """The bytes were handed to the venue's connection."""

    client_order_id: str
    symbol: str
    ts_event: int


class OrderUnknown(Message, frozen=True, kw_only=True):
    """The venue's answer was lost. Exposure stays reserved until the venue has told."""

    client_order_id: str
    symbol: str
    reason: str
    ts_event: int


class OrderAccepted(Message, frozen=True, kw_only=True):
    """The venue works the order."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    ts_event: int


class OrderRejected(Message, frozen=True, kw_only=True):
    """The venue's: it did not take the order, or never received it (``NEVER_ARRIVED``)."""

    client_order_id: str
    symbol: str
    reason: str
    ts_event: int


class OrderPendingCancel(Message, frozen=True, kw_only=True):
    """A cancel is on its way to the venue."""

    client_order_id: str
    symbol: str
    ts_event: int


class OrderCanceled(Message, frozen=True, kw_only=True):
    """The venue took the rest of the order off."""

    client_order_id: str
    symbol: str
    ts_event: int


class OrderExpired(Message, frozen=True, kw_only=True):
    """The rest of an IOC, FOK or market order that found no more liquidity."""

    client_order_id: str
    symbol: str
    ts_event: int


class OrderFilled(Message, frozen=True, kw_only=True):
    """One fill. Idempotent by (symbol, ``trade_id``, ``venue_order_id``).

    The order is part of it, because two of our own orders that meet share one trade.
    """

    client_order_id: str
    venue_order_id: str
    trade_id: str
    symbol: str
    strategy: str
    """empty for an external order"""
    side: OrderSide
    last_quantity: Decimal
    last_price: Decimal
    fee: Decimal
    fee_currency: str
    ts_event: int
    ts_init: int


class OrderExternal(Message, frozen=True, kw_only=True):
    """An order that the venue has and we never sent. First event of an external order."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    ts_event: int


class AccountReport(Message, frozen=True, kw_only=True):
    """Balances as the venue reports them. The first one in a log is the account's opening."""

    balances: dict[str, Decimal]
    """asset to total (free and locked)"""
    ts_event: int


OrderEvent = (
    OrderInitialized
    | OrderDenied
    | OrderSubmitted
    | OrderUnknown
    | OrderAccepted
    | OrderRejected
    | OrderPendingCancel
    | OrderCanceled
    | OrderExpired
    | OrderFilled
    | OrderExternal
    | AccountReport
)
"""What the order actor's log holds."""


class OrderEventTold(Message, frozen=True, kw_only=True):
    """Order to risk (all events, in log order) and to the strategy (its own orders' events)."""

    venue: str
    number: int
    """number of the record in the order actor's log; gapless from 1. Risk's watermark."""
    event: OrderEvent


# -- the handshake between risk and order ----------------------------------------------------


class OrderActorStarted(Message, frozen=True, kw_only=True):
    """Order to risk, when it has recovered its log: risk answers with ``SyncOrders``."""

    venue: str
    generation: int


class SyncOrders(Message, frozen=True, kw_only=True):
    """Risk to order, after either has restarted.

    Order denies every approval of an older risk generation that it has not begun
    (``RISK_RESTARTED``), tells again all events after ``watermark``, then says ``OrdersSynced``.
    """

    risk_generation: int
    watermark: int
    sync_id: int = 0
    """which request of this risk generation; ``OrdersSynced`` repeats it"""


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may still change a position."""

    client_order_id: str
    strategy: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    filled: Decimal
    price: Decimal | None
    status: OrderStatus


class OrdersSynced(Message, frozen=True, kw_only=True):
    """Order to risk: what is open now, as of log record ``number``.

    An approval of an older request that is not in here and not in the events was never begun and
    never will be: risk releases its reservation.
    """

    venue: str
    risk_generation: int
    number: int
    open_orders: tuple[OpenOrder, ...]
    sync_id: int = 0
    """of the ``SyncOrders`` that this answers"""


class VenueStatus(Message, frozen=True, kw_only=True):
    """Order to risk: whether orders can be sent. Unreachable means only cancels are queued."""

    venue: str
    reachable: bool
    reason: str
    ts_event: int


# -- what risk writes in its own log ---------------------------------------------------------


class OrderApproved(Message, frozen=True, kw_only=True):
    """Risk's verdict and the numbers it compared; written before ``PlaceOrder`` is told."""

    order: SubmitOrder
    reference_price: Decimal
    reserved_notional: Decimal
    position_limit_notional: Decimal
    equity: Decimal
    ts_event: int


class TradingStateChanged(Message, frozen=True, kw_only=True):
    """Latched: it holds across restarts until the next one by a named person."""

    state: TradingState
    by: str
    """a person's name, or ``risk`` for a limit that was hit"""
    reason: str
    loss_base: Decimal | None = None
    """equity from which the daily loss is measured from now on; None: as before"""
    ts_event: int


class DayStarted(Message, frozen=True, kw_only=True):
    """Equity at the beginning of the trading day; the daily loss is measured from here."""

    day: str
    """``2026-11-22`` (UTC)"""
    equity: Decimal
    ts_event: int


class DuplicateRefused(Message, frozen=True, kw_only=True):
    """The same decision came again (e.g. after a restart). The first order stands untouched."""

    client_order_id: str
    strategy: str
    symbol: str
    ts_event: int


# -- requests from people and between actors -------------------------------------------------


class Halt(Message, frozen=True, kw_only=True):
    """Person to risk (ask). Answer: ``TradingStateChanged``."""

    by: str
    reason: str


class Resume(Message, frozen=True, kw_only=True):
    """Person to risk (ask). Answer: ``TradingStateChanged``. There is no automatic resume."""

    by: str
    reason: str


class PortfolioRequest(Message, frozen=True, kw_only=True):
    """Anybody to risk (ask). Answer: ``PortfolioReport``."""


class PositionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's position; money in the quote currency."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark_price: Decimal | None
    """mid, None before the first quote"""
    realized_pnl: Decimal
    """fees not included"""
    unrealized_pnl: Decimal
    fees: Decimal
    reserved_buy: Decimal
    """quantity of open buy orders"""
    reserved_sell: Decimal
    quote_ts_init: int | None = None
    """UTC ns, when the quote behind ``mark_price`` came; None: there has been none"""


class PortfolioReport(Message, frozen=True, kw_only=True):
    """What risk knows now."""

    state: TradingState
    recovered: bool
    """False while risk still waits for the order actor: everything but cancels is denied"""
    cash: Decimal
    equity: Decimal
    day_start_equity: Decimal
    positions: tuple[PositionReport, ...]
    open_orders: tuple[OpenOrder, ...]
    orders_approved: int
    orders_denied: int
    fills: int
    ts_event: int


class StrategyStateRequest(Message, frozen=True, kw_only=True):
    """Strategy to risk (ask): position and open orders of this strategy's symbol."""

    strategy: str
    symbol: str


class StrategyState(Message, frozen=True, kw_only=True):
    """What a strategy that starts needs to know of the world."""

    symbol: str
    recovered: bool
    """False: risk does not know yet; ask again"""
    position: Decimal
    open_orders: tuple[OpenOrder, ...]
    equity: Decimal
    instrument: Instrument | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One number that a strategy decided on, e.g. ``rsi`` 27.4."""

    name: str
    value: float


class SignalRaised(Message, frozen=True, kw_only=True):
    """What a strategy writes in its own log before it tells risk ``SubmitOrder``."""

    strategy: str
    """the strategy actor's name"""
    symbol: str
    side: OrderSide
    client_order_id: str
    """of the order that follows"""
    cause: str
    readings: tuple[Reading, ...] = ()
    """what the strategy's indicators said at the cause"""
    stop_price: Decimal | None = None
    """at or below this it will sell, or did; None: it has no stop"""
    price: Decimal
    """last traded price the order was sized with"""
    quantity: Decimal
    ts_event: int
    """event time of the cause"""
    ts_init: int


class LogGrew(Message, frozen=True, kw_only=True):
    """A writer's hint to the journal that its log has more; the log itself is the truth."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    urgent: ClassVar[bool] = False

    writer: str

    def conflation_key(self) -> str:
        """One hint per writer is enough."""
        return self.writer


class JournalStatusRequest(Message, frozen=True, kw_only=True):
    """Anybody to journal (ask). Answer: ``JournalStatus``."""


class JournalStatus(Message, frozen=True, kw_only=True):
    """How far the journal is behind the logs."""

    connected: bool
    """False while PostgreSQL does not answer: logs grow, nothing is lost"""
    seq: int
    """the last committed global sequence number that is known; 0 before the first"""
    lag_records: int
    """logged and not yet committed; estimated from bytes beyond one batch"""
    watermarks: dict[str, int]
    """writer to its last committed record number"""


class PublisherStatusRequest(Message, frozen=True, kw_only=True):
    """Anybody to publisher (ask). Answer: ``PublisherStatus``."""


class PublisherStatus(Message, frozen=True, kw_only=True):
    """How far the Redis stream is; the counts are of this incarnation."""

    connected: bool
    """False while Redis does not answer, or is full"""
    waiting: int
    """events that are read and not in the stream yet"""
    published: int
    left_out: int
    """events that are in the logs and not in the stream, because more waited than it holds"""
    outages: int
    reason: str
    """of the outage; empty while there is none"""


class JobsStatusRequest(Message, frozen=True, kw_only=True):
    """Anybody to jobs (ask). Answer: ``JobsStatus``."""


class JobReport(msgspec.Struct, frozen=True, kw_only=True):
    """One background job; times are UTC ns."""

    name: str
    running: bool
    done_due_ns: int
    """the latest due time that is done with"""
    next_ns: int
    """when it will be tried next"""
    failures: int
    """in a row, of the due time in work"""
    left_out: int
    """due times that were too far back to be caught up"""
    reason: str
    """of the last failure; empty after a success"""


class JobsStatus(Message, frozen=True, kw_only=True):
    """All jobs."""

    jobs: tuple[JobReport, ...]


# -- incidents -------------------------------------------------------------------------------


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One typed fact: no free text, so nothing secret can travel in it."""

    id: str
    kind: str
    component: str
    code: str
    value: float | None = None
    unit: str = ""


class IncidentOpened(Message, frozen=True, kw_only=True):
    """Something broke. One incident per fingerprint until it is closed."""

    incident_id: str
    kind: str
    """``crash``, ``hang``, ``stall``, ``quarantine``, ``system``"""
    component: str
    evidence: tuple[Evidence, ...]
    ts_event: int


class IncidentDiagnosed(Message, frozen=True, kw_only=True):
    """The most likely cause. A proposal to a person; nothing acts on it."""

    incident_id: str
    cause: str
    confidence: float
    evidence_ids: tuple[str, ...]
    suggestion: str
    ts_event: int
    evidence: tuple[Evidence, ...] = ()
    """facts that came after the incident was opened and have not been told yet"""


class IncidentClosed(Message, frozen=True, kw_only=True):
    """The component is healthy again."""

    incident_id: str
    component: str
    outage_secs: float
    ts_event: int


class StallDetected(Message, frozen=True, kw_only=True):
    """Feed to rca: a stream that is connected and silent, or a connection that was lost."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    component: str
    symbol: str
    code: str
    age_secs: float
    ts_event: int

    def conflation_key(self) -> str:
        """Only the newest word on a stream matters."""
        return f"{self.component}/{self.symbol}"


# -- what a person sells without the system --------------------------------------------------


class FlattenStarted(Message, frozen=True, kw_only=True):
    """``krator flatten`` begins; the order actor finds its orders at the venue, as external."""

    by: str
    reason: str
    ts_event: int
    """also what tells one act from another: it is in the cause of each of its orders"""


class FlattenOrderInitialized(Message, frozen=True, kw_only=True):
    """Logged before it is sent."""

    order: SubmitOrder
    request_valid_until_ms: int
    """venue clock, Unix ms: "no such order" is final only after it"""
    ts_event: int


class FlattenOrderEnded(Message, frozen=True, kw_only=True):
    """What became of one of its orders, as the venue told."""

    client_order_id: str
    symbol: str
    status: OrderStatus
    filled: Decimal
    reason: str
    ts_event: int


class FlattenEnded(Message, frozen=True, kw_only=True):
    """The act is over."""

    left: dict[str, Decimal]
    """asset to what the venue still had of it"""
    ts_event: int


FlattenEvent = FlattenStarted | FlattenOrderInitialized | FlattenOrderEnded | FlattenEnded
"""What the log of ``krator flatten`` holds."""
