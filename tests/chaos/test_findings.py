"""What chaos says of its looks: what was missing, for how long, and after which fault."""

from __future__ import annotations

import fcntl
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.model import NANOS_PER_SEC, TradingState
from supervisors.process import file_name
from tests.chaos.findings import after_hits, availability, unavailable_secs_by_cause
from tests.chaos.probe import Processes, Sample, Seen, State, why_not
from tests.chaos.storm import Hit

NOW_NS = 1_000 * NANOS_PER_SEC
ZERO = Decimal(0)


def position(quote_age_secs: float) -> PositionReport:
    return PositionReport(
        symbol="BTC-USDT.SIM",
        quantity=ZERO,
        average_price=ZERO,
        mark_price=ZERO,
        quote_ts_init=NOW_NS - int(quote_age_secs * NANOS_PER_SEC),
        realized_pnl=ZERO,
        unrealized_pnl=ZERO,
        fees=ZERO,
        reserved_buy=ZERO,
        reserved_sell=ZERO,
    )


REPORT = PortfolioReport(
    state=TradingState.ACTIVE,
    recovered=True,
    venue_reachable=True,
    cash=ZERO,
    equity=ZERO,
    day_start_equity=ZERO,
    positions=(position(9.0), position(0.1)),
    open_orders=(),
    orders_approved=0,
    orders_denied=0,
    fills=0,
    ts_event=NOW_NS,
)
WORKS = Seen(REPORT, False, "", State.AT_WORK, State.AT_WORK, State.AT_WORK, "")


def seen(report: PortfolioReport | None = REPORT, **changes: object) -> Seen:
    values = {name: getattr(WORKS, name) for name in Seen.__dataclass_fields__}
    return Seen(**{**values, "report": report, **changes})


def report(**changes: object) -> PortfolioReport:
    return msgspec.structs.replace(REPORT, **changes)


@pytest.mark.parametrize(
    ("look", "cause"),
    [
        (WORKS, ""),
        (seen(None, run="krator run is away", risk=State.AWAY), "krator run is away"),
        (seen(None, risk=State.AWAY), "risk is away"),
        (seen(None, risk=State.STOPPED, timed_out=True), "risk is stopped"),
        (seen(None, timed_out=True), "risk did not answer in 250 ms"),
        (seen(None), "risk starts"),
        (seen(order=State.AWAY), "order actor is away"),
        (seen(order=State.STOPPED), "order actor is stopped"),
        (seen(report(recovered=False)), "risk waits for what the order actor knows"),
        (seen(report(venue_reachable=False)), "venue session is not reconciled"),
        (
            seen(report(venue_reachable=False), disturbed="latency"),
            "venue session is not reconciled (latency)",
        ),
        (
            seen(report(positions=(position(9.0),)), feed=State.AWAY),
            "quotes are stale: feed is away",
        ),
    ],
)
def test_every_look_has_one_cause(look: Seen, cause: str) -> None:
    assert why_not(look, now_ns=NOW_NS) == cause


def test_holder_of_a_name_is_found_without_any_supervisor(tmp_path: Path) -> None:
    (tmp_path / "processes").mkdir()
    fd = os.open(tmp_path / "processes" / file_name("order:SIM"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    while_held = Processes(tmp_path).state_of("order:SIM")

    os.close(fd)

    assert while_held is State.AT_WORK
    assert Processes(tmp_path).state_of("order:SIM") is State.AWAY
    assert Processes(tmp_path).state_of("risk") is State.AWAY


def looks(*causes: str) -> list[Sample]:
    return [Sample(float(at), cause, is_held=cause == "held") for at, cause in enumerate(causes)]


def test_seconds_are_counted_by_cause_and_not_under_a_halt() -> None:
    samples = looks("", "risk is away", "held", "risk is away", "risk starts", "")

    assert unavailable_secs_by_cause(samples) == {"risk is away": 2.0, "risk starts": 1.0}
    assert availability(samples) == 0.4


def test_fault_is_judged_by_what_followed_until_the_next_one() -> None:
    samples = looks("", "", "risk is away", "", "", "", "")
    hits = [
        Hit("SIGKILL risk", 0.5, while_available=True),
        Hit("SIGKILL strategy:BTC-USDT.SIM/sma_cross", 2.5, while_available=False),
        Hit("SIGKILL journal", 3.5, while_available=True),
    ]

    assert after_hits(samples, hits) == {
        "SIGKILL risk": {"hits": 1, "availability": 0.5},
        "SIGKILL journal": {"hits": 1, "availability": 1.0},
    }
