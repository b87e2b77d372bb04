from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from krator_actors.core.holding import Holding
from krator_actors.core.strategies import Standing
from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    SubmitOrder,
)
from krator_actors.messages.strategy import StrategyState
from krator_actors.model import Instrument, OrderSide, OrderStatus, OrderType

SYMBOL = "BTC-USDT.SIM"
STRATEGY = "strategy:BTC-USDT.SIM/sma_cross"
PRICE = Decimal(60_000)
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(9),
    min_notional=Decimal(5),
)


def state(
    position: str = "0",
    *,
    recovered: bool = True,
    open_orders: tuple[OpenOrder, ...] = (),
    instrument: Instrument | None = INSTRUMENT,
) -> StrategyState:
    return StrategyState(
        symbol=SYMBOL,
        recovered=recovered,
        position=Decimal(position),
        open_orders=open_orders,
        equity=Decimal(100_000),
        instrument=instrument,
    )


def open_order(client_order_id: str = "k1", strategy: str = STRATEGY) -> OpenOrder:
    return OpenOrder(
        client_order_id=client_order_id,
        strategy=strategy,
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(2),
        filled=Decimal(0),
        price=None,
        status=OrderStatus.SUBMITTED,
    )


def submit(client_order_id: str = "k1") -> SubmitOrder:
    return SubmitOrder(
        client_order_id=client_order_id,
        strategy=STRATEGY,
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(2),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


def fill(trade_id: str, quantity: str, client_order_id: str = "k1") -> OrderFilled:
    return OrderFilled(
        client_order_id=client_order_id,
        venue_order_id="1",
        trade_id=trade_id,
        symbol=SYMBOL,
        strategy=STRATEGY,
        side=OrderSide.BUY,
        last_quantity=Decimal(quantity),
        last_price=PRICE,
        fee=Decimal(0),
        fee_currency="BTC",
        ts_event=1,
        ts_init=1,
    )


def settled(position: str = "0") -> Holding:
    holding = Holding(STRATEGY, SYMBOL)
    holding.on_state(state(position))
    return holding


def waiting() -> Holding:
    holding = settled()
    holding.begin(submit())
    return holding


def ends(client_order_id: str) -> list[OrderEvent]:
    about: dict[str, Any] = {"client_order_id": client_order_id, "symbol": SYMBOL}
    return [
        OrderRejected(**about, reason="NEVER_ARRIVED", ts_event=1),
        OrderCanceled(**about, ts_event=1),
        OrderExpired(**about, ts_event=1),
        OrderDenied(**about, strategy=STRATEGY, reason="HALTED", detail="", ts_event=1),
    ]


def test_nothing_is_known_before_risk_has_said_it() -> None:
    assert Holding(STRATEGY, SYMBOL).standing(PRICE) is Standing.UNKNOWN


def test_it_stands_flat_or_long_as_risk_says() -> None:
    assert settled("0").standing(PRICE) is Standing.FLAT
    assert settled("2").standing(PRICE) is Standing.LONG


def test_what_a_fee_left_over_is_flat() -> None:
    assert settled("0.0009").standing(PRICE) is Standing.FLAT


def test_without_a_price_its_standing_is_not_known() -> None:
    assert settled("2").standing(None) is Standing.UNKNOWN


def test_an_answer_of_a_risk_that_has_not_recovered_settles_nothing() -> None:
    holding = settled("2")

    assert not holding.on_state(state("5", recovered=False))
    assert holding.standing(PRICE) is Standing.UNKNOWN


def test_without_an_instrument_it_is_asked_again_and_one_that_was_known_is_kept() -> None:
    holding = Holding(STRATEGY, SYMBOL)

    assert not holding.on_state(state(instrument=None))
    assert holding.on_state(state())
    assert holding.on_state(state(instrument=None))


def test_doubt_makes_the_position_unknown() -> None:
    holding = settled("2")

    holding.doubt()

    assert holding.standing(PRICE) is Standing.UNKNOWN


def test_while_an_order_is_under_way_its_standing_is_not_known() -> None:
    assert waiting().standing(PRICE) is Standing.UNKNOWN


@pytest.mark.parametrize("event", ends("k1"), ids=lambda event: type(event).__name__)
def test_an_order_that_ended_makes_it_ask_risk(event: OrderEvent) -> None:
    holding = waiting()

    assert holding.on_order_event(event)
    assert holding.pending is None
    assert holding.position is None


@pytest.mark.parametrize("event", ends("k0"), ids=lambda event: type(event).__name__)
def test_the_end_of_an_earlier_order_changes_nothing(event: OrderEvent) -> None:
    holding = waiting()

    assert not holding.on_order_event(event)
    assert holding.pending is not None


def test_progress_is_news_and_no_end() -> None:
    holding = waiting()
    accepted = OrderAccepted(client_order_id="k1", venue_order_id="1", symbol=SYMBOL, ts_event=1)

    assert not holding.on_order_event(accepted)
    assert not holding.on_order_event(AccountReport(balances={}, ts_event=1))
    assert holding.pending is not None
    assert holding.pending.news == 1


def test_an_order_is_final_when_its_whole_quantity_is_filled_counting_each_trade_once() -> None:
    holding = waiting()

    assert not holding.on_order_event(fill("1", "1.5"))
    assert not holding.on_order_event(fill("1", "1.5"))
    assert holding.on_order_event(fill("2", "0.5"))


def test_a_fill_of_an_order_that_was_taken_for_final_makes_it_ask_risk() -> None:
    holding = settled("2")

    assert holding.on_order_event(fill("9", "1", "k0"))
    assert holding.standing(PRICE) is Standing.UNKNOWN


def test_a_late_fill_of_an_earlier_order_does_not_end_the_one_under_way() -> None:
    holding = waiting()

    assert holding.on_order_event(fill("9", "1", "k0"))
    assert holding.pending is not None


def test_an_order_that_risk_has_open_stays_pending_with_its_fills() -> None:
    holding = waiting()
    holding.on_order_event(fill("1", "1.5"))

    assert not holding.on_state(state(open_orders=(open_order(),)))
    assert holding.on_order_event(fill("2", "0.5"))


def test_an_open_order_of_an_earlier_incarnation_is_pending() -> None:
    holding = Holding(STRATEGY, SYMBOL)

    assert not holding.on_state(state(open_orders=(open_order(),)))
    assert holding.pending is not None
    assert holding.pending.client_order_id == "k1"


def test_an_order_that_risk_does_not_have_is_done() -> None:
    holding = waiting()

    assert holding.on_state(state("2"))
    assert holding.standing(PRICE) is Standing.LONG


def test_orders_of_others_on_the_symbol_are_not_its_business() -> None:
    holding = Holding(STRATEGY, SYMBOL)

    assert holding.on_state(state(open_orders=(open_order(strategy=""),)))
