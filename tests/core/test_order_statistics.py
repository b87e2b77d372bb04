from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.order_statistics import LIVE_LIMIT, STAGES, OrderStatistics
from krator_actors.model import OrderSide
from supervisors.messages import Message
from tests.core.day_events import (
    BTC,
    MS,
    D,
    accepted,
    approved,
    canceled,
    denied,
    filled,
    initialized,
    submitted,
)


def fold(*events: tuple[Message, int]) -> OrderStatistics:
    statistics = OrderStatistics()
    for event, ts_logged in events:
        statistics.take(event, ts_logged)
    return statistics


def whole_way() -> OrderStatistics:
    return fold(
        (approved("a"), 1 * MS),
        (initialized("a", ts_event=2 * MS), 2 * MS),
        (submitted("a", ts_event=4 * MS), 4 * MS),
        (accepted("a"), 12 * MS),
        (filled("a", last_price=D(101)), 28 * MS),
    )


def test_each_stage_has_the_time_between_its_two_events() -> None:
    stages = {name: times.take() for name, times in whole_way().stages.items()}

    assert {name: taken.count for name, taken in stages.items()} == dict.fromkeys(STAGES, 1)
    assert {name: taken.total_secs for name, taken in stages.items()} == {
        "risk_to_order": 0.001,
        "order_write": 0.002,
        "order_to_ack": 0.008,
        "ack_to_fill": 0.016,
    }


def test_order_is_counted_in_each_state_and_filled_once() -> None:
    statistics = whole_way()

    assert statistics.states == {
        "approved": 1, "initialized": 1, "submitted": 1, "accepted": 1, "filled": 1
    }  # fmt: skip
    assert statistics.fills == {BTC: 1}
    assert statistics.fill_ratio == 1.0


def test_fill_before_its_acknowledgment_ends_the_way_to_it() -> None:
    statistics = fold((submitted("a", ts_event=MS), MS), (filled("a"), 3 * MS))

    assert statistics.stages["order_to_ack"].take().total_secs == 0.002


def test_slippage_is_a_cost_when_bought_above_or_sold_below_the_mid() -> None:
    statistics = fold(
        (approved("a"), 1),
        (filled("a", last_price=D("100.10")), 2),
        (approved("b"), 3),
        (filled("b", 2, side=OrderSide.SELL, last_price=D("99.70")), 4),
    )

    slippage = statistics.slippage[BTC]
    assert slippage.mean_bps == 20.0
    assert sum(slippage.counts) == 2


def test_fill_without_a_known_mid_has_no_slippage() -> None:
    assert fold((approved("a", mid=None), 1), (filled("a"), 2)).slippage == {}


def test_fill_ratio_is_the_mean_share_of_orders_that_ended_at_the_venue() -> None:
    statistics = fold(
        (initialized("a", "4"), 1),
        (filled("a"), 2),
        (canceled("a"), 3),
        (initialized("b"), 4),
        (filled("b", 2), 5),
        (initialized("open"), 6),
    )

    assert statistics.fill_ratio == 0.625


def test_no_order_has_ended_and_there_is_no_fill_ratio() -> None:
    assert fold((initialized("a"), 1)).fill_ratio is None


def test_denials_are_counted_by_reason() -> None:
    statistics = fold((denied("a", "STALE_PRICE"), 1), (denied("b", "STALE_PRICE"), 2))

    assert statistics.denials == {"STALE_PRICE": 2}


def test_late_fill_counts_and_belongs_to_no_decision() -> None:
    statistics = fold((approved("a"), 1), (canceled("a"), 2), (filled("a"), 3))

    assert (statistics.fills[BTC], statistics.slippage) == (1, {})


def test_orders_without_an_end_are_bounded() -> None:
    statistics = OrderStatistics()

    for number in range(LIVE_LIMIT + 3):
        statistics.take(submitted(f"o-{number}"), 1)

    assert statistics.let_go == 3


MAKERS: list[Callable[[str], Message]] = [
    approved, initialized, submitted, accepted, filled, canceled, denied
]  # fmt: skip


@given(
    st.lists(
        st.builds(lambda make, name: make(name), st.sampled_from(MAKERS), st.sampled_from("ab"))
    )
)
def test_any_order_of_events_is_survived_and_counted(events: list[Message]) -> None:
    statistics = fold(*((event, number * MS) for number, event in enumerate(events)))

    assert sum(statistics.fills.values()) == sum("Filled" in type(e).__name__ for e in events)
    assert statistics.fill_ratio is None or 0 <= statistics.fill_ratio <= 1
