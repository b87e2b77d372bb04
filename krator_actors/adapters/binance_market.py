"""Binance's spot market streams, Sans-I/O: frames in, events out; REST is in ``binance_rest``.

Written after github.com/binance/binance-spot-api-docs, web-socket-streams.md; checked against the
frames recorded in 2021 and on 2024-08-08. The simulated venue speaks this dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

import msgspec

from krator_actors.adapters.binance_values import venue_symbol
from krator_actors.adapters.market_values import (
    UNREADABLE,
    Id,
    Levels,
    Millis,
    StreamRequests,
    Text,
    checked_bar,
    checked_quote,
    close_advice,
    require_levels,
    require_positive,
    unknown,
)
from krator_actors.core.books import BookRule
from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import Bar, BookDelta, QuoteTick, TradeTick
from krator_actors.model import BUY, NANOS_PER_MILLI, SELL
from krator_actors.ports import (
    Channel,
    CloseAdvice,
    ClosingAnnounced,
    MalformedFrameError,
    MarketEvent,
    RateLimited,
    Stream,
    TradeIds,
)

_STREAMS_PER_FRAME: Final = 100
_RATE_CODES: Final = frozenset({-1003, -1015, 418, 429})
"""too many requests, too many orders, banned, too many requests"""


class _Refusal(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Frame(msgspec.Struct):
    stream: Text = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    id: int | str | None = None
    result: Any = msgspec.UNSET
    error: _Refusal | None = None
    code: int | None = None
    msg: str = ""
    e: str = ""


class _Event(msgspec.Struct):
    e: str = ""


class _Trade(msgspec.Struct):
    s: str
    t: Id
    p: Decimal
    q: Decimal
    T: Millis
    m: bool


class _AggregateTrade(msgspec.Struct):
    s: str
    a: Id
    p: Decimal
    q: Decimal
    T: Millis
    m: bool


class _BookTicker(msgspec.Struct):
    s: str
    u: Id
    b: Decimal
    B: Decimal
    a: Decimal
    A: Decimal
    T: Millis | None = None


class _DepthUpdate(msgspec.Struct):
    s: str
    E: Millis
    U: Id
    u: Id
    b: Levels
    a: Levels
    pu: Id | None = None


class _Kline(msgspec.Struct):
    t: Millis
    i: str
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - Binance's name
    c: Decimal
    v: Decimal
    n: Id
    x: bool


class _KlineEvent(msgspec.Struct):
    s: str
    k: _Kline


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_aggregate = msgspec.json.Decoder(_AggregateTrade).decode
_decode_book_ticker = msgspec.json.Decoder(_BookTicker).decode
_decode_depth_update = msgspec.json.Decoder(_DepthUpdate).decode
_decode_kline = msgspec.json.Decoder(_KlineEvent).decode

_BAR_SPEC: Final = BarSpec.parse("1-MINUTE-LAST")


def _read_trade(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> TradeTick:
    trade = _decode_trade(data)
    return _trade_tick(trade, trade.t, ours, theirs, ts_init)


def _read_aggregate(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> TradeTick:
    trade = _decode_aggregate(data)
    return _trade_tick(trade, trade.a, ours, theirs, ts_init)


def _trade_tick(
    trade: _Trade | _AggregateTrade, trade_id: int, ours: str, theirs: str, ts_init: int
) -> TradeTick:
    _require_symbol(trade.s, theirs)
    require_positive(trade.p, trade.q)
    return TradeTick(
        symbol=ours,
        price=trade.p,
        size=trade.q,
        # m: the buyer is the maker, so the seller was the aggressor.
        aggressor=SELL if trade.m else BUY,
        trade_id=trade_id,
        ts_event=trade.T * NANOS_PER_MILLI,
        ts_init=ts_init,
    )


def _read_quote(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> QuoteTick:
    ticker = _decode_book_ticker(data)
    _require_symbol(ticker.s, theirs)
    return checked_quote(
        QuoteTick(
            symbol=ours,
            bid=ticker.b,
            bid_size=ticker.B,
            ask=ticker.a,
            ask_size=ticker.A,
            update_id=ticker.u,
            ts_event=ts_init if ticker.T is None else ticker.T * NANOS_PER_MILLI,
            ts_init=ts_init,
        )
    )


def _read_depth(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> BookDelta:
    update = _decode_depth_update(data)
    _require_symbol(update.s, theirs)
    if update.u < update.U:
        raise MalformedFrameError("BAD_SHAPE", f"first update {update.U} is after last {update.u}")
    require_levels(update.b, update.a)
    return BookDelta(
        symbol=ours,
        first_id=update.U,
        last_id=update.u,
        previous_id=update.pu,
        bids=update.b,
        asks=update.a,
        ts_event=update.E * NANOS_PER_MILLI,
        ts_init=ts_init,
    )


def _read_kline(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> Bar | None:  # noqa: ARG001 - as its sisters
    event = _decode_kline(data)
    _require_symbol(event.s, theirs)
    kline = event.k
    if kline.i != "1m":
        raise MalformedFrameError("BAD_SHAPE", f"kline of {kline.i[:10]} on a stream of 1m")
    if not kline.x:
        return None
    return checked_bar(
        ours,
        _BAR_SPEC,
        ts_open=kline.t * NANOS_PER_MILLI,
        prices=(kline.o, kline.h, kline.l, kline.c),
        volume=kline.v,
        trades=kline.n,
    )


_Reader = Callable[[msgspec.Raw, str, str, int], MarketEvent | None]
READERS: Final[Mapping[str, _Reader]] = {
    "trade": _read_trade,
    "aggTrade": _read_aggregate,
    "bookTicker": _read_quote,
    "depth": _read_depth,
    "depth@0ms": _read_depth,
    "depth@100ms": _read_depth,
    "kline_1m": _read_kline,
}
"""Behind the ``@`` of a stream's name: how its data is read."""


