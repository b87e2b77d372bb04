"""The memory of what was approved lately."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from krator_actors.core.duplicates import REMEMBERED_LIMIT, Approved, Duplicates
from krator_actors.model import OrderSide
from tests.core.risk_desk import ETH, limit


def remembering(*, at_ns: int = 100, within_ns: int = 1_000) -> Duplicates:
    duplicates = Duplicates(within_ns)
    duplicates.add(limit("99.50", client_order_id="first"), at_ns)
    return duplicates


def test_same_order_of_another_cause_is_alike() -> None:
    again = limit("99.5", client_order_id="again", cause="bar:2", ts_event=2)

    assert remembering().approved_ns(again) == 100


@pytest.mark.parametrize(
    "other",
    [
        {"price": Decimal("99.51")},
        {"quantity": Decimal(2)},
        {"side": OrderSide.SELL},
        {"symbol": ETH},
        {"strategy": "strategy:y"},
        {"stop_price": Decimal(90)},
        {"expires_ns": 1},
        {"post_only": True},
        {"reduce_only": True},
    ],
)
def test_order_that_differs_in_one_thing_is_another(other: dict[str, Any]) -> None:
    changed = msgspec.structs.replace(limit("99.50"), **other)

    assert remembering().approved_ns(changed) is None


def test_snapshot_holds_what_is_young_enough_by_another_clock() -> None:
    duplicates = remembering(at_ns=100, within_ns=50)
    packed = msgspec.msgpack.encode(duplicates.state(149))
    fresh = Duplicates(50)

    fresh.restore(msgspec.msgpack.decode(packed, type=tuple[Approved, ...]), 1_000)

    assert fresh.approved_ns(limit("99.50")) == 951
    assert duplicates.state(150) == ()


def test_memory_is_bounded() -> None:
    duplicates = remembering()

    for number in range(REMEMBERED_LIMIT):
        duplicates.add(limit("99.50", quantity=str(number + 2)), 200)

    assert duplicates.approved_ns(limit("99.50")) is None
