"""Kraken's market streams (WebSocket v2), Sans-I/O: frames in, events out.

Written after docs.kraken.com/api, "Spot WebSocket v2". Numbers on the wire are JSON numbers with
the digits of the pair's precision, which the checksum of a book needs: they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal

import msgspec

from krator_actors.adapters.market_values import (
    UNREADABLE,
    Id,
    Levels,
    NewestBars,
    StreamRequests,
    Text,
    checked_bar,
    checked_quote,
    close_advice,
    read_each,
    require_levels,
    require_positive,
    unknown,
    utc_ns,
)
from krator_actors.core.books import BookRule
from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import Bar, BookDelta, BookSnapshot, QuoteTick, TradeTick
from krator_actors.model import OrderSide
from krator_actors.ports import (
    Channel,
    CloseAdvice,
    Heartbeat,
    MalformedFrameError,
    MarketEvent,
    RateLimited,
    Stream,
    StreamsRefused,
    TradeIds,
    TradingStatus,
)

_BAR_SPEC: Final = BarSpec.parse("1-MINUTE-LAST")
_DEPTH: Final = 100
_PARAMS: Final[dict[Channel, dict[str, Any]]] = {
    Channel.TRADES: {"channel": "trade", "snapshot": False},
    Channel.QUOTES: {"channel": "ticker", "event_trigger": "bbo"},
    Channel.BOOK: {"channel": "book", "depth": _DEPTH},
    Channel.BARS: {"channel": "ohlc", "interval": 1, "snapshot": False},
}
_CHANNELS: Final = {params["channel"]: channel for channel, params in _PARAMS.items()}


class _Result(msgspec.Struct):
    channel: str = ""
    symbol: str = ""
    depth: int | None = None


class _Frame(msgspec.Struct):
    channel: Text = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    method: str = ""
    success: bool = True
    error: str = ""
    symbol: str = ""
    req_id: int = 0
    result: _Result | None = None


class _Trade(msgspec.Struct):
    symbol: str
    side: Literal["buy", "sell"]
    price: Decimal
    qty: Decimal
    trade_id: Id
    timestamp: Text


class _Ticker(msgspec.Struct):
    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    timestamp: Text | None = None


class _Level(msgspec.Struct):
    price: Decimal
    qty: Decimal


class _Book(msgspec.Struct):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]
    checksum: Id
    timestamp: Text | None = None


class _Candle(msgspec.Struct):
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: Id
    interval_begin: Text
    interval: int


class _Status(msgspec.Struct):
    system: str


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode
_decode_tickers = msgspec.json.Decoder(list[_Ticker]).decode
_decode_books = msgspec.json.Decoder(list[_Book]).decode
_decode_candles = msgspec.json.Decoder(list[_Candle]).decode
_decode_status = msgspec.json.Decoder(list[_Status]).decode


def pair_of(symbol: str) -> str:
    """Return ``BTC/USD`` for ``BTC-USD.KRAKEN``."""
    return symbol.rpartition(".")[0].replace("-", "/")


class KrakenMarket:
    """The codec for the configured symbols (``BTC-USD.KRAKEN``) of one connection."""

    channels: ClassVar = frozenset(Channel)
    bar_spec: ClassVar = _BAR_SPEC
    book_rule: ClassVar[BookRule | None] = BookRule.CHECKSUM
    book_snapshot_streamed: ClassVar = True
    trade_ids: ClassVar = TradeIds.CONSECUTIVE
    needs_login: ClassVar = False
    lifetime_secs: ClassVar[float | None] = None

    def __init__(self, symbols: Sequence[str]) -> None:
        # BTC/USD to BTC-USD.KRAKEN
        self._symbols = {pair_of(symbol): symbol for symbol in symbols}
        self._requests = StreamRequests()
        # Symbol to the depth of its book that the venue has confirmed.
        self._depths: dict[str, int] = {}
        self._bars = NewestBars()
        self._readers: dict[str, Callable[[_Frame, int], Iterator[MarketEvent]]] = {
            "trade": self._read_trades,
            "ticker": self._read_quotes,
            "book": self._read_books,
            "ohlc": self._read_bars,
            "status": _read_status,
            "heartbeat": _read_heartbeat,
        }

    def login(self, api_key: str, secret: str) -> tuple[str, ...]:  # noqa: ARG002 - nobody asks
        """Return nothing: market data is public."""
        return ()

    def subscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return one frame a channel; Kraken answers once a symbol."""
        return self._ask("subscribe", streams, begin=True)

    def unsubscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return one frame a channel; Kraken answers once a symbol."""
        return self._ask("unsubscribe", streams, begin=False)

    def decode(self, frame: bytes | str, ts_init: int) -> Sequence[MarketEvent]:
        """Read one frame, which may hold many ticks."""
        try:
            outer = _decode_frame(frame)
            if outer.method:
                return (self._read_answer(outer),)
            read = self._readers.get(outer.channel)
            if read is None:
                reason = "UNKNOWN_CHANNEL" if outer.channel else "UNKNOWN_FRAME"
                raise MalformedFrameError(reason, outer.channel)
            return tuple(read(outer, ts_init))
        except UNREADABLE as error:
            return (unknown(error),)

    def on_close(self, code: int) -> CloseAdvice:
        """Kraken documents no codes of its own."""
        return close_advice(code)

    def _ask(self, method: str, streams: Collection[Stream], *, begin: bool) -> tuple[str, ...]:
        frames = []
        for channel, params in _PARAMS.items():
            wanted = sorted({stream for stream in streams if stream.channel is channel})
            if wanted:
                pairs = [pair_of(stream.symbol) for stream in wanted]
                request = {
                    "method": method,
                    "params": {**params, "symbol": pairs},
                    "req_id": self._requests.ask(wanted, begin=begin),
                }
                frames.append(msgspec.json.encode(request).decode())
        return tuple(frames)

    def _read_answer(self, frame: _Frame) -> MarketEvent:
        if frame.method == "pong":
            return Heartbeat()
        if frame.method not in {"subscribe", "unsubscribe"}:
            raise MalformedFrameError("UNKNOWN_FRAME", frame.method[:40])
        if not frame.success:
            if "rate" in frame.error.lower().split():
                return RateLimited(frame.error[:200])
            only = self._streams_of(frame.symbol)
            if frame.symbol and not only:
                return StreamsRefused(frozenset(), f"{frame.symbol[:40]}: {frame.error[:150]}")
            return self._requests.refuse(frame.req_id, frame.error, only)
        result = frame.result
        if result is None or result.symbol not in self._symbols:
            raise MalformedFrameError("BAD_SHAPE", "an answer to no request of ours")
        symbol = self._symbols[result.symbol]
        if result.channel not in _CHANNELS:
            raise MalformedFrameError("UNKNOWN_CHANNEL", result.channel[:40])
        if result.depth is not None and result.depth > 0:
            self._depths[symbol] = result.depth
        stream = Stream(symbol, _CHANNELS[result.channel])
        return self._requests.confirm(frame.req_id, {stream})

    def _streams_of(self, pair: str) -> frozenset[Stream]:
        symbol = self._symbols.get(pair)
        return frozenset(Stream(symbol, channel) for channel in Channel) if symbol else frozenset()

    def _read_trades(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:
        return read_each(_decode_trades(frame.data), lambda trade: self._trade(trade, ts_init))

    def _trade(self, trade: _Trade, ts_init: int) -> TradeTick:
        require_positive(trade.price, trade.qty)
        return TradeTick(
            symbol=self._symbol(trade.symbol),
            price=trade.price,
            size=trade.qty,
            # The side on the wire is the taker's.
            aggressor=OrderSide.BUY if trade.side == "buy" else OrderSide.SELL,
            trade_id=trade.trade_id,
            ts_event=utc_ns(trade.timestamp),
            ts_init=ts_init,
        )

    def _read_quotes(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:
        return read_each(_decode_tickers(frame.data), lambda ticker: self._quote(ticker, ts_init))

    def _quote(self, ticker: _Ticker, ts_init: int) -> QuoteTick:
        return checked_quote(
            QuoteTick(
                symbol=self._symbol(ticker.symbol),
                bid=ticker.bid,
                bid_size=ticker.bid_qty,
                ask=ticker.ask,
                ask_size=ticker.ask_qty,
                update_id=0,
                # Not on every ticker before 2026.
                ts_event=utc_ns(ticker.timestamp) if ticker.timestamp else ts_init,
                ts_init=ts_init,
            )
        )

    def _read_books(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:
        for book in _decode_books(frame.data):
            symbol = self._symbol(book.symbol)
            bids, asks = _levels(book.bids), _levels(book.asks)
            require_levels(bids, asks)
            ts_event = utc_ns(book.timestamp) if book.timestamp else ts_init
            if frame.type == "snapshot":
                yield BookSnapshot(
                    symbol=symbol,
                    last_id=0,
                    bids=bids,
                    asks=asks,
                    depth=self._depths.get(symbol, _DEPTH),
                    checksum=book.checksum,
                    ts_event=ts_event,
                    ts_init=ts_init,
                )
            elif frame.type == "update":
                yield BookDelta(
                    symbol=symbol,
                    first_id=0,
                    last_id=0,
                    bids=bids,
                    asks=asks,
                    checksum=book.checksum,
                    ts_event=ts_event,
                    ts_init=ts_init,
                )
            else:
                raise MalformedFrameError("BAD_SHAPE", f"a book of type {frame.type[:20]!r}")

    def _read_bars(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:  # noqa: ARG002 - as its sisters
        return read_each(
            _decode_candles(frame.data),
            lambda candle: self._bars.finished_by(self._bar(candle)),
        )

    def _bar(self, candle: _Candle) -> Bar:
        if candle.interval != 1:
            raise MalformedFrameError("BAD_SHAPE", f"bars of {candle.interval} minutes")
        return checked_bar(
            self._symbol(candle.symbol),
            _BAR_SPEC,
            ts_open=utc_ns(candle.interval_begin),
            prices=(candle.open, candle.high, candle.low, candle.close),
            volume=candle.volume,
            trades=candle.trades,
        )

    def _symbol(self, pair: str) -> str:
        symbol = self._symbols.get(pair)
        if symbol is None:
            raise MalformedFrameError("UNKNOWN_SYMBOL", pair[:40])
        return symbol


def _read_status(frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:  # noqa: ARG001 - as its sisters
    for status in _decode_status(frame.data):
        yield TradingStatus("", status.system == "online", status.system[:40])


def _read_heartbeat(frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:  # noqa: ARG001 - as its sisters
    yield Heartbeat()


def _levels(levels: list[_Level]) -> Levels:
    return tuple((level.price, level.qty) for level in levels)
