"""The venue: takes and cancels the account's orders. Ledger first, answer after.

All methods are synchronous and run on the server's one loop: a request is done whole before the
next begins.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from krator_actors.exchange import fixed, reports
from krator_actors.exchange.account import Account
from krator_actors.exchange.errors import ApiError, OrderRejectedError
from krator_actors.exchange.ledger import Ledger
from krator_actors.exchange.market import Execution, Market
from krator_actors.exchange.orders import Order, OrderRequest
from krator_actors.exchange.records import (
    AnyRecord,
    Balance,
    CancelRejected,
    Filled,
    OrderAccepted,
    OrderEnded,
    OrderRejected,
)
from krator_actors.model import NANOS_PER_MILLI, OrderSide

_IMMEDIATE = frozenset({"IOC", "FOK"})


class Venue:
    """The account's orders, in all markets of the venue."""

    def __init__(
        self, *, account: Account, ledger: Ledger, markets: dict[str, Market], fee_rate: int
    ) -> None:
        """``fee_rate``: units of 1e-8 of what an order receives."""
        self.account = account
        self.ledger = ledger
        self.markets = markets
        self._fee_rate = fee_rate
        # records and user events of what is being done; both leave in _commit
        self._records: list[AnyRecord] = []
        self._events: list[dict[str, Any]] = []
        self._told: list[dict[str, Any]] = []
        self._touched: dict[str, str] = {}

    def take_events(self) -> list[dict[str, Any]]:
        """Return the user data events since the last call; what they tell is in the ledger."""
        told, self._told = self._told, []
        return told

    def deposit(self, asset: str, units: int) -> None:
        """Give the account its opening balance."""
        record = Balance(
            asset=asset, free=fixed.show(units), locked=fixed.show(0), reason="deposit"
        )
        self.account.apply(record)
        self.ledger.append(record)

    def resume(self) -> None:
        """Put the open orders of the ledger back into their markets.

        An order that cannot rest was interrupted in the middle: it expires. So does an order of a
        symbol that is not listed any more.
        """
        for order in self.account.open_orders():
            market = self.markets.get(order.symbol)
            if not order.remaining:
                self._end(order, "FILLED")
            elif market is None or not order.rests:
                self._end(order, "EXPIRED", reason="VENUE_RESTARTED")
            else:
                self._settle(market.rest(order))
        self._commit()
        self.take_events()

    def place(self, request: OrderRequest) -> Order:
        """Take an order: check it, write it down, trade it.

        Raises ApiError when the venue refuses it; nothing has happened then, and the caller
        writes the refusal down with ``note_rejection``.
        """
        market = self.markets[request.rules.symbol]
        self._check(request, market)
        order = self._accept(request)
        executions = market.execute(order) if self._fills_at_all(order, market) else []
        self._settle(executions)
        if order.remaining and not order.rests:
            self._end(order, "EXPIRED")
        self._commit()
        return order

    def cancel(
        self, *, symbol: str, order_id: int | None, client_order_id: str | None, cancel_id: str
    ) -> Order:
        """Cancel an open order; -2011 when there is none."""
        order = self.account.find(order_id=order_id, client_order_id=client_order_id)
        if order is None or order.symbol != symbol or not order.is_open:
            raise ApiError(-2011, "Unknown order sent.")
        if client_order_id is not None and order.client_order_id != client_order_id:
            raise ApiError(-2011, "Unknown order sent.")
        self._cancel(order, cancel_id)
        self._commit()
        return order

    def cancel_all(self, symbol: str, cancel_ids: Iterable[str]) -> list[tuple[Order, str]]:
        """Cancel every open order of a symbol; -2011 when there is none.

        ``cancel_ids`` yields an id for each cancellation, which comes back with its order.
        """
        orders = self.account.open_orders(symbol)
        if not orders:
            raise ApiError(-2011, "Unknown order sent.")
        canceled = list(zip(orders, cancel_ids, strict=False))
        for order, cancel_id in canceled:
            self._cancel(order, cancel_id)
        self._commit()
        return canceled

    def absorb(self, executions: list[Execution]) -> None:
        """Write down what the market did to resting orders of the account."""
        if executions:
            self._settle(executions)
            self._commit()

    def note_rejection(self, error: ApiError, params: dict[str, Any], received_ns: int) -> None:
        """Write down that an ``order.place`` was refused; an engine's refusal is also told."""
        self.ledger.append(
            OrderRejected(
                code=error.code, msg=error.message, params=params, received_ns=received_ns
            )
        )
        if isinstance(error, OrderRejectedError):
            self._told.append(reports.rejection(error.reason, params, received_ns))

    def note_cancel_rejection(
        self, error: ApiError, params: dict[str, Any], received_ns: int
    ) -> None:
        """Write down that a cancellation was refused."""
        self.ledger.append(
            CancelRejected(
                code=error.code, msg=error.message, params=params, received_ns=received_ns
            )
        )

    def _check(self, request: OrderRequest, market: Market) -> None:
        rules, quantity = request.rules, request.quantity
        rules.check_quantity(quantity, market=request.limit is None)
        if request.limit is None:
            rules.check_notional(_reference_price(market, request), quantity)
        else:
            rules.check_price(request.price)
            rules.check_notional(request.price, quantity)
        if self.account.has_open(request.client_order_id):
            raise ApiError(-2010, "Duplicate order sent.")
        rules.check_open_orders(len(self.account.open_orders(rules.symbol)))
        fillable = market.fillable(request.side, quantity, request.limit)
        if request.order_type == "LIMIT_MAKER" and fillable:
            raise OrderRejectedError(
                "Order would immediately match and take.", reason="WOULD_MATCH_IMMEDIATELY"
            )
        self._check_funds(request, fillable)

    def _check_funds(self, request: OrderRequest, fillable: list[tuple[int, int]]) -> None:
        if request.side is OrderSide.SELL:
            asset, needed = request.rules.base, request.quantity
        elif request.limit is None:
            asset = request.rules.quote
            needed = sum(fixed.notional(price, quantity) for price, quantity in fillable)
        else:
            asset = request.rules.quote
            needed = fixed.notional(request.price, request.quantity)
        if self.account.holding(asset).free < needed:
            raise OrderRejectedError(
                "Account has insufficient balance for requested action.",
                reason="INSUFFICIENT_BALANCES",
            )

    def _accept(self, request: OrderRequest) -> Order:
        record = OrderAccepted(
            order_id=self.account.next_order_id,
            client_order_id=request.client_order_id,
            symbol=request.rules.symbol,
            side=request.side.value,
            order_type=request.order_type,
            time_in_force=request.time_in_force,
            quantity=fixed.show(request.quantity),
            price=fixed.show(request.price),
            received_ns=request.received_ns,
        )
        self._do(record)
        order = self.account.orders[record.order_id]
        if order.locked:
            self._touched[order.locked_asset] = "order"
        self._events.append(reports.execution(order, "NEW"))
        return order

    def _fills_at_all(self, order: Order, market: Market) -> bool:
        """Return False for a fill-or-kill order that cannot be filled whole."""
        if order.time_in_force != "FOK":
            return True
        fillable = market.fillable(order.side, order.quantity, order.limit)
        return sum(quantity for _, quantity in fillable) == order.quantity

    def _settle(self, executions: list[Execution]) -> None:
        for execution in executions:
            order = self.account.orders[execution.order_id]
            buys = order.side is OrderSide.BUY
            quote = fixed.notional(execution.price, execution.quantity)
            received = execution.quantity if buys else quote
            record = Filled(
                trade_id=execution.trade_id,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                side=order.side.value,
                quantity=fixed.show(execution.quantity),
                price=fixed.show(execution.price),
                quote_quantity=fixed.show(quote),
                commission=fixed.show(fixed.notional(received, self._fee_rate)),
                commission_asset=order.rules.base if buys else order.rules.quote,
                is_maker=execution.is_maker,
            )
            self._do(record)
            self._touched[order.rules.base] = self._touched[order.rules.quote] = "fill"
            trade = self.account.trades[order.symbol][-1]
            self._events.append(reports.execution(order, "TRADE", trade=trade))
            if not order.remaining:
                self._end(order, "FILLED")

    def _cancel(self, order: Order, cancel_id: str) -> None:
        self.markets[order.symbol].cancel(order.order_id)
        self._end(order, "CANCELED", cancel_id=cancel_id, reason="CANCELED_BY_CLIENT")

    def _end(self, order: Order, status: str, *, cancel_id: str = "", reason: str = "") -> None:
        if order.locked:
            self._touched[order.locked_asset] = "ended"
        self._do(
            OrderEnded(
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                status=status,
                executed_quantity=fixed.show(order.executed),
                cancel_client_order_id=cancel_id,
                reason=reason,
            )
        )
        if status != "FILLED":  # a filled order's last TRADE report says so
            self._events.append(reports.execution(order, status, cancel_id=cancel_id))

    def _do(self, record: AnyRecord) -> None:
        # stamped before the ledger does because the account takes its times from the record
        record.ts_ns = time.time_ns()
        self.account.apply(record)
        self._records.append(record)

    def _commit(self) -> None:
        """Write everything down; only then may anybody be told, or see the trades."""
        now_ms = time.time_ns() // NANOS_PER_MILLI
        for asset, reason in self._touched.items():
            holding = self.account.holding(asset)
            self._records.append(
                Balance(
                    asset=asset,
                    free=fixed.show(holding.free),
                    locked=fixed.show(holding.locked),
                    reason=reason,
                )
            )
        if self._touched:
            self._events.append(reports.position(self.account, self._touched, now_ms))
        if self._records:
            self.ledger.append(*self._records)
        self._told += self._events
        self._records, self._events, self._touched = [], [], {}


def _reference_price(market: Market, request: OrderRequest) -> int:
    """Return the price that a market order's notional is judged by: the last, else the best."""
    if market.tape.last_price:
        return market.tape.last_price
    best = market.fillable(request.side, request.quantity, None)
    if not best:
        raise ApiError(-1112, "No orders on book for symbol.")
    return best[0][0]
