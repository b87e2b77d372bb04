from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.daily_report import DayFold, DayReport, day_before, day_of
from krator_actors.core.daily_tables import day_text
from krator_actors.core.venue_look import RiskLook, VenueLook
from krator_actors.messages.orders import AccountReport, OrderDenied, OrderFilled
from krator_actors.model import NANOS_PER_SEC, OrderSide
from supervisors.messages import Message

BTC = "BTC-USDT.SIM"
NOBODY = VenueLook(ts=1, silent="nobody was asked")
NO_RISK = RiskLook(silent="nobody was asked")
DAY = dt.date(2026, 11, 22)
BEGIN_NS = int(dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp()) * NANOS_PER_SEC
HOUR_NS = 3_600 * NANOS_PER_SEC


def filled(number: int, side: OrderSide, price: int) -> OrderFilled:
    return OrderFilled(
        client_order_id=f"o-{number}",
        venue_order_id=str(number),
        trade_id=str(number),
        symbol=BTC,
        strategy="strategy:x",
        side=side,
        last_quantity=Decimal(1),
        last_price=Decimal(price),
        fee=Decimal(1),
        fee_currency="USDT",
        ts_event=1,
        ts_init=1,
    )


def denied(number: int) -> OrderDenied:
    return OrderDenied(
        client_order_id=f"o-{number}",
        strategy="strategy:x",
        symbol=BTC,
        reason="MAX_POSITION",
        detail="2 exceeds max 1",
        ts_event=1,
    )


def report() -> DayReport:
    """A purchase the day before, a sale with profit and a denial on the day, another sale after."""
    fold = DayFold(DAY)
    numbers = itertools.count(1)

    def take(event: Message, ts_ns: int) -> None:
        fold.take(event, ts_ns, writer="order:SIM", number=next(numbers))

    opening = AccountReport(balances={"USDT": Decimal(1_000), "BTC": Decimal(0)}, ts_event=1)
    take(opening, BEGIN_NS - 9 * HOUR_NS)
    take(filled(1, OrderSide.BUY, 100), BEGIN_NS - 1)
    take(filled(2, OrderSide.BUY, 100), BEGIN_NS - 1)
    take(filled(3, OrderSide.SELL, 130), BEGIN_NS)
    take(denied(4), BEGIN_NS + HOUR_NS)
    take(filled(5, OrderSide.SELL, 990), BEGIN_NS + 24 * HOUR_NS)
    return fold.report(NOBODY, NO_RISK, [])


def test_totals_of_the_day_are_what_changed_on_it() -> None:
    made = report()

    assert (made.totals.fills, made.totals.denied, made.totals.orders) == (1, 1, 2)
    assert made.totals.realized_pnl == 30
    assert made.totals.fees == 1
    assert made.totals_at_end.fills == 3
    assert made.totals_at_end.fees == 3


def test_orders_and_fills_are_those_of_the_day() -> None:
    made = report()

    assert [order.client_order_id for order in made.orders] == ["o-3", "o-4"]
    assert [fill.trade_id for fill in made.fills] == ["3"]


def test_positions_are_those_at_the_end_of_the_day() -> None:
    (position,) = report().positions

    assert position.symbol == BTC
    assert position.quantity == 1


def test_text_is_readable() -> None:
    lines = day_text(report()).splitlines()

    assert lines[0] == "Krator, 2026-11-22 (UTC)"
    assert any(line.split() == ["realized", "pnl", "30", "30"] for line in lines)
    assert "fills: 1" in lines
    assert any("MAX_POSITION: 2 exceeds max 1" in line for line in lines)


def test_day_on_which_nothing_happened_has_a_report() -> None:
    made = DayFold(DAY).report(NOBODY, NO_RISK, [])

    assert (made.orders, made.fills, made.positions, made.totals.orders) == ([], [], [], 0)
    assert "orders: 0" in day_text(made)


def test_day_begins_at_midnight_utc() -> None:
    assert day_of(BEGIN_NS) == DAY
    assert day_of(BEGIN_NS - 1) == dt.date(2026, 11, 21)
    assert day_before(BEGIN_NS + HOUR_NS) == dt.date(2026, 11, 21)


PRICES = st.integers(1, 1_000)
TRADES = st.lists(st.tuples(st.integers(-30, 54), st.sampled_from(list(OrderSide)), PRICES))


@given(TRADES)
def test_totals_are_the_plain_sums_of_the_days_events(
    trades: list[tuple[int, OrderSide, int]],
) -> None:
    fold, of_day = DayFold(DAY), []
    for number, (hours, side, price) in enumerate(sorted(trades, key=lambda t: t[0]), 1):
        fill = filled(number, side, price)
        fold.take(fill, BEGIN_NS + hours * HOUR_NS, writer="order:SIM", number=number)
        if 0 <= hours < 24:
            of_day.append(fill)
    made = fold.report(NOBODY, NO_RISK, [])

    assert made.totals.fills == len(made.fills) == len(of_day)
    assert made.totals.fees == sum(fill.fee for fill in of_day)
    assert made.totals.fees == sum(profit.fees for profit in made.profits)
    assert made.totals.realized_pnl == sum(profit.realized_pnl for profit in made.profits)
    assert made.totals_at_end.realized_pnl == sum(p.realized_pnl for p in made.positions)
    # Cash that came and went is the profit, and what is still held cost the rest.
    flow = sum(
        (1 if f.side is OrderSide.SELL else -1) * f.quantity * f.price
        for f in fold._until_end.fills
    )
    cost = sum(p.quantity * p.average_price for p in made.positions)
    assert abs(made.totals_at_end.realized_pnl - flow - cost) < Decimal("1e-6")
