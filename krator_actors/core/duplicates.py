"""What was approved lately, to know the same order again when it comes from another cause. Pure."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal

import msgspec

from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderType, TimeInForce

REMEMBERED_LIMIT = 10_000
"""So many different approved orders are remembered."""


class Likeness(msgspec.Struct, frozen=True, array_like=True):
    """All of an order but its cause: two that are alike are duplicates."""

    strategy: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce
    expires_ns: int | None
    post_only: bool
    reduce_only: bool


class Approved(msgspec.Struct, frozen=True, array_like=True):
    """Something that was approved; what a snapshot holds of it."""

    age_ns: int
    likeness: Likeness


class Duplicates:
    """When an order that looked so was approved last, by the monotonic clock.

    A restart remembers those of the last ``within_ns``.
    """

    def __init__(self, within_ns: int) -> None:
        self._within_ns = within_ns
        # Ordered, because a plain dict takes long to find its oldest.
        self._approved: OrderedDict[Likeness, int] = OrderedDict()

    def approved_ns(self, order: SubmitOrder) -> int | None:
        """Return when an order that looks the same was approved; None: not that we remember."""
        return self._approved.get(_likeness(order))

    def add(self, order: SubmitOrder, now_ns: int) -> None:
        """Remember an approved order."""
        likeness, approved = _likeness(order), self._approved
        before = len(approved)
        approved[likeness] = now_ns
        if len(approved) == before:
            approved.move_to_end(likeness)
        elif before >= REMEMBERED_LIMIT:
            approved.popitem(last=False)

    def state(self, now_ns: int) -> tuple[Approved, ...]:
        """Return what ``restore`` needs."""
        return tuple(
            Approved(now_ns - at_ns, likeness)
            for likeness, at_ns in self._approved.items()
            if now_ns - at_ns < self._within_ns
        )

    def restore(self, state: tuple[Approved, ...], saved_ns: int) -> None:
        """Remember what ``state``, taken at ``saved_ns``, says. Only when nothing is known yet."""
        for approved in state:
            self._approved[approved.likeness] = saved_ns - approved.age_ns


def _likeness(order: SubmitOrder) -> Likeness:
    return Likeness(
        order.strategy,
        order.symbol,
        order.side,
        order.order_type,
        order.quantity,
        order.price,
        order.stop_price,
        order.time_in_force,
        order.expires_ns,
        order.post_only,
        order.reduce_only,
    )
