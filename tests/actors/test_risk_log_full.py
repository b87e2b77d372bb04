"""The risk actor whose log cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from krator_actors.messages.orders import (
    AccountReport,
)
from krator_actors.messages.risk import (
    ActRefused,
    Halt,
    Resume,
    TradingStateChanged,
)
from krator_actors.model import OrderSide
from tests.actors.risk_scene import Bench, D, disk_filler, order


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return disk_filler(monkeypatch)


async def test_nothing_is_approved_that_cannot_be_written(
    bench: Bench, fill_disk: Callable[[], None]
) -> None:
    async with bench.start():
        await bench.recover()
        fill_disk()
        reason = await bench.reason(order())
        report = await bench.portfolio()

    assert reason == "LOG_FULL"
    assert report.open_orders == ()


async def test_halt_holds_without_room_and_is_written_when_there_is_some(
    bench: Bench, fill_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.start() as harness:
        await bench.recover()
        fill_disk()
        halted = await harness.deliver(Halt(by="ada", reason="test"), "cli")
        refused = await harness.deliver(Resume(by="ada", reason="test"), "cli")
        monkeypatch.undo()
        denied = await bench.reason(order())

    assert isinstance(refused, ActRefused)
    assert "LOG_FULL" in refused.reason
    assert denied == "TRADING_HALTED"
    assert bench.logged(TradingStateChanged) == [halted]


async def test_lost_approval_stays_reserved_while_its_denial_cannot_be_written(
    bench: Bench, fill_disk: Callable[[], None]
) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start():
        fill_disk()
        await bench.recover()
        report = await bench.portfolio()

    assert [o.client_order_id for o in report.open_orders] == ["k1"]


async def test_lost_approval_is_released_when_its_denial_can_be_written_again(
    bench: Bench, fill_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Found by the simulation.
    monkeypatch.setattr("krator_actors.risk._SYNC_AGAIN_SECS", 0.01)
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start() as harness:
        fill_disk()
        await bench.recover()
        monkeypatch.undo()

        await harness.eventually(lambda: len(bench.requests()) > 1)
        await bench.sync()
        report = await bench.portfolio()

    assert report.open_orders == ()


async def test_log_past_its_bound_lets_only_reductions_pass(bench: Bench) -> None:
    bench.log = [AccountReport(balances={"USDT": D(100_000), "BTC": D(1)}, ts_event=1)]
    async with bench.start(max_log_bytes=1):
        await bench.recover()
        buy = await bench.reason(order("k1"))
        sell = await bench.reason(order("k2", OrderSide.SELL))

    assert (buy, sell) == ("LOG_FULL", "APPROVED")
