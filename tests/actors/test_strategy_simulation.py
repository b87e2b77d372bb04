"""The strategy actor against a risk that loses, delays, denies and repeats; reproduced by seed."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors import strategy as strategy_module
from krator_actors.core.bars import BarBuilder
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.market import Bar, BarHistory, MarketDataGap, TradeTick
from krator_actors.messages.orders import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderEventTold,
    OrderExpired,
    OrderFilled,
    SubmitOrder,
)
from krator_actors.messages.risk import DuplicateRefused
from krator_actors.messages.strategy import StrategyState, StrategyStateRequest
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide, OrderStatus
from krator_actors.strategy import PendingSilent, StrategyActor, StrategyActorConfig
from krator_actors.strategy_config import SmaCrossConfig
from supervisors.messages import AskTimeoutError, Message
from supervisors.testing import ActorHarness

SYMBOL = "BTC-USDT.SIM"
NAME = f"strategy:{SYMBOL}/sma_cross"
BARS = 250
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.01"),
    min_quantity=Decimal("0.01"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(1),
)


class Risk:
    """Risk, order actor and venue in one, with the invariants in it."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.position = Decimal(0)
        self.approved = 0
        # At most one: that is what is tested.
        self.open: dict[str, tuple[SubmitOrder, Decimal]] = {}
        self.outbox: list[Message] = []
        self._seen: set[str] = set()
        self._absorbed = 0
        self._fills = 0

    def absorb(self, harness: ActorHarness) -> None:
        """Take the orders that were told since the last time."""
        told = harness.told_to("risk")
        for message in told[self._absorbed :]:
            assert isinstance(message, SubmitOrder)
            self._submit(message)
        self._absorbed = len(told)

    def forget_lane(self) -> None:
        """The strategy has been restarted: its harness counts from 0."""
        self._absorbed = 0
        self.outbox.clear()

    def _submit(self, order: SubmitOrder) -> None:
        about: dict[str, Any] = {
            "client_order_id": order.client_order_id,
            "symbol": SYMBOL,
            "strategy": NAME,
        }
        if order.client_order_id in self._seen:
            self.outbox.append(DuplicateRefused(**about, ts_event=1))
            return
        assert not self.open, "a second order while one is open"
        if order.side is OrderSide.SELL:
            assert order.quantity <= self.position, "more sold than there is"
        else:
            assert self.position < INSTRUMENT.min_quantity, "bought while it was long"
        self._seen.add(order.client_order_id)
        if self._dice.random() < 0.2:
            self.outbox.append(OrderDenied(**about, reason="HALTED", detail="", ts_event=1))
            return
        self.approved += 1
        self.open[order.client_order_id] = (order, order.quantity)

    def trade(self) -> None:
        """Let something happen to an open order."""
        for order_id, (order, left) in list(self.open.items()):
            roll = self._dice.random()
            if roll < 0.3:
                self._fill(order, left)
            elif roll < 0.5 and left > INSTRUMENT.lot_size:
                self._fill(order, INSTRUMENT.lot_size)
            elif roll < 0.6:
                del self.open[order_id]
                about: dict[str, Any] = {"client_order_id": order_id, "symbol": SYMBOL}
                if self._dice.random() < 0.5:
                    self._tell(OrderCanceled(**about, ts_event=1))
                else:
                    self._tell(OrderExpired(**about, ts_event=1))

    def _fill(self, order: SubmitOrder, quantity: Decimal) -> None:
        left = self.open[order.client_order_id][1] - quantity
        self.open[order.client_order_id] = (order, left)
        if not left:
            del self.open[order.client_order_id]
        fee = quantity / 1000 if order.side is OrderSide.BUY else Decimal(0)
        self.position += order.side.sign * quantity - fee
        self._fills += 1
        self._tell(
            OrderFilled(
                client_order_id=order.client_order_id,
                venue_order_id="1",
                trade_id=str(self._fills),
                symbol=SYMBOL,
                strategy=NAME,
                side=order.side,
                last_quantity=quantity,
                last_price=Decimal(1),
                fee=fee,
                fee_currency="BTC",
                ts_event=1,
                ts_init=1,
            )
        )

    def _tell(self, event: OrderEvent) -> None:
        told = OrderEventTold(venue="SIM", number=1, event=event)
        self.outbox += [told] * self._dice.choice([0, 1, 1, 1, 1, 2])

    async def answer(self, harness: ActorHarness) -> Message:
        self.absorb(harness)
        state = StrategyState(
            symbol=SYMBOL,
            recovered=self._dice.random() < 0.8,
            position=self.position,
            open_orders=tuple(_open(order, left) for order, left in self.open.values()),
            equity=Decimal(1),
            instrument=INSTRUMENT,
        )
        for _ in range(self._dice.randrange(4)):
            await asyncio.sleep(0)
        if self._dice.random() < 0.1:
            raise AskTimeoutError("the answer was lost")
        return state


