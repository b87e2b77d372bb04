"""Binance's public REST requests for spot, Sans-I/O: paths out, bodies in.

Written after github.com/binance/binance-spot-api-docs, rest-api.md and filters.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from urllib.parse import urlencode

import msgspec

from krator_actors.adapters.binance_values import (
    Id,
    Millis,
    Number,
    levels,
    not_negative,
    positive,
    read_body,
    venue_symbol,
)
from krator_actors.core.bar_merge import merge_finished
from krator_actors.messages.market import Bar
from krator_actors.model import (
    NANOS_PER_MILLI,
    NANOS_PER_SEC,
    Instrument,
    OrderType,
    PriceBand,
)
from krator_actors.ports import BookUpdate, MalformedFrameError

_INTERVALS = {
    86_400: "1d",
    43_200: "12h",
    28_800: "8h",
    21_600: "6h",
    14_400: "4h",
    7_200: "2h",
    3_600: "1h",
    1_800: "30m",
    900: "15m",
    300: "5m",
    180: "3m",
    60: "1m",
    1: "1s",
}
_MAX_KLINES = 1_000


class _Depth(msgspec.Struct):
    lastUpdateId: Id  # noqa: N815 - Binance's name
    bids: list[tuple[Number, Number]]
    asks: list[tuple[Number, Number]]


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: Number = "0"
    step_size: Number = "0"
    min_qty: Number = "0"
    max_qty: Number = "0"
    min_notional: Number = "0"
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


class _Kline(msgspec.Struct, array_like=True):
    open_ms: Millis
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    close_ms: Millis
    quote_volume: Number
    trades: Id


class _ServerTime(msgspec.Struct, rename="camel"):
    server_time: Millis


class BinanceRest:
    """The requests for the configured symbols (``BTC-USDT.BINANCE``) of one venue.

    What is read raises MalformedFrameError when it is not as documented.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        # BTCUSDT to BTC-USDT.BINANCE
        self._symbols = {venue_symbol(symbol): symbol for symbol in symbols}

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path and query of ``exchangeInfo``. Binance refuses all if it does not know one."""
        names = msgspec.json.encode([venue_symbol(symbol) for symbol in symbols]).decode()
        return "/api/v3/exchangeInfo?" + urlencode({"symbols": names})

    def read_instruments(self, body: bytes) -> tuple[Instrument, ...]:
        """Read ``exchangeInfo``; configured symbols only, in their order."""
        listings = {listing.symbol: listing for listing in read_body(body, _ExchangeInfo).symbols}
        return tuple(
            _instrument(listings[theirs], ours)
            for theirs, ours in self._symbols.items()
            if theirs in listings
        )

    def bars_path(self, symbol: str, period_secs: int, count: int) -> str:
        """Path and query of ``klines``, in the longest interval that divides the period.

        Binance answers at most 1,000, which bounds the bars of a period that is no interval.
        """
        interval_secs = _interval_secs(period_secs)
        # Two more, because the newest is not finished and the oldest may be cut off.
        klines = min(_MAX_KLINES, (count + 2) * (period_secs // interval_secs))
        query = {
            "symbol": venue_symbol(symbol),
            "interval": _INTERVALS[interval_secs],
            "limit": klines,
        }
        return "/api/v3/klines?" + urlencode(query)

    def read_bars(self, body: bytes, symbol: str, period_secs: int, count: int) -> tuple[Bar, ...]:
        """Read ``klines``: at most ``count`` finished bars, oldest first."""
        interval_secs = _interval_secs(period_secs)
        bars = [_bar(kline, symbol, interval_secs) for kline in read_body(body, list[_Kline])]
        if any(later.ts_open <= earlier.ts_open for earlier, later in pairwise(bars)):
            raise MalformedFrameError("BAD_SHAPE", "klines are not in time order")
        return merge_finished(bars, period_secs, count)

    def depth_path(self, symbol: str, limit: int = 1_000) -> str:
        """Path and query of an order book snapshot."""
        return "/api/v3/depth?" + urlencode({"symbol": venue_symbol(symbol), "limit": limit})

    def read_depth(self, body: bytes, symbol: str, ts_init: int) -> BookUpdate:
        """Read a snapshot. Binance gives it no event time, so ``ts_event`` is ``ts_init``."""
        depth = read_body(body, _Depth)
        return BookUpdate(
            symbol=symbol,
            first_id=0,
            last_id=depth.lastUpdateId,
            bids=levels(depth.bids),
            asks=levels(depth.asks),
            ts_event=ts_init,
            ts_init=ts_init,
        )

    def time_path(self) -> str:
        """Path of the venue's clock."""
        return "/api/v3/time"

    def read_time(self, body: bytes) -> int:
        """Return the venue's clock in UTC nanoseconds."""
        return read_body(body, _ServerTime).server_time * NANOS_PER_MILLI


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
        min_notional=not_negative(notional.min_notional),
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


_NO_FILTER = _Filter(filter_type="")
_ORDER_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
}


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


def _bar(kline: _Kline, symbol: str, period_secs: int) -> Bar:
    bar = Bar(
        symbol=symbol,
        period_secs=period_secs,
        ts_open=kline.open_ms * NANOS_PER_MILLI,
        ts_close=kline.open_ms * NANOS_PER_MILLI + period_secs * NANOS_PER_SEC,
        open=positive(kline.open),
        high=positive(kline.high),
        low=positive(kline.low),
        close=positive(kline.close),
        volume=not_negative(kline.volume),
        trades=kline.trades,
    )
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise MalformedFrameError("BAD_NUMBER", f"{symbol}: open or close is outside low and high")
    return bar


def _interval_secs(period_secs: int) -> int:
    return next(secs for secs in _INTERVALS if period_secs % secs == 0)
