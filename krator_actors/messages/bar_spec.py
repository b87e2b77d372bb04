"""What a bar is made of, and how it is written: ``1-MINUTE-LAST``, ``100-TICK-MID``.

A bar type is a symbol and a specification: ``BTC-USDT.BINANCE-1-MINUTE-LAST``.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

_SPEC: Final = re.compile(r"([1-9][0-9]{0,11})-([A-Z]+)-([A-Z]+)", re.ASCII)
_PARTS_BEHIND_SYMBOL: Final = 3
_DAY_SECS: Final = 86_400


class BarUnit(enum.StrEnum):
    """What fills a bar: time, or what is traded."""

    SECOND = "SECOND"
    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    TICK = "TICK"
    """so many trades, or quotes in a bar of BID, ASK or MID"""
    VOLUME = "VOLUME"
    """so much of the base currency, or so many shares"""
    VALUE = "VALUE"
    """so much of the quote currency"""


class BarPrice(enum.StrEnum):
    """Which price a bar follows."""

    LAST = "LAST"
    """of trades; the others are of quotes"""
    BID = "BID"
    ASK = "ASK"
    MID = "MID"


_UNIT_SECS: Final = {
    BarUnit.SECOND: 1,
    BarUnit.MINUTE: 60,
    BarUnit.HOUR: 3_600,
    BarUnit.DAY: _DAY_SECS,
}


class BarSpec(msgspec.Struct, frozen=True):
    """``5-SECOND-LAST``: step, unit and price. ValueError when there can be no such bar."""

    step: int
    unit: BarUnit
    price: BarPrice = BarPrice.LAST

    def __post_init__(self) -> None:
        """Refuse what cannot be built: also when it is decoded from a message."""
        if self.step < 1:
            raise ValueError(f"bar {self}: the step was {self.step}; expected at least 1")
        if self.period_secs > _DAY_SECS:
            raise ValueError(f"bar {self} is longer than a day")
        if self.unit in {BarUnit.VOLUME, BarUnit.VALUE} and self.price is not BarPrice.LAST:
            raise ValueError(f"bar {self}: quotes have no {self.unit.lower()}; use LAST")

    def __str__(self) -> str:
        """Return how it is written in a configuration."""
        return f"{self.step}-{self.unit}-{self.price}"

    @property
    def period_secs(self) -> int:
        """How long a bar of time is; 0 for one that is filled by ticks, volume or value."""
        return self.step * _UNIT_SECS.get(self.unit, 0)

    @property
    def has_history(self) -> bool:
        """True when venues keep such bars: of time, from trades."""
        return self.period_secs > 0 and self.price is BarPrice.LAST

    @classmethod
    def parse(cls, text: str) -> BarSpec:
        """Read ``1-MINUTE-LAST``; ValueError says what is wrong."""
        match = _SPEC.fullmatch(text)
        if match is None:
            raise ValueError(f"bar {text!r} is not like 1-MINUTE-LAST")
        step, unit, price = match.groups()
        if unit not in BarUnit.__members__:
            raise ValueError(f"bar {text!r}: {unit} is none of {', '.join(BarUnit)}")
        if price not in BarPrice.__members__:
            raise ValueError(f"bar {text!r}: {price} is none of {', '.join(BarPrice)}")
        return cls(int(step), BarUnit(unit), BarPrice(price))


def format_bar_type(symbol: str, spec: BarSpec) -> str:
    """Return ``BTC-USDT.BINANCE-1-MINUTE-LAST``."""
    return f"{symbol}-{spec}"


def parse_bar_type(text: str) -> tuple[str, BarSpec]:
    """Return the symbol and the specification of a bar type; ValueError says what is wrong."""
    symbol, *spec = text.rsplit("-", _PARTS_BEHIND_SYMBOL)
    if len(spec) != _PARTS_BEHIND_SYMBOL or not symbol:
        raise ValueError(f"bar type {text!r} is not like BTC-USDT.BINANCE-1-MINUTE-LAST")
    return symbol, BarSpec.parse("-".join(spec))
