"""Binance's exchangeInfo: what may be traded, and every filter that an order must pass.

Written after github.com/binance/binance-spot-api-docs, filters.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from krator_actors.adapters.binance_values import Number, not_negative, positive
from krator_actors.adapters.market_values import read_body
from krator_actors.model import Instrument, OrderType, PriceBand
from krator_actors.ports import MalformedFrameError


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: Number = "0"
    step_size: Number = "0"
    min_qty: Number = "0"
    max_qty: Number = "0"
    min_notional: Number = "0"
    notional: Number = "0"
    """what USD-M calls it"""
    max_notional: Number | None = None
    apply_to_market: bool = True
    apply_min_to_market: bool | None = None
    apply_max_to_market: bool = False
    min_price: Number = "0"
    max_price: Number = "0"
    multiplier_up: Number | None = None
    multiplier_down: Number | None = None
    bid_multiplier_up: Number | None = None
    bid_multiplier_down: Number | None = None
    ask_multiplier_up: Number | None = None
    ask_multiplier_down: Number | None = None
    max_num_orders: int | None = None
    max_num_algo_orders: int | None = None
    max_position: Number | None = None


class _Listing(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter]
    order_types: tuple[str, ...] | None = None


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Listing]


_NO_FILTER = _Filter(filter_type="")
_ORDER_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
}


def read_instruments(body: bytes, symbols: Mapping[str, str]) -> tuple[Instrument, ...]:
    """Return the instruments of ``symbols``, the venue's names to ours, in their order.

    Raises MalformedFrameError when it is not as documented.
    """
    listings = {listing.symbol: listing for listing in read_body(body, _ExchangeInfo).symbols}
    return tuple(
        _instrument(listings[theirs], ours)
        for theirs, ours in symbols.items()
        if theirs in listings
    )


def _instrument(listing: _Listing, ours: str) -> Instrument:
    filters = {item.filter_type: item for item in listing.filters}
    price, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    # NOTIONAL replaced MIN_NOTIONAL in 2023; a symbol has one of them.
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    if price is None or lot is None or notional is None:
        raise MalformedFrameError("BAD_SHAPE", f"{ours}: a filter is missing")
    market_lot = filters.get("MARKET_LOT_SIZE", _NO_FILTER)
    min_for_market = notional.apply_min_to_market
    return Instrument(
        symbol=ours,
        venue_symbol=listing.symbol,
        base=listing.base_asset,
        quote=listing.quote_asset,
        tick_size=positive(price.tick_size),
        lot_size=positive(lot.step_size),
        min_quantity=positive(lot.min_qty),
        max_quantity=positive(lot.max_qty),
        min_notional=max(not_negative(notional.min_notional), not_negative(notional.notional)),
        max_notional=_optional(notional.max_notional),
        is_min_notional_for_market=(
            notional.apply_to_market if min_for_market is None else min_for_market
        ),
        is_max_notional_for_market=notional.apply_max_to_market,
        min_price=_unless_zero(price.min_price),
        max_price=_unless_zero(price.max_price),
        price_band=_price_band(filters),
        market_lot_size=not_negative(market_lot.step_size),
        market_min_quantity=not_negative(market_lot.min_qty),
        market_max_quantity=_unless_zero(market_lot.max_qty),
        max_open_orders=filters.get("MAX_NUM_ORDERS", _NO_FILTER).max_num_orders,
        max_stop_orders=filters.get("MAX_NUM_ALGO_ORDERS", _NO_FILTER).max_num_algo_orders,
        max_position=_optional(filters.get("MAX_POSITION", _NO_FILTER).max_position),
        order_types=_order_types(listing.order_types),
    )


def _order_types(names: tuple[str, ...] | None) -> frozenset[OrderType] | None:
    if names is None:
        return None
    return frozenset(_ORDER_TYPES[name] for name in names if name in _ORDER_TYPES)


def _price_band(filters: Mapping[str, _Filter]) -> PriceBand | None:
    one = filters.get("PERCENT_PRICE_BY_SIDE") or filters.get("PERCENT_PRICE") or _NO_FILTER
    factors = [
        one.bid_multiplier_down or one.multiplier_down,
        one.bid_multiplier_up or one.multiplier_up,
        one.ask_multiplier_down or one.multiplier_down,
        one.ask_multiplier_up or one.multiplier_up,
    ]
    known = [not_negative(factor) for factor in factors if factor is not None]
    if len(known) < len(factors):
        return None
    return PriceBand(buy_down=known[0], buy_up=known[1], sell_down=known[2], sell_up=known[3])


def _optional(number: str | None) -> Decimal | None:
    return None if number is None else not_negative(number)


def _unless_zero(number: str) -> Decimal | None:
    return not_negative(number) or None
