"""Binance's public REST requests for spot, Sans-I/O: paths out, bodies in.

Written after github.com/binance/binance-spot-api-docs, rest-api.md and filters.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import ClassVar
from urllib.parse import urlencode

import msgspec

from krator_actors.adapters.binance_instruments import read_instruments
from krator_actors.adapters.binance_values import (
    Id,
    Millis,
    Number,
    venue_symbol,
)
from krator_actors.adapters.market_values import (
    Levels,
    checked_bar,
    read_body,
    read_checked,
    require_levels,
    require_positive,
)
from krator_actors.core.bar_merge import merge_finished
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar, BookSnapshot, TradeTick
from krator_actors.model import (
    NANOS_PER_MILLI,
    Instrument,
    OrderSide,
)
from krator_actors.ports import MalformedFrameError

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
_MAX_TRADES = 1_000
_BOOK_LEVELS = 1_000


class _Depth(msgspec.Struct, rename={"last_update_id": "lastUpdateId", "event_ms": "E"}):
    last_update_id: Id
    bids: Levels
    asks: Levels
    event_ms: Millis | None = None


class HistoricalTrade(
    msgspec.Struct,
    rename={
        "trade_id": "id",
        "size": "qty",
        "time_ms": "time",
        "is_buyer_maker": "isBuyerMaker",
    },
):
    """One trade of ``historicalTrades``."""

    trade_id: Id
    price: Decimal
    size: Decimal
    time_ms: Millis
    is_buyer_maker: bool


class AggregateTrade(
    msgspec.Struct,
    rename={
        "trade_id": "a",
        "price": "p",
        "size": "q",
        "time_ms": "T",
        "is_buyer_maker": "m",
    },
):
    """One trade of ``aggTrades``: all that one taker order has traded at one price."""

    trade_id: Id
    price: Decimal
    size: Decimal
    time_ms: Millis
    is_buyer_maker: bool


class _Kline(msgspec.Struct, array_like=True):
    open_ms: Millis
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_ms: Millis
    quote_volume: Number
    trades: Id


class _ServerTime(msgspec.Struct, rename="camel"):
    server_time: Millis


class BinanceRest:
    """The requests for the configured symbols (``BTC-USDT.BINANCE``) of one venue.

    What is read raises MalformedFrameError when it is not as documented.
    """

    _root: ClassVar[str] = "/api/v3"
    _trades: ClassVar[str] = "historicalTrades"
    _shortest_interval_secs: ClassVar[int] = 1

    def __init__(self, symbols: Sequence[str]) -> None:
        # BTCUSDT to BTC-USDT.BINANCE
        self._symbols = {venue_symbol(symbol): symbol for symbol in symbols}

    def headers(self, api_key: str, secret: str) -> dict[str, str]:  # noqa: ARG002 - nobody asks
        """Return nothing: market data is public."""
        return {}

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path and query of ``exchangeInfo``. Binance refuses all if it does not know one."""
        names = msgspec.json.encode([venue_symbol(symbol) for symbol in symbols]).decode()
        return f"{self._root}/exchangeInfo?" + urlencode({"symbols": names})

    def read_instruments(self, body: bytes) -> tuple[Instrument, ...]:
        """Read ``exchangeInfo``; configured symbols only, in their order."""
        return read_instruments(body, self._symbols)

    def bars_path(self, symbol: str, spec: BarSpec, count: int, now_ns: int) -> str:  # noqa: ARG002 - the last ones
        """Path and query of ``klines``, in the longest interval that divides the period.

        Binance answers at most 1,000, which bounds the bars of a period that is no interval.
        """
        interval_secs = self._interval_secs(spec)
        # Two more, because the newest is not finished and the oldest may be cut off.
        klines = min(_MAX_KLINES, (count + 2) * (spec.period_secs // interval_secs))
        query = {
            "symbol": venue_symbol(symbol),
            "interval": _INTERVALS[interval_secs],
            "limit": klines,
        }
        return f"{self._root}/klines?" + urlencode(query)

    def read_bars(self, body: bytes, symbol: str, spec: BarSpec, count: int) -> tuple[Bar, ...]:
        """Read ``klines``: at most ``count`` finished bars, oldest first."""
        read = BarSpec(self._interval_secs(spec), BarUnit.SECOND)
        bars = read_checked(
            lambda: [_bar(kline, symbol, read) for kline in read_body(body, list[_Kline])]
        )
        if any(later.ts_open <= earlier.ts_open for earlier, later in pairwise(bars)):
            raise MalformedFrameError("BAD_SHAPE", "klines are not in time order")
        return merge_finished(bars, spec, count)

    def trades_path(self, after: TradeTick, count: int) -> str:
        """Path and query of the trades after one, by id."""
        query = {
            "symbol": venue_symbol(after.symbol),
            "fromId": after.trade_id + 1,
            "limit": min(_MAX_TRADES, count),
        }
        return f"{self._root}/{self._trades}?" + urlencode(query)

    def read_trades(self, body: bytes, symbol: str, ts_init: int) -> tuple[TradeTick, ...]:
        """Read its answer, oldest first."""
        trades = self._read_trades(body)
        ticks = read_checked(lambda: [_trade_tick(trade, symbol, ts_init) for trade in trades])
        return tuple(sorted(ticks, key=lambda tick: tick.trade_id))

    def book_path(self, symbol: str) -> str:
        """Path and query of an order book snapshot."""
        query = {"symbol": venue_symbol(symbol), "limit": _BOOK_LEVELS}
        return f"{self._root}/depth?" + urlencode(query)

    def read_book(self, body: bytes, symbol: str, ts_init: int) -> BookSnapshot:
        """Read a snapshot. Spot gives it no event time: there ``ts_event`` is ``ts_init``."""
        depth = read_body(body, _Depth)
        read_checked(lambda: require_levels(depth.bids, depth.asks))
        return BookSnapshot(
            symbol=symbol,
            last_id=depth.last_update_id,
            bids=depth.bids,
            asks=depth.asks,
            ts_event=ts_init if depth.event_ms is None else depth.event_ms * NANOS_PER_MILLI,
            ts_init=ts_init,
        )

    def time_path(self) -> str:
        """Path of the venue's clock."""
        return f"{self._root}/time"

    def read_time(self, body: bytes) -> int:
        """Return the venue's clock in UTC nanoseconds."""
        return read_body(body, _ServerTime).server_time * NANOS_PER_MILLI

    def _read_trades(self, body: bytes) -> Sequence[HistoricalTrade | AggregateTrade]:
        return read_body(body, list[HistoricalTrade])

    def _interval_secs(self, spec: BarSpec) -> int:
        shortest = self._shortest_interval_secs
        known = (secs for secs in _INTERVALS if secs >= shortest and spec.period_secs % secs == 0)
        secs = next(known, 0)
        if not secs:
            raise ValueError(f"the venue has no bars that {spec} could be made of")
        return secs


def _bar(kline: _Kline, symbol: str, spec: BarSpec) -> Bar:
    return checked_bar(
        symbol,
        spec,
        ts_open=kline.open_ms * NANOS_PER_MILLI,
        prices=(kline.open, kline.high, kline.low, kline.close),
        volume=kline.volume,
        trades=kline.trades,
    )


def _trade_tick(trade: HistoricalTrade | AggregateTrade, symbol: str, ts_init: int) -> TradeTick:
    require_positive(trade.price, trade.size)
    return TradeTick(
        symbol=symbol,
        price=trade.price,
        size=trade.size,
        aggressor=OrderSide.SELL if trade.is_buyer_maker else OrderSide.BUY,
        trade_id=trade.trade_id,
        ts_event=trade.time_ms * NANOS_PER_MILLI,
        ts_init=ts_init,
    )
