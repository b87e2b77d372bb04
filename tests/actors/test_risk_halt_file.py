"""The halt that waits on disk for the risk actor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from krator_actors import halt_file
from krator_actors.halt_file import FiledHalt
from krator_actors.messages.risk import (
    Halt,
    Resume,
    Scope,
    TradingStateChanged,
)
from krator_actors.risk import Housekeeping
from tests.actors.risk_scene import BTC, Bench, cancels, disk_filler, open_order, order


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


FILED = FiledHalt(by="ada", reason="kill", ts_event=7)


async def test_halt_on_disk_is_in_force_before_anything_else(bench: Bench) -> None:
    halt_file.write(bench.data_dir, FILED)
    async with bench.start() as harness:
        state = harness.actor._engine.latches.states.system
        await bench.recover()
        denied = await bench.reason(order())

    assert (state.by, state.cancels, state.ts_event) == ("ada", True, 7)
    assert denied == "TRADING_HALTED"
    assert len(bench.logged(TradingStateChanged)) == 1
    assert halt_file.read(bench.data_dir) is None


async def test_halt_on_disk_is_found_by_a_risk_that_runs(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await open_order(bench)
        halt_file.write(bench.data_dir, FILED)
        await harness.deliver(Housekeeping(), "risk")
        told = await harness.deliver(Halt(by="ada", reason="kill", cancels=True), "cli")

    assert set(cancels(harness)) == {"resting"}
    assert isinstance(told, TradingStateChanged)
    assert halt_file.read(bench.data_dir) is None


async def test_kill_that_is_told_and_on_disk_is_one_halt(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        halt_file.write(bench.data_dir, FILED)
        told = await harness.deliver(Halt(by="ada", reason="kill", cancels=True), "cli")

    assert bench.logged(TradingStateChanged) == [told]


async def test_halt_on_disk_stays_there_until_the_log_has_it(
    bench: Bench, fill_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.start() as harness:
        await bench.recover()
        fill_disk()
        halt_file.write(bench.data_dir, FILED)
        await harness.deliver(Housekeeping(), "risk")
        denied = await bench.reason(order())
        kept = halt_file.read(bench.data_dir)
        monkeypatch.undo()
        await harness.deliver(Halt(by="bob", reason="x", scope=Scope.SYMBOL, target=BTC), "cli")
        await harness.deliver(Housekeeping(), "risk")

    assert denied == "TRADING_HALTED"
    assert kept == FILED
    assert halt_file.read(bench.data_dir) is None
    assert [s.by for s in bench.logged(TradingStateChanged)] == ["ada", "bob"]


async def test_halt_on_disk_that_cannot_be_read_halts_all_the_same(bench: Bench) -> None:
    (bench.data_dir / "halt.json").write_text("{")
    async with bench.start():
        await bench.recover()
        denied = await bench.reason(order())

    assert denied == "TRADING_HALTED"
    (halted,) = bench.logged(TradingStateChanged)
    assert "cannot be read" in halted.reason


async def test_resume_lifts_also_the_halt_that_waited_on_disk(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        halt_file.write(bench.data_dir, FILED)
        await harness.deliver(Resume(by="bob", reason="seen"), "cli")
        await harness.deliver(Housekeeping(), "risk")
        reason = await bench.reason(order())

    assert reason == "APPROVED"
    assert [s.by for s in bench.logged(TradingStateChanged)] == ["ada", "bob"]


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return disk_filler(monkeypatch)
