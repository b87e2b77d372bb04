"""How venues write prices, sizes, times and symbols, checked at the door; and what was asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, TypeVar

import msgspec

from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import Bar, BookLevel, QuoteTick
from krator_actors.model import NANOS_PER_SEC
from krator_actors.ports import (
    CloseAdvice,
    MalformedFrameError,
    MarketEvent,
    Stream,
    StreamsChanged,
    StreamsRefused,
    UnknownFrame,
)

Millis = Annotated[int, msgspec.Meta(ge=1, le=4_102_444_800_000)]
"""Unix milliseconds from 1970 to 2100"""
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=64)]
Levels = tuple[BookLevel, ...]

UNREADABLE: Final = (
    msgspec.DecodeError,
    MalformedFrameError,
    RecursionError,  # nested too deep
    UnicodeError,  # half a surrogate pair in a str
    InvalidOperation,  # a NaN that was compared
    OverflowError,
)
"""All that reading a frame can raise."""

_MAX: Final = Decimal(10) ** 15
_MIN: Final = Decimal(10) ** -15
"""No price or size of the real world is above, no price or trade below."""
_ZERO: Final = Decimal(0)
_MAX_SECS: Final = 4_102_444_800
_TEXT_LIMIT: Final = 200

# Fraction with up to nine digits; Go leaves zeros at its end out.
_RFC_3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z", re.ASCII
)

_T = TypeVar("_T")

_CLOSE_ADVICE: Final = {
    1002: CloseAdvice.GIVE_UP,  # it does not understand our protocol
    1003: CloseAdvice.GIVE_UP,  # it does not take our kind of data
    1007: CloseAdvice.GIVE_UP,  # it could not read our text
    1008: CloseAdvice.WAIT,  # policy: too many requests
    1013: CloseAdvice.WAIT,  # try again later
}


def close_advice(code: int) -> CloseAdvice:
    """Return what a WebSocket close code means where the venue documents none of its own."""
    return _CLOSE_ADVICE.get(code, CloseAdvice.RECONNECT)


def require_positive(*values: Decimal) -> None:
    """Raise MalformedFrameError unless all are finite, above 0 and of this world."""
    for value in values:
        # A NaN raises InvalidOperation when it is compared.
        if not _MIN <= value <= _MAX:
            raise MalformedFrameError("BAD_NUMBER", f"{short(value)} is no price or size")


def require_sizes(*values: Decimal) -> None:
    """As ``require_positive``, but zero is allowed."""
    for value in values:
        if not _ZERO <= value <= _MAX:
            raise MalformedFrameError("BAD_NUMBER", f"{short(value)} is no size")


def require_levels(*sides: Levels) -> None:
    """Raise MalformedFrameError unless all prices are positive and no size is below 0."""
    for side in sides:
        for price, size in side:
            if not _MIN <= price <= _MAX or not _ZERO <= size <= _MAX:
                raise MalformedFrameError("BAD_NUMBER", f"{short(price)}, {short(size)}")


def checked_quote(quote: QuoteTick) -> QuoteTick:
    """Return the quote; MalformedFrameError when it is one-sided, crossed or no number."""
    if _MIN <= quote.bid <= quote.ask <= _MAX and (
        _ZERO <= quote.bid_size <= _MAX and _ZERO <= quote.ask_size <= _MAX
    ):
        return quote
    if not quote.bid or not quote.ask:
        raise MalformedFrameError("ONE_SIDED_QUOTE", quote.symbol)
    require_positive(quote.bid, quote.ask)
    require_sizes(quote.bid_size, quote.ask_size)
    raise MalformedFrameError(
        "CROSSED_QUOTE", f"{quote.symbol}: bid {quote.bid} is above ask {quote.ask}"
    )


def checked_bar(
    symbol: str,
    spec: BarSpec,
    *,
    ts_open: int,
    prices: tuple[Decimal, Decimal, Decimal, Decimal],
    volume: Decimal,
    trades: int | None,
) -> Bar:
    """Return the bar whose open, high, low and close are ``prices``, ended when its period is over.

    Raises MalformedFrameError when open or close is outside low and high.
    """
    first, high, low, last = prices
    require_positive(*prices)
    require_sizes(volume)
    if not low <= min(first, last) <= max(first, last) <= high:
        raise MalformedFrameError("BAD_NUMBER", f"{symbol}: open or close is outside low and high")
    return Bar(
        symbol=symbol,
        spec=spec,
        ts_open=ts_open,
        ts_close=ts_open + spec.period_secs * NANOS_PER_SEC,
        open=first,
        high=high,
        low=low,
        close=last,
        volume=volume,
        trades=trades,
    )


def utc_ns(text: str) -> int:
    """Read ``2024-07-24T07:56:53.639713735Z`` as UTC nanoseconds; MalformedFrameError."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise MalformedFrameError("BAD_TIME", f"{text[:40]!r} is not like 2024-07-24T07:56:53.6Z")
    whole, fraction = match.groups()
    try:
        secs = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    except ValueError:
        raise MalformedFrameError("BAD_TIME", f"{text!r} is no time") from None
    return seconds_ns(secs) + int((fraction or "").ljust(9, "0"))


