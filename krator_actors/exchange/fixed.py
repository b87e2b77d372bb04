"""Fixed-point numbers as Binance prints them: eight decimals, held as an int of 1e-8 units.

An int is exact, and five times as fast as a Decimal in the matching engine's inner loop.
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Decimal

DECIMALS = 8
SCALE = 100_000_000

_DIGITS_MAX = 20
_TEXT = re.compile(rf"([0-9]{{1,{_DIGITS_MAX}}})(?:\.([0-9]{{1,{_DIGITS_MAX}}}))?")


class TooPreciseError(ValueError):
    """The text has more than eight decimals that are not zero."""


def parse(text: str) -> int:
    """Return the units of a plain decimal number, such as ``"61837.63"``.

    Raises TooPreciseError for more than eight decimals, ValueError for anything but digits and
    one point: no sign, no exponent, no spaces.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a plain decimal number")
    whole, decimals = match[1], (match[2] or "").rstrip("0")
    if len(decimals) > DECIMALS:
        raise TooPreciseError(f"{text!r} has more than {DECIMALS} decimals")
    return int(whole) * SCALE + int(decimals.ljust(DECIMALS, "0"))


def parse_recorded(text: str) -> int:
    """Return the units of a number as the venue prints it; quick when it has eight decimals."""
    if text[-DECIMALS - 1 : -DECIMALS] == "." and text.isascii():
        return int(text[: -DECIMALS - 1] + text[-DECIMALS:])
    return parse(text)


def show(units: int) -> str:
    """Return the number with eight decimals, as Binance prints every price and quantity."""
    sign = "-" if units < 0 else ""
    whole, decimals = divmod(abs(units), SCALE)
    return f"{sign}{whole}.{decimals:08d}"


def from_decimal(value: Decimal) -> int:
    """Return the units of a Decimal; what is beyond eight decimals is cut off."""
    return int((value * SCALE).to_integral_value(rounding=ROUND_DOWN))


def notional(price: int, quantity: int) -> int:
    """Return price times quantity in units; exact for prices and quantities on their grids."""
    return price * quantity // SCALE
