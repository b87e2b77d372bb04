"""A cancel that did not take effect goes out again soon, not with the next reconciliation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from krator_actors.adapters.binance_limits import BinanceLimits
from krator_actors.messages.orders import OrderAccepted, OrderCanceled, OrderSubmitted
from tests.actors.order_scene import FakeVenue, serving, started

RECONCILE_SECS = 600.0


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    async with serving() as fake:
        yield fake


def cancels(venue: FakeVenue) -> int:
    return [method for method, _ in venue.received].count("order.cancel")


async def test_cancel_that_overtook_its_order_is_sent_again(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path, reconcile_secs=RECONCILE_SECS) as scene:
        await scene.reachable()
        venue.late_secs["order.place"] = 0.1
        venue.report_live = False
        venue.errors["order.cancel"] = (400, -2011, "Unknown order sent.")
        await scene.place()
        await scene.until(OrderSubmitted)
        await scene.cancel()
        await scene.harness.eventually(lambda: cancels(venue) > 0)

        venue.errors.clear()

        await scene.until(OrderCanceled)
        assert venue.order("k1")["status"] == "CANCELED"


async def test_cancel_whose_request_was_lost_is_sent_again(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path, reconcile_secs=RECONCILE_SECS) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.errors["order.cancel"] = (500, -1007, "Timeout; execution status unknown.")
        await scene.cancel()
        await scene.harness.eventually(lambda: cancels(venue) > 0)

        venue.errors.clear()

        await scene.until(OrderCanceled)
        assert venue.order("k1")["status"] == "CANCELED"


async def test_cancel_that_the_limits_held_back_is_sent_when_they_allow_it(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_secs, is_full = BinanceLimits.wait_secs, [False]

    def full(limits: BinanceLimits, method: str, now_ms: int) -> float:
        return 0.05 if is_full[0] else wait_secs(limits, method, now_ms)

    monkeypatch.setattr(BinanceLimits, "wait_secs", full)
    async with started(venue, tmp_path, reconcile_secs=RECONCILE_SECS) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        is_full[0] = True
        await scene.cancel()
        assert cancels(venue) == 0

        is_full[0] = False

        await scene.until(OrderCanceled)
