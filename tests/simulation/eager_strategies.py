"""Strategies without a thought: they order, order again what they ordered, and cancel."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from krator_actors.core.identity import client_order_id
from krator_actors.messages.orders import CancelOrder, SubmitOrder
from krator_actors.model import OrderSide, OrderType, TimeInForce
from supervisors.messages import Message
from tests.simulation.model_venue import ModelVenue
from tests.simulation.virtual_time import World

SYMBOLS = ("BTC-USDT.SIM", "ETH-USDT.SIM")
_PERIOD_SECS = 1.2
_LOT = Decimal("0.1")


class Strategies:
    """Two of each symbol. They never die and hear nothing, so they repeat themselves often."""

    def __init__(
        self, world: World, venue: ModelVenue, tell: Callable[[str, str, Message], None]
    ) -> None:
        self.is_trading = False
        self._world = world
        self._venue = venue
        self._tell = tell
        self._names = {f"strategy:{s}/{kind}": s for s in SYMBOLS for kind in ("a", "b")}
        self._sent: list[SubmitOrder] = []

    def permissions(self) -> dict[str, tuple[str, ...]]:
        return {name: (symbol,) for name, symbol in self._names.items()}

    def decide(self) -> None:
        """Do one thing, and come back."""
        if not self.is_trading:
            return
        dice = self._world.dice
        chance = dice.random()
        if self._sent and chance < 0.15:
            self._tell_risk(dice.choice(self._sent[-5:]))
        elif self._sent and chance < 0.25:
            order = dice.choice(self._sent[-5:])
            cancel = CancelOrder(
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                requester=order.strategy,
            )
            self._tell(order.strategy, "risk", cancel)
        else:
            self._submit(dice.choice(list(self._names)))
        self._world.after(_PERIOD_SECS * dice.random() ** 2, self.decide)

    def _submit(self, name: str) -> None:
        dice, symbol = self._world.dice, self._names[name]
        price = self._venue.prices[symbol]
        held = self._venue.totals.get(symbol.partition("-")[0], Decimal(0)) // _LOT * _LOT
        side = OrderSide.SELL if held and dice.random() < 0.4 else OrderSide.BUY
        quantity = (Decimal(dice.randint(200, 1_050)) / price) // _LOT * _LOT
        if side is OrderSide.SELL:
            quantity = min(held, quantity) if dice.random() < 0.8 else held
        is_limit = dice.random() < 0.6
        cause = f"bar:{len(self._sent)}"
        order = SubmitOrder(
            client_order_id=client_order_id(name, symbol, cause, 0),
            strategy=name,
            symbol=symbol,
            side=side,
            order_type=OrderType.LIMIT if is_limit else OrderType.MARKET,
            quantity=quantity,
            price=price if is_limit else None,
            time_in_force=dice.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC)),
            cause=cause,
            ts_event=self._world.time_ns(),
            ts_init=self._world.time_ns(),
        )
        self._sent.append(order)
        self._tell_risk(order)

    def _tell_risk(self, order: SubmitOrder) -> None:
        self._tell(order.strategy, "risk", order)
