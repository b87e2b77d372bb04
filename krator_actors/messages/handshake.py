"""What risk and order actors say to each other when either has started again."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.model import OrderSide, OrderStatus, OrderType
from supervisors.messages import Message


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


class OrdersAbsorbed(Message, frozen=True, kw_only=True):
    """Risk to order, after a snapshot: it recovers without the events up to ``number``.

    Order may remove them from its log, and has them no more to tell.
    """

    number: int


class OrdersRemoved(Message, frozen=True, kw_only=True):
    """Order to risk, instead of ``OrdersSynced``: it cannot tell all that was asked for.

    The records before ``first_number`` were removed. Risk goes on denying all but cancels, and
    asks again, until a person has put its snapshot back.
    """

    venue: str
    risk_generation: int
    first_number: int


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
