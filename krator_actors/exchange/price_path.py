"""Where the synthetic fair price is at any moment: fractal noise, a function of seed and time.

A sum of smooth noises whose periods double and whose amplitudes grow with the square root of the
period: it looks like a random walk with trends on every scale, yet needs no memory. After a
restart the price goes on where it would have been, and it never drifts away for good.
"""

from __future__ import annotations

import math
import random

_BASIS_POINT = 1e-4
_OCTAVES = 14
_FIRST_PERIOD_SECS = 6.0


class PricePath:
    """The fair price of one symbol.

    ``volatility_bp`` scales it: the standard deviation of its change in five seconds is about four
    times as many basis points.
    """

    def __init__(self, *, seed: int, symbol: str, volatility_bp: float) -> None:
        self._seed = f"{seed}/{symbol}"
        self._amplitude = volatility_bp * _BASIS_POINT
        # the two lattice values around the latest moment, for each octave
        self._lattice: list[tuple[int, float, float]] = [(-1, 0.0, 0.0)] * _OCTAVES
        self._origin = 0.0
        self._origin = self._log_at(0.0)

    def factor(self, secs: float) -> float:
        """Return the price ``secs`` after the epoch (or before it), in prices at the epoch."""
        return math.exp(self._log_at(secs) - self._origin)

    def _log_at(self, secs: float) -> float:
        total = 0.0
        period = _FIRST_PERIOD_SECS
        for octave in range(_OCTAVES):
            position = secs / period
            cell = math.floor(position)
            known, left, right = self._lattice[octave]
            if known != cell or left == right:
                left, right = self._noise(octave, cell), self._noise(octave, cell + 1)
                self._lattice[octave] = (cell, left, right)
            part = position - cell
            smooth = part * part * (3.0 - 2.0 * part)
            total += math.sqrt(period) * (left + (right - left) * smooth)
            period *= 2.0
        return self._amplitude * total

    def _noise(self, octave: int, cell: int) -> float:
        return random.Random(f"{self._seed}/{octave}/{cell}").gauss(0.0, 1.0)  # noqa: S311 - noise, not a secret
