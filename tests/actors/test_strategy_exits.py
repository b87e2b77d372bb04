"""The strategy actor: how its position is bracketed or stopped, also after a restart."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from krator_actors.adapters import local_log
from krator_actors.adapters.local_log import LocalLog, log_path, read_log, write_committed
from krator_actors.core.strategies import Standing
from krator_actors.messages.strategy import (
    SignalRaised,
)
from krator_actors.model import OrderSide
from krator_actors.strategy_config import SmaCrossConfig
from supervisors.testing import ActorHarness
from tests.actors.strategy_scene import (
    CALM_THEN_FALL,
    FEED,
    INSTRUMENT,
    NAME,
    REVERSION,
    SYMBOL,
    Running,
    bought,
    fill,
    history,
    live,
    orders,
    position_known,
    running_in,
    state,
    trade,
    trade_gap,
)

BRACKETED = SmaCrossConfig(
    symbol=SYMBOL,
    bar="1-SECOND-LAST",
    fast=2,
    slow=4,
    stop_loss_fraction=Decimal("0.1"),
    take_profit_fraction=Decimal("0.005"),
)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return running_in(tmp_path)


async def test_entry_is_bracketed_and_nothing_else_sells_it(running: Running) -> None:
    async with running(strategy=BRACKETED) as harness:
        order = await bought(harness)
        harness.answer("risk", state(str(order.quantity)))
        await harness.deliver(fill(order, order.quantity), "order:SIM")
        await harness.eventually(lambda: harness.actor._holding.position == order.quantity)

        await live(harness, [10, 20, 30, 40, 50, 60, 70, 10, 10], begin=9)

        assert harness.actor._standing() is Standing.LONG
        assert orders(harness) == [order]
    assert order.bracket is not None
    # around 9, the price of the cross
    assert order.bracket.stop_price == Decimal("8.10")
    assert order.bracket.take_profit_price == Decimal("9.04")
    assert order.bracket.instrument == INSTRUMENT


async def test_bracketed_entry_is_known_after_a_restart_that_changed_the_configuration(
    running: Running, tmp_path: Path
) -> None:
    async with running(strategy=BRACKETED) as harness:
        order = await bought(harness)

    async with running(state(str(order.quantity))) as harness:
        await live(harness, [10, 20, 30, 40, 50, 60, 70, 10, 10], begin=9)

        assert orders(harness) == []
    (record,) = read_log(log_path(tmp_path, NAME), types=SignalRaised)
    assert record.event.is_bracketed
    assert record.event.stop_price == Decimal("8.10")


async def bought_on_a_fall(harness: ActorHarness, log: Path) -> Decimal:
    """Let it see the fall, finished by one more trade; return its stop, as its log has it."""
    await live(harness, [100, *CALM_THEN_FALL, 96], begin=-1)
    (order,) = orders(harness)
    assert order.side is OrderSide.BUY
    *_, record = read_log(log, types=SignalRaised)
    assert record.event.stop_price is not None
    assert 0 < record.event.stop_price < 96
    stop_price: Decimal = record.event.stop_price
    return stop_price


async def test_a_position_is_sold_on_the_trade_that_hits_the_stop(
    running: Running, tmp_path: Path
) -> None:
    async with running(strategy=REVERSION) as harness:
        stop = await bought_on_a_fall(harness, log_path(tmp_path, REVERSION.actor_name))
        harness.answer("risk", state("5.2"))
        await harness.deliver(fill(orders(harness)[0], orders(harness)[0].quantity), "order:SIM")
        await position_known(harness)

        hit = trade(len(CALM_THEN_FALL), float(stop), part=1)
        await harness.deliver(hit, FEED)

    sale = orders(harness)[1]
    assert (sale.side, sale.quantity) == (OrderSide.SELL, Decimal("5.2"))
    assert (sale.cause, sale.ts_event) == (f"trade:{hit.trade_id}", hit.ts_event)


async def sold_at(harness: ActorHarness, stop: Decimal) -> None:
    """Let it become warm from history, then see one trade at the stop."""
    bars = len(CALM_THEN_FALL)
    harness.answer(FEED, history(CALM_THEN_FALL, until=bars - 1))
    await live(harness, [96, 96], begin=bars - 1)
    await harness.eventually(lambda: harness.actor._strategy.is_warm)
    await harness.deliver(trade(bars, float(stop), part=1), FEED)

    assert orders(harness)[-1].side is OrderSide.SELL
    assert orders(harness)[-1].cause == f"trade:{trade(bars, 1, part=1).trade_id}"


async def test_the_stop_of_its_entry_outlives_a_restart(running: Running, tmp_path: Path) -> None:
    async with running(strategy=REVERSION) as harness:
        stop = await bought_on_a_fall(harness, log_path(tmp_path, REVERSION.actor_name))

    async with running(state("5.2"), strategy=REVERSION, generation=2) as harness:
        await sold_at(harness, stop)


async def test_signals_before_its_newest_entry_are_removed_and_its_stop_stays(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_log, "SEGMENT_BYTES", 1)
    name = REVERSION.actor_name
    log = log_path(tmp_path, name)
    write_committed(tmp_path, {name: 1_000})
    async with running(strategy=REVERSION) as harness:
        await bought_on_a_fall(harness, log)
    (earlier,) = read_log(log, types=SignalRaised)
    far = replace(earlier.event, stop_price=Decimal(1))
    with LocalLog.open(log, writer=name, generation=1, durability="process") as writer:
        for _ in range(5):
            writer.append(far, ts_ns=1)

    async with running(strategy=REVERSION, generation=2) as harness:
        await live(harness, [100, *CALM_THEN_FALL, 96], begin=-1)
        await harness.eventually(lambda: not log.exists())
    assert earlier.event.stop_price is not None
    async with running(state("5.2"), strategy=REVERSION, generation=3) as harness:
        await sold_at(harness, earlier.event.stop_price)


async def test_the_stop_of_its_entry_outlives_missing_trades(
    running: Running, tmp_path: Path
) -> None:
    async with running(strategy=REVERSION) as harness:
        stop = await bought_on_a_fall(harness, log_path(tmp_path, REVERSION.actor_name))
        harness.answer("risk", state("5.2"))
        await harness.deliver(fill(orders(harness)[0], orders(harness)[0].quantity), "order:SIM")
        await position_known(harness)
        # Its first question for history is over; while it is not, a trade asks for nothing new.
        await harness.eventually(lambda: not harness.actor._history_wanted.is_set())

        await harness.deliver(trade_gap(), FEED)

        await sold_at(harness, stop)
