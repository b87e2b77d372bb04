"""The strategy actor: one order at a time, and what has become of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from krator_actors import strategy as strategy_module
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    OrderDenied,
    OrderRejected,
)
from krator_actors.messages.risk import DuplicateRefused
from krator_actors.model import OrderSide
from tests.actors.strategy_scene import (
    CROSS_BAR,
    FALL_THEN_RISE,
    NAME,
    SYMBOL,
    Running,
    bought,
    fill,
    live,
    open_order,
    orders,
    position_known,
    questions,
    running_in,
    state,
    told,
)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return running_in(tmp_path)


async def test_while_an_order_is_under_way_there_is_no_second_one(running: Running) -> None:
    async with running() as harness:
        await bought(harness)
        await live(harness, [2, 1, 1, 20, 30, 1, 1], begin=CROSS_BAR + 2)

        assert len(orders(harness)) == 1


async def test_after_its_order_is_filled_it_has_what_risk_says(running: Running) -> None:
    async with running() as harness:
        order = await bought(harness)
        harness.answer("risk", state("55.49"))

        await harness.deliver(fill(order, Decimal(50)), "order:SIM")
        await harness.deliver(fill(order, Decimal(50)), "order:SIM")
        still = harness.actor._holding.pending
        await harness.deliver(fill(order, Decimal("5.55"), "2"), "order:SIM")
        await position_known(harness)
        await live(harness, [2, 2], begin=CROSS_BAR + 2)

    assert still is not None
    assert [o.side for o in orders(harness)] == [OrderSide.BUY, OrderSide.SELL]
    assert orders(harness)[1].quantity == Decimal("55.49")


async def test_it_asks_again_while_risk_still_has_its_finished_order_open(
    running: Running,
) -> None:
    async with running() as harness:
        order = await bought(harness)
        late = [state(open_orders=(open_order(order.client_order_id),)), state("55.49")]
        harness.answer("risk", lambda _: late.pop(0))

        await harness.deliver(fill(order, order.quantity), "order:SIM")
        await position_known(harness)

        assert harness.actor._holding.position == Decimal("55.49")


async def test_it_knows_its_position_again_at_once_after_every_fill(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_module, "_RETRY_INITIAL_SECS", 1_000.0)
    monkeypatch.setattr(strategy_module, "_RETRY_MAX_SECS", 1_000.0)
    async with running() as harness:
        order = await bought(harness)

        for number in range(1, 4):
            harness.answer("risk", state(f"55.{number}"))
            await harness.deliver(fill(order, order.quantity, str(number)), "order:SIM")
            await position_known(harness)

            assert harness.actor._holding.position == Decimal(f"55.{number}")


async def test_a_strategy_that_is_refused_waits_before_it_may_try_again(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_module, "_RETRY_INITIAL_SECS", 1_000.0)
    monkeypatch.setattr(strategy_module, "_RETRY_MAX_SECS", 1_000.0)
    async with running() as harness:
        order = await bought(harness)
        before = questions(harness, "risk")
        about = {"client_order_id": order.client_order_id, "symbol": SYMBOL, "ts_event": 1}

        rejected = OrderRejected(**about, reason="NEVER_ARRIVED")  # type: ignore[arg-type]
        await harness.deliver(told(rejected), "order:SIM")
        await live(harness, [9, 9, 9], begin=CROSS_BAR + 2)

        assert questions(harness, "risk") == before
        assert len(orders(harness)) == 1


@pytest.mark.parametrize("end", ["denied", "rejected", "duplicate"])
async def test_an_order_that_is_not_taken_leaves_it_free_to_decide_again(
    running: Running, end: str
) -> None:
    async with running() as harness:
        order = await bought(harness)
        about = {"client_order_id": order.client_order_id, "symbol": SYMBOL, "ts_event": 1}
        before = questions(harness, "risk")
        match end:
            case "denied":
                denied = {**about, "strategy": NAME, "reason": "HALTED", "detail": ""}
                await harness.deliver(OrderDenied(**denied), "risk")  # type: ignore[arg-type]
            case "rejected":
                rejected = OrderRejected(**about, reason="NEVER_ARRIVED")  # type: ignore[arg-type]
                await harness.deliver(told(rejected), "order:SIM")
            case _:
                refused = DuplicateRefused(**about, strategy=NAME)  # type: ignore[arg-type]
                await harness.deliver(refused, "risk")
        await position_known(harness)

        assert questions(harness, "risk") > before
        assert harness.actor._holding.pending is None


async def test_an_order_that_came_back_undelivered_is_asked_for_and_not_sent_again(
    running: Running,
) -> None:
    async with running() as harness:
        order = await bought(harness)
        before = questions(harness, "risk")

        await harness.undelivered("risk", order)
        await harness.undelivered("journal", LogGrew(writer=NAME))
        await position_known(harness)

        assert questions(harness, "risk") == before + 1
        assert len(orders(harness)) == 1


async def test_an_order_without_news_is_asked_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_module, "PENDING_SILENCE_SECS", 0.01)
    async with running() as harness:
        await bought(harness)
        harness.answer("risk", state("55.5"))
        await harness.eventually(lambda: harness.actor._holding.pending is None)
        await position_known(harness)

        assert len(orders(harness)) == 1


async def test_silence_is_judged_by_the_newest_news_of_the_order_under_way(
    running: Running,
) -> None:
    async with running() as harness:
        order = await bought(harness)
        before = questions(harness, "risk")
        await harness.deliver(fill(order, Decimal(1)), "order:SIM")

        for order_id, news in ((order.client_order_id, 0), ("kother", 1)):
            silent = strategy_module.PendingSilent(client_order_id=order_id, news=news)
            await harness.deliver(silent, NAME)

        assert questions(harness, "risk") == before
        assert harness.actor._holding.position is not None


async def test_an_answer_that_is_older_than_the_order_does_not_end_it(running: Running) -> None:
    async with running() as harness:
        number = harness.actor._question
        await bought(harness)
        old = strategy_module.RiskAnswer(number=number, state=state())

        await harness.deliver(old, NAME)

        assert harness.actor._holding.pending is not None


async def test_an_open_order_of_the_former_incarnation_is_waited_for(running: Running) -> None:
    known = open_order("kformer")
    async with running(state(open_orders=(known,)), settled=False) as harness:
        await harness.eventually(lambda: harness.actor._holding.pending is not None)
        await live(harness, [11, *FALL_THEN_RISE, 9], begin=-1)
        waiting = list(orders(harness))
        harness.answer("risk", state("1"))
        await position_known(harness)

        assert waiting == []
        assert harness.actor._holding.position == 1
