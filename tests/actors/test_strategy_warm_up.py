"""The strategy actor: history and gaps, and when it is warm."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import (
    BarsRequest,
    MarketDataGap,
    QuoteTick,
)
from supervisors.messages import AskTimeoutError
from tests.actors.strategy_scene import (
    CROSS_BAR,
    FALL_THEN_RISE,
    FEED,
    SYMBOL,
    Running,
    bar_id,
    bought,
    history,
    live,
    orders,
    questions,
    running_in,
    trade,
    trade_gap,
)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return running_in(tmp_path)


async def test_history_makes_it_warm_at_the_end_of_the_period_it_began_in(
    running: Running,
) -> None:
    prices = [10, 9, 8, 7, 6, 5, 4]
    async with running(feed=history(prices, until=6)) as harness:
        await live(harness, [4, 9], begin=6)
        await harness.eventually(lambda: harness.actor._strategy.is_warm)
        await live(harness, [9], begin=8)

    request = next(m for peer, m in harness.asked if peer == FEED)
    assert request == BarsRequest(symbol=SYMBOL, spec=BarSpec(1, BarUnit.SECOND), count=10)
    assert [order.client_order_id for order in orders(harness)] == [bar_id(CROSS_BAR, 0)]


async def test_a_cross_that_history_tells_of_in_time_is_decided_on(running: Running) -> None:
    async with running(feed=history(FALL_THEN_RISE, until=CROSS_BAR)) as harness:
        await live(harness, [9, 9], begin=CROSS_BAR)
        await harness.eventually(lambda: len(orders(harness)) == 1)

    assert orders(harness)[0].client_order_id == bar_id(CROSS_BAR, 0)


async def test_the_same_decision_after_a_restart_is_the_same_order(running: Running) -> None:
    async with running() as harness:
        before = await bought(harness)
    async with running(feed=history(FALL_THEN_RISE, until=CROSS_BAR), generation=2) as harness:
        await live(harness, [9, 9], begin=CROSS_BAR)
        await harness.eventually(lambda: len(orders(harness)) == 1)
        after = orders(harness)[0]

    assert after.client_order_id == before.client_order_id
    assert after.quantity == before.quantity


async def test_a_cross_that_is_older_than_the_last_bar_is_not_decided_on(
    running: Running,
) -> None:
    prices = [*FALL_THEN_RISE, 10]
    async with running(feed=history(prices, until=CROSS_BAR + 1)) as harness:
        await live(harness, [10, 11, 12], begin=CROSS_BAR + 1)
        await harness.eventually(lambda: harness.actor._strategy.is_warm)

        assert orders(harness) == []


async def test_it_asks_the_feed_until_history_reaches_the_period_it_began_in(
    running: Running,
) -> None:
    prices = [10, 9, 8, 7, 6, 5]
    answers = [AskTimeoutError("x"), history(prices, until=4), history(prices, until=5)]

    async with running(feed=lambda _: answers.pop(0)) as harness:
        await live(harness, [5, 5], begin=5)
        part = 1
        while not harness.actor._series.joined:
            await harness.deliver(trade(6, 5, part=part), FEED)
            part += 1
            count = questions(harness, FEED)
            await harness.eventually(
                lambda count=count: (
                    harness.actor._series.joined  # type: ignore[misc]
                    or questions(harness, FEED) > count
                    or not harness.actor._history_wanted.is_set()
                )
            )

        assert harness.actor._strategy.is_warm
    assert answers == []


async def test_missing_trades_make_it_cold(running: Running) -> None:
    async with running() as harness:
        await live(harness, [11, *FALL_THEN_RISE[:-1]], begin=-1)
        await harness.deliver(trade_gap(), FEED)
        await live(harness, [9, 9], begin=CROSS_BAR)

        assert orders(harness) == []
        assert not harness.actor._strategy.is_warm


async def test_missing_quotes_do_not_matter_to_bars(running: Running) -> None:
    gap = MarketDataGap(
        symbol=SYMBOL,
        stream="quote",
        first_id=0,
        last_id=0,
        count=1,
        reason="OVERFLOW",
        ts_event=1,
        ts_init=1,
    )
    quote = QuoteTick(
        symbol=SYMBOL,
        bid=Decimal(9),
        bid_size=Decimal(1),
        ask=Decimal(10),
        ask_size=Decimal(1),
        update_id=1,
        ts_event=1,
        ts_init=1,
    )
    async with running() as harness:
        await harness.deliver(gap, FEED)
        await harness.deliver(quote, FEED)

        await bought(harness)


async def test_gap_that_was_filled_costs_no_warm_up(running: Running) -> None:
    async with running() as harness:
        await live(harness, [11, *FALL_THEN_RISE[:-1]], begin=-1)
        strategy = harness.actor._strategy

        await harness.deliver(msgspec.structs.replace(trade_gap(), count=0, filled=3), FEED)
        assert harness.actor._strategy is strategy

        await harness.deliver(trade_gap(), FEED)
        assert harness.actor._strategy is not strategy
