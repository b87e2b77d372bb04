"""Seeded random order flow: market makers who quote around a fair price, and takers.

Pure: it is told the time, and its dice are seeded.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from krator_actors.exchange.price_path import PricePath
from krator_actors.exchange.rules import Rules
from krator_actors.model import OrderSide

MAKERS = 12
VOLATILITY_BP = 1.5

_TAKER_SHARE = 0.35
_HALF_SPREAD_BP = 0.3
_STEP_BP = 0.8
_QUOTE_NOTIONAL = 40_000.0
_TAKE_NOTIONAL = 4_000.0
_SIZE_SPREAD = 0.8
_LEAN = 0.25
"""how much likelier than a coin a taker goes the way the price is going"""


@dataclass(frozen=True, slots=True)
class Quote:
    """A maker replaces both of its orders."""

    maker: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


@dataclass(frozen=True, slots=True)
class Take:
    """A taker's market order."""

    side: OrderSide
    quantity: int


class OrderFlow:
    """What everybody else at the venue does, one action at a time."""

    def __init__(self, rules: Rules, *, seed: int, start: int) -> None:
        """``start``: seconds after the epoch, so that a restart does not throw the same dice."""
        self._rules = rules
        self._path = PricePath(seed=seed, symbol=rules.symbol, volatility_bp=VOLATILITY_BP)
        self._dice = random.Random(f"{seed}/{rules.symbol}/{start}")  # noqa: S311 - order flow, not a secret
        self._fair = self._fair_at(start)
        # the makers' turns: nobody is left with stale quotes for long
        self._turn = 0

    def fair(self) -> float:
        """Return the fair price, in units, at the latest action."""
        return self._fair

    def opening(self) -> list[Quote]:
        """Return the first quotes of all makers: a two-sided book."""
        return [self._quote(maker) for maker in range(MAKERS)]

    def next_action(self, secs: float) -> Quote | Take:
        """Return what happens next, at ``secs`` after the epoch."""
        before, self._fair = self._fair, self._fair_at(secs)
        if self._dice.random() >= _TAKER_SHARE:
            self._turn = (self._turn + 1) % MAKERS
            return self._quote(self._turn)
        lean = _LEAN if self._fair > before else -_LEAN
        side = OrderSide.BUY if self._dice.random() < 0.5 + lean else OrderSide.SELL
        return Take(side, self._quantity(_TAKE_NOTIONAL))

    def _fair_at(self, secs: float) -> float:
        return self._rules.start_price * self._path.factor(secs)

    def _quote(self, maker: int) -> Quote:
        distance_bp = _HALF_SPREAD_BP + _STEP_BP * maker * self._dice.uniform(0.8, 1.2)
        half = max(self._fair * distance_bp * 1e-4, self._rules.tick / 2)
        tick = self._rules.tick
        bid = max(int((self._fair - half) // tick), 1) * tick
        ask = max(-int(-(self._fair + half) // tick) * tick, bid + tick)
        depth = _QUOTE_NOTIONAL * (1 + maker) ** 0.5
        return Quote(maker, bid, self._quantity(depth), ask, self._quantity(depth))

    def _quantity(self, notional: float) -> int:
        rules = self._rules
        scale = self._dice.lognormvariate(0.0, _SIZE_SPREAD)
        units = notional * scale / (self._fair / 1e8) * 1e8
        lots = max(int(units // rules.lot), rules.min_quantity // rules.lot)
        return lots * rules.lot
