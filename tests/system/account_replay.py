"""The account as the venue's ledger has it, replayed by plain sums; and what explains a denial."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from krator_actors.adapters.local_log import LogRecord
from krator_actors.core.risk import RiskEvent
from krator_actors.messages.orders import (
    OrderDenied,
    OrderEvent,
    OrderInitialized,
    SubmitOrder,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import NANOS_PER_SEC, OrderSide, venue_symbol_of
from tests.system.order_watch import OrderSpans

QUOTE = "USDT"
EXPLAIN_NS = 10 * NANOS_PER_SEC
"""So long may what is over still be counted: a stopped process hears of it late."""

_ZERO = Decimal(0)


class _Open(NamedTuple):
    symbol: str
    side: str
    quantity: Decimal
    remaining: Decimal
    price: Decimal


class Account:
    """Holdings, cash and open orders; ``apply`` takes the ledger's lines in their order."""

    def __init__(self, ledger: Iterable[dict[str, Any]]) -> None:
        self.held: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.cash = _ZERO
        self.open: dict[str, _Open] = {}
        self._marks: dict[str, Decimal] = {}
        traded: defaultdict[str, list[Decimal]] = defaultdict(lambda: [_ZERO, _ZERO])
        for line in ledger:
            if line["record"] == "fill":
                sums = traded[line["clientOrderId"]]
                sums[0] += Decimal(line["qty"])
                sums[1] += Decimal(line["quoteQty"])
        # What market orders have traded at, on average.
        self._averages = {key: value / quantity for key, (quantity, value) in traded.items()}

    def apply(self, line: dict[str, Any]) -> None:
        match line["record"]:
            case "balance" if line["reason"] == "deposit":
                amount = Decimal(line["free"]) + Decimal(line["locked"])
                if line["asset"] == QUOTE:
                    self.cash = amount
                else:
                    self.held[line["asset"] + QUOTE] = amount
            case "order":
                quantity = Decimal(line["qty"])
                self.open[line["clientOrderId"]] = _Open(
                    line["symbol"], line["side"], quantity, quantity, self.price_of(line)
                )
            case "amended":
                self._amend(line)
            case "fill":
                self._fill(line)
            case "ended":
                self.open.pop(line["clientOrderId"], None)
            case _:
                pass

    def price_of(self, order: dict[str, Any]) -> Decimal:
        """Return what a unit of an accepted order costs."""
        price = Decimal(order["price"]) or Decimal(order.get("stopPrice", 0))
        if price:
            return price
        last = self._marks.get(order["symbol"], _ZERO)
        return self._averages.get(order["clientOrderId"], last)

    def equity(self) -> Decimal:
        worth = (held * self._marks.get(symbol, _ZERO) for symbol, held in self.held.items())
        return self.cash + sum(worth, _ZERO)

    def worst_case(self, symbol: str, price: Decimal) -> Decimal:
        """Return what is held of ``symbol`` at ``price``, and its open buys."""
        buys = (o for o in self.open.values() if (o.symbol, o.side) == (symbol, "BUY"))
        return self.held[symbol] * price + sum((o.remaining * o.price for o in buys), _ZERO)

    def _amend(self, line: dict[str, Any]) -> None:
        order = self.open.pop(line["origClientOrderId"])
        quantity = Decimal(line["qty"])
        remaining = order.remaining - (order.quantity - quantity)
        self.open[line["clientOrderId"]] = order._replace(quantity=quantity, remaining=remaining)

    def _fill(self, line: dict[str, Any]) -> None:
        key, symbol = line["clientOrderId"], line["symbol"]
        quantity, value = Decimal(line["qty"]), Decimal(line["quoteQty"])
        sign = 1 if line["side"] == "BUY" else -1
        self.held[symbol] += sign * quantity
        self.cash -= sign * value
        self._marks[symbol] = Decimal(line["price"])
        fee = Decimal(line["commission"])
        if line["commissionAsset"] == QUOTE:
            self.cash -= fee
        else:
            self.held[line["commissionAsset"] + QUOTE] -= fee
        order = self.open.get(key)
        if order is not None:
            self.open[key] = order._replace(remaining=order.remaining - quantity)


