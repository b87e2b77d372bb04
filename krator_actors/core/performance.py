"""Risk-adjusted return from samples of equity. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

YEAR_SECS: Final = 365 * 86_400
"""A year of the market: it never closes."""
MIN_RETURNS: Final = 30
"""With fewer the standard deviation itself is off by more than an eighth."""
MAX_SAMPLES: Final = 10_080
"""A week of minutes."""

_NOTHING: Final = 1e-15
"""A deviation below this is rounding and no risk."""


def sharpe(returns: Sequence[float], period_secs: float) -> float | None:
    """Return the annualized Sharpe ratio of simple returns over equal periods.

    ``mean(r) / stdev(r) * sqrt(periods a year)`` with the sample deviation (n - 1) and a risk-free
    rate of 0. Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21(1), 1994; annualized
    as if returns were independent (Lo, "The Statistics of Sharpe Ratios", 2002, says when that is
    too high). None: fewer than ``MIN_RETURNS``, or nothing varied.
    """
    if len(returns) < MIN_RETURNS:
        return None
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1)
    return _ratio(mean, variance, period_secs)


def sortino(returns: Sequence[float], period_secs: float) -> float | None:
    """Return the annualized Sortino ratio: as ``sharpe``, but only losses count as risk.

    ``mean(r) / sqrt(mean(min(r, 0)^2)) * sqrt(periods a year)``, the target is 0, and the mean of
    the squares is over all periods. Sortino and Price, "Performance Measurement in a Downside Risk
    Framework", Journal of Investing 3(3), 1994. None: as for ``sharpe``, or nothing was lost.
    """
    if len(returns) < MIN_RETURNS:
        return None
    mean = math.fsum(returns) / len(returns)
    downside = math.fsum(min(r, 0.0) ** 2 for r in returns) / len(returns)
    return _ratio(mean, downside, period_secs)


class EquitySamples:
    """Equity, once a period; the returns between samples that follow one another."""

    def __init__(self, period_secs: float) -> None:
        self.period_secs = period_secs
        self.returns: deque[float] = deque(maxlen=MAX_SAMPLES)
        # Which period the last sample is of, and its equity; None when the next has nothing before.
        self._last: tuple[int, float] | None = None

    def take(self, equity: float, now_secs: float) -> tuple[int, float] | None:
        """Take what equity is at a UTC time: the first of each period counts.

        Returns the sample (period, equity) when it was one, to be kept for ``restore``. A period
        without a sample, or whose equity is no number above 0, breaks the row: no return is made
        up for it.
        """
        period = int(now_secs // self.period_secs)
        if self._last is not None and period == self._last[0]:
            return None
        if not (math.isfinite(equity) and equity > 0):
            self._last = None
            return None
        if self._last is not None and period == self._last[0] + 1:
            self.returns.append(equity / self._last[1] - 1)
        self._last = (period, equity)
        return self._last

    def restore(self, samples: Iterable[tuple[int, float]]) -> None:
        """Take samples of an earlier incarnation, oldest first."""
        for period, equity in samples:
            self.take(equity, period * self.period_secs)

    @property
    def sharpe(self) -> float | None:
        """See ``sharpe``."""
        return sharpe(self.returns, self.period_secs)

    @property
    def sortino(self) -> float | None:
        """See ``sortino``."""
        return sortino(self.returns, self.period_secs)


def drawdown(equity: float, peak: float | None) -> float | None:
    """Return which share of the peak is lost, 0 above it; None without a peak above 0."""
    if peak is None or not math.isfinite(equity) or not peak > 0:
        return None
    return max(0.0, 1 - equity / peak)


def max_drawdown(equities: Sequence[float]) -> float:
    """Return the largest share that was lost from a highest value before; 0 for none."""
    peak, worst = -math.inf, 0.0
    for equity in equities:
        peak = max(peak, equity)
        if peak > 0:
            worst = max(worst, 1 - equity / peak)
    return worst


def _ratio(mean: float, square: float, period_secs: float) -> float | None:
    if not (math.isfinite(square) and math.isfinite(mean)) or math.sqrt(square) < _NOTHING:
        return None
    return mean / math.sqrt(square) * math.sqrt(YEAR_SECS / period_secs)
