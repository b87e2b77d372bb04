"""The risk engine: the loss of a day, and the halts that outlive it."""

from __future__ import annotations

import pytest

from krator_actors.messages.risk import (
    DayStarted,
    TradingStateChanged,
)
from krator_actors.model import (
    TradingState,
)
from tests.core.risk_desk import (
    DAY_NS,
    NOON_NS,
    SELL,
    D,
    Desk,
    order,
)


def test_day_starts_once_with_the_equity_of_then() -> None:
    desk = Desk()

    first, second = desk.due(), desk.due()
    desk.utc_ns = 20_001 * DAY_NS - 1
    before_midnight = desk.due()
    desk.utc_ns += 1
    after_midnight = desk.due()

    assert first == DayStarted(day="2024-10-04", equity=D(100_000), ts_event=NOON_NS)
    assert second is None
    assert before_midnight is None
    assert isinstance(after_midnight, DayStarted)
    assert after_midnight.day == "2024-10-05"


def test_day_does_not_start_again_when_the_clock_goes_back() -> None:
    desk = Desk()
    desk.due()

    desk.utc_ns -= DAY_NS

    assert desk.due() is None


def test_no_day_starts_before_the_portfolio_is_known() -> None:
    unopened, recovering = Desk(balances={}), Desk()
    recovering.engine.is_recovered = False

    assert unopened.due() is None
    assert recovering.due() is None


def losing_desk() -> Desk:
    """Half of 1,000 is in BTC at 100: each 20 % off the price are 10 % off the equity."""
    desk = Desk(balances={"USDT": "500", "BTC": "5"}, max_position_fraction=D(1))
    desk.due()
    return desk


@pytest.mark.parametrize(("mid", "halts"), [("90.02", False), ("90.00", True), ("89.98", True)])
def test_daily_loss_halts_at_its_limit(mid: str, *, halts: bool) -> None:
    desk = losing_desk()

    desk.quote(D(mid) - D("0.01"), D(mid) + D("0.01"))
    event = desk.due()

    if halts:
        assert isinstance(event, TradingStateChanged)
        assert (event.state, event.by) == (TradingState.HALTED, "risk")
        assert desk.reason(order(side=SELL)) == "DAILY_LOSS"
        assert desk.due() is None
    else:
        assert event is None
        assert desk.reason(order(side=SELL)) == "APPROVED"


def test_halt_by_loss_outlives_the_day_and_the_recovery_of_the_price() -> None:
    desk = losing_desk()
    desk.quote("80", "80.01")
    desk.due()

    desk.quote("120", "120.01")
    desk.utc_ns += DAY_NS
    desk.due()

    assert desk.reason(order(side=SELL)) == "DAILY_LOSS"


def test_resume_while_the_loss_is_past_its_limit_measures_anew() -> None:
    desk = losing_desk()
    desk.quote("79.99", "80.01")
    desk.due()

    resumed = desk.resume()
    still = desk.due()
    desk.quote("70.99", "71.01")
    again = desk.due()

    assert resumed.loss_base == 900
    assert still is None
    assert isinstance(again, TradingStateChanged)
    assert again.state is TradingState.HALTED


def test_resume_of_a_manual_halt_leaves_the_day_its_measure() -> None:
    desk = losing_desk()
    desk.quote("94.99", "95.01")
    desk.latch(TradingState.HALTED)

    resumed = desk.resume()

    assert resumed.loss_base is None
    assert desk.engine.latches.daily_loss.base == 1000
    assert desk.reason(order(side=SELL)) == "APPROVED"


@pytest.mark.parametrize("by", ["", "  ", "risk", "Risk", "order:SIM"])
def test_halt_is_lifted_by_a_named_person_only(by: str) -> None:
    with pytest.raises(ValueError, match="named person"):
        Desk().resume(by=by)


def test_account_worth_nothing_has_nothing_to_lose() -> None:
    desk = Desk(balances={"USDT": "0"})

    assert isinstance(desk.due(), DayStarted)
    assert desk.due() is None
