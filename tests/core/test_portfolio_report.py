"""What the risk engine says of the portfolio, and of one strategy's part of it."""

from __future__ import annotations

from krator_actors.core.portfolio_report import portfolio_report, strategy_state
from krator_actors.core.risk import RiskEngine
from krator_actors.messages.strategy import StrategyStateRequest
from krator_actors.model import (
    OrderStatus,
)
from tests.core.risk_desk import (
    BTC,
    ETH,
    NOON_NS,
    D,
    Desk,
    instrument,
    limit,
    order,
    risk_limits,
)


def test_portfolio_report_says_what_is_held_reserved_and_owned() -> None:
    desk = Desk(balances={"USDT": "100000", "BNB": "3"})
    desk.due()
    held = limit("100", "5", client_order_id="held")
    desk.submit(held)
    desk.fill(held, "2", "100")
    desk.quote("109.99", "110.01")

    report = portfolio_report(desk.engine, NOON_NS)

    btc, eth, bnb = report.positions
    assert (btc.quantity, btc.average_price, btc.mark_price) == (D(2), D(100), D(110))
    assert (btc.unrealized_pnl, btc.reserved_buy, btc.reserved_sell) == (D(20), D(3), D(0))
    assert (eth.symbol, eth.quantity) == (ETH, D(0))
    assert (bnb.symbol, bnb.quantity, bnb.mark_price) == ("BNB-USDT.SIM", D(3), None)
    assert (report.cash, report.equity) == (D(99_800), D(100_020))
    assert report.day_start_equity == 100_000
    assert (report.orders_approved, report.orders_denied, report.fills) == (1, 0, 1)
    assert report.open_orders[0].status is OrderStatus.PARTIALLY_FILLED


def test_portfolio_report_before_anything_is_known() -> None:
    report = portfolio_report(RiskEngine(risk_limits(), symbols=(BTC,), venue="SIM"), NOON_NS)

    assert not report.recovered
    assert (report.equity, report.day_start_equity) == (D(0), D(0))


def test_strategy_state_is_that_of_its_symbol() -> None:
    desk = Desk()
    desk.submit(order("btc"))
    desk.submit(order("eth", symbol=ETH))

    state = strategy_state(desk.engine, StrategyStateRequest(strategy="strategy:x", symbol=BTC))

    assert state.instrument == instrument(BTC)
    assert [o.client_order_id for o in state.open_orders] == ["btc"]
    assert state.position == 0
    assert state.equity == 100_000


def test_strategy_state_of_an_unknown_symbol_has_no_instrument() -> None:
    request = StrategyStateRequest(strategy="strategy:x", symbol="XRP-USDT.SIM")

    assert strategy_state(Desk().engine, request).instrument is None
