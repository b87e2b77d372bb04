"""The venue's own rules for an order, so that it is not sent what it would refuse. Pure.

Written after github.com/binance/binance-spot-api-docs, filters.md; the steps and bounds of every
venue (tick, lot, quantity) are in ``core.rules``, and were asked before.
"""

from __future__ import annotations

from decimal import Decimal

from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import SELL, Instrument, TimeInForce

_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_GTD = TimeInForce.GTD


def broken_rule(
    order: SubmitOrder,
    instrument: Instrument,
    *,
    average_price: Decimal,
    open_orders: int,
    stop_orders: int,
    position: Decimal,
) -> str | None:
    """Return which of the venue's rules ``order`` breaks, as a fact, or None.

    ``average_price`` is what the venue's bands are about (a mid will do); ``open_orders`` and
    ``stop_orders`` are those of the symbol; ``position`` is the base asset held, with what open
    buy orders may add.
    """
    broken = _terms(order, instrument)
    if broken is None and order.price is not None:
        broken = _price(order.price, order, instrument, average_price)
    if broken is None and order.stop_price is not None:
        broken = _price(order.stop_price, order, instrument, average_price)
    if broken is None and not order.order_type.has_price:
        broken = _market_quantity(order.quantity, instrument)
    return (
        broken
        or _notional(order, instrument, average_price)
        or _with_others(order, instrument, open_orders, stop_orders, position)
    )


def _terms(order: SubmitOrder, instrument: Instrument) -> str | None:
    kind = order.order_type
    if instrument.order_types is not None and kind not in instrument.order_types:
        return f"{kind.value} orders are not taken for {instrument.symbol}"
    if kind.has_price != (order.price is not None):
        return f"{kind.value} order with price {order.price}"
    if kind.has_stop != (order.stop_price is not None):
        return f"{kind.value} order with stop price {order.stop_price}"
    if (order.time_in_force is _GTD) != (order.expires_ns is not None):
        return f"{order.time_in_force.value} order that expires at {order.expires_ns}"
    if order.post_only and (kind.has_stop or not kind.has_price or order.time_in_force in _AT_ONCE):
        return f"a post-only {kind.value} order, {order.time_in_force.value}, can never rest"
    if order.bracket is not None and order.side is SELL:
        return "a bracket protects what is bought"
    return None


def _price(
    price: Decimal, order: SubmitOrder, instrument: Instrument, average_price: Decimal
) -> str | None:
    if instrument.min_price is not None and price < instrument.min_price:
        return f"price {price} below {instrument.min_price}"
    if instrument.max_price is not None and price > instrument.max_price:
        return f"price {price} exceeds {instrument.max_price}"
    band = instrument.price_band
    if band is None or not average_price:
        return None
    if order.side is SELL:
        low, high = average_price * band.sell_down, average_price * band.sell_up
    else:
        low, high = average_price * band.buy_down, average_price * band.buy_up
    if low <= price <= high:
        return None
    return f"price {price} outside the venue's band {low} to {high}"


def _market_quantity(quantity: Decimal, instrument: Instrument) -> str | None:
    most = instrument.market_max_quantity
    if quantity < instrument.market_min_quantity:
        return f"quantity {quantity} at market below {instrument.market_min_quantity}"
    if most is not None and quantity > most:
        return f"quantity {quantity} at market exceeds {most}"
    if instrument.market_lot_size and quantity % instrument.market_lot_size:
        return f"quantity {quantity} at market not in steps of {instrument.market_lot_size}"
    return None


def _notional(order: SubmitOrder, instrument: Instrument, average_price: Decimal) -> str | None:
    at_market = not order.order_type.has_price
    price = order.price or order.stop_price or average_price
    if not price:
        return None  # at market before the first quote: nobody knows what it is worth
    notional = order.quantity * price
    most = instrument.max_notional
    if notional < instrument.min_notional and (
        instrument.is_min_notional_for_market or not at_market
    ):
        return f"notional {notional} below {instrument.min_notional}"
    if (
        most is not None
        and notional > most
        and (instrument.is_max_notional_for_market or not at_market)
    ):
        return f"notional {notional} exceeds {most}"
    return None


def _with_others(
    order: SubmitOrder,
    instrument: Instrument,
    open_orders: int,
    stop_orders: int,
    position: Decimal,
) -> str | None:
    most, most_stops = instrument.max_open_orders, instrument.max_stop_orders
    if most is not None and open_orders >= most:
        return f"{open_orders} open orders, of which the venue takes {most}"
    if order.order_type.has_stop and most_stops is not None and stop_orders >= most_stops:
        return f"{stop_orders} open stop orders, of which the venue takes {most_stops}"
    if instrument.max_position is not None and order.side is not SELL:
        worst = position + order.quantity
        if worst > instrument.max_position:
            return f"position {worst} exceeds {instrument.max_position}"
    return None
