"""The model venue's one account: its orders and fills, what is locked, and the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from krator_actors.adapters.binance_reports import Execution
from krator_actors.core.venue_reports import FillReport, OrderReport
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import (
    NANOS_PER_MILLI,
    OrderSide,
    OrderStatus,
    venue_symbol_of,
)
from tests.simulation.virtual_time import World

CASH = Decimal(100_000)
QUOTE = "USDT"
FEE_RATE = Decimal("0.001")
_OPEN = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
_ZERO = Decimal(0)


@dataclass(eq=False)
class ModelOrder:
    """An order as the venue has it."""

    venue_order_id: str
    submitted: SubmitOrder
    quantity: Decimal
    is_waiting: bool
    """True: a stop order whose price has not been reached"""
    status: OrderStatus = OrderStatus.ACCEPTED
    filled: Decimal = _ZERO

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled


class ModelAccount:
    """What happens to orders is in ``ledger`` first, then the listeners hear of it."""

    def __init__(self, world: World) -> None:
        self.ledger: list[dict[str, Any]] = []
        self.totals: dict[str, Decimal] = {QUOTE: CASH}
        self.orders: list[ModelOrder] = []
        self.trades: list[FillReport] = []
        # Who hears of executions.
        self.listeners: list[Callable[[Execution], None]] = []
        # How far the venue's clock is ahead of ours.
        self.ahead_ms = world.dice.randint(-300, 300)
        self._world = world
        deposit = {"asset": QUOTE, "free": str(CASH), "locked": "0", "reason": "deposit"}
        self._write("balance", deposit)

    def now_ms(self) -> int:
        return self._world.time_ns() // NANOS_PER_MILLI + self.ahead_ms

    def free(self, asset: str) -> Decimal:
        """Return what open orders have not locked."""
        return self.totals.get(asset, _ZERO) - sum(
            locked for order in self.orders if order.is_open for locked in _locked(order, asset)
        )

    def open(self, submitted: SubmitOrder) -> ModelOrder:
        order = ModelOrder(
            str(len(self.orders) + 1),
            submitted,
            submitted.quantity,
            is_waiting=submitted.order_type.has_stop,
        )
        self.orders.append(order)
        self._write("order", _named(order) | {
            "side": submitted.side.value,
            "type": submitted.order_type.value,
            "qty": str(submitted.quantity),
            "price": str(submitted.price or 0),
            "stopPrice": str(submitted.stop_price or 0),
            "received_ns": self._world.time_ns(),
        })  # fmt: skip
        self._tell(order, None)
        return order

    def trigger(self, order: ModelOrder) -> None:
        order.is_waiting = False
        self._write("triggered", _named(order))
        self._tell(order, None)

    def amend(self, order: ModelOrder, quantity: Decimal) -> None:
        order.quantity = quantity
        amended = {"origClientOrderId": order.submitted.client_order_id, "qty": str(quantity)}
        self._write("amended", _named(order) | amended)
        self._tell(order, None)

    def fill(self, order: ModelOrder, quantity: Decimal, price: Decimal) -> None:
        if quantity <= 0 or not order.is_open:
            return
        submitted = order.submitted
        base = submitted.symbol.partition("-")[0]
        sign = submitted.side.sign
        fee_asset = base if sign > 0 else QUOTE
        fee = FEE_RATE * quantity * (1 if sign > 0 else price)
        for asset, amount in (
            (base, sign * quantity),
            (QUOTE, -sign * quantity * price),
            (fee_asset, -fee),
        ):
            self.totals[asset] = self.totals.get(asset, _ZERO) + amount
        order.filled += quantity
        is_whole = order.filled == order.quantity
        order.status = OrderStatus.FILLED if is_whole else OrderStatus.PARTIALLY_FILLED
        fill = FillReport(
            venue_order_id=order.venue_order_id,
            trade_id=str(len(self.trades) + 1),
            symbol=submitted.symbol,
            side=submitted.side,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_currency=fee_asset,
            ts_event=self.now_ms() * NANOS_PER_MILLI,
        )
        self.trades.append(fill)
        self._write("fill", _named(order) | {
            "tradeId": int(fill.trade_id),
            "side": fill.side.value,
            "qty": str(quantity),
            "price": str(price),
            "quoteQty": str(quantity * price),
            "commission": str(fee),
            "commissionAsset": fee_asset,
        })  # fmt: skip
        if is_whole:
            self._write("ended", _named(order) | {"status": "FILLED"})
        self._tell(order, fill)

    def end(self, order: ModelOrder, status: OrderStatus) -> None:
        if order.is_open:
            order.status = status
            self._write("ended", _named(order) | {"status": status.value})
            self._tell(order, None)

    def find(self, venue_order_id: str, client_order_id: str) -> ModelOrder | None:
        for order in reversed(self.orders):
            if venue_order_id:
                if order.venue_order_id == venue_order_id:
                    return order
            elif order.submitted.client_order_id == client_order_id:
                return order
        return None

    def report(self, order: ModelOrder) -> OrderReport:
        submitted = order.submitted
        return OrderReport(
            client_order_id=submitted.client_order_id,
            venue_order_id=order.venue_order_id,
            symbol=submitted.symbol,
            side=submitted.side,
            order_type=submitted.order_type,
            quantity=order.quantity,
            price=submitted.price,
            status=order.status,
            filled=order.filled,
            is_triggered=submitted.order_type.has_stop and not order.is_waiting,
            ts_event=self.now_ms() * NANOS_PER_MILLI,
        )

    def _tell(self, order: ModelOrder, fill: FillReport | None) -> None:
        execution = Execution(self.report(order), fill)
        for listener in tuple(self.listeners):
            listener(execution)

    def _write(self, record: str, fields: dict[str, Any]) -> None:
        self.ledger.append({"record": record, "ts_ns": self._world.time_ns()} | fields)


def _locked(order: ModelOrder, asset: str) -> list[Decimal]:
    submitted = order.submitted
    if submitted.side is OrderSide.SELL:
        return [order.remaining] if asset == submitted.symbol.partition("-")[0] else []
    price = submitted.price or submitted.stop_price or _ZERO
    return [order.remaining * price] if asset == QUOTE else []


def _named(order: ModelOrder) -> dict[str, Any]:
    return {
        "orderId": int(order.venue_order_id),
        "clientOrderId": order.submitted.client_order_id,
        "symbol": venue_symbol_of(order.submitted.symbol),
    }
