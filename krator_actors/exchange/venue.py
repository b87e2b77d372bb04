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
from krator_actors.exchange.admission import check_amend, check_engine, check_filters
from krator_actors.exchange.errors import ApiError, OrderRejectedError
from krator_actors.exchange.ledger import Ledger
from krator_actors.exchange.market import Execution, Market
from krator_actors.exchange.orders import Order, OrderRequest, is_reached
from krator_actors.exchange.records import (
    AnyRecord,
    Balance,
    CancelRejected,
    Filled,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderRejected,
    OrderTriggered,
)
from krator_actors.model import NANOS_PER_MILLI, OrderSide


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
            if order.is_waiting and market is not None:
                continue
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
        check_filters(request, market)
        check_engine(request, market, self.account)
        order = self._accept(request)
        if not order.is_waiting:
            self._work(order, market)
        self._trigger_stops(order.symbol)
        self._commit()
        return order

    def check_filters(self, request: OrderRequest) -> None:
        """Raise ApiError when the request breaks a filter, and change nothing."""
        check_filters(request, self.markets[request.rules.symbol])

    def cancel(
        self,
        *,
        symbol: str,
        order_id: int | None,
        client_order_id: str | None,
        cancel_id: str,
        only_status: str | None = None,
    ) -> Order:
        """Cancel an open order; -2011 when there is none, or not of ``only_status``."""
        order = self._open_order(symbol, order_id, client_order_id, code=-2011)
        if only_status not in {None, order.status}:
            raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
        self._cancel(order, cancel_id)
        self._commit()
        return order

    def amend(
        self,
        *,
        symbol: str,
        order_id: int | None,
        client_order_id: str | None,
        new_id: str,
        quantity: int,
    ) -> tuple[Order, str]:
        """Make an open order smaller, in its place; return it and its client order id before.

        Raises ApiError when it is refused; the order is as it was then.
        """
        order = self._open_order(symbol, order_id, client_order_id, code=-2038)
        check_amend(order, quantity)
        before_id, less = order.client_order_id, order.quantity - quantity
        record = OrderAmended(
            order_id=order.order_id,
            client_order_id=new_id,
            orig_client_order_id=before_id,
            symbol=symbol,
            quantity=fixed.show(quantity),
        )
        self._do(record)
        if order.locked:
            self._touched[order.locked_asset] = "amended"
        self.markets[symbol].reduce(order.order_id, less)
        self._events.append(reports.execution(order, "REPLACED", orig_id=before_id))
        self._commit()
        return order, before_id

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

    def absorb(self, symbol: str, executions: list[Execution]) -> None:
        """Write down what a market did to the account's orders, and begin what it triggered."""
        self._settle(executions)
        self._trigger_stops(symbol)
        if self._records:
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
            stop_price=fixed.show(request.stop_price),
            received_ns=request.received_ns,
        )
        self._do(record)
        order = self.account.orders[record.order_id]
        if order.locked:
            self._touched[order.locked_asset] = "order"
        self._events.append(reports.execution(order, "NEW"))
        return order

    def _open_order(
        self, symbol: str, order_id: int | None, client_order_id: str | None, *, code: int
    ) -> Order:
        order = self.account.find(order_id=order_id, client_order_id=client_order_id)
        if order is None or order.symbol != symbol or not order.is_open:
            raise ApiError(code, "Unknown order sent.")
        if client_order_id is not None and order.client_order_id != client_order_id:
            raise ApiError(code, "Unknown order sent.")
        return order

    def _work(self, order: Order, market: Market) -> None:
        """Let an order into the market; what of it cannot rest expires."""
        executions = market.execute(order) if self._fills_at_all(order, market) else []
        self._settle(executions)
        if order.remaining and not order.rests:
            self._end(order, "EXPIRED")

    def _trigger_stops(self, symbol: str) -> None:
        """Begin the stop orders whose price is reached; those that they trigger themselves too."""
        market = self.markets[symbol]
        while reached := [
            order
            for order in self.account.waiting_orders(symbol)
            if is_reached(order.order_type, order.side, order.stop_price, market.tape.last_price)
        ]:
            self._trigger(reached[0], market)

    def _trigger(self, order: Order, market: Market) -> None:
        self._do(
            OrderTriggered(
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                symbol=order.symbol,
            )
        )
        self._events.append(reports.execution(order, "NEW"))
        fillable = market.fillable(order.side, order.remaining, order.limit)
        cost = sum(fixed.notional(price, quantity) for price, quantity in fillable)
        # At market it may cost more than its stop price has set aside.
        available = order.locked + self.account.holding(order.rules.quote).free
        if order.side is OrderSide.BUY and order.limit is None and cost > available:
            self._end(order, "EXPIRED", reason="INSUFFICIENT_BALANCES")
            return
        self._work(order, market)

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