class BinanceMarket:
    """The codec for the configured symbols (``BTC-USDT.BINANCE``) of one connection."""

    channels: ClassVar = frozenset(Channel)
    bar_spec: ClassVar = _BAR_SPEC
    book_rule: ClassVar[BookRule | None] = BookRule.NEXT_ID
    book_snapshot_streamed: ClassVar = False
    trade_ids: ClassVar = TradeIds.CONSECUTIVE
    needs_login: ClassVar = False
    lifetime_secs: ClassVar[float | None] = 86_400.0

    _suffixes: ClassVar[Mapping[Channel, str]] = {
        Channel.TRADES: "trade",
        Channel.QUOTES: "bookTicker",
        Channel.BOOK: "depth@100ms",
        Channel.BARS: "kline_1m",
    }

    def __init__(self, symbols: Sequence[str]) -> None:
        # btcusdt@trade to (how to read it, our symbol, the venue's)
        self._streams = {
            f"{venue_symbol(symbol).lower()}@{suffix}": (read, symbol, venue_symbol(symbol))
            for symbol in symbols
            for suffix, read in READERS.items()
        }
        self._requests = StreamRequests()

    def login(self, api_key: str, secret: str) -> tuple[str, ...]:  # noqa: ARG002 - nobody asks
        """Return nothing: market data is public."""
        return ()

    def subscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return the frames that ask for these streams, 100 in each."""
        return self._ask("SUBSCRIBE", streams, begin=True)

    def unsubscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return the frames that end these streams."""
        return self._ask("UNSUBSCRIBE", streams, begin=False)

    def decode(self, frame: bytes | str, ts_init: int) -> Sequence[MarketEvent]:
        """Read one frame of a combined stream."""
        try:
            outer = _decode_frame(frame)
            stream = self._streams.get(outer.stream)
            if stream is None:
                return (self._read_other(outer),)
            read, ours, theirs = stream
            event = read(outer.data, ours, theirs, ts_init)
        except UNREADABLE as error:
            return (unknown(error),)
        return () if event is None else (event,)

    def on_close(self, code: int) -> CloseAdvice:
        """Binance closes with 1008 whoever sends more than it allows."""
        return close_advice(code)

    def _ask(self, method: str, streams: Collection[Stream], *, begin: bool) -> tuple[str, ...]:
        frames = []
        ordered = sorted(set(streams))
        for start in range(0, len(ordered), _STREAMS_PER_FRAME):
            part = ordered[start : start + _STREAMS_PER_FRAME]
            request = {
                "method": method,
                "params": [self._name(stream) for stream in part],
                "id": self._requests.ask(part, begin=begin),
            }
            frames.append(msgspec.json.encode(request).decode())
        return tuple(frames)

    def _name(self, stream: Stream) -> str:
        return f"{venue_symbol(stream.symbol).lower()}@{self._suffixes[stream.channel]}"

    def _read_other(self, frame: _Frame) -> MarketEvent:
        if "serverShutdown" in (frame.e, _event_of(frame)):
            return ClosingAnnounced("serverShutdown")
        if frame.stream:
            raise MalformedFrameError("UNKNOWN_STREAM", frame.stream)
        number = frame.id if isinstance(frame.id, int) else 0
        refusal = frame.error
        if refusal is None and frame.code is not None:
            refusal = _Refusal(frame.code, frame.msg)
        if refusal is not None:
            reason = f"{refusal.msg[:100] or 'refused'} (code {refusal.code})"
            if refusal.code in _RATE_CODES:
                return RateLimited(reason)
            return self._requests.refuse(number, reason)
        if frame.result is msgspec.UNSET:
            raise MalformedFrameError("UNKNOWN_FRAME")
        return self._requests.confirm(number)


def _event_of(frame: _Frame) -> str:
    # Only of an object: some streams that we do not ask for send arrays.
    is_object = bytes(memoryview(frame.data)[:1]) == b"{"
    return _decode_event(frame.data).e if frame.stream and is_object else ""


def _require_symbol(said: str, expected: str) -> None:
    if said != expected:
        raise MalformedFrameError("WRONG_SYMBOL", f"{said[:30]} on a stream of {expected}")
