"""What a person sells without the system: the log of ``krator kill --flatten``."""

from __future__ import annotations

from decimal import Decimal

from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderStatus
from supervisors.messages import Message


class FlattenStarted(Message, frozen=True, kw_only=True):
    """``krator kill --flatten`` begins; the order actor finds its orders at the venue."""

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
"""What the log of ``krator kill --flatten`` holds."""
