from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.slippage import EDGES_BPS, Slippage
from krator_actors.model import OrderSide
from tests.core.day_events import filled

PRICES = st.decimals("0.01", "100000", places=2)


def test_mean_is_weighted_with_what_was_traded() -> None:
    slippage = Slippage()

    slippage.take(filled("a", last_price=Decimal(101), last_quantity=Decimal(3)), Decimal(100))
    slippage.take(filled("b", last_price=Decimal(100)), Decimal(100))

    assert slippage.mean_bps == 75.0


def test_nothing_traded_has_no_mean() -> None:
    assert Slippage().mean_bps is None


@given(price=PRICES, mid=PRICES)
def test_buy_and_sell_at_one_price_cost_the_opposite(price: Decimal, mid: Decimal) -> None:
    buy, sell = Slippage(), Slippage()

    buy.take(filled("a", last_price=price), mid)
    sell.take(filled("a", last_price=price, side=OrderSide.SELL), mid)

    assert buy.mean_bps is not None
    assert buy.mean_bps == -(sell.mean_bps or 0)
    index = buy.counts.index(1)
    assert index == len(EDGES_BPS) or (price - mid) / mid * 10_000 <= EDGES_BPS[index]
    assert index == 0 or (price - mid) / mid * 10_000 > EDGES_BPS[index - 1]
