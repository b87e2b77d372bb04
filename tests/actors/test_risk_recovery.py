"""The risk actor: how it comes back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from krator_actors import clock
from krator_actors.adapters.local_log import log_path
from krator_actors.messages.orders import (
    OrderDenied,
)
from krator_actors.risk_ledger import SNAPSHOT_EVENTS
from tests.actors.risk_scene import STRATEGY, Bench, D, filled, initialized, order


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    "spoil", ["nothing", "snapshot missing", "snapshot damaged", "log shorter"]
)
async def test_portfolio_is_the_same_after_a_restart(bench: Bench, spoil: str) -> None:
    async with bench.start():
        await bench.recover()
        for number in (1, 2):
            await bench.submit(order(f"k{number}"))
            await bench.happen(initialized(order(f"k{number}")))
        await bench.happen(filled("k1"))
        before = await bench.portfolio()
    snapshot = bench.data_dir / "log" / "risk.snapshot"
    if spoil == "snapshot missing":
        snapshot.unlink()
    elif spoil == "snapshot damaged":
        snapshot.write_bytes(snapshot.read_bytes()[:-1] + b"?")
    elif spoil == "log shorter":
        log_path(bench.data_dir, "risk").unlink()

    async with bench.start():
        watermark = bench.requests()[0].watermark
        await bench.recover()
        after = await bench.portfolio()

    assert watermark == (4 if spoil == "nothing" else 0)
    assert after.positions == before.positions
    assert after.cash == before.cash
    assert [o.client_order_id for o in after.open_orders] == ["k2"]
    assert after.orders_approved == (0 if spoil == "log shorter" else 2)


async def test_approval_that_was_not_told_before_the_crash_is_released(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start() as harness:
        recovering = (await bench.portfolio()).open_orders
        await bench.recover()
        released = (await bench.portfolio()).open_orders
        denied = harness.told_to(STRATEGY)

    assert [o.client_order_id for o in recovering] == ["k1"]
    assert released == ()
    assert [d.reason for d in denied if isinstance(d, OrderDenied)] == ["RISK_RESTARTED"]


async def test_order_that_the_venue_works_is_reserved_after_a_restart(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
        bench.log.append(initialized(order()))
    async with bench.start():
        await bench.recover()
        report = await bench.portfolio()

    assert [o.client_order_id for o in report.open_orders] == ["k1"]


async def test_rate_and_duplicates_hold_across_a_restart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    utc_ns, now_ns = clock.utc_ns(), clock.monotonic_ns()
    monkeypatch.setattr(clock, "utc_ns", lambda: utc_ns)
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns)
    async with bench.start(max_orders_per_sec=1):
        await bench.recover()
        first = await bench.reason(order("k1"))
    async with bench.start(max_orders_per_sec=1):
        await bench.recover()
        again = await bench.reason(order("k2"))
        second = await bench.reason(msgspec.structs.replace(order("k3"), quantity=D(2)))

    assert (first, again, second) == ("APPROVED", "DUPLICATE_ORDER", "ORDER_RATE")


async def test_snapshot_is_written_along_the_way(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        for number in range(SNAPSHOT_EVENTS):
            await bench.happen(filled("external", str(number)))
        await harness.eventually((bench.data_dir / "log" / "risk.snapshot").exists)


async def test_snapshot_that_cannot_be_written_costs_nothing_but_time(bench: Bench) -> None:
    draft = bench.data_dir / "log" / "risk.snapshot.new"
    draft.mkdir(parents=True)
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start():
        requests = bench.requests()

    assert requests[0].watermark == 0
