"""Binance's spot market streams, Sans-I/O: frames in, ticks out; REST is in ``binance_rest``.

Written after github.com/binance/binance-spot-api-docs, web-socket-streams.md; checked against the
frames recorded on 2024-08-08.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from krator_actors.adapters.binance_values import (
    Id,
    Millis,
    Number,
    levels,
    malformed,
    not_negative,
    positive,
    venue_symbol,
)
from krator_actors.messages.market import QuoteTick, TradeTick
from krator_actors.model import NANOS_PER_MILLI, OrderSide
from krator_actors.ports import (
    BookUpdate,
    ClosingAnnounced,
    MalformedFrameError,
    MarketEvent,
    RequestAnswered,
)


class _Refusal(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Frame(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    id: int | str | None = None
    result: Any = msgspec.UNSET
    error: _Refusal | None = None
    e: str = ""


class _Event(msgspec.Struct):
    e: str = ""


class _Trade(msgspec.Struct):
    s: str
    t: Id
    p: Number
    q: Number
    T: Millis
    m: bool


class _BookTicker(msgspec.Struct):
    s: str
    u: Id
    b: Number
    B: Number
    a: Number
    A: Number


class _DepthUpdate(msgspec.Struct):
    s: str
    E: Millis
    U: Id
    u: Id
    b: list[tuple[Number, Number]]
    a: list[tuple[Number, Number]]


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_book_ticker = msgspec.json.Decoder(_BookTicker).decode
_decode_depth_update = msgspec.json.Decoder(_DepthUpdate).decode


class BinanceMarket:
    """The codec for the configured symbols (``BTC-USDT.BINANCE``) of one venue."""

    stream_path = "/stream"

    def __init__(self, symbols: Sequence[str]) -> None:
        # BTCUSDT to BTC-USDT.BINANCE
        self._symbols = {venue_symbol(symbol): symbol for symbol in symbols}
        # btcusdt@trade to (how to read it, our symbol, the venue's)
        self._streams = {
            f"{theirs.lower()}@{suffix}": (read, ours, theirs)
            for theirs, ours in self._symbols.items()
            for suffix, read in (
                ("trade", _read_trade),
                ("bookTicker", _read_quote),
                ("depth@100ms", _read_book_update),
            )
        }

    def subscribe(self, request_id: int) -> str:
        """Return the frame that subscribes trades and quotes of every symbol.

        Book updates are decoded but not subscribed, because no actor reads them.
        """
        streams = [name for name in self._streams if not name.endswith("@depth@100ms")]
        request = {"method": "SUBSCRIBE", "params": streams, "id": request_id}
        return msgspec.json.encode(request).decode()

    def decode(self, text: str, ts_init: int) -> MarketEvent:
        """Read one frame of a combined stream; raises MalformedFrameError only."""
        try:
            frame = _decode_frame(text)
            stream = self._streams.get(frame.stream)
            if stream is None:
                return _read_other(frame)
            read, ours, theirs = stream
            return read(frame.data, ours, theirs, ts_init)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            raise malformed(error) from None


def _read_trade(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> TradeTick:
    trade = _decode_trade(data)
    _require_symbol(trade.s, theirs)
    return TradeTick(
        symbol=ours,
        price=positive(trade.p),
        size=positive(trade.q),
        # m: the buyer is the maker, so the seller was the aggressor.
        aggressor=OrderSide.SELL if trade.m else OrderSide.BUY,
        trade_id=trade.t,
        ts_event=trade.T * NANOS_PER_MILLI,
        ts_init=ts_init,
    )


def _read_quote(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> QuoteTick:
    ticker = _decode_book_ticker(data)
    _require_symbol(ticker.s, theirs)
    bid, ask = positive(ticker.b), positive(ticker.a)
    if bid > ask:
        raise MalformedFrameError("CROSSED_QUOTE", f"{ours}: bid {bid} is above ask {ask}")
    return QuoteTick(
        symbol=ours,
        bid=bid,
        bid_size=not_negative(ticker.B),
        ask=ask,
        ask_size=not_negative(ticker.A),
        update_id=ticker.u,
        ts_event=ts_init,
        ts_init=ts_init,
    )


def _read_book_update(data: msgspec.Raw, ours: str, theirs: str, ts_init: int) -> BookUpdate:
    update = _decode_depth_update(data)
    _require_symbol(update.s, theirs)
    if update.u < update.U:
        raise MalformedFrameError("BAD_SHAPE", f"first update {update.U} is after last {update.u}")
    return BookUpdate(
        symbol=ours,
        first_id=update.U,
        last_id=update.u,
        bids=levels(update.b),
        asks=levels(update.a),
        ts_event=update.E * NANOS_PER_MILLI,
        ts_init=ts_init,
    )


def _read_other(frame: _Frame) -> RequestAnswered | ClosingAnnounced:
    if "serverShutdown" in (frame.e, frame.stream and _decode_event(frame.data).e):
        return ClosingAnnounced()
    if frame.stream:
        raise MalformedFrameError("UNKNOWN_STREAM", frame.stream[:100])
    if frame.error is not None:
        error = f"{frame.error.msg or 'refused'} (code {frame.error.code})"
        return RequestAnswered(request_id=_request_id(frame), error=error)
    if frame.result is msgspec.UNSET:
        raise MalformedFrameError("UNKNOWN_FRAME")
    return RequestAnswered(request_id=_request_id(frame), error="")


def _request_id(frame: _Frame) -> int:
    # 0, which we never use, when the venue could not tell which request it was.
    return frame.id if isinstance(frame.id, int) else 0


def _require_symbol(said: str, expected: str) -> None:
    if said != expected:
        raise MalformedFrameError("WRONG_SYMBOL", f"{said[:30]} on a stream of {expected}")
