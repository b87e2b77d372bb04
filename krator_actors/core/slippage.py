"""What orders cost against the price that was seen when they were decided. Pure."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import Final

from krator_actors.messages.orders import OrderFilled
from krator_actors.model import OrderSide

EDGES_BPS: Final = (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Basis points. Half a spread is about 1, the price collar of docs/RISK.md 100 by default."""

_BPS = Decimal(10_000)


class Slippage:
    """Implementation shortfall of the fills of one symbol, fees apart.

    Per fill ``(price - mid) / mid`` for a buy and ``(mid - price) / mid`` for a sell, in basis
    points: positive is a cost. ``mid`` is that of the quote on which risk approved the order
    (``OrderApproved.mid_price``). After Perold, "The Implementation Shortfall", Journal of
    Portfolio Management 14(3), 1988; the arrival price is the mid.
    """

    def __init__(self) -> None:
        # The last one holds what is above all edges.
        self.counts = [0] * (len(EDGES_BPS) + 1)
        self._notional = Decimal(0)
        self._cost = Decimal(0)

    @property
    def mean_bps(self) -> float | None:
        """The mean, weighted with what was traded; None before the first fill."""
        return float(self._cost / self._notional * _BPS) if self._notional else None

    def take(self, fill: OrderFilled, mid: Decimal) -> None:
        """Take one fill; ``mid`` is above 0."""
        difference = fill.last_price - mid
        if fill.side is OrderSide.SELL:
            difference = -difference
        self.counts[bisect_left(EDGES_BPS, difference / mid * _BPS)] += 1
        self._notional += mid * fill.last_quantity
        self._cost += difference * fill.last_quantity