@dataclass(frozen=True)
class Worst:
    """The most that could be in the account's way at one moment."""

    most_held_notional: Decimal
    least_held: Decimal
    least_cash: Decimal
    buy_notional: Decimal
    all_buy_notional: Decimal
    sell_quantity: Decimal
    orders: int


class Explained:
    """What ledger and logs explain at a moment, everything counted that may have been in doubt."""

    def __init__(
        self,
        order_log: Iterable[LogRecord[OrderEvent]],
        risk_log: Iterable[LogRecord[RiskEvent]],
        ledger: list[dict[str, Any]],
    ) -> None:
        spans = OrderSpans()
        # When the order actor began each order; what nobody approved are legs, which only sell.
        begun: dict[str, tuple[int, SubmitOrder]] = {}
        for record in order_log:
            spans.apply(record)
            if isinstance(record.event, OrderInitialized):
                begun[record.event.order.client_order_id] = (record.ts_ns, record.event.order)
        self._ended = spans.ended
        # Of each order: when it was approved, and what it reserves.
        self._approved: dict[str, tuple[int, OrderApproved]] = {}
        for own in risk_log:
            if isinstance(own.event, OrderApproved):
                self._approved[own.event.order.client_order_id] = (own.ts_ns, own.event)
            elif isinstance(own.event, OrderDenied) and own.event.client_order_id not in begun:
                self._ended.setdefault(own.event.client_order_id, own.ts_ns)
        self._legs = {key: leg for key, leg in begun.items() if key not in self._approved}
        account = Account(ledger)
        self._times: list[int] = []
        self._held: list[dict[str, Decimal]] = []
        self._cash: list[Decimal] = []
        self._highest: dict[str, Decimal] = {}
        for line in ledger:
            account.apply(line)
            if line["record"] in {"fill", "balance"}:
                self._times.append(line["ts_ns"])
                self._held.append(dict(account.held))
                self._cash.append(account.cash)
            if line["record"] == "fill":
                price = Decimal(line["price"])
                self._highest[line["symbol"]] = max(price, self._highest.get(line["symbol"], _ZERO))

    def at(self, ts_ns: int, symbol: str) -> Worst:
        since_ns = ts_ns - EXPLAIN_NS
        orders = [
            event
            for key, (approved_ns, event) in self._approved.items()
            if approved_ns <= ts_ns and self._ended.get(key, ts_ns) >= since_ns
        ]
        legs = [
            leg
            for key, (begun_ns, leg) in self._legs.items()
            if begun_ns <= ts_ns and self._ended.get(key, ts_ns) >= since_ns
        ]
        sold = [e.order for e in orders if e.order.side is OrderSide.SELL] + legs
        first = max(0, bisect_left(self._times, since_ns) - 1)
        window = slice(first, bisect_right(self._times, ts_ns))
        venue_symbol = venue_symbol_of(symbol)
        held = [h.get(venue_symbol, _ZERO) for h in self._held[window]] or [_ZERO]
        buys = [e for e in orders if e.order.side is OrderSide.BUY]
        return Worst(
            most_held_notional=max(held) * self._highest.get(venue_symbol, _ZERO),
            least_held=min(held),
            least_cash=min(self._cash[window], default=_ZERO),
            buy_notional=sum(
                (e.reserved_notional for e in buys if e.order.symbol == symbol), _ZERO
            ),
            all_buy_notional=sum((e.reserved_notional for e in buys), _ZERO),
            sell_quantity=sum((one.quantity for one in sold if one.symbol == symbol), _ZERO),
            orders=len(orders) + len(legs),
        )
