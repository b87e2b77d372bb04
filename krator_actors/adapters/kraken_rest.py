"""Kraken's public REST requests, Sans-I/O: paths out, bodies in.

Written after docs.kraken.com/api, "Spot REST: Market Data". A refusal comes with status 200.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlencode

import msgspec

from krator_actors.adapters.kraken_market import pair_of
from krator_actors.adapters.market_values import (
    Id,
    base_and_quote,
    checked_bar,
    read_body,
    read_checked,
    require_levels,
    require_positive,
    seconds_ns,
)
from krator_actors.core.bar_merge import merge_finished
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar, BookSnapshot, TradeTick
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide
from krator_actors.ports import MalformedFrameError

_ROOT: Final = "/0/public"
_INTERVALS_SECS: Final = (86_400, 14_400, 3_600, 1_800, 900, 300, 60)
_MAX_TRADES: Final = 1_000
_BOOK_LEVELS: Final = 100
_MAX_QUANTITY: Final = Decimal(10) ** 12
"""Kraken states none"""

_T = TypeVar("_T")
_Decimals = Annotated[int, msgspec.Meta(ge=0, le=18)]


class _Answer(msgspec.Struct):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


class _Pair(msgspec.Struct):
    wsname: str
    pair_decimals: _Decimals
    lot_decimals: _Decimals
    ordermin: Decimal
    costmin: Decimal = Decimal(0)


class _Candle(msgspec.Struct, array_like=True):
    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    vwap: Decimal
    volume: Decimal
    trades: Id


class _Trade(msgspec.Struct, array_like=True):
    price: Decimal
    size: Decimal
    time: Decimal
    side: Literal["b", "s"]
    kind: str
    extra: str
    trade_id: Id


class _Time(msgspec.Struct):
    unixtime: Annotated[int, msgspec.Meta(ge=1, le=4_102_444_800)]


class _TimeAnswer(msgspec.Struct):
    result: _Time


class _Book(msgspec.Struct):
    bids: list[tuple[Decimal, Decimal, int]]
    asks: list[tuple[Decimal, Decimal, int]]


class KrakenRest:
    """The requests for the configured symbols (``BTC-USD.KRAKEN``)."""

    def __init__(self, symbols: Sequence[str]) -> None:
        # BTC/USD to BTC-USD.KRAKEN
        self._symbols = {pair_of(symbol): symbol for symbol in symbols}

    def headers(self, api_key: str, secret: str) -> dict[str, str]:  # noqa: ARG002 - nobody asks
        """Return nothing: market data is public."""
        return {}

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path and query of the pairs."""
        pairs = ",".join(pair_of(symbol) for symbol in symbols)
        return f"{_ROOT}/AssetPairs?" + urlencode({"pair": pairs})

    def read_instruments(self, body: bytes) -> tuple[Instrument, ...]:
        """Read them; configured symbols only, in their order."""
        pairs = [_read(raw, _Pair) for raw in _result(body).values()]
        by_name = {_modern(pair.wsname): pair for pair in pairs}
        return read_checked(
            lambda: tuple(
                _instrument(by_name[theirs], theirs, ours)
                for theirs, ours in self._symbols.items()
                if theirs in by_name
            )
        )

    def bars_path(self, symbol: str, spec: BarSpec, count: int, now_ns: int) -> str:
        """Path and query of OHLC; Kraken keeps the last 720 of each interval."""
        secs = _interval_secs(spec)
        candles = (count + 2) * (spec.period_secs // secs)
        query = {
            "pair": pair_of(symbol),
            "interval": secs // 60,
            "since": now_ns // NANOS_PER_SEC - candles * secs,
        }
        return f"{_ROOT}/OHLC?" + urlencode(query)

    def read_bars(self, body: bytes, symbol: str, spec: BarSpec, count: int) -> tuple[Bar, ...]:
        """Read OHLC: at most ``count`` finished bars, oldest first."""
        read = BarSpec(_interval_secs(spec), BarUnit.SECOND)
        candles = {candle.start: candle for candle in _read(_only(body), list[_Candle])}
        ordered = sorted(candles.values(), key=lambda candle: candle.start)
        bars = read_checked(lambda: [_bar(candle, symbol, read) for candle in ordered])
        return merge_finished(bars, spec, count)

    def trades_path(self, after: TradeTick, count: int) -> str:
        """Path and query of the trades since the time of one."""
        query = {
            "pair": pair_of(after.symbol),
            "since": after.ts_event,
            "count": min(_MAX_TRADES, count),
        }
        return f"{_ROOT}/Trades?" + urlencode(query)

    def read_trades(self, body: bytes, symbol: str, ts_init: int) -> tuple[TradeTick, ...]:
        """Read its answer, oldest first."""
        trades = sorted(_read(_only(body), list[_Trade]), key=lambda trade: trade.trade_id)
        return read_checked(lambda: tuple(_trade(trade, symbol, ts_init) for trade in trades))

    def book_path(self, symbol: str) -> str:
        """Path and query of an order book; the stream sends one itself."""
        return f"{_ROOT}/Depth?" + urlencode({"pair": pair_of(symbol), "count": _BOOK_LEVELS})

    def read_book(self, body: bytes, symbol: str, ts_init: int) -> BookSnapshot:
        """Read it. It has neither a time nor a checksum: ``ts_event`` is ``ts_init``."""
        book = _read(_only(body), _Book)
        bids = tuple((price, size) for price, size, _ in book.bids)
        asks = tuple((price, size) for price, size, _ in book.asks)
        read_checked(lambda: require_levels(bids, asks))
        return BookSnapshot(
            symbol=symbol,
            last_id=0,
            bids=bids,
            asks=asks,
            depth=_BOOK_LEVELS,
            ts_event=ts_init,
            ts_init=ts_init,
        )

    def time_path(self) -> str:
        """Path of the venue's clock."""
        return f"{_ROOT}/Time"

    def read_time(self, body: bytes) -> int:
        """Read it: whole seconds, so on average the true time is half a second later."""
        unix_secs = read_body(body, _TimeAnswer).result.unixtime
        return unix_secs * NANOS_PER_SEC + NANOS_PER_SEC // 2


def _result(body: bytes) -> dict[str, msgspec.Raw]:
    answer = read_body(body, _Answer)
    if answer.error:
        raise MalformedFrameError("VENUE_ERROR", ", ".join(answer.error)[:200])
    return answer.result


def _only(body: bytes) -> msgspec.Raw:
    # The pair's key is one of several names of it; "last" says where the next request begins.
    answers = [raw for key, raw in _result(body).items() if key != "last"]
    if len(answers) != 1:
        raise MalformedFrameError("BAD_SHAPE", f"{len(answers)} pairs in the answer for one")
    return answers[0]


def _read(raw: msgspec.Raw, kind: type[_T]) -> _T:
    return read_body(bytes(raw), kind)


def _modern(name: str) -> str:
    """Return WebSocket v2's name: REST keeps XBT and XDG."""
    base, _, quote = name.partition("/")
    names = {"XBT": "BTC", "XDG": "DOGE"}
    return f"{names.get(base, base)}/{names.get(quote, quote)}"


def _interval_secs(spec: BarSpec) -> int:
    secs = next((secs for secs in _INTERVALS_SECS if spec.period_secs % secs == 0), 0)
    if not secs or not spec.period_secs:
        raise ValueError(f"Kraken has no bars that {spec} could be made of")
    return secs


def _instrument(pair: _Pair, theirs: str, symbol: str) -> Instrument:
    require_positive(pair.ordermin)
    base, quote = base_and_quote(symbol)
    return Instrument(
        symbol=symbol,
        venue_symbol=theirs,
        base=base,
        quote=quote,
        tick_size=Decimal(1).scaleb(-pair.pair_decimals),
        lot_size=Decimal(1).scaleb(-pair.lot_decimals),
        min_quantity=pair.ordermin,
        max_quantity=_MAX_QUANTITY,
        min_notional=pair.costmin,
    )


def _bar(candle: _Candle, symbol: str, spec: BarSpec) -> Bar:
    return checked_bar(
        symbol,
        spec,
        ts_open=seconds_ns(candle.start),
        prices=(candle.open, candle.high, candle.low, candle.close),
        volume=candle.volume,
        trades=candle.trades,
    )


def _trade(trade: _Trade, symbol: str, ts_init: int) -> TradeTick:
    require_positive(trade.price, trade.size, trade.time)
    seconds_ns(int(trade.time))
    return TradeTick(
        symbol=symbol,
        price=trade.price,
        size=trade.size,
        aggressor=OrderSide.BUY if trade.side == "b" else OrderSide.SELL,
        trade_id=trade.trade_id,
        ts_event=int(trade.time * NANOS_PER_SEC),
        ts_init=ts_init,
    )
