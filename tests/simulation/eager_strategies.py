"""Strategies without a thought: they order in every way there is, repeat, change and cancel."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from krator_actors.core.identity import client_order_id
from krator_actors.messages.orders import (
    Bracket,
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    SubmitOrder,
)
from krator_actors.model import Instrument, OrderSide, OrderType, TimeInForce
from supervisors.messages import Message
from tests.simulation.model_venue import TICK, ModelVenue
from tests.simulation.virtual_time import World

SYMBOLS = ("BTC-USDT.SIM", "ETH-USDT.SIM")
LOT = Decimal("0.1")
_PERIOD_SECS = 1.2
_KINDS = (
    *(OrderType.MARKET,) * 5,
    *(OrderType.LIMIT,) * 9,
    *(OrderType.STOP_MARKET,) * 3,
    *(OrderType.STOP_LIMIT,) * 3,
)
_TIMES = (
    *(TimeInForce.GTC,) * 6,
    *(TimeInForce.IOC,) * 4,
    *(TimeInForce.FOK,) * 2,
    *(TimeInForce.GTD,) * 2,
    TimeInForce.DAY,
)


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
        if self._sent and chance < 0.4:
            self._again(dice.choice(self._open() or self._sent[-5:]), chance / 0.4)
        else:
            self._submit(self._order(dice.choice(list(self._names))))
        self._world.after(_PERIOD_SECS * dice.random() ** 2, self.decide)

    def _again(self, order: SubmitOrder, chance: float) -> None:
        """Do something about what was ordered before."""
        if chance < 0.3:
            self._submit(self._world.dice.choice(self._sent[-5:]))
        elif chance < 0.5:
            named = {"client_order_id": order.client_order_id, "symbol": order.symbol}
            self._ask(CancelOrder(**named, requester=order.strategy))
        elif chance < 0.55:
            self._ask(CancelAllOrders(strategy=order.strategy, requester=order.strategy))
        elif chance < 0.8:
            less = order.quantity * Decimal(self._world.dice.randint(3, 9)) / 10 // LOT * LOT
            self._ask(
                ModifyOrder(
                    client_order_id=order.client_order_id,
                    symbol=order.symbol,
                    quantity=less,
                    requester=order.strategy,
                )
            )
        else:
            new = self._order(order.strategy, replaces=order.client_order_id, side=order.side)
            self._submit(new)

    def _open(self) -> list[SubmitOrder]:
        """Return what the venue works, a bracket's legs too; now and then nothing."""
        orders = self._venue.account.orders if self._world.dice.random() < 0.8 else []
        return [order.submitted for order in orders if order.is_open]

    def _order(self, name: str, **changes: Any) -> SubmitOrder:
        dice, symbol, now_ns = self._world.dice, self._names[name], self._world.time_ns()
        price, account = self._venue.prices[symbol], self._venue.account
        base = symbol.partition("-")[0]
        held = (account.totals.get(base, LOT) if dice.random() < 0.3 else account.free(base)) // LOT
        side = OrderSide.SELL if held > 0 and dice.random() < 0.4 else OrderSide.BUY
        quantity = (Decimal(dice.randint(200, 1_050)) / price) // LOT * LOT
        if side is OrderSide.SELL:
            quantity = min(held * LOT, quantity) if dice.random() < 0.8 else held * LOT
        cause = f"bar:{len(self._sent)}"
        order = SubmitOrder(
            client_order_id=client_order_id(name, symbol, cause, 0),
            strategy=name,
            symbol=symbol,
            side=side,
            order_type=OrderType.MARKET,
            quantity=quantity,
            reduce_only=dice.random() < (0.3 if side is OrderSide.SELL else 0.02),
            cause=cause,
            ts_event=now_ns,
            ts_init=now_ns,
        )
        return self._on_terms(msgspec.structs.replace(order, **changes), price)

    def _on_terms(self, order: SubmitOrder, price: Decimal) -> SubmitOrder:
        """Return ``order`` of some type, for some time, with a bracket or without."""
        dice, terms = self._world.dice, dict[str, Any]()
        kind = dice.choice(_KINDS)
        if kind.has_stop:
            away = 1 + order.side.sign * Decimal(dice.randint(-1, 20)) / 10_000
            terms["stop_price"] = (price * away).quantize(TICK)
        if kind.has_price:
            terms["price"] = price
            terms["time_in_force"] = time_in_force = dice.choice(_TIMES)
            if time_in_force is TimeInForce.GTD:
                terms["expires_ns"] = order.ts_init + int(6e9 * dice.random())
            terms["post_only"] = kind is OrderType.LIMIT and dice.random() < 0.2
        if order.side is OrderSide.BUY and dice.random() < 0.35:
            terms["bracket"] = self._bracket(order.symbol, price)
        return msgspec.structs.replace(order, order_type=kind, **terms)

    def _bracket(self, symbol: str, price: Decimal) -> Bracket:
        dice = self._world.dice
        below, above = (Decimal(dice.randint(3, 25)) / 10_000 for _ in range(2))
        stop = (price * (1 - below)).quantize(TICK)
        return Bracket(
            stop_price=stop,
            take_profit_price=(price * (1 + above)).quantize(TICK),
            stop_limit_price=stop - TICK if dice.random() < 0.4 else None,
            instrument=instrument(symbol),
        )

    def _submit(self, order: SubmitOrder) -> None:
        if order not in self._sent[-5:]:
            self._sent.append(order)
        self._ask(order, order.strategy)

    def _ask(self, message: Any, strategy: str = "") -> None:
        self._tell(strategy or message.requester, "risk", message)


def instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        venue_symbol=symbol.partition(".")[0].replace("-", ""),
        base=symbol.partition("-")[0],
        quote="USDT",
        tick_size=TICK,
        lot_size=LOT,
        min_quantity=LOT,
        max_quantity=Decimal(10_000),
        min_notional=Decimal(10),
    )
