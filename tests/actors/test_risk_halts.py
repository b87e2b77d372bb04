"""Halts of the risk actor: by people, by limits, by differences, and what they cancel."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from krator_actors.messages.market import (
    QuoteTick,
)
from krator_actors.messages.orders import (
    AccountReport,
    Difference,
    OrderPendingCancel,
    ReconciliationDifference,
)
from krator_actors.messages.risk import (
    ActRefused,
    ControlOverridden,
    DayStarted,
    Halt,
    OverrideControl,
    Reduce,
    Resume,
    Scope,
    TradingStateChanged,
)
from krator_actors.model import OrderSide, TradingState
from krator_actors.risk import Housekeeping
from tests.actors.risk_scene import (
    BTC,
    FEED,
    QUOTE,
    STRATEGY,
    Bench,
    D,
    cancels,
    disk_filler,
    open_order,
    order,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_halt_holds_across_restarts_until_a_person_resumes(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        halted = await harness.deliver(Halt(by="ada", reason="test"), "cli")
        denied = await bench.reason(order("k1"))
    (bench.data_dir / "log" / "risk.snapshot").unlink()
    async with bench.start() as harness:
        await bench.recover()
        still = await bench.reason(order("k2"))
        resumed = await harness.deliver(Resume(by="ada", reason="seen"), "cli")
        allowed = await bench.reason(order("k3"))

    assert bench.logged(TradingStateChanged) == [halted, resumed]
    assert (denied, still, allowed) == ("TRADING_HALTED", "TRADING_HALTED", "APPROVED")


async def test_resume_without_a_name_changes_nothing(bench: Bench) -> None:
    async with bench.start() as harness:
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        answer = await harness.deliver(Resume(by=" ", reason="x"), "cli")

    assert isinstance(answer, ActRefused)
    assert "named person" in answer.reason
    assert len(bench.logged(TradingStateChanged)) == 1


async def test_loss_of_the_day_halts_when_the_price_falls(bench: Bench) -> None:
    bench.log = [AccountReport(balances={"USDT": D(100), "BTC": D(1)}, ts_event=1)]
    async with bench.start(max_gap_fraction=1, max_volatility_fraction=1) as harness:
        await bench.recover()
        await harness.deliver(
            QuoteTick(
                symbol=BTC,
                bid=D("89.99"),
                bid_size=D(1),
                ask=D("90.01"),
                ask_size=D(1),
                update_id=2,
                ts_event=1,
                ts_init=1,
            ),
            FEED,
        )
        denied = await bench.reason(order(side=OrderSide.SELL))

    assert denied == "DAILY_LOSS"
    (day,) = bench.logged(DayStarted)
    (halted,) = bench.logged(TradingStateChanged)
    assert day.equity == 200
    assert halted.by == "risk"


async def test_day_starts_once_also_across_restarts(bench: Bench) -> None:
    for _ in range(2):
        async with bench.start() as harness:
            await bench.recover()
            await harness.deliver(QUOTE, FEED)

    assert len(bench.logged(DayStarted)) == 1


async def test_halt_by_a_limit_cancels_what_is_open_until_it_has_gone(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await open_order(bench)
        jumped = msgspec.structs.replace(QUOTE, bid=D("109.99"), ask=D("110.01"))
        await harness.deliver(jumped, FEED)
        at_once = cancels(harness)
        await harness.deliver(Housekeeping(), "risk")
        again = cancels(harness)
        await bench.happen(OrderPendingCancel(client_order_id="resting", symbol=BTC, ts_event=1))
        await harness.deliver(Housekeeping(), "risk")
        denied = await bench.reason(order("k2"))

    assert (at_once, again, cancels(harness)) == (["resting"], ["resting"] * 2, ["resting"] * 2)
    assert denied == "PRICE_GAP"
    (halted,) = bench.logged(TradingStateChanged)
    assert (halted.scope, halted.target, halted.by) == (Scope.SYMBOL, BTC, "risk")


async def test_halt_of_a_person_cancels_only_when_it_says_so(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await open_order(bench)
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        kept = cancels(harness)
        await harness.deliver(Halt(by="ada", reason="test", cancels=True), "cli")

    assert (kept, cancels(harness)) == ([], ["resting"])


async def test_halts_of_symbols_and_strategies_are_told_and_lifted_one_by_one(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(Halt(scope=Scope.SYMBOL, target=BTC, by="ada", reason="x"), "cli")
        await harness.deliver(
            Reduce(scope=Scope.STRATEGY, target=STRATEGY, by="bob", reason="y"), "cli"
        )
        states = (await bench.portfolio()).states
        halted = await bench.reason(order("k1"))
        await harness.deliver(Resume(scope=Scope.SYMBOL, target=BTC, by="ada", reason="x"), "cli")
        reducing = await bench.reason(order("k2"))
        lift = Resume(scope=Scope.STRATEGY, target=STRATEGY, by="bob", reason="y")
        await harness.deliver(lift, "cli")
        active = await bench.reason(order("k3"))

    assert [(s.target, s.by) for s in states] == [(BTC, "ada"), (STRATEGY, "bob")]
    assert (halted, reducing, active) == ("TRADING_HALTED", "TRADING_REDUCING", "APPROVED")


async def test_override_is_recorded_and_refused_without_room(
    bench: Bench, fill_disk: Callable[[], None]
) -> None:
    act = OverrideControl(control="MAX_POSITION", symbol=BTC, secs=60, by="ada", reason="test")
    async with bench.start(max_position_fraction="0.0001") as harness:
        await bench.recover()
        before = await bench.reason(order("k1"))
        done = await harness.deliver(act, "cli")
        after = await bench.reason(order("k2"))
        report = await bench.portfolio()
        fill_disk()
        refused = await harness.deliver(act, "cli")

    assert (before, after) == ("MAX_POSITION", "APPROVED")
    assert bench.logged(ControlOverridden) == [done] == list(report.overrides)
    assert isinstance(refused, ActRefused)


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return disk_filler(monkeypatch)


async def test_difference_above_the_limit_halts_until_a_person_resumes(bench: Bench) -> None:
    missing = ReconciliationDifference(
        what=Difference.BALANCE,
        subject="USDT",
        symbol="",
        ours=D(100_000),
        venue=D(90_000),
        ts_event=time.time_ns(),
    )
    async with bench.start() as harness:
        await bench.recover()
        await bench.happen(missing)
        halted = await bench.portfolio()
        denied = await bench.reason(order("k1"))
        await harness.deliver(Resume(by="anna", reason="a withdrawal"), "anna")
    (bench.data_dir / "log" / "risk.snapshot").unlink()
    async with bench.start():
        await bench.recover()
        resumed = await bench.portfolio()

    assert (halted.state, halted.cash) == (TradingState.HALTED, D(90_000))
    assert denied == "RECONCILIATION"
    assert (resumed.state, resumed.cash) == (TradingState.ACTIVE, D(90_000))


async def test_difference_within_the_limit_is_taken_over_and_does_not_halt(bench: Bench) -> None:
    dust = ReconciliationDifference(
        what=Difference.BALANCE,
        subject="USDT",
        symbol="",
        ours=D(100_000),
        venue=D(99_991),
        ts_event=time.time_ns(),
    )
    async with bench.start():
        await bench.recover()
        await bench.happen(dust)
        report = await bench.portfolio()

    assert (report.state, report.cash) == (TradingState.ACTIVE, D(99_991))
