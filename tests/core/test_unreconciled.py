"""A difference above the limit halts once."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from krator_actors.core.unreconciled import Unreconciled, UnreconciledState
from krator_actors.messages.orders import Difference, ReconciliationDifference

D = Decimal


def difference(ts_event: int = 5) -> ReconciliationDifference:
    return ReconciliationDifference(
        what=Difference.BALANCE,
        subject="BTC",
        symbol="",
        ours=D(2),
        venue=D(1),
        ts_event=ts_event,
    )


@pytest.mark.parametrize(
    ("value", "halts"), [(D(9), False), (D(10), False), (D("10.01"), True), (D("-10.01"), True)]
)
def test_value_decides_below_at_and_above_the_limit(value: Decimal, *, halts: bool) -> None:
    unreconciled = Unreconciled(D(10))

    unreconciled.notice(difference(), value)

    assert (unreconciled.due is not None) is halts


def test_value_that_nobody_knows_is_above_every_limit() -> None:
    unreconciled = Unreconciled(D(10**9))

    unreconciled.notice(difference(), None)

    assert unreconciled.due is not None
    assert unreconciled.due.startswith("BALANCE BTC: ours 2, the venue's 1")


def test_difference_that_a_halt_has_answered_does_not_halt_again() -> None:
    unreconciled = Unreconciled(D(10))
    unreconciled.notice(difference(ts_event=5), D(100))
    unreconciled.settle(6)

    settled = unreconciled.due
    unreconciled.notice(difference(ts_event=5), D(100))
    read_again = unreconciled.due
    unreconciled.notice(difference(ts_event=7), D(100))

    assert (settled, read_again) == (None, None)
    assert unreconciled.due is not None


def test_difference_that_is_due_survives_a_snapshot() -> None:
    unreconciled = Unreconciled(D(10))
    unreconciled.settle(3)
    unreconciled.notice(difference(ts_event=5), D(100))

    again = Unreconciled(D(10))
    encoded = msgspec.msgpack.encode(unreconciled.state())
    again.restore(msgspec.msgpack.decode(encoded, type=UnreconciledState))
    due = again.due
    again.settle(5)
    again.notice(difference(ts_event=3), D(100))

    assert due == unreconciled.due
    assert again.due is None
