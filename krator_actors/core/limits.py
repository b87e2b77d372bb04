"""The limits, and the rules that need the account: worst cases, judged when an order comes. Pure.

The worst case of a symbol is that every open order on the same side trades in full.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.core.reservations import Exposure
from krator_actors.core.rules import Denial, DenialReason, Market
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits; their meaning and defaults are in ``[risk]`` of conf/krator.toml."""

    max_position_fraction: Decimal
    max_daily_loss_fraction: Decimal
    max_orders_per_sec: int
    max_order_notional: Decimal
    price_collar_fraction: Decimal
    max_reconciliation_difference: Decimal
    quote_stale_secs: float


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What an order is judged against; quantities of its symbol, money in the quote currency."""

    held: Decimal
    exposure: Exposure
    equity: Decimal | None
    """None: not known, so nothing passes"""
    free_cash: Decimal
    """cash that no open buy may need"""


def check_reducing(order: SubmitOrder, account: Account, reason: DenialReason) -> Denial | None:
    """The position gets smaller even if every open order on the same side trades before."""
    if order.side is OrderSide.SELL:
        room = account.held - account.exposure.sell_quantity
    else:
        room = -account.held - account.exposure.buy_quantity
    if order.quantity <= room:
        return None
    return Denial(reason, f"quantity {order.quantity} exceeds the {room} that would reduce")


def check_notional(
    order: SubmitOrder, market: Market, max_order_notional: Decimal
) -> Denial | None:
    """The order's value is within the venue's minimum and our maximum."""
    assert market.instrument is not None
    notional = order.quantity * market.reference_price(order)
    lowest = market.instrument.min_notional
    if notional < lowest:
        return Denial(DenialReason.MIN_NOTIONAL, f"notional {notional} below {lowest}")
    if notional > max_order_notional:
        return Denial(
            DenialReason.MAX_ORDER_NOTIONAL, f"notional {notional} exceeds max {max_order_notional}"
        )
    return None


def check_account(
    order: SubmitOrder, market: Market, account: Account, max_position_fraction: Decimal
) -> Denial | None:
    """There is enough to sell; or to buy with, and room for it.

    A sell reduces, so the position limit does not apply to it.
    """
    if account.equity is None:
        return Denial(DenialReason.EQUITY_UNKNOWN, "balances or prices are not known yet")
    if order.side is OrderSide.SELL:
        free = account.held - account.exposure.sell_quantity
        if order.quantity > free:
            return Denial(
                DenialReason.INSUFFICIENT_POSITION, f"quantity {order.quantity} exceeds {free} held"
            )
        return None
    notional = order.quantity * market.reference_price(order)
    worst = account.held * market.mid + account.exposure.buy_notional + notional
    limit = max_position_fraction * account.equity
    if worst > limit:
        return Denial(DenialReason.MAX_POSITION, f"worst case {worst} exceeds max {limit}")
    if notional > account.free_cash:
        return Denial(
            DenialReason.INSUFFICIENT_CASH, f"notional {notional} exceeds {account.free_cash} free"
        )
    return None
