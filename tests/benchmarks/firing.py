"""A strategy that trades for the sake of it: on chosen trades, whatever the market does."""

from __future__ import annotations

import time
from decimal import Decimal

import msgspec

from krator_actors.core.strategies import Intent, Standing, cause_of, readings
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar, QuoteTick, TradeTick
from krator_actors.messages.orders import OrderEvent
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import OrderSide


class FiringConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Stands where a strategy's configuration is expected."""

    symbol: str
    every: int = 1
    """it fires on every so many trades, if it knows its position"""
    offset: int = 0
    """the first of these trades: so that not all symbols fire at once"""
    kind: str = "firing"
    bar_spec: BarSpec = BarSpec(5, BarUnit.SECOND)
    order_notional: Decimal = Decimal(500)
    stop_loss_fraction: Decimal = Decimal(0)
    take_profit_fraction: Decimal = Decimal(0)

    def make(self) -> Firing:
        return Firing(self.every, self.offset)


class Firing:
    """Buys when flat, sells when long; needs no warm-up.

    Its readings say when the feed had the trade and when it had it itself, in nanoseconds after
    the trade's own time.
    """

    warm_up_bars = 1
    is_warm = True

    def __init__(self, every: int, offset: int) -> None:
        self._every = every
        self._offset = offset

    def on_trade(self, trade: TradeTick, standing: Standing) -> list[Intent]:
        now_ns = time.time_ns()
        if standing is Standing.UNKNOWN or (trade.trade_id - self._offset) % self._every:
            return []
        return [
            Intent(
                side=OrderSide.BUY if standing is Standing.FLAT else OrderSide.SELL,
                cause=cause_of(trade),
                price=trade.price,
                # Differences, because a float cannot hold the time of day in nanoseconds.
                readings=readings(
                    feed_ns=float(trade.ts_init - trade.ts_event),
                    strategy_ns=float(now_ns - trade.ts_event),
                ),
                ts_event=trade.ts_event,
            )
        ]

    def on_bar(self, _bar: Bar, _standing: Standing) -> list[Intent]:
        return []

    def on_quote(self, _quote: QuoteTick, _standing: Standing) -> list[Intent]:
        return []

    def on_order_event(self, _event: OrderEvent, _standing: Standing) -> list[Intent]:
        return []

    def recall(self, _entry: SignalRaised) -> None:
        return
