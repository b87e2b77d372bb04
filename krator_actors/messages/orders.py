"""Orders: commands on their way to the venue, and what became of them.

Events of an order (``OrderEvent``) are also what the order actor's log holds, one record each:
append first, then act.
"""

from __future__ import annotations

import enum
from decimal import Decimal

from krator_actors.model import OrderSide, OrderType, TimeInForce
from supervisors.messages import Message


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
