"""How Binance writes numbers, times and symbols, checked at the door."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeVar

import msgspec

from krator_actors.ports import MalformedFrameError

Number = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Millis = Annotated[int, msgspec.Meta(ge=1, le=4_102_444_800_000)]
"""Unix milliseconds from 1970 to 2100"""
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_MAX_EXPONENT = 20
"""No price or size of the real world has more digits before or behind the point."""

_T = TypeVar("_T")


def venue_symbol(symbol: str) -> str:
    """Return ``BTCUSDT`` for ``BTC-USDT.BINANCE``."""
    return symbol.rpartition(".")[0].replace("-", "")


def positive(text: str) -> Decimal:
    """Return a price or size; MalformedFrameError unless it is finite, positive and sane."""
    value = not_negative(text)
    if not value:
        raise MalformedFrameError("BAD_NUMBER", "0 is not positive")
    return value


def not_negative(text: str) -> Decimal:
    """As ``positive``, but zero is allowed."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise MalformedFrameError("BAD_NUMBER", f"{text!r} is no number") from None
    if not value.is_finite() or value.is_signed() or abs(value.adjusted()) > _MAX_EXPONENT:
        raise MalformedFrameError("BAD_NUMBER", f"{text} is out of range")
    return value


def read_body(body: bytes, kind: type[_T]) -> _T:
    """Decode a REST answer; raises MalformedFrameError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error) from None


def malformed(error: Exception) -> MalformedFrameError:
    """Return what a decoder's error means."""
    if isinstance(error, msgspec.ValidationError):
        return MalformedFrameError("BAD_SHAPE", str(error)[:200])
    return MalformedFrameError("BAD_JSON", str(error)[:200])
