"""Nobody knows what became of a request: it is asked for until that is final, never resent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from krator_actors import reconciliation
from krator_actors.core import order_rules
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderInitialized,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from tests.actors.order_scene import (
    OPENING,
    FakeVenue,
    Scene,
    initialized,
    now_ms,
    serving,
    started,
    write_log,
)

FOUND = [OrderInitialized, OrderSubmitted, OrderUnknown, OrderAccepted]
NEVER_ARRIVED = [OrderInitialized, OrderSubmitted, OrderUnknown, OrderRejected]


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    async with serving() as fake:
        yield fake


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_rules, "CERTAINTY_MARGIN_MS", 50)


def rejection(scene: Scene) -> str:
    return next(e.reason for e in scene.events() if isinstance(e, OrderRejected))


def valid_until_ms(scene: Scene) -> int:
    begun = next(e for e in scene.events() if isinstance(e, OrderInitialized))
    return begun.request_valid_until_ms


async def test_connection_cut_before_the_venue_acted(venue: FakeVenue, tmp_path: Path) -> None:
    venue.lose_before = {"order.place"}

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)

        assert scene.kinds() == NEVER_ARRIVED
        assert rejection(scene) == "NEVER_ARRIVED"
        assert now_ms() > valid_until_ms(scene)
    assert venue.placed() == ["k1"]
    assert venue.orders == []


async def test_connection_cut_after_the_venue_acted(venue: FakeVenue, tmp_path: Path) -> None:
    venue.lose_after, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        assert scene.kinds() == FOUND
    assert len(venue.orders) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_error_of_a_venue_that_did_not_act(
    venue: FakeVenue, tmp_path: Path, status: int
) -> None:
    venue.errors["order.place"] = (status, -1000, "")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)

        assert scene.kinds() == NEVER_ARRIVED
        assert now_ms() > valid_until_ms(scene)
    assert venue.placed() == ["k1"]


async def test_answer_that_times_out(venue: FakeVenue, tmp_path: Path) -> None:
    venue.mute, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        assert scene.kinds() == FOUND
    assert len(venue.orders) == 1


async def test_answer_that_comes_after_the_requests_validity(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.late_secs, venue.report_live = {"order.place": 0.6}, False

    async with started(venue, tmp_path, recv_window_ms=200) as scene:
        await scene.reachable()
        await scene.place()
        await scene.harness.eventually(lambda: venue.late_answers == 1)
        await scene.place("k2")
        await scene.until(OrderAccepted, "k2")

        assert scene.kinds() == FOUND
    assert len(venue.orders) == 2


async def test_venue_that_cannot_be_asked_either_leaves_it_unknown(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.mute, venue.report_live = {"order.place"}, False
    venue.errors["order.status"] = (503, -1001, "")

    async with started(venue, tmp_path, recv_window_ms=1) as scene:
        await scene.reachable()
        await scene.place()
        await scene.harness.eventually(
            lambda: [method for method, _ in venue.received].count("order.status") >= 3
        )
        while_unknown = scene.kinds()
        (still_open,) = scene.harness.actor._table.open_orders
        venue.errors.clear()
        await scene.until(OrderAccepted)

        assert while_unknown == FOUND[:-1]
        assert still_open.client_order_id == "k1"
    assert len(venue.orders) == 1


async def test_killed_between_log_and_send(venue: FakeVenue, tmp_path: Path) -> None:
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms() + 300))

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderRejected)

        assert scene.kinds() == NEVER_ARRIVED[-2:]
        assert rejection(scene) == "NEVER_ARRIVED"
    assert venue.placed() == []


async def test_killed_between_send_and_log(venue: FakeVenue, tmp_path: Path) -> None:
    venue.place("k1")
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms() + 300))

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderAccepted)

        assert scene.kinds() == FOUND[-2:]
    assert venue.placed() == []


async def test_many_in_doubt_are_asked_for_in_turns(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "_QUESTIONS", 2)
    names = [f"k{number}" for number in range(5)]
    events = [initialized(name, valid_until_ms=now_ms() + 600) for name in names]
    write_log(tmp_path, OPENING, *events)

    async with started(venue, tmp_path, generation=2) as scene:
        for name in names:
            await scene.until(OrderRejected, name)

    asked = [p["origClientOrderId"] for m, p in venue.received if m == "order.status"]
    in_turns = asked[len(names) :]
    assert set(in_turns[: len(names)]) == set(names)
