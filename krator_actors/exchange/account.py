"""The account's books: balances, orders, trades. Live and recovered by the same records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from krator_actors.exchange import fixed
from krator_actors.exchange.orders import STOP_TYPES, Order, Trade
from krator_actors.exchange.records import (
    AnyRecord,
    Balance,
    Filled,
    IdsReserved,
    Opened,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderTriggered,
)
from krator_actors.exchange.rules import rules_of
from krator_actors.model import NANOS_PER_MILLI, OrderSide


@dataclass(slots=True)
class Holding:
    """Units of an asset: ``free`` to use, and ``locked`` for open orders."""

    free: int = 0
    locked: int = 0


class Account:
    """Everything the venue knows of its one account.

    ``apply`` is the only way to change it: the venue applies a record when something happens, and
    the same records, read from the ledger, bring the same account back.
    """

    def __init__(self) -> None:
        self.holdings: dict[str, Holding] = {}
        self.orders: dict[int, Order] = {}
        # newest order of each client order id: only open ones must be unique
        self._by_client_id: dict[str, Order] = {}
        self._open: dict[int, Order] = {}
        # symbol to ids of the orders that wait for their stop price
        self._waiting: dict[str, dict[int, None]] = {}
        self.trades: dict[str, list[Trade]] = {}
        self.next_ids: dict[str, int] = {}
        # 0 until the first Opened
        self.epoch_ns = 0
        self.next_order_id = 1

    @classmethod
    def recovered(cls, records: Iterable[AnyRecord]) -> Account:
        """Return the account that the ledger's records lead to."""
        account = cls()
        for record in records:
            account.apply(record)
        return account

    def holding(self, asset: str) -> Holding:
        """Return the holding of an asset, which starts empty."""
        return self.holdings.setdefault(asset, Holding())

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the open orders, oldest first."""
        return [o for o in self._open.values() if symbol is None or o.symbol == symbol]

    def waiting_orders(self, symbol: str) -> list[Order]:
        """Return the open orders that wait for their stop price, oldest first."""
        return [self.orders[order_id] for order_id in self._waiting.get(symbol, ())]

    def find(self, *, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Return an order by id, else the newest with the client order id."""
        if order_id is not None:
            return self.orders.get(order_id)
        return self._by_client_id.get(client_order_id or "")

    def has_open(self, client_order_id: str) -> bool:
        """Return whether an open order has this client order id."""
        order = self._by_client_id.get(client_order_id)
        return order is not None and order.is_open

    def trades_of(self, order: Order) -> list[Trade]:
        """Return an order's trades, oldest first; quick for a recent order."""
        found: list[Trade] = []
        missing = order.executed
        for trade in reversed(self.trades.get(order.symbol, [])):
            if not missing:
                break
            if trade.order_id == order.order_id:
                found.append(trade)
                missing -= trade.quantity
        return found[::-1]

    def apply(self, record: AnyRecord) -> None:
        """Change the account by what a record says; other records change nothing."""
        match record:
            case Opened():
                self.epoch_ns = record.epoch_ns
            case IdsReserved():
                self.next_ids[record.name] = record.below
            case Balance(reason="deposit"):
                self.holding(record.asset).free += fixed.parse(record.free)
            case OrderAccepted():
                self._accept(record)
            case OrderTriggered():
                order = self.orders[record.order_id]
                order.working_ms = order.update_ms = record.ts_ns // NANOS_PER_MILLI
                self._waiting[order.symbol].pop(order.order_id, None)
            case OrderAmended():
                self._amend(record)
            case Filled():
                self._fill(record)
            case OrderEnded():
                self._end(record)
            case _:
                pass

    def _accept(self, record: OrderAccepted) -> None:
        time_ms = record.received_ns // NANOS_PER_MILLI
        order = Order(
            order_id=record.order_id,
            client_order_id=record.client_order_id,
            rules=rules_of(record.symbol),
            side=OrderSide(record.side),
            order_type=record.order_type,
            time_in_force=record.time_in_force,
            quantity=fixed.parse(record.quantity),
            price=fixed.parse(record.price),
            stop_price=fixed.parse(record.stop_price),
            time_ms=time_ms,
            update_ms=time_ms,
            working_ms=None if record.order_type in STOP_TYPES else time_ms,
        )
        if order.is_waiting:
            self._waiting.setdefault(order.symbol, {})[order.order_id] = None
        self.orders[order.order_id] = self._open[order.order_id] = order
        self._by_client_id[order.client_order_id] = order
        self.next_order_id = max(self.next_order_id, order.order_id + 1)
        self._lock(order, order.reserve_for(order.quantity))

    def _amend(self, record: OrderAmended) -> None:
        order = self.orders[record.order_id]
        order.quantity = fixed.parse(record.quantity)
        order.client_order_id = record.client_order_id
        order.update_ms = record.ts_ns // NANOS_PER_MILLI
        order.amends += 1
        self._by_client_id[record.client_order_id] = order
        self._lock(order, order.reserve_for(order.remaining))

    def _lock(self, order: Order, amount: int) -> None:
        holding = self.holding(order.locked_asset)
        holding.free += order.locked - amount
        holding.locked += amount - order.locked
        order.locked = amount

    def _fill(self, record: Filled) -> None:
        order = self.orders[record.order_id]
        quantity = fixed.parse(record.quantity)
        trade = Trade(
            trade_id=record.trade_id,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            price=fixed.parse(record.price),
            quantity=quantity,
            quote=fixed.parse(record.quote_quantity),
            commission=fixed.parse(record.commission),
            commission_asset=record.commission_asset,
            is_maker=record.is_maker,
            time_ms=record.ts_ns // NANOS_PER_MILLI,
        )
        order.executed += quantity
        order.executed_quote += trade.quote
        order.status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
        order.update_ms = trade.time_ms
        self._lock(order, order.reserve_for(order.remaining))
        base, quote = self.holding(order.rules.base), self.holding(order.rules.quote)
        base.free += order.side.sign * quantity
        quote.free -= order.side.sign * trade.quote
        self.holding(trade.commission_asset).free -= trade.commission
        self.trades.setdefault(order.symbol, []).append(trade)

    def _end(self, record: OrderEnded) -> None:
        order = self.orders[record.order_id]
        order.status = record.status
        order.update_ms = record.ts_ns // NANOS_PER_MILLI
        self._lock(order, 0)
        self._open.pop(order.order_id, None)
        self._waiting.get(order.symbol, {}).pop(order.order_id, None)
