from __future__ import annotations

import json

import pytest

from krator_actors.core.day_account import DayAccount
from krator_actors.messages.incidents import IncidentClosed, IncidentDiagnosed, IncidentOpened
from krator_actors.messages.operations import SystemStarted
from krator_actors.messages.risk import DayStarted, EquityPeaked, TradingStateChanged
from krator_actors.model import NANOS_PER_SEC, TradingState
from supervisors.messages import Message
from tests.core.day_events import BTC, D, approved, filled, submitted

BEGIN_NS = 20_000 * 86_400 * NANOS_PER_SEC
HOUR_NS = 3_600 * NANOS_PER_SEC


def account(*events: tuple[float, Message]) -> DayAccount:
    made = DayAccount(BEGIN_NS)
    made.configured(started())
    for hours, event in events:
        made.take(event, BEGIN_NS + int(hours * HOUR_NS), D(3))
    return made


def started(configuration: str | None = None) -> SystemStarted:
    risk = {
        "max_order_notional": "5000",
        "max_daily_loss_fraction": "0.05",
        "max_drawdown_fraction": "0.1",
        "symbols": {BTC: {"max_order_notional": "200"}},
    }
    text = json.dumps({"risk": risk}) if configuration is None else configuration
    return SystemStarted(configuration=text, configuration_sha256="", generation=1, ts_event=1)


def opened(identity: str) -> IncidentOpened:
    return IncidentOpened(
        incident_id=identity, kind="crash", component="feed:SIM", evidence=(), ts_event=1
    )


def closed(identity: str, secs: float) -> IncidentClosed:
    return IncidentClosed(incident_id=identity, component="feed:SIM", outage_secs=secs, ts_event=1)


def test_limits_are_shares_of_the_configuration_in_force() -> None:
    made = account(
        (0, DayStarted(day="x", equity=D(100_000), ts_event=1)),
        (1, approved("a", equity=D(98_000), reserved_notional=D(150))),
        (2, approved("b", equity=D(99_000))),
    )

    assert made.limits_used == {
        f"order_notional {BTC}": D("0.75"),
        f"position {BTC}": D("0.225"),
        "daily_loss": D("0.4"),
        "drawdown": D("0.2"),
    }


@pytest.mark.parametrize(
    "configuration", ["", "[]", "{", '{"risk": 3}', '{"risk": {"symbols": 1}}']
)
def test_limits_that_are_not_known_are_left_out(configuration: str) -> None:
    made = DayAccount(BEGIN_NS)
    made.configured(started(configuration))

    made.take(approved("a"), BEGIN_NS)

    assert set(made.limits_used) == {f"position {BTC}"}


def test_peak_of_an_earlier_day_is_what_the_drawdown_is_measured_from() -> None:
    made = DayAccount(BEGIN_NS)
    made.configured(started())
    made.peaked(EquityPeaked(equity=D(200_000), ts_event=1))

    made.take(approved("a", equity=D(190_000)), BEGIN_NS)

    assert made.limits_used["drawdown"] == D("0.5")


def test_orders_are_counted_by_hour_and_equity_is_a_curve() -> None:
    made = account((0.5, approved("a")), (23.9, approved("b")), (23.95, approved("c")))

    assert (made.orders_by_hour[0], made.orders_by_hour[23], sum(made.orders_by_hour)) == (1, 2, 3)
    assert [point.equity for point in made.equity] == [D(100_000)] * 3


def test_incidents_have_their_cause_and_how_long_they_lasted() -> None:
    diagnosed = IncidentDiagnosed(
        incident_id="i", cause="OOM", confidence=1.0, evidence_ids=(), suggestion="", ts_event=1
    )
    made = account((1, opened("i")), (1, diagnosed), (2, closed("i", 5.0)), (2, closed("old", 9.0)))

    (incident,) = made.incidents.values()
    assert (incident.cause, incident.outage_secs) == ("OOM", 5.0)


def test_available_is_the_time_without_an_incident_counted_once() -> None:
    made = account(
        (0, submitted("a")),
        (2, opened("i")),
        (3, opened("j")),
        (5, closed("i", 2 * 3_600)),
        (6, closed("j", 2 * 3_600)),
        (10, submitted("b")),
    )

    assert made.availability() == pytest.approx(0.7)


def test_incident_that_is_not_over_lasts_to_the_end() -> None:
    made = account((0, submitted("a")), (5, opened("i")), (10, submitted("b")))

    assert made.availability() == pytest.approx(0.5)


def test_day_without_events_has_no_availability() -> None:
    assert account().availability() is None


def test_halts_say_who_and_why() -> None:
    change = TradingStateChanged(
        state=TradingState.HALTED, by="ada", reason="lunch", peak_base=D(5), ts_event=1
    )

    (state,) = account((1, change)).states

    assert (state.state, state.by, state.reason) == ("HALTED", "ada", "lunch")


def test_starts_and_stages_are_of_the_day() -> None:
    made = account(
        (1, started()), (1, submitted("a", ts_event=BEGIN_NS + HOUR_NS)), (2, filled("a"))
    )

    assert made.starts == 1
    assert {stage.stage: stage.count for stage in made.stages()} == {
        "order_to_ack": 1,
        "ack_to_fill": 1,
    }
