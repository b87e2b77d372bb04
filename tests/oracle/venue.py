"""What becomes of orders: the order actor's events, ordinary and odd."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from krator_actors.messages.orders import (
    CancelOrder,
    ModifyOrder,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderType
from tests.oracle.pair import Pair

D = Decimal


class Venue:
    """Knows the orders that were approved, and lets things happen to them."""

    def __init__(self, pair: Pair, rng: Random) -> None:
        self.pair, self.rng = pair, rng
        self.all: dict[str, SubmitOrder] = {}
        self.trades = 0
        self.most_open = rng.choice((3, 10, 40, 90))

    def approved(self, order: SubmitOrder) -> None:
        self.all[order.client_order_id] = order

    def step(self) -> None:
        """Let something happen; orders end the faster the more are open."""
        rng, oracle = self.rng, self.pair.oracle
        if rng.random() < 0.004:
            self.external()
        if not oracle.open:
            return
        for _ in range(2 if len(oracle.open) > self.most_open else 1):
            if oracle.open:
                self.happen(rng.choice(list(oracle.open)))
        if rng.random() < 0.02:
            self.late(rng.choice(list(self.all)[-30:]))

    def begin(self, order_id: str) -> None:
        if order_id in self.pair.begun:
            return
        order = self.all[order_id]
        self.pair.begun[order_id] = order
        self.pair.happened(
            OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=1, ts_event=1)
        )

    def happen(self, order_id: str) -> None:
        rng, order = self.rng, self.pair.oracle.open[order_id]
        self.begin(order_id)
        who: dict[str, Any] = {"client_order_id": order_id, "symbol": order.symbol, "ts_event": 1}
        match rng.randrange(13):
            case 0:
                self.pair.happened(OrderSubmitted(**who))
            case 1:
                self.pair.happened(OrderUnknown(**who, reason="TIMEOUT"))
            case 2:
                self.pair.happened(OrderAccepted(**who, venue_order_id="1"))
            case 3:
                self.pair.happened(OrderRejected(**who, reason="NO"))
            case 4:
                self.pair.happened(OrderExpired(**who))
            case 5:
                self.deny(order_id)
            case 6:
                self.pair.cancel(
                    CancelOrder(client_order_id=order_id, symbol=order.symbol, requester="ada")
                )
                self.pair.happened(OrderCanceled(**who))
            case 7 | 8:
                part = order.remaining * rng.choice((D("0.5"), D("0.25")))
                self.fill(order_id, round(part, 8) or order.remaining)
            case 10:
                self.modify(order_id, order.filled + round(order.remaining / 2, 8))
            case 11 if self.all[order_id].order_type.has_stop:
                self.pair.happened(OrderTriggered(**who))
            case 9:
                self.fill(order_id, order.remaining * rng.choice((1, 1, 2)))
            case _:
                self.fill(order_id, order.remaining)

    def modify(self, order_id: str, quantity: Decimal) -> None:
        symbol = self.all[order_id].symbol
        self.pair.cancel(
            ModifyOrder(client_order_id=order_id, symbol=symbol, quantity=quantity, requester="ada")
        )
        self.pair.happened(
            OrderUpdated(client_order_id=order_id, symbol=symbol, quantity=quantity, ts_event=1)
        )

    def deny(self, order_id: str) -> None:
        order = self.all[order_id]
        self.pair.happened(
            OrderDenied(
                client_order_id=order_id, strategy=order.strategy, symbol=order.symbol,
                reason="RISK_RESTARTED", detail="", ts_event=1,
            )
        )  # fmt: skip

    def fill(self, order_id: str, quantity: Decimal) -> None:
        order, rng = self.all[order_id], self.rng
        mid = self.pair.oracle.mark(order.symbol) or D(100)
        price = order.price or order.stop_price or round(mid, 10)
        self.trades += 1
        base = order.symbol.partition("-")[0]
        currency = rng.choice(("USDT", "USDT", base, "BNB", "ELSE"))
        cost = {"USDT": quantity * price, base: quantity}.get(currency, D("0.01"))
        self.pair.happened(
            OrderFilled(
                client_order_id=order_id, venue_order_id="1", trade_id=str(self.trades),
                symbol=order.symbol, strategy=order.strategy, side=order.side,
                last_quantity=quantity, last_price=price, fee=round(cost / 1000, 8),
                fee_currency=currency, ts_event=1, ts_init=1,
            )
        )  # fmt: skip

    def late(self, order_id: str) -> None:
        """Let the venue say something about an order that has ended."""
        if order_id in self.pair.oracle.open or order_id not in self.pair.begun:
            return
        order = self.all[order_id]
        if self.rng.random() < 0.4:
            self.pair.happened(
                OrderAccepted(
                    client_order_id=order_id, symbol=order.symbol, venue_order_id="1", ts_event=1
                )
            )
            return
        left = self.pair.oracle.tracked[order_id].remaining
        if left > 0:
            self.fill(order_id, self.rng.choice((left, round(left / 2, 8) or left)))

    def external(self) -> None:
        """Let somebody else trade on the account, also in what is not configured."""
        rng, world = self.rng, self.pair.world
        symbol = rng.choice((*world.symbols, world.stranger))
        mid = self.pair.oracle.mark(symbol)
        if mid is None:
            mid = D(100)
            is_market = False
        else:
            is_market = rng.random() < 0.3
        quantity = round(D(rng.randint(1, 500)) / mid, 8) or D(1)
        order_id = f"external{len(self.all)}"
        side = rng.choice(list(OrderSide))
        price = None if is_market else round(mid, 8) or mid
        self.all[order_id] = SubmitOrder(
            client_order_id=order_id, strategy="", symbol=symbol, side=side,
            order_type=OrderType.LIMIT, quantity=quantity, price=price, cause="",
            ts_event=1, ts_init=1,
        )  # fmt: skip
        self.pair.begun[order_id] = self.all[order_id]
        self.pair.happened(
            OrderExternal(
                client_order_id=order_id, venue_order_id="9", symbol=symbol, side=side,
                order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
                quantity=quantity, price=price, ts_event=1,
            )
        )  # fmt: skip

    def cancel_for_halts(self) -> None:
        """Send on what risk wants canceled for a halt."""
        for cancel in self.pair.engine.to_cancel():
            self.pair.cancel(cancel)
