"""Reason codes are what people search for, and what holds for an order by itself."""

from __future__ import annotations

import pytest

from krator_actors.core.rules import DenialReason, check_instrument
from krator_actors.model import OrderType
from tests.core.risk_desk import D, instrument, order


def test_reason_code_is_its_name() -> None:
    assert all(reason.value == reason.name for reason in DenialReason)


@pytest.mark.parametrize(
    ("stop_price", "reason"),
    [
        ("NaN", "PRICE_INVALID"),
        ("Infinity", "PRICE_INVALID"),
        ("0", "PRICE_INVALID"),
        ("1e16", "PRICE_INVALID"),
        ("99.505", "TICK_SIZE"),
        ("99.50", None),
    ],
)
def test_stop_price_is_a_price(stop_price: str, reason: str | None) -> None:
    stop = order(order_type=OrderType.STOP_MARKET, stop_price=D(stop_price))

    denial = check_instrument(stop, instrument())

    assert (None if denial is None else denial.reason) == reason
