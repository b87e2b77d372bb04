"""Alpaca's market streams for US stocks, Sans-I/O: frames in, events out.

Written after docs.alpaca.markets, "Real-time Stock Data". The IEX feed (free) has the trades and
quotes of one exchange, the SIP feed those of all; the frames are the same. There are no order
books. Market hours are in ``core.market_hours``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from krator_actors.adapters.market_values import (
    UNREADABLE,
    Id,
    StreamRequests,
    Text,
    base_and_quote,
    checked_bar,
    checked_quote,
    close_advice,
    read_each,
    require_positive,
    unknown,
    utc_ns,
)
from krator_actors.core.books import BookRule
from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import Bar, QuoteTick, TradeTick
from krator_actors.ports import (
    Channel,
    CloseAdvice,
    ClosingAnnounced,
    LoggedIn,
    MalformedFrameError,
    MarketEvent,
    RateLimited,
    Stream,
    StreamsRefused,
    TradeIds,
    TradeRevised,
    TradingStatus,
    UnknownFrame,
)

_BAR_SPEC: Final = BarSpec.parse("1-MINUTE-LAST")
_NAMES: Final = {Channel.TRADES: "trades", Channel.QUOTES: "quotes", Channel.BARS: "bars"}
_TOO_MANY: Final = frozenset({406, 429})
"""connection limit, rate limit exceeded; the symbol limit (405) refuses symbols, no connection"""
_SLOW_CLIENT: Final = 407
_HALTED: Final = frozenset({"H", "P", "2", "3P", "5", "9", "O", "F", "M", "Z"})
"""status codes under which nothing trades: halts and pauses of the CTA and UTP plans"""


class _Kind(msgspec.Struct):
    T: str


class _Said(msgspec.Struct):
    msg: str


class _Error(msgspec.Struct):
    code: int
    msg: str


class _Subscription(msgspec.Struct):
    trades: list[str] = []
    quotes: list[str] = []
    bars: list[str] = []


class _Trade(msgspec.Struct):
    S: str
    i: Id
    p: Decimal
    s: Decimal
    t: Text


class _Quote(msgspec.Struct):
    S: str
    bp: Decimal
    bs: Decimal
    ap: Decimal
    as_: Decimal = msgspec.field(name="as")
    t: Text = ""


class _Bar(msgspec.Struct):
    S: str
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - Alpaca's name
    c: Decimal
    v: Decimal
    t: Text
    n: Id | None = None


class _Correction(msgspec.Struct):
    S: str
    oi: Id
    t: Text


class _Cancellation(msgspec.Struct):
    S: str
    i: Id
    t: Text


class _Status(msgspec.Struct):
    S: str
    sc: Text
    sm: str = ""


_decode_frame = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_said = msgspec.json.Decoder(_Said).decode
_decode_error = msgspec.json.Decoder(_Error).decode
_decode_subscription = msgspec.json.Decoder(_Subscription).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_quote = msgspec.json.Decoder(_Quote).decode
_decode_bar = msgspec.json.Decoder(_Bar).decode
_decode_correction = msgspec.json.Decoder(_Correction).decode
_decode_cancellation = msgspec.json.Decoder(_Cancellation).decode
_decode_status = msgspec.json.Decoder(_Status).decode


def ticker_of(symbol: str) -> str:
    """Return ``AAPL`` for ``AAPL-USD.ALPACA``, ``BRK.B`` for ``BRK.B-USD.ALPACA``."""
    return base_and_quote(symbol)[0]


class AlpacaMarket:
    """The codec for the configured symbols (``AAPL-USD.ALPACA``) of one connection."""

    channels: ClassVar = frozenset(_NAMES)
    bar_spec: ClassVar = _BAR_SPEC
    book_rule: ClassVar[BookRule | None] = None
    book_snapshot_streamed: ClassVar = False
    trade_ids: ClassVar = TradeIds.UNORDERED
    needs_login: ClassVar = True
    lifetime_secs: ClassVar[float | None] = None

    def __init__(self, symbols: Sequence[str]) -> None:
        # AAPL to AAPL-USD.ALPACA
        self._symbols = {ticker_of(symbol): symbol for symbol in symbols}
        self._requests = StreamRequests()
        self._readers: Mapping[str, Callable[[msgspec.Raw, int], MarketEvent | None]] = {
            "t": self._read_trade,
            "q": self._read_quote,
            "b": self._read_bar,
            "c": self._read_correction,
            "x": self._read_cancellation,
            "s": self._read_status,
            "subscription": self._read_subscription,
            "success": _read_success,
            "error": self._read_error,
        }

    def login(self, api_key: str, secret: str) -> tuple[str, ...]:
        """Return the frame that says who we are; Alpaca waits ten seconds for it."""
        request = {"action": "auth", "key": api_key, "secret": secret}
        return (msgspec.json.encode(request).decode(),)

    def subscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return one frame for all streams, and for the trading status of their symbols."""
        return self._ask("subscribe", streams)

    def unsubscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return one frame for all streams."""
        return self._ask("unsubscribe", streams)

    def decode(self, frame: bytes | str, ts_init: int) -> Sequence[MarketEvent]:
        """Read one frame: an array of messages, of which a bad one does not spoil the others."""
        try:
            messages = _decode_frame(frame)
        except UNREADABLE as error:
            return (unknown(error),)
        return tuple(read_each(messages, lambda message: self._read(message, ts_init)))

    def on_close(self, code: int) -> CloseAdvice:
        """Alpaca says why in an error frame, and documents no codes."""
        return close_advice(code)

    def _ask(self, action: str, streams: Collection[Stream]) -> tuple[str, ...]:
        wanted = {
            name: sorted({ticker_of(s.symbol) for s in streams if s.channel is channel})
            for channel, name in _NAMES.items()
        }
        foreign = {stream.channel for stream in streams} - self.channels
        if foreign:
            raise ValueError(f"Alpaca does not offer {', '.join(sorted(foreign))}")
        statuses = sorted({ticker_of(stream.symbol) for stream in streams})
        begin = action == "subscribe"
        self._requests.ask(streams, begin=begin)
        if begin:
            # Corrections and cancellations come with the trades, unasked.
            wanted["statuses"] = statuses
        request = {"action": action, **{name: names for name, names in wanted.items() if names}}
        return (msgspec.json.encode(request).decode(),)

    def _read(self, message: msgspec.Raw, ts_init: int) -> MarketEvent | None:
        kind = _decode_kind(message).T
        read = self._readers.get(kind)
        if read is None:
            return UnknownFrame("UNKNOWN_FRAME", kind[:40])
        return read(message, ts_init)

    def _read_trade(self, message: msgspec.Raw, ts_init: int) -> TradeTick:
        trade = _decode_trade(message)
        require_positive(trade.p, trade.s)
        return TradeTick(
            symbol=self._symbol(trade.S),
            price=trade.p,
            size=trade.s,
            aggressor=None,
            trade_id=trade.i,
            ts_event=utc_ns(trade.t),
            ts_init=ts_init,
        )

    def _read_quote(self, message: msgspec.Raw, ts_init: int) -> QuoteTick:
        quote = _decode_quote(message)
        return checked_quote(
            QuoteTick(
                symbol=self._symbol(quote.S),
                bid=quote.bp,
                bid_size=quote.bs,
                ask=quote.ap,
                ask_size=quote.as_,
                update_id=0,
                ts_event=utc_ns(quote.t),
                ts_init=ts_init,
            )
        )

    def _read_bar(self, message: msgspec.Raw, ts_init: int) -> Bar:  # noqa: ARG002 - as its sisters
        bar = _decode_bar(message)
        return checked_bar(
            self._symbol(bar.S),
            _BAR_SPEC,
            ts_open=utc_ns(bar.t),
            prices=(bar.o, bar.h, bar.l, bar.c),
            volume=bar.v,
            trades=bar.n,
        )

    def _read_correction(self, message: msgspec.Raw, ts_init: int) -> TradeRevised:
        told = _decode_correction(message)
        symbol = self._symbol(told.S)
        return TradeRevised(symbol, told.oi, "TRADE_CORRECTED", utc_ns(told.t), ts_init)

    def _read_cancellation(self, message: msgspec.Raw, ts_init: int) -> TradeRevised:
        told = _decode_cancellation(message)
        symbol = self._symbol(told.S)
        return TradeRevised(symbol, told.i, "TRADE_CANCELED", utc_ns(told.t), ts_init)

    def _read_status(self, message: msgspec.Raw, ts_init: int) -> TradingStatus:  # noqa: ARG002 - as its sisters
        status = _decode_status(message)
        word = f"{status.sc} {status.sm[:60]}".strip()
        return TradingStatus(self._symbol(status.S), status.sc not in _HALTED, word)

    def _read_subscription(self, message: msgspec.Raw, ts_init: int) -> MarketEvent:  # noqa: ARG002 - as its sisters
        told = _decode_subscription(message)
        lists = {
            Channel.TRADES: told.trades,
            Channel.QUOTES: told.quotes,
            Channel.BARS: told.bars,
        }
        return self._requests.replace(
            Stream(self._symbols[ticker], channel)
            for channel, tickers in lists.items()
            for ticker in tickers
            if ticker in self._symbols
        )

    def _read_error(self, message: msgspec.Raw, ts_init: int) -> MarketEvent:  # noqa: ARG002 - as its sisters
        error = _decode_error(message)
        reason = f"{error.msg[:100]} (code {error.code})"
        if error.code in _TOO_MANY:
            return RateLimited(reason)
        if error.code == _SLOW_CLIENT:
            return ClosingAnnounced(reason)
        self._requests.forget()
        return StreamsRefused(frozenset(), reason)

    def _symbol(self, ticker: str) -> str:
        symbol = self._symbols.get(ticker)
        if symbol is None:
            raise MalformedFrameError("UNKNOWN_SYMBOL", ticker[:40])
        return symbol


def _read_success(message: msgspec.Raw, ts_init: int) -> LoggedIn | None:  # noqa: ARG001 - as its sisters
    match _decode_said(message).msg:
        case "connected":
            return None
        case "authenticated":
            return LoggedIn()
        case other:
            raise MalformedFrameError("UNKNOWN_FRAME", other[:40])
