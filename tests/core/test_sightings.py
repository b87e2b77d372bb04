from __future__ import annotations

from krator_actors.core.sightings import SOURCES, Sightings
from krator_actors.model import TradingState
from supervisors.status import Alarm, NodeStatus
from tests.core.portfolios import portfolio


def seen(*, state: str = "running", at: float = 100.0) -> Sightings:
    sightings = Sightings(stale_secs=5.0)
    worker = NodeStatus(name="risk", type="worker", state=state)  # type: ignore[arg-type]
    sightings.tree = NodeStatus(name="root", type="supervisor", state="running", children=(worker,))
    sightings.portfolio = portfolio()
    for source in SOURCES:
        sightings.heard(source, at)
    return sightings


def test_system_in_which_all_run_and_answer_is_ready() -> None:
    assert seen().obstacles(101.0) == []
    assert seen().up(101.0) == {"root": True, "risk": True}


def test_actor_that_does_not_run_is_not_up_and_stands_in_the_way() -> None:
    sightings = seen(state="backoff")

    assert sightings.up(101.0) == {"root": True, "risk": False}
    assert sightings.obstacles(101.0) == ["risk does not run"]


def test_feed_without_a_connection_stands_in_the_way() -> None:
    sightings = seen()
    lost = Alarm("venue_lost", "connection refused", 1)
    feed = NodeStatus(name="feed:SIM", type="worker", state="running", alarms=(lost,))
    sightings.tree = NodeStatus(name="root", type="supervisor", state="running", children=(feed,))

    assert sightings.obstacles(101.0) == ["feed:SIM has no connection: connection refused"]


def test_nobody_is_up_in_an_old_picture() -> None:
    assert seen().up(106.0) == {"root": False, "risk": False}
    assert "tree does not answer" in seen().obstacles(106.0)


def test_halted_trading_and_recovery_stand_in_the_way() -> None:
    sightings = seen()
    sightings.portfolio = portfolio(state=TradingState.HALTED, recovered=False)

    assert sightings.obstacles(100.0) == ["risk is recovering", "trading is HALTED"]


def test_answer_that_never_came_has_no_age() -> None:
    assert Sightings(stale_secs=1.0).ages(5.0) == {}
    assert Sightings(stale_secs=1.0).up(5.0) == {}
    assert seen().ages(102.5) == dict.fromkeys(SOURCES, 2.5)
