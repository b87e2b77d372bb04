"""A small, faultless run by hand: its logs and its ledger, for tests to doctor."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from krator_actors.adapters.local_log import LogRecord
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderDenied,
    OrderFilled,
    OrderInitialized,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.messages.risk import OrderApproved, Scope, TradingStateChanged
from krator_actors.model import NANOS_PER_SEC, OrderSide, OrderType, TradingState
from tests.system.checker import Evidence
from tests.system.limit_checks import LimitRules

D = Decimal
SYMBOL, STRATEGY = "BTC-USDT.SIM", "strategy:BTC-USDT.SIM/sma_cross"
RULES = LimitRules(
    venue="SIM",
    max_position_fraction=D("0.02"),
    max_order_notional=D(1_500),
    max_orders_per_sec=2,
    max_open_orders=2,
    tolerance=D("0.01"),
)
PRICE = D(100)


class Run:
    """Writes all records, in their order; each step a second after the one before."""

    def __init__(self) -> None:
        self.evidence = Evidence([], [], [], [])
        self.now_ns = 1_000 * NANOS_PER_SEC
        self.cash = D(100_000)
        self._balance("deposit")

    def at_venue(self, record: str, **fields: Any) -> None:
        self.evidence.ledger.append({"record": record, "ts_ns": self.now_ns} | fields)

    def in_order_log(self, event: Any) -> None:
        self._append(self.evidence.order_log, event)

    def in_risk_log(self, event: Any) -> None:
        self._append(self.evidence.risk_log, event)

    def pass_time(self, secs: float = 1.0) -> None:
        self.now_ns += int(secs * NANOS_PER_SEC)

    def trade(
        self,
        key: str,
        side: OrderSide = OrderSide.BUY,
        quantity: str = "10",
        *,
        cause: str = "",
        secs: float = 1.0,
    ) -> None:
        """One market order from its approval to its fill."""
        order = submitted(key, side, quantity, cause)
        self.pass_time(secs)
        self.in_risk_log(approved(order))
        self.in_order_log(initialized(order))
        self.accept(key, side, quantity)
        self.in_order_log(OrderSubmitted(client_order_id=key, symbol=SYMBOL, ts_event=1))
        self.fill(key, side, quantity)

    def accept(self, key: str, side: OrderSide = OrderSide.BUY, quantity: str = "10") -> None:
        self.at_venue(
            "order",
            orderId=number(key),
            clientOrderId=key,
            symbol="BTCUSDT",
            side=side.value,
            qty=quantity,
            price="0",
            received_ns=self.now_ns,
        )

    def fill(self, key: str, side: OrderSide = OrderSide.BUY, quantity: str = "10") -> None:
        named = {"orderId": number(key), "clientOrderId": key, "symbol": "BTCUSDT"}
        self.at_venue(
            "fill",
            tradeId=number(key),
            side=side.value,
            qty=quantity,
            price=str(PRICE),
            quoteQty=str(PRICE * D(quantity)),
            commission="0",
            commissionAsset="USDT",
            **named,
        )
        self.cash -= side.sign * PRICE * D(quantity)
        self._balance("fill")
        self.at_venue("ended", status="FILLED", **named)
        self.in_order_log(
            OrderAccepted(
                client_order_id=key, venue_order_id=str(number(key)), symbol=SYMBOL, ts_event=1
            )
        )
        self.in_order_log(filled(key, side, quantity))

    def halt(self, by: str = "ann", scope: Scope = Scope.SYSTEM, target: str = "") -> None:
        self.in_risk_log(changed(TradingState.HALTED, by, scope, target))

    def resume(self, by: str = "ann", scope: Scope = Scope.SYSTEM, target: str = "") -> None:
        self.in_risk_log(changed(TradingState.ACTIVE, by, scope, target))

    def deny(self, key: str, reason: str, value: str, limit: str) -> None:
        self.in_risk_log(
            OrderDenied(
                client_order_id=key,
                strategy=STRATEGY,
                symbol=SYMBOL,
                reason=reason,
                detail="",
                value=D(value),
                limit=D(limit),
                ts_event=self.now_ns,
            )
        )

    def _balance(self, reason: str) -> None:
        self.at_venue("balance", asset="USDT", free=str(self.cash), locked="0", reason=reason)

    def _append(self, log: list[Any], event: Any) -> None:
        log.append(LogRecord(len(log) + 1, 1, self.now_ns, event))


def number(key: str) -> int:
    return int(key.removeprefix("k"))


def submitted(key: str, side: OrderSide, quantity: str, cause: str = "") -> SubmitOrder:
    return SubmitOrder(
        client_order_id=key,
        strategy=STRATEGY,
        symbol=SYMBOL,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(quantity),
        cause=cause or f"bar:{key}",
        ts_event=1,
        ts_init=1,
    )


def approved(order: SubmitOrder) -> OrderApproved:
    return OrderApproved(
        order=order,
        reference_price=PRICE,
        reserved_notional=PRICE * order.quantity,
        position_limit_notional=D(2_000),
        equity=D(100_000),
        ts_event=1,
    )


def initialized(order: SubmitOrder) -> OrderInitialized:
    return OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=9, ts_event=1)


def filled(key: str, side: OrderSide, quantity: str) -> OrderFilled:
    return OrderFilled(
        client_order_id=key,
        venue_order_id=str(number(key)),
        trade_id=str(number(key)),
        symbol=SYMBOL,
        strategy=STRATEGY,
        side=side,
        last_quantity=D(quantity),
        last_price=PRICE,
        fee=D(0),
        fee_currency="USDT",
        ts_event=1,
        ts_init=1,
    )


def changed(state: TradingState, by: str, scope: Scope, target: str) -> TradingStateChanged:
    return TradingStateChanged(
        state=state, scope=scope, target=target, by=by, reason="", ts_event=1
    )
