"""Brackets: a bought position is left by a stop loss or by a take profit, held by Krator. Pure.

Spot venues lock what an open order sells, so that only one way out can be at the venue at a time.
It is the stop loss, because it must work when Krator is dead. The take profit is watched: when the
bid reaches it, the stop is taken off and the position sold at the take profit's limit, at once or
not at all; what was not sold is protected by a stop again. At most one leg is open at any time, and
no leg is larger than what was bought and not sold, so that the legs can never sell more than that.

There is no state besides the orders themselves: ``decide`` is asked again after a restart and goes
on where it was. A leg's id is made of its entry's and its place, so that it is never placed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from krator_actors.core.identity import client_order_id
from krator_actors.core.orders import BRACKET_CAUSE, Order
from krator_actors.messages.orders import Bracket, OrderRejected, SubmitOrder
from krator_actors.model import (
    OrderSide,
    OrderStatus,
    OrderType,
    TimeInForce,
    quantize_down,
)

REQUESTER = "bracket"
"""``OrderPendingCancel.requester`` of what is taken off here"""
MAX_REFUSED_LEGS = 3
"""so many refused legs in a row, and the position is left to a person"""

_WORKING = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})
_ZERO = Decimal(0)


class PlaceLeg(msgspec.Struct, frozen=True):
    """Send this order."""

    order: SubmitOrder


class TakeOff(msgspec.Struct, frozen=True):
    """Cancel this order."""

    order: Order


class Left(msgspec.Struct, frozen=True):
    """Nothing more is to be done for this bracket."""

    reason: str
    """``CLOSED``, ``NOT_BOUGHT``, ``RELEASED`` (somebody canceled a leg), ``DUST`` (less than the
    venue takes), ``UNPROTECTED`` (the venue refuses every leg: a person must look)"""


Action = PlaceLeg | TakeOff | Left | None
"""None: wait"""


def entry_of(leg: SubmitOrder) -> str:
    """Return the client order id of the entry that ``leg`` protects; empty: it is no leg."""
    return leg.cause.removeprefix(BRACKET_CAUSE) if leg.cause.startswith(BRACKET_CAUSE) else ""


def decide(entry: Order, legs: Sequence[Order], *, bid: Decimal | None, now_ns: int) -> Action:
    """Return what is to be done next for the bracket of ``entry``.

    ``legs`` are all that were ever logged, oldest first; ``bid`` is the best bid now, None when it
    is not known. Ask again after every event of these orders and every new price.
    """
    bracket = _bracket_of(entry)
    leg = legs[-1] if legs else None
    is_leaving = any(one.filled or _is_exit(one) for one in legs)
    if is_leaving and entry.status in _WORKING and not entry.cancel_requested:
        return TakeOff(entry)
    if leg is not None and leg.status.is_open:
        return _with_open_leg(entry, legs, bid)
    if leg is not None and _was_released(leg):
        return Left("RELEASED")
    refused = _refused_in_a_row(legs)
    if refused >= MAX_REFUSED_LEGS:
        return Left("UNPROTECTED")
    quantity = _held(entry, legs)
    if not _is_tradable(quantity, bracket):
        return None if entry.status.is_open else Left(_why_nothing_is_held(entry, legs))
    if refused or (leg is not None and leg.is_triggered) or _is_below_stop(bid, bracket):
        order = _at_market(quantity)
    elif bid is not None and bid >= bracket.take_profit_price:
        order = _at_profit(quantity, bracket)
    else:
        order = _stop(quantity, bracket)
    return PlaceLeg(_leg(entry, len(legs) + 1, order, now_ns))


def _with_open_leg(entry: Order, legs: Sequence[Order], bid: Decimal | None) -> Action:
    bracket, leg = _bracket_of(entry), legs[-1]
    if leg.status is not OrderStatus.ACCEPTED or not leg.order_type.has_stop:
        return None
    more = _held(entry, legs) > leg.remaining
    if more or (bid is not None and bid >= bracket.take_profit_price):
        return TakeOff(leg)
    return None


def _held(entry: Order, legs: Sequence[Order]) -> Decimal:
    """Return what was bought, less fees and what was sold, in the steps that can be sold."""
    sold = sum((leg.filled for leg in legs), _ZERO)
    held = max(entry.filled - entry.base_fee - sold, _ZERO)
    return quantize_down(held, _bracket_of(entry).instrument.lot_size)


def _is_tradable(quantity: Decimal, bracket: Bracket) -> bool:
    instrument = bracket.instrument
    if quantity <= 0 or quantity < instrument.min_quantity:
        return False
    return quantity * bracket.stop_price >= instrument.min_notional


def _why_nothing_is_held(entry: Order, legs: Sequence[Order]) -> str:
    if not entry.filled:
        return "NOT_BOUGHT"
    return "DUST" if _held(entry, legs) else "CLOSED"


def _refused_in_a_row(legs: Sequence[Order]) -> int:
    refused = 0
    for leg in reversed(legs):
        if leg.status is not OrderStatus.REJECTED:
            break
        # A request that never arrived was not refused: the same order may be placed again.
        event = leg.last_event
        refused += not (isinstance(event, OrderRejected) and event.reason == "NEVER_ARRIVED")
    return refused


def _was_released(leg: Order) -> bool:
    return leg.status is OrderStatus.CANCELED and leg.cancel_requester != REQUESTER


def _is_exit(leg: Order) -> bool:
    return leg.status.is_open and not leg.order_type.has_stop


def _is_below_stop(bid: Decimal | None, bracket: Bracket) -> bool:
    return bid is not None and bid <= bracket.stop_price


class _Terms(msgspec.Struct, frozen=True, kw_only=True):
    quantity: Decimal
    order_type: OrderType
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC


def _stop(quantity: Decimal, bracket: Bracket) -> _Terms:
    limit = bracket.stop_limit_price
    return _Terms(
        quantity=quantity,
        order_type=OrderType.STOP_MARKET if limit is None else OrderType.STOP_LIMIT,
        price=limit,
        stop_price=bracket.stop_price,
    )


def _at_profit(quantity: Decimal, bracket: Bracket) -> _Terms:
    return _Terms(
        quantity=quantity,
        order_type=OrderType.LIMIT,
        price=bracket.take_profit_price,
        time_in_force=TimeInForce.IOC,
    )


def _at_market(quantity: Decimal) -> _Terms:
    return _Terms(quantity=quantity, order_type=OrderType.MARKET)


def _leg(entry: Order, number: int, terms: _Terms, now_ns: int) -> SubmitOrder:
    cause = BRACKET_CAUSE + entry.client_order_id
    return SubmitOrder(
        client_order_id=client_order_id(entry.strategy, entry.symbol, cause, number),
        strategy=entry.strategy,
        symbol=entry.symbol,
        side=OrderSide.SELL,
        order_type=terms.order_type,
        quantity=terms.quantity,
        price=terms.price,
        stop_price=terms.stop_price,
        time_in_force=terms.time_in_force,
        reduce_only=True,
        cause=cause,
        ts_event=now_ns,
        ts_init=now_ns,
    )


def _bracket_of(entry: Order) -> Bracket:
    assert entry.submitted is not None
    assert entry.submitted.bracket is not None
    return entry.submitted.bracket
