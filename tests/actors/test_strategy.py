from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from krator_actors import strategy as strategy_module
from krator_actors.adapters import local_log
from krator_actors.adapters.local_log import LocalLog, log_path, read_log, write_committed
from krator_actors.core.bars import BarBuilder
from krator_actors.core.identity import client_order_id
from krator_actors.core.strategies import Intent, Standing, readings
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.market import (
    BarHistory,
    BarsRequest,
    BookTop,
    Instruments,
    MarketDataGap,
    MarketStatus,
    QuoteTick,
    TradeTick,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    OrderDenied,
    OrderEvent,
    OrderEventTold,
    OrderFilled,
    OrderRejected,
    SubmitOrder,
)
from krator_actors.messages.risk import DuplicateRefused
from krator_actors.messages.strategy import (
    Settled,
    SettleRequest,
    SignalRaised,
    StrategyState,
    StrategyStateRequest,
)
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide, OrderStatus, OrderType
from krator_actors.strategy import StrategyActor, StrategyActorConfig
from krator_actors.strategy_config import MeanReversionConfig, SmaCrossConfig, StrategyConfig
from supervisors.messages import AskTimeoutError, PeerDiedError
from supervisors.testing import ActorHarness

SYMBOL = "BTC-USDT.SIM"
CROSS = SmaCrossConfig(symbol=SYMBOL, bar="1-SECOND-LAST", fast=2, slow=4)
REVERSION = MeanReversionConfig(
    symbol=SYMBOL,
    bar="1-SECOND-LAST",
    bollinger_period=4,
    bollinger_deviations=1.0,
    rsi_period=2,
    rsi_oversold=40.0,
    atr_period=2,
    stop_atr=2.0,
)
NAME = CROSS.actor_name
FEED = "feed:SIM"
# A recording of 2024: event time has nothing to do with today.
START_SECS = 1_723_161_255
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.01"),
    min_quantity=Decimal("0.01"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(5),
)
# Of one bar each, with averages over 2 and 4 bars: the last one is a cross above.
FALL_THEN_RISE = [10, 9, 8, 7, 6, 5, 4, 9]
CROSS_BAR = 7
# Of one bar each: the last one is below the lower Bollinger band and RSI is oversold.
CALM_THEN_FALL = [*[100, 101] * 6, 96]
Running = Callable[..., AbstractAsyncContextManager[ActorHarness]]


def trade(bar: int, price: float, *, part: int = 0) -> TradeTick:
    """The ``part``-th trade of the ``bar``-th period of one second."""
    return TradeTick(
        symbol=SYMBOL,
        price=Decimal(str(price)),
        size=Decimal(1),
        aggressor=OrderSide.BUY,
        trade_id=1000 + bar * 10 + part,
        ts_event=(START_SECS + bar) * NANOS_PER_SEC + part,
        ts_init=1,
    )


def history(prices: Sequence[float], *, until: int) -> BarHistory:
    """The finished bars of periods 0 to ``until`` inclusive, at one price each."""
    builder = BarBuilder(SYMBOL, BarSpec(1, BarUnit.SECOND))
    trades = [trade(n, price) for n, price in enumerate(prices[: until + 1])]
    bars = [builder.on_trade(t) for t in [*trades, trade(until + 1, 1)]]
    return BarHistory(symbol=SYMBOL, bars=tuple(bar for bar in bars if bar is not None))


def state(
    position: str = "0", *, recovered: bool = True, open_orders: tuple[OpenOrder, ...] = ()
) -> StrategyState:
    return StrategyState(
        symbol=SYMBOL,
        recovered=recovered,
        position=Decimal(position),
        open_orders=open_orders,
        equity=Decimal(100_000),
        instrument=INSTRUMENT,
    )


def bar_id(bar: int, leg: int) -> str:
    cause = f"bar:{(START_SECS + bar) * NANOS_PER_SEC}"
    return client_order_id(NAME, SYMBOL, cause, leg)


def open_order(order_id: str) -> OpenOrder:
    return OpenOrder(
        client_order_id=order_id,
        strategy=NAME,
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        filled=Decimal(0),
        price=None,
        status=OrderStatus.SUBMITTED,
    )


def told(event: OrderEvent) -> OrderEventTold:
    return OrderEventTold(venue="SIM", number=1, event=event)


