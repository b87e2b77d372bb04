from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.day_differences import DayDifferences
from krator_actors.core.report import build_report
from krator_actors.core.venue_look import DayDifference
from krator_actors.messages.orders import (
    AccountReport,
    Difference,
    OrderUnknown,
    ReconciliationDifference,
)
from krator_actors.model import OrderSide
from supervisors.messages import Message
from tests.core.day_events import BTC, D, approved, denied, filled, initialized, submitted

OPENING = {"USDT": D(1_000), "BTC": D(0)}


def balances(**assets: str) -> AccountReport:
    return AccountReport(balances={k: D(v) for k, v in assets.items()}, ts_event=1)


def found(*events: Message, writer: str = "order:SIM") -> list[DayDifference]:
    opening = AccountReport(balances=OPENING, ts_event=1)
    fold = DayDifferences()
    told = [event for event in events if isinstance(event, AccountReport)]
    # What the venue said last is judged when it says the next: the same again.
    for number, event in enumerate((opening, *events, *told[-1:]), 1):
        fold.take(event, writer, number)
    return fold.differences(build_report(events).orders)


def test_fills_and_the_venues_balances_agree() -> None:
    assert found(initialized("a"), filled("a"), balances(USDT="899.9", BTC="1")) == []


def test_balances_that_come_before_their_fill_agree_with_it() -> None:
    assert found(initialized("a"), balances(USDT="899.9", BTC="1"), filled("a")) == []


def test_every_asset_that_differs_is_listed_with_both_numbers() -> None:
    (btc, usdt) = found(initialized("a"), filled("a"), balances(USDT="900", BTC="2"))

    assert (btc.what, btc.subject, btc.ours, btc.theirs) == ("balance", "BTC", "1", "2")
    assert (usdt.subject, usdt.ours, usdt.theirs) == ("USDT", "899.9", "900")
    assert usdt.detail == "+0.1 at SIM"


def test_difference_is_told_once_because_from_then_on_the_venue_is_right() -> None:
    differences = found(balances(USDT="990", BTC="0"), balances(USDT="990", BTC="0"))

    assert [(d.subject, d.theirs) for d in differences] == [("USDT", "990")]


def test_order_whose_outcome_is_not_known_differs() -> None:
    unknown = OrderUnknown(client_order_id="a", symbol=BTC, reason="lost", ts_event=1)

    (difference,) = found(initialized("a"), submitted("a"), unknown)

    assert (difference.what, difference.subject, difference.ours) == ("order", "a", "UNKNOWN")


def test_approval_that_never_became_an_order_differs_unless_it_was_denied() -> None:
    assert [d.detail for d in found(approved("a"))] == ["the order actor never had it"]
    assert found(approved("a"), denied("a")) == []


def test_fill_of_an_order_that_is_not_ours_differs() -> None:
    details = [d.detail for d in found(filled("x"), balances(USDT="899.9", BTC="1"))]

    assert details == ["filled, and not ours"]


def test_more_filled_than_ordered_differs() -> None:
    events = (initialized("a"), filled("a"), filled("a", 2), balances(USDT="799.8", BTC="2"))

    assert [d.detail for d in found(*events)] == ["more was filled than was ordered"]


def test_missing_record_of_a_writer_is_found() -> None:
    fold = DayDifferences()
    for number in (4, 5, 7):
        fold.take(denied(f"o-{number}"), "risk", number)

    (difference,) = fold.differences([])

    assert (difference.what, difference.subject) == ("journal", "risk")
    assert (difference.ours, difference.theirs) == ("7", "6")


def test_what_was_found_on_earlier_days_is_in_their_reports() -> None:
    fold = DayDifferences()
    for number in (1, 3):
        fold.take(denied(f"o-{number}"), "risk", number)

    fold.begin_day()

    assert fold.differences([]) == []


def test_what_the_order_actor_found_at_the_venue_is_listed() -> None:
    vanished = ReconciliationDifference(
        what=Difference.VANISHED, subject="a", symbol=BTC, ours=D(1), venue=D(0), ts_event=1
    )

    (difference,) = found(vanished, msgspec.structs.replace(vanished, what=Difference.BALANCE))

    assert (difference.what, difference.subject, difference.detail) == ("venue", "a", "vanished")


SIDES = st.sampled_from(list(OrderSide))
AMOUNTS = st.decimals("0.00001", "1000", places=5)


@given(st.lists(st.tuples(SIDES, AMOUNTS, AMOUNTS, AMOUNTS), max_size=20))
def test_a_venue_that_counts_as_we_do_never_differs(
    trades: list[tuple[OrderSide, Decimal, Decimal, Decimal]],
) -> None:
    cash, held, events = OPENING["USDT"], OPENING["BTC"], []
    for number, (side, quantity, price, fee) in enumerate(trades):
        sign = 1 if side is OrderSide.BUY else -1
        cash, held = cash - sign * quantity * price - fee, held + sign * quantity
        fill = filled(
            f"o-{number}", number, side=side, last_quantity=quantity, last_price=price, fee=fee
        )
        events += [initialized(f"o-{number}", str(quantity)), fill]

    report = AccountReport(balances={"USDT": cash, "BTC": held}, ts_event=1)

    assert found(*events, report) == []
