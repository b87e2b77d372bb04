"""Coinbase Advanced Trade's public REST requests, Sans-I/O: paths out, bodies in.

Written after docs.cdp.coinbase.com, "Advanced Trade API: Public Market Data".
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import msgspec

from krator_actors.adapters.coinbase_market import product_of
from krator_actors.adapters.market_values import (
    Text,
    base_and_quote,
    checked_bar,
    read_body,
    read_checked,
    require_levels,
    require_positive,
    seconds_ns,
    utc_ns,
)
from krator_actors.core.bar_merge import merge_finished
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar, BookSnapshot, TradeTick
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide

_ROOT: Final = "/api/v3/brokerage/market"
_GRANULARITIES: Final = {
    86_400: "ONE_DAY",
    21_600: "SIX_HOUR",
    7_200: "TWO_HOUR",
    3_600: "ONE_HOUR",
    1_800: "THIRTY_MINUTE",
    900: "FIFTEEN_MINUTE",
    300: "FIVE_MINUTE",
    60: "ONE_MINUTE",
}
_MAX_CANDLES: Final = 350
_MAX_TRADES: Final = 1_000

_Digits = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")]


class _Product(msgspec.Struct):
    product_id: str
    base_increment: Decimal
    price_increment: Decimal
    base_min_size: Decimal
    base_max_size: Decimal
    quote_min_size: Decimal


class _Products(msgspec.Struct):
    products: list[_Product]


class _Candle(msgspec.Struct):
    start: _Digits
    low: Decimal
    high: Decimal
    open: Decimal
    close: Decimal
    volume: Decimal


class _Candles(msgspec.Struct):
    candles: list[_Candle]


class _Trade(msgspec.Struct):
    trade_id: _Digits
    price: Decimal
    size: Decimal
    time: Text
    side: Literal["BUY", "SELL"]


class _Trades(msgspec.Struct):
    trades: list[_Trade]


class _Level(msgspec.Struct):
    price: Decimal
    size: Decimal


class _Time(msgspec.Struct):
    iso: Text


class _Book(msgspec.Struct):
    bids: list[_Level]
    asks: list[_Level]
    time: Text


class _BookAnswer(msgspec.Struct):
    pricebook: _Book


class CoinbaseRest:
    """The requests for the configured symbols (``BTC-USD.COINBASE``)."""

    def __init__(self, symbols: Sequence[str]) -> None:
        # BTC-USD to BTC-USD.COINBASE
        self._symbols = {product_of(symbol): symbol for symbol in symbols}

    def headers(self, api_key: str, secret: str) -> dict[str, str]:  # noqa: ARG002 - nobody asks
        """Return nothing: market data is public."""
        return {}

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path and query of the products."""
        products = [("product_ids", product_of(symbol)) for symbol in symbols]
        return f"{_ROOT}/products?" + urlencode(products)

    def read_instruments(self, body: bytes) -> tuple[Instrument, ...]:
        """Read them; configured symbols only, in their order."""
        products = {p.product_id: p for p in read_body(body, _Products).products}
        return read_checked(
            lambda: tuple(
                _instrument(products[theirs], ours)
                for theirs, ours in self._symbols.items()
                if theirs in products
            )
        )

    def bars_path(self, symbol: str, spec: BarSpec, count: int, now_ns: int) -> str:
        """Path and query of candles, in the longest granularity that divides the period."""
        secs = _candle_secs(spec)
        candles = min(_MAX_CANDLES, (count + 2) * (spec.period_secs // secs))
        end = now_ns // NANOS_PER_SEC
        query = {
            "start": end - candles * secs,
            "end": end,
            "granularity": _GRANULARITIES[secs],
            "limit": candles,
        }
        return f"{_ROOT}/products/{product_of(symbol)}/candles?" + urlencode(query)

    def read_bars(self, body: bytes, symbol: str, spec: BarSpec, count: int) -> tuple[Bar, ...]:
        """Read candles, which come newest first: at most ``count`` finished bars."""
        read = BarSpec(_candle_secs(spec), BarUnit.SECOND)
        candles = {candle.start: candle for candle in read_body(body, _Candles).candles}
        ordered = sorted(candles.values(), key=lambda candle: int(candle.start))
        bars = read_checked(lambda: [_bar(candle, symbol, read) for candle in ordered])
        return merge_finished(bars, spec, count)

    def trades_path(self, after: TradeTick, count: int) -> str:
        """Path and query of the trades since the second of one."""
        query = {
            "limit": min(_MAX_TRADES, count),
            "start": after.ts_event // NANOS_PER_SEC,
        }
        return f"{_ROOT}/products/{product_of(after.symbol)}/ticker?" + urlencode(query)

    def read_trades(self, body: bytes, symbol: str, ts_init: int) -> tuple[TradeTick, ...]:
        """Read its answer, which comes newest first."""
        trades = sorted(read_body(body, _Trades).trades, key=lambda trade: int(trade.trade_id))
        return read_checked(lambda: tuple(_trade(trade, symbol, ts_init) for trade in trades))

    def book_path(self, symbol: str) -> str:
        """Path and query of an order book; the stream sends one itself."""
        return f"{_ROOT}/product_book?" + urlencode({"product_id": product_of(symbol)})

    def read_book(self, body: bytes, symbol: str, ts_init: int) -> BookSnapshot:
        """Read it. It has no number that would place it among the stream's frames."""
        book = read_body(body, _BookAnswer).pricebook
        bids = tuple((level.price, level.size) for level in book.bids)
        asks = tuple((level.price, level.size) for level in book.asks)
        read_checked(lambda: require_levels(bids, asks))
        return BookSnapshot(
            symbol=symbol,
            last_id=0,
            bids=bids,
            asks=asks,
            ts_event=utc_ns(book.time),
            ts_init=ts_init,
        )

    def time_path(self) -> str:
        """Path of the venue's clock."""
        return "/api/v3/brokerage/time"

    def read_time(self, body: bytes) -> int:
        """Read it."""
        return utc_ns(read_body(body, _Time).iso)


def _candle_secs(spec: BarSpec) -> int:
    secs = next((secs for secs in _GRANULARITIES if spec.period_secs % secs == 0), 0)
    if not secs or not spec.period_secs:
        raise ValueError(f"Coinbase has no bars that {spec} could be made of")
    return secs


def _instrument(product: _Product, symbol: str) -> Instrument:
    require_positive(
        product.price_increment,
        product.base_increment,
        product.base_min_size,
        product.base_max_size,
        product.quote_min_size,
    )
    base, quote = base_and_quote(symbol)
    return Instrument(
        symbol=symbol,
        venue_symbol=product.product_id,
        base=base,
        quote=quote,
        tick_size=product.price_increment,
        lot_size=product.base_increment,
        min_quantity=product.base_min_size,
        max_quantity=product.base_max_size,
        min_notional=product.quote_min_size,
    )


def _bar(candle: _Candle, symbol: str, spec: BarSpec) -> Bar:
    return checked_bar(
        symbol,
        spec,
        ts_open=seconds_ns(int(candle.start)),
        prices=(candle.open, candle.high, candle.low, candle.close),
        volume=candle.volume,
        trades=None,
    )


def _trade(trade: _Trade, symbol: str, ts_init: int) -> TradeTick:
    require_positive(trade.price, trade.size)
    return TradeTick(
        symbol=symbol,
        price=trade.price,
        size=trade.size,
        # The side is the maker's, as in the stream.
        aggressor=OrderSide.SELL if trade.side == "BUY" else OrderSide.BUY,
        trade_id=int(trade.trade_id),
        ts_event=utc_ns(trade.time),
        ts_init=ts_init,
    )
