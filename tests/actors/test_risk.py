"""The risk actor: what it logs before it tells."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from krator_actors.adapters.local_log import LocalLog
from krator_actors.messages.handshake import (
    OrderActorStarted,
)
from krator_actors.messages.market import (
    InstrumentsRequest,
    MarketStatus,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    OrderDenied,
    PlaceOrder,
)
from krator_actors.messages.risk import (
    DuplicateRefused,
    Halt,
    OrderApproved,
)
from krator_actors.messages.strategy import StrategyState, StrategyStateRequest
from supervisors.messages import Message, PeerDiedError
from tests.actors.risk_scene import (
    BTC,
    FEED,
    INSTRUMENTS,
    ORDER,
    STRATEGY,
    Bench,
    D,
    filled,
    initialized,
    order,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_approval_is_logged_then_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench.start() as harness:
        await bench.recover()
        seen: list[int] = []
        append = LocalLog.append

        def noting(log: LocalLog, event: Message, *, ts_ns: int) -> int:
            seen.append(len(harness.told))
            return append(log, event, ts_ns=ts_ns)

        monkeypatch.setattr(LocalLog, "append", noting)
        before = len(harness.told)

        placed = await bench.submit(order())
        state = harness.actor.describe_state()

    assert placed == PlaceOrder(order=order(), risk_generation=1)
    assert seen == [before]
    assert (state["is_recovered"], state["approved"], state["open_orders"]) == (True, 1, 1)
    assert bench.logged(OrderApproved)[0].order == order()
    assert harness.told_to("journal")[-1] == LogGrew(writer="risk")


async def test_denial_is_logged_and_told_to_the_strategy(bench: Bench) -> None:
    async with bench.start():
        denied = await bench.submit(order())

    assert isinstance(denied, OrderDenied)
    assert denied.reason == "RISK_RECOVERING"
    assert bench.logged(OrderDenied) == [denied]


async def test_duplicate_is_refused_also_after_a_restart(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
        first = await bench.submit(order())
    (bench.data_dir / "log" / "risk.snapshot").unlink()
    async with bench.start():
        second = await bench.submit(order())

    assert isinstance(first, DuplicateRefused)
    assert isinstance(second, DuplicateRefused)
    assert len(bench.logged(DuplicateRefused)) == 2


async def test_cancel_passes_while_recovering_and_halted(bench: Bench) -> None:
    cancel = CancelOrder(client_order_id="k1", symbol=BTC, requester=STRATEGY)
    async with bench.start() as harness:
        await harness.deliver(cancel, STRATEGY)
        await bench.recover()
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        await harness.deliver(cancel, STRATEGY)

    assert harness.told_to(ORDER).count(cancel) == 2


@pytest.mark.parametrize(
    "command",
    [
        CancelAllOrders(symbol=BTC, requester="ada"),
        ModifyOrder(client_order_id="k1", symbol=BTC, quantity=Decimal(1), requester=STRATEGY),
    ],
)
async def test_what_can_only_lower_exposure_passes_while_halted(
    bench: Bench, command: Message
) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        await harness.deliver(command, STRATEGY)

    assert harness.told_to(ORDER).count(command) == 1


async def test_stale_market_and_unreachable_venue_deny(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(
            MarketStatus(symbol=BTC, fresh=False, reason="DISCONNECTED", ts_event=1), FEED
        )
        stale = await bench.reason(order("k1"))
        await harness.deliver(OrderActorStarted(venue="SIM", generation=2), ORDER)
        unreachable = await bench.reason(order("k2"))

    assert (stale, unreachable) == ("STALE_PRICE", "VENUE_UNREACHABLE")


async def test_fill_becomes_position(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await bench.submit(order())
        await bench.happen(initialized(order()))
        await bench.happen(filled())
        report = await bench.portfolio()
        state = await harness.deliver(StrategyStateRequest(strategy=STRATEGY, symbol=BTC), STRATEGY)

    assert report.positions[0].quantity == 1
    assert report.cash == 99_900
    assert report.open_orders == ()
    assert isinstance(state, StrategyState)
    assert (state.position, state.recovered) == (D(1), True)


async def test_instruments_are_asked_for_until_the_feed_is_there(bench: Bench) -> None:
    harness = bench.start()
    harness.answer(FEED, PeerDiedError("feed died"))
    async with harness:
        await harness.eventually(lambda: len(harness.asked) > 1)
        harness.answer(FEED, INSTRUMENTS)
        await harness.eventually(lambda: harness.actor._engine.markets[BTC].instrument is not None)

    assert harness.asked[0] == (FEED, InstrumentsRequest())
