"""A venue of few lines: one account, orders that fill at once or later, a ledger of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from krator_actors.adapters.binance_errors import INVALID_TIMESTAMP
from krator_actors.adapters.binance_reports import Execution
from krator_actors.core.venue_reports import FillReport, OrderReport
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import (
    NANOS_PER_MILLI,
    OrderSide,
    OrderStatus,
    OrderType,
    TimeInForce,
    venue_symbol_of,
)
from krator_actors.venue_errors import VenueRefusedError
from tests.simulation.virtual_time import World

CASH = Decimal(100_000)
FEE_RATE = Decimal("0.001")
_OPEN = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
_FILL_SECS = 8.0


@dataclass(eq=False)
class _Order:
    venue_order_id: str
    submitted: SubmitOrder
    status: OrderStatus = OrderStatus.ACCEPTED
    filled: Decimal = Decimal(0)


class ModelVenue:
    """Carries out requests at once and whole. What it did is in ``ledger`` first."""

    def __init__(self, world: World, prices: dict[str, Decimal]) -> None:
        self.prices = prices
        self.ledger: list[dict[str, Any]] = []
        self.totals: dict[str, Decimal] = {"USDT": CASH}
        # Who hears of executions.
        self.listeners: list[Callable[[Execution], None]] = []
        # How far the venue's clock is ahead of ours.
        self.ahead_ms = world.dice.randint(-300, 300)
        self._world = world
        self._orders: list[_Order] = []
        self._trades: list[FillReport] = []
        deposit = {"asset": "USDT", "free": str(CASH), "locked": "0", "reason": "deposit"}
        self._write("balance", deposit)

    def now_ms(self) -> int:
        return self._world.time_ns() // NANOS_PER_MILLI + self.ahead_ms

    # -- requests --------------------------------------------------------------------------------

    def place(
        self, submitted: SubmitOrder, timestamp_ms: int, recv_window_ms: int
    ) -> tuple[OrderReport, tuple[FillReport, ...]]:
        if self.now_ms() > timestamp_ms + recv_window_ms:
            raise VenueRefusedError(
                "Timestamp is outside of the recvWindow", code=INVALID_TIMESTAMP
            )
        if any(
            self._is_open(o) and o.submitted.client_order_id == submitted.client_order_id
            for o in self._orders
        ):
            raise VenueRefusedError("Duplicate order sent.", code=-2010)
        price = submitted.price or self.prices[submitted.symbol]
        base = submitted.symbol.partition("-")[0]
        free = self.totals.get(base, Decimal(0))
        if submitted.side is OrderSide.BUY:
            free = self.totals["USDT"] / price
        if submitted.quantity > free:
            raise VenueRefusedError("Account has insufficient balance.", code=-2010)
        order = _Order(str(len(self._orders) + 1), submitted)
        self._orders.append(order)
        self._write("order", self._named(order) | {
            "side": submitted.side.value,
            "type": submitted.order_type.value,
            "qty": str(submitted.quantity),
            "price": str(submitted.price or 0),
            "received_ns": self._world.time_ns(),
        })  # fmt: skip
        self._tell(order, None)
        before = len(self._trades)
        if submitted.order_type is OrderType.MARKET:
            for _ in range(self._world.dice.randint(0, 2)):
                self._fill(order, self._part(order))
            self._fill(order, submitted.quantity - order.filled)
        elif submitted.time_in_force is TimeInForce.IOC:
            self._fill(order, self._part(order))
            self._end(order, OrderStatus.EXPIRED)
        else:
            self._world.after(_FILL_SECS * self._world.dice.random(), self._trade, order)
        fills = tuple(self._trades[before:])
        return self._report(order), fills

    def cancel(self, venue_order_id: str, client_order_id: str) -> OrderReport:
        order = self._find(venue_order_id, client_order_id)
        if order is None or not self._is_open(order):
            raise VenueRefusedError("Unknown order sent.", code=-2011)
        self._end(order, OrderStatus.CANCELED)
        return self._report(order)

    def order_status(self, venue_order_id: str, client_order_id: str) -> OrderReport | None:
        order = self._find(venue_order_id, client_order_id)
        return None if order is None else self._report(order)

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        return tuple(
            self._report(o)
            for o in self._orders
            if o.submitted.symbol == symbol and self._is_open(o)
        )

    def trades(
        self, symbol: str, from_id: str | None, venue_order_id: str | None
    ) -> tuple[FillReport, ...]:
        return tuple(
            t
            for t in self._trades
            if t.symbol == symbol
            and venue_order_id in {None, t.venue_order_id}
            and (from_id is None or int(t.trade_id) >= int(from_id))
        )

    def balances(self) -> dict[str, Decimal]:
        return {asset: total for asset, total in self.totals.items() if total}

    # -- what happens by itself ------------------------------------------------------------------

    def _trade(self, order: _Order) -> None:
        if not self._is_open(order):
            return
        self._fill(order, self._part(order))
        if self._is_open(order):
            self._world.after(_FILL_SECS * self._world.dice.random(), self._trade, order)

    def _part(self, order: _Order) -> Decimal:
        rest = order.submitted.quantity - order.filled
        return min(rest, Decimal(math.ceil(rest * 10 * Decimal(self._world.dice.random()))) / 10)

    def _fill(self, order: _Order, quantity: Decimal) -> None:
        if quantity <= 0 or not self._is_open(order):
            return
        submitted = order.submitted
        price = submitted.price or self.prices[submitted.symbol]
        base = submitted.symbol.partition("-")[0]
        sign = submitted.side.sign
        fee_asset = base if sign > 0 else "USDT"
        fee = FEE_RATE * quantity * (1 if sign > 0 else price)
        for asset, amount in (
            (base, sign * quantity),
            ("USDT", -sign * quantity * price),
            (fee_asset, -fee),
        ):
            self.totals[asset] = self.totals.get(asset, Decimal(0)) + amount
        order.filled += quantity
        is_whole = order.filled == submitted.quantity
        order.status = OrderStatus.FILLED if is_whole else OrderStatus.PARTIALLY_FILLED
        fill = FillReport(
            venue_order_id=order.venue_order_id,
            trade_id=str(len(self._trades) + 1),
            symbol=submitted.symbol,
            side=submitted.side,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_currency=fee_asset,
            ts_event=self.now_ms() * NANOS_PER_MILLI,
        )
        self._trades.append(fill)
        self._write("fill", self._named(order) | {
            "tradeId": int(fill.trade_id),
            "side": fill.side.value,
            "qty": str(quantity),
            "price": str(price),
            "quoteQty": str(quantity * price),
            "commission": str(fee),
            "commissionAsset": fee_asset,
        })  # fmt: skip
        if is_whole:
            self._write("ended", self._named(order) | {"status": "FILLED"})
        self._tell(order, fill)

    def _end(self, order: _Order, status: OrderStatus) -> None:
        if self._is_open(order):
            order.status = status
            self._write("ended", self._named(order) | {"status": status.value})
            self._tell(order, None)

    def _is_open(self, order: _Order) -> bool:
        return order.status in _OPEN

    def _find(self, venue_order_id: str, client_order_id: str) -> _Order | None:
        for order in reversed(self._orders):
            if venue_order_id:
                if order.venue_order_id == venue_order_id:
                    return order
            elif order.submitted.client_order_id == client_order_id:
                return order
        return None

    def _report(self, order: _Order) -> OrderReport:
        submitted = order.submitted
        return OrderReport(
            client_order_id=submitted.client_order_id,
            venue_order_id=order.venue_order_id,
            symbol=submitted.symbol,
            side=submitted.side,
            order_type=submitted.order_type,
            quantity=submitted.quantity,
            price=submitted.price,
            status=order.status,
            filled=order.filled,
            ts_event=self.now_ms() * NANOS_PER_MILLI,
        )

    def _tell(self, order: _Order, fill: FillReport | None) -> None:
        execution = Execution(self._report(order), fill)
        for listener in tuple(self.listeners):
            listener(execution)

    def _named(self, order: _Order) -> dict[str, Any]:
        return {
            "orderId": int(order.venue_order_id),
            "clientOrderId": order.submitted.client_order_id,
            "symbol": venue_symbol_of(order.submitted.symbol),
        }

    def _write(self, record: str, fields: dict[str, Any]) -> None:
        self.ledger.append({"record": record, "ts_ns": self._world.time_ns()} | fields)
