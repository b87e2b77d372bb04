"""A strategy actor, and the market, the orders and the answers that a test gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path

from krator_actors.core.bars import BarBuilder
from krator_actors.core.identity import client_order_id
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.market import (
    BarHistory,
    MarketDataGap,
    TradeTick,
)
from krator_actors.messages.orders import (
    OrderEvent,
    OrderEventTold,
    OrderFilled,
    SubmitOrder,
)
from krator_actors.messages.strategy import (
    StrategyState,
)
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide, OrderStatus, OrderType
from krator_actors.strategy import StrategyActor, StrategyActorConfig
from krator_actors.strategy_config import MeanReversionConfig, SmaCrossConfig, StrategyConfig
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


def running_in(data_dir: Path) -> Running:
    """Return what starts a strategy actor over ``data_dir``."""

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
            data_dir=data_dir,
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
