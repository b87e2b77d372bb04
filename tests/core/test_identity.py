from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.identity import client_order_id

decisions = st.tuples(st.text(), st.text(), st.text(), st.integers(0, 9))


@given(decisions)
def test_the_same_decision_is_the_same_order(decision: tuple[str, str, str, int]) -> None:
    assert client_order_id(*decision) == client_order_id(*decision)


@given(decisions, decisions)
def test_different_decisions_are_different_orders(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    assert (client_order_id(*one) == client_order_id(*other)) == (one == other)


@given(decisions)
def test_binance_accepts_every_id(decision: tuple[str, str, str, int]) -> None:
    identity = client_order_id(*decision)

    assert re.fullmatch(r"[.A-Z:/a-z0-9_-]{1,36}", identity)
    assert re.fullmatch(r"k[a-z2-7]{31}", identity)


def test_moving_a_letter_from_one_part_to_the_next_is_another_order() -> None:
    assert client_order_id("ab", "c", "d", 0) != client_order_id("a", "bc", "d", 0)


def test_ids_stay_what_they_were_in_logs_of_earlier_versions() -> None:
    identity = client_order_id("strategy:BTC-USDT.SIM/sma_cross", "BTC-USDT.SIM", "bar:1", 0)

    assert identity == "kxaq3232hpxoigzkuxqgzd6lkatx3cvy"
