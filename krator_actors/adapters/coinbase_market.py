"""Coinbase Advanced Trade's market streams, Sans-I/O: frames in, events out.

Written after docs.cdp.coinbase.com, "WebSocket Channels"; checked against the frames recorded on
2026-08-09. Every frame of a connection has a number: what is missing is missed by all streams.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar, Final, Literal

import msgspec

from krator_actors.adapters.market_values import (
    UNREADABLE,
    Id,
    NewestBars,
    StreamRequests,
    Text,
    checked_bar,
    checked_quote,
    close_advice,
    read_each,
    require_levels,
    require_positive,
    seconds_ns,
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
    FramesMissing,
    Heartbeat,
    MalformedFrameError,
    MarketEvent,
    RateLimited,
    Stream,
    StreamsRefused,
    TradeIds,
    UnknownFrame,
)

_BAR_SPEC: Final = BarSpec.parse("5-MINUTE-LAST")
_NAMES: Final = {
    Channel.TRADES: "market_trades",
    Channel.QUOTES: "ticker",
    Channel.BOOK: "level2",
    Channel.BARS: "candles",
}
_CHANNELS: Final = {name: channel for channel, name in _NAMES.items()}
_HEARTBEATS: Final = "heartbeats"

Digits = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")]


class _Frame(msgspec.Struct):
    channel: Text = ""
    sequence_num: Id | None = None
    timestamp: Text = ""
    events: msgspec.Raw = msgspec.Raw(b"[]")
    type: str = ""
    message: str = ""


class _Trade(msgspec.Struct):
    product_id: str
    trade_id: Digits
    price: Decimal
    size: Decimal
    time: Text
    side: Literal["BUY", "SELL"]


class _Trades(msgspec.Struct):
    trades: list[_Trade]


class _Ticker(msgspec.Struct):
    product_id: str
    best_bid: Decimal
    best_ask: Decimal
    best_bid_quantity: Decimal
    best_ask_quantity: Decimal


class _Tickers(msgspec.Struct):
    tickers: list[_Ticker]


class _Level(msgspec.Struct):
    side: Literal["bid", "offer"]
    price_level: Decimal
    new_quantity: Decimal


class _Book(msgspec.Struct):
    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[_Level]


class _Candle(msgspec.Struct):
    start: Digits
    high: Decimal
    low: Decimal
    open: Decimal
    close: Decimal
    volume: Decimal
    product_id: str


class _Candles(msgspec.Struct):
    candles: list[_Candle]


class _Subscriptions(msgspec.Struct):
    subscriptions: dict[str, list[str]]


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_trades = msgspec.json.Decoder(list[_Trades]).decode
_decode_tickers = msgspec.json.Decoder(list[_Tickers]).decode
_decode_books = msgspec.json.Decoder(list[_Book]).decode
_decode_candles = msgspec.json.Decoder(list[_Candles]).decode
_decode_subscriptions = msgspec.json.Decoder(list[_Subscriptions]).decode


def product_of(symbol: str) -> str:
    """Return ``BTC-USD`` for ``BTC-USD.COINBASE``."""
    return symbol.rpartition(".")[0]


class CoinbaseMarket:
    """The codec for the configured symbols (``BTC-USD.COINBASE``) of one connection."""

    channels: ClassVar = frozenset(Channel)
    bar_spec: ClassVar = _BAR_SPEC
    book_rule: ClassVar[BookRule | None] = BookRule.CONNECTION
    book_snapshot_streamed: ClassVar = True
    trade_ids: ClassVar = TradeIds.CONSECUTIVE
    needs_login: ClassVar = False
    lifetime_secs: ClassVar[float | None] = None

    def __init__(self, symbols: Sequence[str]) -> None:
        # BTC-USD to BTC-USD.COINBASE
        self._symbols = {product_of(symbol): symbol for symbol in symbols}
        self._requests = StreamRequests()
        # The number of the newest frame; None before the first.
        self._sequence: int | None = None
        self._bars = NewestBars()
        self._readers: dict[str, Callable[[_Frame, int], Iterator[MarketEvent]]] = {
            "market_trades": self._read_trades,
            "ticker": self._read_quotes,
            "l2_data": self._read_books,
            "candles": self._read_bars,
            "subscriptions": self._read_subscriptions,
            _HEARTBEATS: self._read_heartbeat,
        }

    def login(self, api_key: str, secret: str) -> tuple[str, ...]:  # noqa: ARG002 - nobody asks
        """Return nothing: market data is public."""
        return ()

    def subscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return one frame a channel, and heartbeats: without them Coinbase ends quiet channels."""
        heartbeats = msgspec.json.encode({"type": "subscribe", "channel": _HEARTBEATS}).decode()
        return (heartbeats, *_requests("subscribe", streams))

    def unsubscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return one frame a channel."""
        return _requests("unsubscribe", streams)

    def decode(self, frame: bytes | str, ts_init: int) -> Sequence[MarketEvent]:
        """Read one frame, which may hold many ticks; FramesMissing comes before them."""
        try:
            outer = _decode_frame(frame)
            if not outer.channel:
                return (_read_error(outer),)
            read = self._readers.get(outer.channel)
            missing = self._missing_before(outer.sequence_num)
        except UNREADABLE as error:
            return (unknown(error),)
        if read is None:
            return (*missing, UnknownFrame("UNKNOWN_CHANNEL", outer.channel))
        try:
            return (*missing, *read(outer, ts_init))
        except UNREADABLE as error:
            # Its number will not be missed by the next, and nothing else numbers what was in it.
            lost = FramesMissing(first=outer.sequence_num or 0, count=1)
            return (*missing, lost, unknown(error))

    def on_close(self, code: int) -> CloseAdvice:
        """Coinbase documents no codes of its own."""
        return close_advice(code)

    def _missing_before(self, sequence: int | None) -> tuple[FramesMissing, ...]:
        if sequence is None:
            raise MalformedFrameError("BAD_SHAPE", "a frame without sequence_num")
        last = self._sequence
        if last is not None and sequence <= last:
            # Its place was declared missing, or it is here twice: too late for a book either way.
            raise MalformedFrameError("FRAME_OUT_OF_ORDER", f"{sequence} came after {last}")
        self._sequence = sequence
        expected = 0 if last is None else last + 1
        if sequence == expected:
            return ()
        return (FramesMissing(first=expected, count=sequence - expected),)

    def _read_trades(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:
        trades = [trade for event in _decode_trades(frame.events) for trade in event.trades]
        # Newest first on the wire.
        trades.sort(key=lambda trade: int(trade.trade_id))
        return read_each(trades, lambda trade: self._trade(trade, ts_init))

    def _trade(self, trade: _Trade, ts_init: int) -> TradeTick:
        require_positive(trade.price, trade.size)
        return TradeTick(
            symbol=self._symbol(trade.product_id),
            price=trade.price,
            size=trade.size,
            # The side on the wire is the maker's.
            aggressor=OrderSide.SELL if trade.side == "BUY" else OrderSide.BUY,
            trade_id=int(trade.trade_id),
            ts_event=utc_ns(trade.time),
            ts_init=ts_init,
        )

    def _read_quotes(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:
        ts_event = utc_ns(frame.timestamp)
        tickers = [ticker for event in _decode_tickers(frame.events) for ticker in event.tickers]
        return read_each(tickers, lambda ticker: self._quote(ticker, ts_event, ts_init))

    def _quote(self, ticker: _Ticker, ts_event: int, ts_init: int) -> QuoteTick:
        return checked_quote(
            QuoteTick(
                symbol=self._symbol(ticker.product_id),
                bid=ticker.best_bid,
                bid_size=ticker.best_bid_quantity,
                ask=ticker.best_ask,
                ask_size=ticker.best_ask_quantity,
                update_id=0,
                ts_event=ts_event,
                ts_init=ts_init,
            )
        )

    def _read_books(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:
        ts_event = utc_ns(frame.timestamp)
        for event in _decode_books(frame.events):
            symbol = self._symbol(event.product_id)
            bids, asks = _sides(event.updates)
            require_levels(bids, asks)
            if event.type == "snapshot":
                yield BookSnapshot(
                    symbol=symbol,
                    last_id=0,
                    bids=bids,
                    asks=asks,
                    ts_event=ts_event,
                    ts_init=ts_init,
                )
            else:
                yield BookDelta(
                    symbol=symbol,
                    first_id=0,
                    last_id=0,
                    bids=bids,
                    asks=asks,
                    ts_event=ts_event,
                    ts_init=ts_init,
                )

    def _read_bars(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:  # noqa: ARG002 - as its sisters
        candles = [candle for event in _decode_candles(frame.events) for candle in event.candles]
        candles.sort(key=lambda candle: int(candle.start))
        return read_each(candles, lambda candle: self._bars.finished_by(self._bar(candle)))

    def _bar(self, candle: _Candle) -> Bar:
        return checked_bar(
            self._symbol(candle.product_id),
            _BAR_SPEC,
            ts_open=seconds_ns(int(candle.start)),
            prices=(candle.open, candle.high, candle.low, candle.close),
            volume=candle.volume,
            trades=None,
        )

    def _read_subscriptions(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:  # noqa: ARG002 - as its sisters
        for event in _decode_subscriptions(frame.events):
            yield self._requests.replace(
                Stream(self._symbols[product], _CHANNELS[name])
                for name, products in event.subscriptions.items()
                if name in _CHANNELS
                for product in products
                if product in self._symbols
            )

    def _read_heartbeat(self, frame: _Frame, ts_init: int) -> Iterator[MarketEvent]:  # noqa: ARG002 - as its sisters
        yield Heartbeat()

    def _symbol(self, product: str) -> str:
        symbol = self._symbols.get(product)
        if symbol is None:
            raise MalformedFrameError("UNKNOWN_SYMBOL", product[:40])
        return symbol


def _requests(kind: str, streams: Collection[Stream]) -> tuple[str, ...]:
    frames = []
    for channel, name in _NAMES.items():
        products = sorted({product_of(s.symbol) for s in streams if s.channel is channel})
        if products:
            request = {"type": kind, "product_ids": products, "channel": name}
            frames.append(msgspec.json.encode(request).decode())
    return tuple(frames)


def _read_error(frame: _Frame) -> MarketEvent:
    if frame.type != "error":
        raise MalformedFrameError("UNKNOWN_FRAME", frame.type[:40])
    if "rate limit" in frame.message.lower() or "too many" in frame.message.lower():
        return RateLimited(frame.message[:200])
    return StreamsRefused(frozenset(), frame.message[:200])


def _sides(
    updates: list[_Level],
) -> tuple[tuple[tuple[Decimal, Decimal], ...], tuple[tuple[Decimal, Decimal], ...]]:
    bids = tuple((u.price_level, u.new_quantity) for u in updates if u.side == "bid")
    asks = tuple((u.price_level, u.new_quantity) for u in updates if u.side == "offer")
    return bids, asks
