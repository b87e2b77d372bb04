"""Where venue and record differ: an event each, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from krator_actors import reconciliation
from krator_actors.core import balances
from krator_actors.messages.orders import (
    Difference,
    OrderAccepted,
    OrderCanceled,
    OrderExternal,
    OrderFilled,
    ReconciliationDifference,
)
from krator_actors.reconciliation import NoSuchOrder
from tests.actors.order_scene import NAME, SYMBOL, FakeVenue, Scene, serving, started


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    async with serving() as fake:
        yield fake


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balances, "QUIET_NS", 0)
    monkeypatch.setattr(reconciliation, "_LOOK_AGAIN_SECS", 0.02)


def differences(scene: Scene) -> list[tuple[Difference, str, str, str]]:
    return [
        (e.what, e.subject, str(e.ours), str(e.venue))
        for e in scene.events()
        if isinstance(e, ReconciliationDifference)
    ]


async def reconciled(scene: Scene, venue: FakeVenue, times: int = 3) -> None:
    """Wait until the venue has been asked for its balances so many times more."""
    asked = [method for method, _ in venue.received].count("account.status")
    await scene.harness.eventually(
        lambda: [m for m, _ in venue.received].count("account.status") >= asked + times
    )


async def test_deposit_is_one_difference(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path, reconcile_secs=0.05) as scene:
        await scene.reachable()
        venue.pay("USDT", 500)
        await scene.harness.eventually(lambda: bool(differences(scene)))
        await reconciled(scene, venue)

        assert differences(scene) == [(Difference.BALANCE, "USDT", "100000", "100500")]


async def test_difference_is_not_told_again_after_a_restart(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path, reconcile_secs=0.05) as scene:
        await scene.reachable()
        venue.pay("BTC", 1)
        await scene.harness.eventually(lambda: bool(differences(scene)))
    async with started(venue, tmp_path, generation=2, reconcile_secs=0.05) as scene:
        await scene.reachable()
        await reconciled(scene, venue)

        assert differences(scene) == []


async def test_fills_that_were_missed_are_no_difference(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path, reconcile_secs=0.05) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live = False
        venue.fill("k1", "1")
        await scene.until(OrderFilled)
        await reconciled(scene, venue)

        assert differences(scene) == []


async def test_fill_found_by_every_way_counts_once(venue: FakeVenue, tmp_path: Path) -> None:
    venue.fill_at_once = True

    async with started(venue, tmp_path, reconcile_secs=0.05) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderFilled)
        venue.drop()
        await scene.reachable(times=2)
        await reconciled(scene, venue)

        assert scene.kinds().count(OrderFilled) == 1
        assert differences(scene) == []


async def test_order_that_vanished_is_one_difference(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path, reconcile_secs=0.05) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.orders.clear()
        await scene.harness.eventually(lambda: bool(differences(scene)))
        await reconciled(scene, venue)

        assert differences(scene) == [(Difference.VANISHED, "k1", "2", "0")]
        assert [o.client_order_id for o in scene.harness.actor._table.open_orders] == ["k1"]


async def test_order_that_arrived_after_it_was_asked_for_has_not_vanished(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path, reconcile_secs=60.0) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        await scene.harness.deliver(
            NoSuchOrder(client_order_id="k1", asked_at_ms=venue.now_ms), NAME
        )
        await scene.cancel()
        await scene.until(OrderCanceled)

        assert differences(scene) == []


async def test_order_doubled_at_the_venue_is_a_difference_and_external(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.place("k1")
        await scene.until(OrderExternal, f"external-{SYMBOL}-2")

        assert differences(scene) == [(Difference.DOUBLED, "k1", "0", "2")]


async def test_order_that_ended_with_less_than_we_counted_is_a_difference(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path, reconcile_secs=60.0) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.fill("k1", "1")
        await scene.until(OrderFilled)
        venue.order("k1")["executedQty"] = "0"
        venue.end("k1", "CANCELED")
        await scene.until(OrderCanceled)
        await scene.harness.eventually(lambda: bool(differences(scene)))

        assert differences(scene) == [(Difference.FILLED, "k1", "1", "0")]
