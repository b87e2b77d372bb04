"""Which orders sell everything."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.flatten import WRITER, sell_orders
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import Instrument, OrderSide, OrderType


def instrument(symbol: str = "BTC-USDT.SIM", **changes: str) -> Instrument:
    pair = symbol.partition(".")[0]
    base, _, quote = pair.partition("-")
    sizes = {"lot_size": "0.01", "min_quantity": "0.01", "max_quantity": "9"} | changes
    steps: dict[str, Any] = {name: Decimal(size) for name, size in sizes.items()}
    return Instrument(
        symbol=symbol,
        venue_symbol=base + quote,
        base=base,
        quote=quote,
        tick_size=Decimal("0.01"),
        min_notional=Decimal(5),
        **steps,
    )


def orders_of(
    balances: dict[str, str], *instruments: Instrument, act_ns: int = 1, first_leg: int = 0
) -> tuple[SubmitOrder, ...]:
    held = {asset: Decimal(total) for asset, total in balances.items()}
    return sell_orders(held, instruments, act_ns=act_ns, first_leg=first_leg, ts_ns=7)


def test_holding_is_sold_at_market_in_steps_of_the_lot() -> None:
    (order,) = orders_of({"BTC": "1.239", "USDT": "50"}, instrument())

    assert (order.symbol, order.side, order.order_type) == (
        "BTC-USDT.SIM",
        OrderSide.SELL,
        OrderType.MARKET,
    )
    assert order.quantity == Decimal("1.23")
    assert order.strategy == WRITER


def test_dust_and_what_is_not_configured_stay() -> None:
    assert orders_of({"BTC": "0.009", "DOGE": "100"}, instrument()) == ()
    assert orders_of({"BTC": "0.05"}, instrument(min_quantity="0.1")) == ()


def test_holding_above_the_largest_order_becomes_several() -> None:
    orders = orders_of({"BTC": "20.005"}, instrument())

    assert [order.quantity for order in orders] == [Decimal(9), Decimal(9), Decimal("2.00")]
    assert len({order.client_order_id for order in orders}) == 3


def test_asset_with_two_markets_is_sold_once() -> None:
    orders = orders_of({"BTC": "1"}, instrument(), instrument("BTC-EUR.SIM"))

    assert [order.symbol for order in orders] == ["BTC-USDT.SIM"]


def test_id_is_the_same_for_the_same_leg_of_the_same_act_only() -> None:
    first = orders_of({"BTC": "1"}, instrument())[0].client_order_id

    assert orders_of({"BTC": "2"}, instrument())[0].client_order_id == first
    assert orders_of({"BTC": "1"}, instrument(), first_leg=1)[0].client_order_id != first
    assert orders_of({"BTC": "1"}, instrument(), act_ns=2)[0].client_order_id != first


@given(
    held=st.decimals(0, 10_000, places=8),
    lot=st.sampled_from(["0.00001", "0.01", "1"]),
    largest=st.integers(200, 1_000),
)
def test_what_stays_is_less_than_a_lot_or_the_smallest_order(
    held: Decimal, lot: str, largest: int
) -> None:
    market = instrument(lot_size=lot, min_quantity=lot, max_quantity=str(largest))

    sold = [order.quantity for order in orders_of({"BTC": str(held)}, market)]

    assert 0 <= held - sum(sold, Decimal(0)) < Decimal(lot)
    assert all(q % Decimal(lot) == 0 and q <= largest for q in sold)
