"""Positions, cash, profit and loss."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.positions import Portfolio, Position
from krator_actors.messages.orders import OrderFilled
from krator_actors.model import OrderSide

D = Decimal
BTC, ETH, BNB = "BTC-USDT.SIM", "ETH-USDT.SIM", "BNB-USDT.SIM"
SYMBOLS = (BTC, ETH)
BUY, SELL = OrderSide.BUY, OrderSide.SELL


def portfolio(**balances: str) -> Portfolio:
    made = Portfolio(quote="USDT", venue="SIM", symbols=SYMBOLS)
    made.open({asset: D(total) for asset, total in ({"USDT": "1000"} | balances).items()})
    return made


def fill(
    side: OrderSide,
    quantity: str | D,
    price: str | D,
    *,
    fee: str | D = "0",
    fee_currency: str = "USDT",
    symbol: str = BTC,
    trade_id: str = "1",
) -> OrderFilled:
    return OrderFilled(
        client_order_id="k1",
        venue_order_id="1",
        trade_id=trade_id,
        symbol=symbol,
        strategy="strategy:x",
        side=side,
        last_quantity=D(quantity),
        last_price=D(price),
        fee=D(fee),
        fee_currency=fee_currency,
        ts_event=1,
        ts_init=1,
    )


def test_buy_turns_cash_into_position() -> None:
    account = portfolio()

    applied = account.apply_fill(fill(BUY, "2", "100", fee="0.2"))

    assert applied
    assert account.cash == D("799.8")
    assert account.position(BTC).quantity == 2
    assert account.position(BTC).average_price == 100
    assert account.position(BTC).fees == D("0.2")
    assert account.fills == 1


def test_fee_in_the_base_currency_makes_the_holding_smaller() -> None:
    account = portfolio()

    account.apply_fill(fill(BUY, "2", "100", fee="0.002", fee_currency="BTC"))

    position = account.position(BTC)
    assert account.cash == 800
    assert position.quantity == D("1.998")
    assert position.average_price == 100
    assert position.fees == D("0.2")
    assert position.realized_pnl == 0


def test_fee_in_a_third_currency_counts_at_its_mark() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "2", "50", symbol=BNB, trade_id="1"))
    account.mark(BNB, D(60))

    account.apply_fill(fill(BUY, "1", "100", fee="0.5", fee_currency="BNB", trade_id="2"))

    purse = account.position(BNB)
    assert account.cash == 800
    assert account.position(BTC).quantity == 1
    assert account.position(BTC).fees == 30
    assert (purse.quantity, purse.cost) == (D("1.5"), D(75))
    assert (purse.realized_pnl, purse.fees) == (D(5), D(0))
    assert account.unvalued_fees == {}


def test_fee_that_nothing_prices_is_kept_apart() -> None:
    account = portfolio()

    account.apply_fill(fill(BUY, "1", "100", fee="0.5", fee_currency="BNB", trade_id="1"))
    account.apply_fill(fill(BUY, "1", "100", fee="0.25", fee_currency="BNB", trade_id="2"))

    assert account.unvalued_fees == {"BNB": D("0.75")}
    assert account.position(BNB).quantity == D("-0.75")
    assert account.position(BTC).fees == 0


def test_sell_realizes_against_the_average_cost() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "1", "100", trade_id="1"))
    account.apply_fill(fill(BUY, "1", "110", trade_id="2"))

    account.apply_fill(fill(SELL, "1", "120", trade_id="3"))

    position = account.position(BTC)
    assert position.realized_pnl == 15
    assert position.average_price == 105
    assert position.quantity == 1


def test_closed_position_has_no_cost_and_no_average_price() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "3", "100", trade_id="1"))

    account.apply_fill(fill(SELL, "3", "90", trade_id="2"))

    position = account.position(BTC)
    assert (position.quantity, position.cost, position.average_price) == (D(0), D(0), D(0))
    assert position.realized_pnl == -30


def test_sell_of_more_than_is_held_opens_a_short_at_its_price() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "1", "100", trade_id="1"))

    account.apply_fill(fill(SELL, "3", "110", trade_id="2"))

    position = account.position(BTC)
    assert position.quantity == -2
    assert position.average_price == 110
    assert position.realized_pnl == 10


def test_fill_told_twice_counts_once() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "1", "100", trade_id="7"))

    applied = account.apply_fill(fill(BUY, "1", "100", trade_id="7"))

    assert not applied
    assert account.position(BTC).quantity == 1
    assert account.fills == 1


def test_same_trade_id_of_another_symbol_is_another_fill() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "1", "100", trade_id="7"))

    applied = account.apply_fill(fill(BUY, "1", "10", symbol=ETH, trade_id="7"))

    assert applied
    assert account.position(ETH).quantity == 1


def test_two_own_orders_that_meet_share_a_trade_and_are_two_fills() -> None:
    account = portfolio()
    bought = fill(BUY, "1", "100", trade_id="7")

    account.apply_fill(bought)
    applied = account.apply_fill(
        msgspec.structs.replace(bought, side=SELL, client_order_id="other", venue_order_id="other")
    )

    assert applied
    assert account.position(BTC).quantity == 0


def test_only_the_latest_trade_ids_are_remembered() -> None:
    account = Portfolio(quote="USDT", venue="SIM", symbols=SYMBOLS, trades_limit=2)
    for number in "123":
        account.apply_fill(fill(BUY, "1", "1", trade_id=number))

    assert [trade_id for _, trade_id, _ in account.state().trades] == ["2", "3"]


def test_fill_in_another_quote_currency_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ETH-BTC.SIM is not quoted in USDT"):
        portfolio().apply_fill(fill(BUY, "1", "1", symbol="ETH-BTC.SIM"))


def test_equity_is_not_known_before_the_opening() -> None:
    account = Portfolio(quote="USDT", venue="SIM", symbols=SYMBOLS)

    assert account.equity is None


def test_equity_is_not_known_while_a_holding_has_no_price() -> None:
    account = portfolio(BTC="2")

    before = account.equity
    account.mark(BTC, D(50))

    assert before is None
    assert account.known_equity == 1100
    assert account.equity == 1100


def test_mark_moves_equity() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "2", "100"))

    account.mark(BTC, D(110))

    assert account.equity == 1020
    assert account.position(BTC).unrealized_pnl == 20


def test_fill_price_is_the_mark_until_there_is_a_quote() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "1", "100", trade_id="1"))
    account.apply_fill(fill(BUY, "1", "102", trade_id="2"))
    by_fill = account.position(BTC).mark

    account.mark(BTC, D(90))
    account.apply_fill(fill(BUY, "1", "91", trade_id="3"))

    assert by_fill == 102
    assert account.position(BTC).mark == 90


def test_mark_of_a_symbol_that_is_not_held_changes_nothing() -> None:
    account = portfolio()

    account.mark(BTC, D(100))

    assert account.equity == 1000


def test_holding_of_a_symbol_without_prices_is_kept_but_no_part_of_equity() -> None:
    account = portfolio(BNB="5")

    assert account.equity == 1000
    assert account.position(BNB).quantity == 5


def test_opening_holding_costs_what_its_first_fill_costs() -> None:
    account = portfolio(BTC="2")
    account.mark(BTC, D(90))
    before = account.position(BTC).unrealized_pnl, account.position(BTC).average_price

    account.apply_fill(fill(SELL, "1", "100"))

    position = account.position(BTC)
    assert before == (D(0), D(0))
    assert position.realized_pnl == 0
    assert position.average_price == 100
    assert position.unrealized_pnl == -10


def test_fee_paid_from_an_opening_holding_costs_nothing_known() -> None:
    account = portfolio(BNB="5")

    account.apply_fill(fill(BUY, "1", "100", fee="0.5", fee_currency="BNB"))

    assert account.position(BNB).quantity == D("4.5")
    assert account.position(BNB).fees == 0


def test_what_the_venue_has_more_of_is_no_profit() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "2", "100"))
    account.mark(BTC, D(110))

    worth = account.adjust("BTC", D("0.5")), account.adjust("USDT", D(-40))

    position = account.position(BTC)
    assert worth == (D(55), D(-40))
    assert account.transfers == 15
    assert account.equity == 1000 - 200 - 40 + 275
    assert position.realized_pnl + position.unrealized_pnl == 20


def test_what_the_venue_has_less_of_is_sold_at_its_mark() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "2", "100"))
    account.mark(BTC, D(110))

    account.adjust("BTC", D(-1))

    position = account.position(BTC)
    assert (position.quantity, position.cost) == (D(1), D(100))
    assert position.realized_pnl + position.unrealized_pnl == 20
    assert account.transfers == -110


def test_adjusted_asset_without_a_price_has_no_value() -> None:
    account = portfolio()

    worth = account.adjust("ETH", D(3)), account.adjust("DOGE", D(3))

    assert worth == (None, D(0))
    assert account.position(ETH).quantity == 3
    assert account.equity is None
    account.mark(ETH, D(10))
    assert account.equity == 1030


def test_exposure_is_net_and_gross() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "2", "100", trade_id="1"))
    account.apply_fill(fill(SELL, "3", "10", symbol=ETH, trade_id="2"))

    assert (account.net_exposure, account.gross_exposure) == (D(170), D(230))
    account.mark(BTC, D(50))
    assert (account.net_exposure, account.gross_exposure) == (D(70), D(130))


def test_restored_portfolio_goes_on_as_the_first_would_have() -> None:
    account = portfolio(ETH="1")
    account.apply_fill(fill(BUY, "2", "100", trade_id="1"))
    account.mark(BTC, D(105))
    account.mark(ETH, D(10))

    restored = Portfolio(quote="USDT", venue="SIM", symbols=SYMBOLS)
    restored.restore(account.state())

    assert not restored.apply_fill(fill(BUY, "2", "100", trade_id="1"))
    assert restored.equity == account.equity == 1020
    assert restored.fills == 1
    assert restored.position(BTC).average_price == 100
    assert not restored.position(BTC).is_mark_quoted


def test_state_does_not_change_with_the_portfolio() -> None:
    account = portfolio()
    account.apply_fill(fill(BUY, "2", "100", trade_id="1"))
    state = account.state()

    account.apply_fill(fill(BUY, "2", "100", trade_id="2"))

    assert state.positions[0] == Position(
        symbol=BTC, quantity=D(2), cost=D(200), mark=D(100), value=D(200)
    )


amounts = st.decimals("0.00000001", "1000000", places=8)
prices = st.decimals("0.01", "100000", places=2)
fills = st.builds(
    fill,
    st.sampled_from(OrderSide),
    amounts,
    prices,
    symbol=st.sampled_from(SYMBOLS),
    trade_id=st.integers(1, 30).map(str),
    fee=st.decimals(0, "0.00000001", places=8),
    fee_currency=st.sampled_from(["USDT", "BTC", "ETH"]),
)


@given(st.lists(fills, max_size=40), st.tuples(prices, prices))
def test_portfolio_is_the_plain_sum_of_its_fills(
    told: list[OrderFilled], marks: tuple[D, D]
) -> None:
    account = portfolio()
    once = {(f.symbol, f.trade_id): f for f in reversed(told)}.values()
    holdings: dict[str, D] = defaultdict(D, {"USDT": D(1000)})
    for each in once:
        base = each.symbol.partition("-")[0]
        signed = each.last_quantity * each.side.sign
        holdings[base] += signed
        holdings["USDT"] -= signed * each.last_price
        holdings[each.fee_currency] -= each.fee

    for each in told:
        account.apply_fill(each)
    for symbol, mark in zip(SYMBOLS, marks, strict=True):
        account.mark(symbol, mark)

    btc, eth = (account.position(symbol) for symbol in SYMBOLS)
    assert account.cash == holdings["USDT"]
    assert btc.quantity == holdings["BTC"]
    assert eth.quantity == holdings["ETH"]
    worth = account.cash + btc.quantity * marks[0] + eth.quantity * marks[1]
    assert account.equity is not None
    assert abs(account.equity - worth) < D("1e-9")
    profit = sum(p.realized_pnl + p.unrealized_pnl - p.fees for p in (btc, eth))
    assert abs(worth - 1000 - profit) < D("1e-9")