def fill(order: SubmitOrder, quantity: Decimal, trade_id: str = "1") -> OrderEventTold:
    return told(
        OrderFilled(
            client_order_id=order.client_order_id,
            venue_order_id="1",
            trade_id=trade_id,
            symbol=SYMBOL,
            strategy=NAME,
            side=order.side,
            last_quantity=quantity,
            last_price=Decimal(9),
            fee=Decimal("0.01"),
            fee_currency="BTC",
            ts_event=1,
            ts_init=1,
        )
    )


def trade_gap() -> MarketDataGap:
    return MarketDataGap(
        symbol=SYMBOL,
        stream="trade",
        first_id=1,
        last_id=2,
        count=2,
        reason="OVERFLOW",
        ts_event=1,
        ts_init=1,
    )


@pytest.fixture
def running(tmp_path: Path) -> Running:
    @asynccontextmanager
    async def run(
        risk: object = None,
        feed: object = None,
        *,
        strategy: StrategyConfig = CROSS,
        settled: bool = True,
        generation: int = 1,
    ) -> AsyncIterator[ActorHarness]:
        config = StrategyActorConfig(
            strategy=strategy,
            venue="SIM",
            data_dir=tmp_path,
            durability="process",
        )
        answers = {
            "risk": risk or state(),
            FEED: feed or BarHistory(symbol=SYMBOL, bars=()),
        }
        async with ActorHarness(
            StrategyActor,
            name=strategy.actor_name,
            config=config,
            generation=generation,
            answers=answers,  # type: ignore[arg-type]
        ) as harness:
            if settled:
                await position_known(harness)
            yield harness

    return run


async def position_known(harness: ActorHarness) -> None:
    await harness.eventually(lambda: harness.actor._holding.position is not None)


async def live(harness: ActorHarness, prices: Sequence[float], *, begin: int = 0) -> None:
    """One trade a bar; the first bar is only begun in, so it cannot be counted."""
    for number, price in enumerate(prices, begin):
        await harness.deliver(trade(number, price), FEED)


def orders(harness: ActorHarness) -> list[SubmitOrder]:
    return [m for m in harness.told_to("risk") if isinstance(m, SubmitOrder)]


def questions(harness: ActorHarness, peer: str) -> int:
    return sum(receiver == peer for receiver, _ in harness.asked)


async def bought(harness: ActorHarness) -> SubmitOrder:
    """Let it see the fall and the rise, finished by one more trade."""
    await live(harness, [11, *FALL_THEN_RISE, 9], begin=-1)
    (order,) = orders(harness)
    return order


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


async def test_entry_is_bracketed_and_nothing_else_sells_it(running: Running) -> None:
    cross = SmaCrossConfig(
        symbol=SYMBOL,
        bar="1-SECOND-LAST",
        fast=2,
        slow=4,
        stop_loss_fraction=Decimal("0.1"),
        take_profit_fraction=Decimal("0.005"),
    )
    async with running(strategy=cross) as harness:
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
    cross = SmaCrossConfig(
        symbol=SYMBOL,
        bar="1-SECOND-LAST",
        fast=2,
        slow=4,
        stop_loss_fraction=Decimal("0.1"),
        take_profit_fraction=Decimal("0.005"),
    )
    async with running(strategy=cross) as harness:
        order = await bought(harness)

    async with running(state(str(order.quantity))) as harness:
        await live(harness, [10, 20, 30, 40, 50, 60, 70, 10, 10], begin=9)

        assert orders(harness) == []
    (record,) = read_log(log_path(tmp_path, NAME), types=SignalRaised)
    assert record.event.is_bracketed
    assert record.event.stop_price == Decimal("8.10")


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

        await harness.deliver(trade_gap(), FEED)

        await sold_at(harness, stop)


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


async def test_instruments_of_the_feed_are_enough_to_decide(running: Running) -> None:
    other = replace(INSTRUMENT, symbol="ETH-USDT.SIM")
    unknown = replace(state(), instrument=None)
    async with running(unknown) as harness:
        await harness.deliver(Instruments(instruments=(other, INSTRUMENT)), FEED)

        await bought(harness)


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


async def test_gap_that_was_filled_costs_no_warm_up(running: Running) -> None:
    async with running() as harness:
        await live(harness, [11, *FALL_THEN_RISE[:-1]], begin=-1)
        strategy = harness.actor._strategy

        await harness.deliver(msgspec.structs.replace(trade_gap(), count=0, filled=3), FEED)
        assert harness.actor._strategy is strategy

        await harness.deliver(trade_gap(), FEED)
        assert harness.actor._strategy is not strategy
