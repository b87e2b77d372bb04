"""The account as our record has it, and as the venue has it."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.balances import QUIET_NS, Balances, BalancesState
from krator_actors.messages.orders import (
    AccountReport,
    Difference,
    OrderFilled,
    ReconciliationDifference,
)
from krator_actors.model import OrderSide

D = Decimal
LATER = 10 * QUIET_NS
_TWO, _PRICE, _NOTHING = D(2), D(100), D(0)


def opened(**balances: str) -> Balances:
    made = Balances()
    totals = {asset: D(total) for asset, total in ({"USDT": "1000"} | balances).items()}
    made.apply(AccountReport(balances=totals, ts_event=1))
    return made


def fill(
    side: OrderSide = OrderSide.BUY,
    quantity: D = _TWO,
    price: D = _PRICE,
    fee: D = _NOTHING,
    fee_currency: str = "USDT",
    ts_event: int = 1,
) -> OrderFilled:
    return OrderFilled(
        client_order_id="k1",
        venue_order_id="1",
        trade_id="1",
        symbol="BTC-USDT.SIM",
        strategy="",
        side=side,
        last_quantity=quantity,
        last_price=price,
        fee=fee,
        fee_currency=fee_currency,
        ts_event=ts_event,
        ts_init=1,
    )


def look(
    account: Balances, busy: tuple[str, ...] = (), asked_ns: int = LATER, **balances: str
) -> list[tuple[str, D, D]]:
    totals = {asset: D(total) for asset, total in balances.items()}
    found = account.differences(totals, asked_ns=asked_ns, busy=busy, now_ns=7)
    return [(difference.subject, difference.ours, difference.venue) for difference in found]


def test_difference_counts_when_it_is_seen_twice() -> None:
    account = opened()

    first, suspicious = look(account, USDT="990"), account.is_suspicious
    second = look(account, USDT="990")

    assert (first, suspicious) == ([], True)
    assert second == [("USDT", D(1000), D(990))]
    assert not account.is_suspicious


def test_difference_that_moves_is_not_believed() -> None:
    account = opened()

    assert [look(account, USDT=usdt) for usdt in ("990", "980", "1000", "980")] == [[]] * 4


def test_difference_that_was_told_is_ours_from_then_on() -> None:
    account = opened()
    account.apply(
        ReconciliationDifference(
            what=Difference.BALANCE,
            subject="USDT",
            symbol="",
            ours=D(1000),
            venue=D(990),
            ts_event=1,
        )
    )

    assert [look(account, USDT="990"), look(account, USDT="990")] == [[], []]
    assert not account.is_suspicious


def test_difference_of_an_order_does_not_touch_the_balances() -> None:
    account = opened()

    account.apply(
        ReconciliationDifference(
            what=Difference.FILLED, subject="k1", symbol="x", ours=D(2), venue=D(1), ts_event=1
        )
    )

    assert account.totals == {"USDT": D(1000)}


def test_asset_that_just_traded_is_not_compared() -> None:
    account = opened()
    account.apply(fill(ts_event=LATER - QUIET_NS))

    assert [look(account, USDT="1", BTC="1"), look(account, USDT="1", BTC="1")] == [[], []]
    assert not account.is_suspicious


def test_asset_whose_fills_are_not_known_is_not_compared() -> None:
    account = opened()

    found = [look(account, ("BTC", "USDT"), USDT="1", BTC="1") for _ in range(2)]

    assert found == [[], []]


def test_asset_that_nobody_told_us_of_differs_from_nothing() -> None:
    account = opened()
    look(account, USDT="1000", BNB="3")

    assert look(account, USDT="1000", BNB="3") == [("BNB", D(0), D(3))]


def test_nothing_differs_before_the_opening() -> None:
    account = Balances()
    account.apply(fill())

    assert look(account, USDT="5") == []
    assert account.totals is None


def test_restored_balances_are_the_same() -> None:
    account = opened()
    account.apply(fill(ts_event=LATER))

    again = Balances()
    encoded = msgspec.msgpack.encode(account.state())
    again.restore(msgspec.msgpack.decode(encoded, type=BalancesState))

    assert again.totals == account.totals == {"USDT": D(800), "BTC": D(2)}
    assert look(again, USDT="1", BTC="2") == []
    assert not again.is_suspicious


numbers = st.decimals("0.00000001", "100000", places=8)
fills = st.builds(
    fill,
    st.sampled_from(OrderSide),
    numbers,
    numbers,
    st.decimals(0, 1, places=8),
    st.sampled_from(["USDT", "BTC", "BNB"]),
)


@given(st.lists(fills, max_size=30))
def test_balances_are_the_opening_and_the_plain_sum_of_the_fills(told: list[OrderFilled]) -> None:
    account = opened(BTC="3")
    plain: dict[str, D] = defaultdict(D, {"USDT": D(1000), "BTC": D(3)})
    for each in told:
        plain["BTC"] += each.last_quantity * each.side.sign
        plain["USDT"] -= each.last_quantity * each.last_price * each.side.sign
        plain[each.fee_currency] -= each.fee

    for each in told:
        account.apply(each)

    assert account.totals is not None
    assert {a: t for a, t in account.totals.items() if t} == {a: t for a, t in plain.items() if t}
