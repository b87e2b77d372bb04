"""Bars of one symbol, and a strategy that is shown them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import strategies as st

from krator_actors.core.strategies import Intent, Standing, Strategy
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar
from krator_actors.model import NANOS_PER_SEC, OrderSide

SYMBOL = "BTC-USDT.SIM"

closes = st.lists(st.integers(1, 200), max_size=80)


def bar(number: int, close: float) -> Bar:
    price = Decimal(str(close))
    return Bar(
        symbol=SYMBOL,
        spec=BarSpec(1, BarUnit.SECOND),
        ts_open=number * NANOS_PER_SEC,
        ts_close=(number + 1) * NANOS_PER_SEC,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
        trades=1,
    )


def shown(strategy: Strategy, prices: Sequence[float], standing: Standing) -> list[Intent]:
    return [i for n, p in enumerate(prices) for i in strategy.on_bar(bar(n, p), standing)]


def traded(strategy: Strategy, prices: Sequence[float]) -> list[Intent]:
    """Show bars; every intent is filled at once."""
    intents: list[Intent] = []
    for number, price in enumerate(prices):
        is_long = bool(intents) and intents[-1].side is OrderSide.BUY
        intents += strategy.on_bar(bar(number, price), Standing.LONG if is_long else Standing.FLAT)
    return intents