def seconds_ns(secs: int) -> int:
    """Return Unix seconds as nanoseconds; MalformedFrameError when not in 1970 to 2100."""
    if not 0 < secs < _MAX_SECS:
        raise MalformedFrameError("BAD_TIME", f"{secs} s is not from 1970 to 2100")
    return secs * NANOS_PER_SEC


def base_and_quote(symbol: str) -> tuple[str, str]:
    """Return ``BTC`` and ``USDT`` of ``BTC-USDT.BINANCE``."""
    base, _, quote = symbol.rpartition(".")[0].rpartition("-")
    return base, quote


def read_body(body: bytes, kind: type[_T]) -> _T:
    """Decode a REST answer; raises MalformedFrameError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise malformed(error) from None


def read_checked(read: Callable[[], _T]) -> _T:
    """Return what ``read`` makes of a decoded answer; MalformedFrameError and nothing else."""
    try:
        return read()
    except UNREADABLE as error:
        raise malformed(error) from None


def malformed(error: Exception) -> MalformedFrameError:
    """Return what a decoder's error means."""
    match error:
        case MalformedFrameError():
            return error
        case msgspec.ValidationError():
            return MalformedFrameError("BAD_SHAPE", str(error)[:_TEXT_LIMIT])
        case InvalidOperation():
            return MalformedFrameError("BAD_NUMBER", "NaN")
        case _:
            return MalformedFrameError("BAD_JSON", str(error)[:_TEXT_LIMIT])


def unknown(error: Exception) -> UnknownFrame:
    """Return the event that a frame which could not be read becomes."""
    told = malformed(error)
    return UnknownFrame(told.reason, told.detail[:_TEXT_LIMIT])


def read_each(
    items: Iterable[_T], read: Callable[[_T], MarketEvent | None]
) -> Iterator[MarketEvent]:
    """Yield what each item of a frame is read as: a bad one does not spoil the others.

    An item for which ``read`` returns None has nothing to tell.
    """
    for item in items:
        try:
            event = read(item)
        except UNREADABLE as error:
            event = unknown(error)
        if event is not None:
            yield event


def short(value: object) -> str:
    """Return it as text of bounded length, for an error."""
    return str(value)[:40]


class StreamRequests:
    """What was asked on one connection, under which number, and what the venue has confirmed."""

    def __init__(self) -> None:
        # Confirmed and not ended.
        self._active: frozenset[Stream] = frozenset()
        # Request number to its streams and whether it asks for them (False: for their end).
        self._asked: dict[int, tuple[frozenset[Stream], bool]] = {}
        self._last_number = 0

    def ask(self, streams: Iterable[Stream], *, begin: bool) -> int:
        """Note a request; return its number, from 1."""
        self._last_number += 1
        self._asked[self._last_number] = (frozenset(streams), begin)
        return self._last_number

    def confirm(self, number: int, only: Collection[Stream] = ()) -> StreamsChanged:
        """Note the venue's yes to all streams of a request, or to ``only`` these of it."""
        streams, begin = self._asked.get(number, (frozenset(), True))
        told = streams.intersection(only) if only else streams
        self._active = self._active | told if begin else self._active - told
        self._forget(number, told)
        return StreamsChanged(self._active)

    def refuse(self, number: int, reason: str, only: Collection[Stream] = ()) -> StreamsRefused:
        """Note the venue's no."""
        streams, _ = self._asked.get(number, (frozenset(), True))
        told = streams.intersection(only) if only else streams
        self._forget(number, told)
        return StreamsRefused(told, reason[:_TEXT_LIMIT])

    def forget(self) -> None:
        """Note the venue's no to what it does not number: nothing is asked for any more."""
        self._asked.clear()

    def replace(self, active: Iterable[Stream]) -> StreamsChanged:
        """Note the complete list of streams, where the venue sends that.

        What was asked for with ``ask`` and is not in the list is left out.
        """
        self._active = frozenset(active)
        wanted: frozenset[Stream] = frozenset()
        for streams, begin in self._asked.values():
            wanted = wanted | streams if begin else wanted - streams
        self._asked.clear()
        return StreamsChanged(self._active, wanted - self._active)

    def _forget(self, number: int, told: frozenset[Stream]) -> None:
        streams, begin = self._asked.pop(number, (frozenset(), True))
        if streams - told:
            self._asked[number] = (streams - told, begin)


class NewestBars:
    """Finishes a venue's bars where it does not say when one is: a later one has begun."""

    def __init__(self) -> None:
        self._newest: dict[str, Bar] = {}

    def finished_by(self, bar: Bar) -> Bar | None:
        """Note the newest word on a bar; return the one that is finished by it, if any."""
        newest = self._newest.get(bar.symbol)
        if newest is not None and bar.ts_open < newest.ts_open:
            return None  # of the past: it was told as finished already
        self._newest[bar.symbol] = bar
        return newest if newest is not None and newest.ts_open < bar.ts_open else None
