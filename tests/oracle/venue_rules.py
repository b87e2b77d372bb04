"""The venue's own rules, question 35b of docs/RISK.md."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import Instrument, OrderSide, TimeInForce
from tests.oracle.oracle import Oracle

BUY = OrderSide.BUY


def is_refused_by_venue(oracle: Oracle, order: SubmitOrder, ours: list[Any]) -> bool:
    """Return whether the instrument says no; ``ours`` are our open orders of the symbol."""
    rules = oracle.instruments[order.symbol]
    mid = oracle.markets[order.symbol].mid
    stops = sum(o.order_type.has_stop for o in ours)
    position = oracle.held_of(order.symbol) + oracle.open_quantity(order.symbol, BUY)
    return (
        is_of_wrong_terms(order, rules)
        or any(
            is_price_refused(price, order.side, rules, mid)
            for price in (order.price, order.stop_price)
            if price is not None
        )
        or (not order.order_type.has_price and is_refused_at_market(order.quantity, rules))
        or is_notional_refused(order, rules, mid)
        or (rules.max_open_orders is not None and len(ours) >= rules.max_open_orders)
        or (
            rules.max_stop_orders is not None
            and order.order_type.has_stop
            and stops >= rules.max_stop_orders
        )
        or (
            rules.max_position is not None
            and order.side is BUY
            and position + order.quantity > rules.max_position
        )
    )


def is_of_wrong_terms(order: SubmitOrder, rules: Instrument) -> bool:
    kind, time_in_force = order.order_type, order.time_in_force
    can_rest = time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)
    return (
        (rules.order_types is not None and kind not in rules.order_types)
        or kind.has_price != (order.price is not None)
        or kind.has_stop != (order.stop_price is not None)
        or (time_in_force is TimeInForce.GTD) != (order.expires_ns is not None)
        or (order.post_only and not (kind.name == "LIMIT" and can_rest))
        or (order.bracket is not None and order.side is not BUY)
    )


def is_price_refused(price: Decimal, side: OrderSide, rules: Instrument, mid: Any) -> bool:
    if rules.min_price is not None and price < rules.min_price:
        return True
    if rules.max_price is not None and price > rules.max_price:
        return True
    band = rules.price_band
    if band is None or mid is None:
        return False
    down, up = (band.buy_down, band.buy_up) if side is BUY else (band.sell_down, band.sell_up)
    return bool(price < mid * down or price > mid * up)


def is_refused_at_market(quantity: Decimal, rules: Instrument) -> bool:
    most, lot = rules.market_max_quantity, rules.market_lot_size
    return (
        quantity < rules.market_min_quantity
        or (most is not None and quantity > most)
        or (lot != 0 and quantity % lot != 0)
    )


def is_notional_refused(order: SubmitOrder, rules: Instrument, mid: Decimal | None) -> bool:
    price = order.price or order.stop_price or mid
    if price is None:
        return False
    notional, is_at_market = order.quantity * price, not order.order_type.has_price
    if (rules.is_min_notional_for_market or not is_at_market) and notional < rules.min_notional:
        return True
    if rules.max_notional is None or (is_at_market and not rules.is_max_notional_for_market):
        return False
    return notional > rules.max_notional
