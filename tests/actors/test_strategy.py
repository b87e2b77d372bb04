"""The strategy actor: when it decides, when it says nothing, and what it asks for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.core.strategies import Intent, Standing, readings
from krator_actors.messages.market import (
    BookTop,
    Instruments,
    MarketStatus,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.strategy import (
    Settled,
    SettleRequest,
    SignalRaised,
    StrategyStateRequest,
)
from krator_actors.model import NANOS_PER_SEC, OrderSide, OrderType
from supervisors.messages import AskTimeoutError, PeerDiedError
from tests.actors.strategy_scene import (
    CROSS_BAR,
    FALL_THEN_RISE,
    FEED,
    INSTRUMENT,
    NAME,
    START_SECS,
    SYMBOL,
    Running,
    bar_id,
    bought,
    fill,
    live,
    orders,
    position_known,
    running_in,
    state,
)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return running_in(tmp_path)


async def test_it_warms_up_live_and_buys_when_fast_crosses_above_slow(running: Running) -> None:
    async with running() as harness:
        order = await bought(harness)
        state = harness.actor.describe_state()

    assert state == {
        "knows_position": True,
        "knows_instrument": True,
        "order_is_under_way": True,
        "is_warm": True,
    }
    assert order.client_order_id == bar_id(CROSS_BAR, 0)
    assert (order.side, order.order_type, order.price) == (OrderSide.BUY, OrderType.MARKET, None)
    assert order.quantity == Decimal("55.55")  # 500 / 9 in lots of 0.01
    assert order.cause == f"bar:{(START_SECS + CROSS_BAR) * NANOS_PER_SEC}"
    assert order.ts_event == (START_SECS + CROSS_BAR + 1) * NANOS_PER_SEC
    assert order.strategy == NAME


async def test_the_signal_is_in_its_log_before_risk_hears_of_it(
    running: Running, tmp_path: Path
) -> None:
    async with running() as harness:
        order = await bought(harness)

    (record,) = read_log(log_path(tmp_path, NAME), types=SignalRaised)
    assert record.event.client_order_id == order.client_order_id
    assert record.event.readings == readings(fast=6.5, slow=6.0)
    assert record.ts_ns <= order.ts_init
    assert harness.told_to("journal") == [LogGrew(writer=NAME)]


async def test_a_log_that_cannot_be_written_means_no_order(running: Running) -> None:
    async with running() as harness:
        harness.actor._log.close()

        with pytest.raises(ValueError, match="closed"):
            await bought(harness)

        assert orders(harness) == []


async def test_it_sells_the_whole_position_in_whole_lots(running: Running) -> None:
    async with running(state("3.146")) as harness:
        await live(harness, [10, 20, 30, 40, 50, 60, 70, 10, 10])

    (order,) = orders(harness)
    assert (order.side, order.quantity) == (OrderSide.SELL, Decimal("3.14"))
    assert order.client_order_id == bar_id(7, 1)


async def test_a_signal_too_small_for_the_venue_is_no_order(running: Running) -> None:
    expensive = [price * 10_000 for price in [11, *FALL_THEN_RISE, 9]]
    async with running() as harness:
        await live(harness, expensive, begin=-1)

        assert orders(harness) == []
        assert harness.actor._holding.pending is None


async def test_before_its_position_is_known_it_says_nothing(running: Running) -> None:
    async with running(state(recovered=False), settled=False) as harness:
        await live(harness, [11, *FALL_THEN_RISE, 9], begin=-1)

        assert orders(harness) == []


async def test_it_asks_risk_until_risk_has_recovered(running: Running) -> None:
    answers = [AskTimeoutError("x"), PeerDiedError("x"), state(recovered=False), state("2")]

    async with running(lambda _: answers.pop(0)) as harness:
        assert harness.actor._holding.position == 2

    assert answers == []
    assert harness.asked[0] == ("risk", StrategyStateRequest(strategy=NAME, symbol=SYMBOL))


async def test_while_the_market_is_not_fresh_it_says_nothing(running: Running) -> None:
    stale = MarketStatus(symbol=SYMBOL, fresh=False, reason="STALE_QUOTES", ts_event=1)
    async with running() as harness:
        await harness.deliver(stale, FEED)
        await live(harness, [11, *FALL_THEN_RISE, 9], begin=-1)

        assert orders(harness) == []


async def test_a_market_that_is_fresh_again_is_decided_on(running: Running) -> None:
    async with running() as harness:
        for fresh in (False, True):
            status = MarketStatus(symbol=SYMBOL, fresh=fresh, reason="LIVE", ts_event=1)
            await harness.deliver(status, FEED)

        await bought(harness)


async def test_instruments_of_the_feed_are_enough_to_decide(running: Running) -> None:
    other = replace(INSTRUMENT, symbol="ETH-USDT.SIM")
    unknown = replace(state(), instrument=None)
    async with running(unknown) as harness:
        await harness.deliver(Instruments(instruments=(other, INSTRUMENT)), FEED)

        await bought(harness)


async def test_replay_waits_while_an_order_is_under_way(running: Running) -> None:
    async with running() as harness:
        assert await harness.deliver(SettleRequest(), FEED) == Settled(is_settled=True)

        order = await bought(harness)

        assert await harness.deliver(SettleRequest(), FEED) == Settled(is_settled=False)
        harness.answer("risk", state(str(order.quantity)))
        await harness.deliver(fill(order, order.quantity), "order:SIM")
        await position_known(harness)
        assert await harness.deliver(SettleRequest(), FEED) == Settled(is_settled=True)


async def test_book_is_shown_to_the_strategy(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = BookTop(
        symbol=SYMBOL,
        bids=((Decimal(99), Decimal(1)),),
        asks=((Decimal(101), Decimal(1)),),
        update_id=1,
        ts_event=1,
        ts_init=1,
    )
    async with running() as harness:
        shown: list[BookTop] = []
        strategy = type(harness.actor._strategy)

        def note(_strategy: object, top: BookTop, _standing: Standing) -> list[Intent]:
            shown.append(top)
            return []

        monkeypatch.setattr(strategy, "on_book", note)

        await harness.deliver(book, FEED)

    assert shown == [book]
