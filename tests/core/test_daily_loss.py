"""The loss of a trading day."""

from __future__ import annotations

from decimal import Decimal

import pytest

from krator_actors.core.daily_loss import DailyLoss
from krator_actors.messages.risk import DayStarted

D = Decimal


def started(day: str, equity: str = "1000") -> DayStarted:
    return DayStarted(day=day, equity=D(equity), ts_event=1)


def test_nothing_is_lost_before_the_first_day() -> None:
    assert not DailyLoss(D("0.05")).is_reached(D(0))


@pytest.mark.parametrize(("equity", "reached"), [("950.01", False), ("950", True), ("949", True)])
def test_limit_is_a_fraction_of_the_equity_at_the_start(equity: str, *, reached: bool) -> None:
    loss = DailyLoss(D("0.05"))

    loss.start(started("1970-01-02"))

    assert loss.is_reached(D(equity)) is reached


def test_next_day_measures_anew() -> None:
    loss = DailyLoss(D("0.05"))
    loss.start(started("1970-01-02"))

    loss.start(started("1970-01-03", "900"))

    assert not loss.is_reached(D(900))
    assert loss.start_equity == 900


def test_accepted_loss_keeps_the_day_and_moves_the_measure() -> None:
    loss = DailyLoss(D("0.05"))
    loss.start(started("1970-01-02"))

    loss.measure_from(D(900))

    assert loss.start_equity == 1000
    assert not loss.is_reached(D(900))
    assert loss.is_reached(D(855))
    assert loss.describe(D(855)) == "equity 855.00 at or below 855.00 (900.00 at the start)"


def test_restored_measure_is_the_same() -> None:
    loss = DailyLoss(D("0.05"))
    loss.start(started("1970-01-02"))
    loss.measure_from(D(900))
    restored = DailyLoss(D("0.05"))

    restored.restore(loss.state())

    assert restored.state() == loss.state()
    assert restored.is_reached(D(855))
    assert restored.new_day(2 * 86_400_000_000_000 - 1, D(1)) is None
