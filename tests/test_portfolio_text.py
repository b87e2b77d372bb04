"""The portfolio as text."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.model import OrderSide, OrderStatus, OrderType, TradingState
from krator_actors.portfolio_text import print_portfolio

D = Decimal
POSITION = PositionReport(
    symbol="BTC-USDT.SIM",
    quantity=D("0.5"),
    average_price=D(100),
    mark_price=D(110),
    realized_pnl=D(3),
    unrealized_pnl=D(5),
    fees=D(1),
    reserved_buy=D("0.25"),
    reserved_sell=D(0),
    exposure=D(55),
)
ORDER = OpenOrder(
    client_order_id="k-open",
    strategy="strategy:x",
    symbol="BTC-USDT.SIM",
    side=OrderSide.BUY,
    order_type=OrderType.LIMIT,
    quantity=D("0.25"),
    filled=D(0),
    price=D(99),
    status=OrderStatus.UNKNOWN,
)
REPORT = PortfolioReport(
    state=TradingState.HALTED,
    recovered=True,
    cash=D(952),
    equity=D(1007),
    day_start_equity=D(1000),
    positions=(POSITION,),
    open_orders=(ORDER,),
    orders_approved=7,
    orders_denied=3,
    fills=4,
    net_exposure=D(55),
    gross_exposure=D(65),
    peak_equity=D(1060),
    ts_event=1,
)


def text_of(report: PortfolioReport, capsys: pytest.CaptureFixture[str]) -> str:
    print_portfolio(report)
    return capsys.readouterr().out


def test_portfolio_has_money_exposure_positions_and_orders(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = text_of(REPORT, capsys)

    for part in ("HALTED", "equity 1,007.00", "+7.00", "net 55.00", "gross 65.00", "53.00 (5.00%)"):
        assert part in text
    for part in ("BTC-USDT.SIM", "110", "+5.00", "UNKNOWN", "k-open"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 140
    assert "nothing prices" not in text
    assert "without a trade" not in text


def test_what_is_in_no_sum_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    report = msgspec.structs.replace(
        REPORT, unvalued_fees={"BNB": D("0.75")}, transfers=D(-40), recovered=False
    )

    text = text_of(report, capsys)

    assert "fees of 0.75 BNB are in none of these numbers" in text
    assert "came without a trade: -40.00" in text
    assert "risk still waits" in text


def test_empty_portfolio_has_no_tables(capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(msgspec.structs.replace(REPORT, positions=(), open_orders=()), capsys)

    assert "positions: 0" in text
    assert "open orders: 0" in text
    assert "SYMBOL" not in text
