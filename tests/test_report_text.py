"""What a person reads in a terminal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from krator_actors import report_text, terminal
from krator_actors.core.incident_list import ReportedIncident
from krator_actors.core.report import Report, ReportedFill, ReportedOrder, ReportedPosition, Totals
from krator_actors.model import OrderSide, OrderStatus, OrderType

TS_NS = 1_795_362_985_021_799_744


def report(orders: int = 1) -> Report:
    order = ReportedOrder(
        client_order_id="k7tvdvltwnicxbtczrfy2dmqi6tlvtey",
        strategy="strategy:ETH-USDT.SIM/sma_cross",
        symbol="ETH-USDT.SIM",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.18640000"),
        price=Decimal("2681.15000000"),
        status=OrderStatus.PARTIALLY_FILLED,
        filled_quantity=Decimal("0.1"),
        average_price=Decimal("2681.149999999"),
        reason="MAX_ORDER_NOTIONAL: notional 150000.123456 exceeds max 1000 and more",
        ts_event=TS_NS,
    )
    denied = ReportedOrder(
        client_order_id="kdenied",
        strategy="",
        symbol="ETH-USDT.SIM",
        status=OrderStatus.DENIED,
        ts_event=TS_NS,
    )
    fill = ReportedFill(
        client_order_id="external-ETH-USDT.SIM-31",
        trade_id="1910",
        strategy="",
        symbol="ETH-USDT.SIM",
        side=OrderSide.SELL,
        quantity=Decimal("0.10000000"),
        price=Decimal("2681.15000000"),
        fee=Decimal("0.00018640"),
        fee_currency="ETH",
        ts_event=TS_NS,
    )
    position = ReportedPosition(
        symbol="ETH-USDT.SIM",
        quantity=Decimal("0.1862136"),
        average_price=Decimal("2681.15"),
        mark_price=None,
        realized_pnl=Decimal("-0.001"),
        unrealized_pnl=Decimal("12.345"),
        fees=Decimal("0.999242063"),
    )
    totals = Totals(
        orders=orders + 1,
        fills=1,
        realized_pnl=Decimal("-0.001"),
        unrealized_pnl=Decimal("12.345"),
        fees=Decimal("0.999242063"),
    )
    incident = ReportedIncident(
        ts=TS_NS,
        incident_id="inc-5e561b15b16427ba2ed1",
        kind="quarantine",
        component="strategy:BTC-USDT.SIM/mean_reversion",
        cause="supervisor_crash_loop" * 3,
        outage_secs=123_456.7,
    )
    return Report(
        orders=[*[order] * orders, denied],
        fills=[fill],
        positions=[position],
        incidents=[incident],
        totals=totals,
    )


def test_report_fits_140_columns_and_has_times_and_plain_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report_text.print_report(report())

    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 140
    assert "2026-11-22T15:56:25Z" in text
    assert "2,681.15 " in text
    assert "0.1864 " in text
    assert "external 31" in text
    assert "realized +0.00 · unrealized +12.34 · fees 1.00 · net +11.34" in text


def test_report_shows_the_last_twenty_orders(capsys: pytest.CaptureFixture[str]) -> None:
    report_text.print_report(report(orders=30))

    text = capsys.readouterr().out
    assert "orders: 31 (the last 20)" in text
    assert text.count("k7tvdvltwnic") == 19


def test_empty_report_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    report_text.print_report(
        Report(orders=[], fills=[], positions=[], incidents=[], totals=Totals())
    )

    assert "orders: 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "text"),
    [("61836.13500000", "61,836.135"), ("100", "100"), ("0E-8", "0"), ("1E+3", "1,000")],
)
def test_price_has_no_trailing_zeros(value: str, text: str) -> None:
    assert report_text.plain(Decimal(value)) == text


def test_table_aligns_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table(("NAME", "N"), [("a", "1"), ("bb", "100")], right="N")

    assert capsys.readouterr().out.splitlines() == ["NAME    N", "a       1", "bb    100"]


def test_incident_is_shown_with_an_id_that_audit_order_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report_text.print_report(report())

    text = capsys.readouterr().out
    (line,) = [line for line in text.splitlines() if "mean_reversion" in line]
    assert line.split()[-1] == "inc-5e561b15"
    assert "123,456.7 s" in line
