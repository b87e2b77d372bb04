"""Orders: commands on their way to the venue, and what became of them.

Events of an order (``OrderEvent``) are also what the order actor's log holds, one record each:
append first, then act.
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from krator_actors.model import Instrument, OrderSide, OrderType, TimeInForce
from supervisors.messages import Message


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """How a bought position is left again: ``core.brackets`` says what the order actor does."""

    stop_price: Decimal
    """a stop order at the venue from the first fill on"""
    take_profit_price: Decimal
    """watched by Krator; above ``stop_price``"""
    stop_limit_price: Decimal | None = None
    """limit of the stop order; None: it sells at market"""
    instrument: Instrument
    """the steps in which its orders are sized"""


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
    """limit price; None for an order at market"""
    stop_price: Decimal | None = None
    """of stop orders only: the last price at which it begins to work"""
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_ns: int | None = None
    """UTC ns, of GTD orders only"""
    post_only: bool = False
    """limit orders: refused by the venue when it would trade at once"""
    reduce_only: bool = False
    """it may make a position smaller and nothing else; risk sees to it, spot venues do not"""
    replaces: str = ""
    """client order id of the order that is taken off first; this one is placed only then"""
    bracket: Bracket | None = None
    """buy orders: what protects the position that they make"""
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


class CancelAllOrders(Message, frozen=True, kw_only=True):
    """Person or strategy to risk, and risk to order: every open order that matches."""

    symbol: str | None = None
    """None: of every symbol"""
    strategy: str | None = None
    """None: of everybody, external ones too"""
    requester: str


class ModifyOrder(Message, frozen=True, kw_only=True):
    """Strategy or person to risk, and risk to order: make an open order smaller, in its place.

    It keeps its place in the queue and needs no approval because it can only lower exposure. Any
    other change is a new order, a ``SubmitOrder`` with ``replaces``, which risk decides on.
    """

    client_order_id: str
    symbol: str
    quantity: Decimal
    """the whole order's, filled part included"""
    requester: str


Unapproved = CancelOrder | CancelAllOrders | ModifyOrder
"""What can only lower exposure: risk lets it through in every state, and counts it."""


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
    value: Decimal | None = None
    """what was compared, in the unit that docs/RISK.md gives for ``reason``; None: no number"""
    limit: Decimal | None = None
    """what it was compared with, in the same unit"""
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


class OrderTriggered(Message, frozen=True, kw_only=True):
    """The stop price was reached: the order works."""

    client_order_id: str
    symbol: str
    ts_event: int


class OrderPendingUpdate(Message, frozen=True, kw_only=True):
    """A change is on its way to the venue."""

    client_order_id: str
    symbol: str
    quantity: Decimal
    """what it is to be; 0: it is to be replaced by another order"""
    request_valid_until_ms: int
    """venue clock, Unix ms; "unchanged" is final only after it"""
    ts_event: int


class OrderUpdated(Message, frozen=True, kw_only=True):
    """The order is another one at the venue now, in the same place."""

    client_order_id: str
    symbol: str
    quantity: Decimal
    """the whole order's, filled part included"""
    ts_event: int


class OrderModifyRejected(Message, frozen=True, kw_only=True):
    """The change did not happen; the order is as it was."""

    client_order_id: str
    symbol: str
    reason: str
    ts_event: int


class OrderPendingCancel(Message, frozen=True, kw_only=True):
    """A cancel is on its way to the venue."""

    client_order_id: str
    symbol: str
    requester: str = ""
    """whose wish it was; empty in logs that are older than the field"""
    ts_event: int


class OrderCanceled(Message, frozen=True, kw_only=True):
    """The venue took the rest of the order off."""

    client_order_id: str
    symbol: str
    ts_event: int


class OrderExpired(Message, frozen=True, kw_only=True):
    """Its time was over, or its rest (IOC, FOK, market) found no more liquidity."""

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
    """what was left of it when it was found"""
    price: Decimal | None
    filled_before: Decimal = Decimal(0)
    """what it had traded by then, which is in the opening balances"""
    ts_event: int


class AccountReport(Message, frozen=True, kw_only=True):
    """Balances as the venue reports them. The first one in a log is the account's opening."""

    balances: dict[str, Decimal]
    """asset to total (free and locked)"""
    ts_event: int


class Difference(enum.Enum):
    """What can differ between the venue and us when both have been asked."""

    BALANCE = "BALANCE"
    """``subject`` is an asset, the numbers are its totals. From here on the venue's is ours."""
    FILLED = "FILLED"
    """``subject`` is an order of which we have counted more than the venue says was traded"""
    VANISHED = "VANISHED"
    """``subject`` is an order that the venue had accepted and does not know any more; the numbers
    are what may still trade. It stays open here, and reserved, until a person has looked."""
    DOUBLED = "DOUBLED"
    """``subject`` is a client order id under which the venue has a second order; the numbers are
    that order's quantity. It is taken over as an external one."""


class ReconciliationDifference(Message, frozen=True, kw_only=True):
    """Something at the venue is not what our record says. Told once for each new difference."""

    what: Difference
    subject: str
    symbol: str
    """whose price values it; empty for a balance"""
    ours: Decimal
    venue: Decimal
    ts_event: int
    """UTC ns, our clock, when it was found"""


OrderEvent = (
    OrderInitialized
    | OrderDenied
    | OrderSubmitted
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
    | OrderExternal
    | AccountReport
    | ReconciliationDifference
)
"""What the order actor's log holds."""


class OrderEventTold(Message, frozen=True, kw_only=True):
    """Order to risk (all events, in log order) and to the strategy (its own orders' events)."""

    venue: str
    number: int
    """number of the record in the order actor's log; gapless from 1. Risk's watermark."""
    event: OrderEvent