def _open(order: SubmitOrder, left: Decimal) -> OpenOrder:
    return OpenOrder(
        client_order_id=order.client_order_id,
        strategy=NAME,
        symbol=SYMBOL,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        filled=order.quantity - left,
        price=None,
        status=OrderStatus.ACCEPTED,
    )


class Market:
    """A random walk, one or two trades a bar, and all finished bars of it."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._builder = BarBuilder(SYMBOL, BarSpec(1, BarUnit.SECOND))
        self._price = 1000
        self._trades = 0
        self.bars: list[Bar] = []

    def bar(self, number: int) -> list[TradeTick]:
        self._price = max(100, self._price + self._dice.randint(-60, 60))
        trades = [self._trade(number, part) for part in range(self._dice.randint(1, 2))]
        self.bars += [bar for t in trades if (bar := self._builder.on_trade(t)) is not None]
        return trades

    def _trade(self, number: int, part: int) -> TradeTick:
        self._trades += 1
        return TradeTick(
            symbol=SYMBOL,
            price=Decimal(self._price),
            size=Decimal(1),
            aggressor=OrderSide.BUY,
            trade_id=self._trades,
            ts_event=number * NANOS_PER_SEC + part,
            ts_init=1,
        )


GAP = MarketDataGap(
    symbol=SYMBOL,
    stream="trade",
    first_id=0,
    last_id=0,
    count=1,
    reason="OVERFLOW",
    ts_event=1,
    ts_init=1,
)


async def simulate(
    harness: ActorHarness, dice: random.Random, risk: Risk, market: Market, bars: range
) -> None:
    for number in bars:
        for trade in market.bar(number):
            await harness.deliver(trade, "feed:SIM")
            if dice.random() < 0.5:
                risk.absorb(harness)
                risk.trade()
            while risk.outbox and dice.random() < 0.7:
                await harness.deliver(risk.outbox.pop(0), "order:SIM")
            for _ in range(dice.randrange(3)):
                await asyncio.sleep(0)
        if dice.random() < 0.02:
            await harness.deliver(GAP, "feed:SIM")
        pending = harness.actor._holding.pending
        if pending is not None and dice.random() < 0.1:
            silent = PendingSilent(client_order_id=pending.client_order_id, news=pending.news)
            await harness.deliver(silent, NAME)


async def settle() -> None:
    """Let questions under way be answered.

    Because ``asyncio.wait_for`` of Python 3.11, in which the harness awaits a script, swallows a
    cancellation that comes together with the answer; the actor's task would not end then.
    """
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(12))
async def test_there_is_never_a_second_order_in_flight_whatever_is_lost(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No timers: the dice say when an order has been silent for too long.
    monkeypatch.setattr(strategy_module, "_RETRY_INITIAL_SECS", 0.0)
    dice = random.Random(seed)
    risk, market = Risk(dice), Market(dice)
    config = StrategyActorConfig(
        strategy=SmaCrossConfig(symbol=SYMBOL, bar="1-SECOND-LAST", fast=2, slow=4),
        venue="SIM",
        data_dir=tmp_path,
        durability="process",
    )

    for generation in range(1, 4):
        harness = ActorHarness(StrategyActor, name=NAME, config=config, generation=generation)

        async def state(_: StrategyStateRequest, harness: ActorHarness = harness) -> Message:
            return await risk.answer(harness)

        harness.answer("risk", state)
        harness.answer("feed:SIM", lambda _: BarHistory(symbol=SYMBOL, bars=tuple(market.bars)))
        async with harness:
            begin = generation * BARS
            await simulate(harness, dice, risk, market, range(begin, begin + BARS))
            harness.answer("risk", AskTimeoutError("risk is gone"))
            await settle()
        risk.absorb(harness)
        risk.forget_lane()

    assert risk.approved > 10
