"""A replayed market: the recording moves it, our orders take part without changing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from krator_actors.exchange.displayed_book import DisplayedBook
from krator_actors.exchange.fixed import parse_recorded
from krator_actors.exchange.ids import IdSource
from krator_actors.exchange.market import Depth, Execution, Level
from krator_actors.exchange.orders import Order
from krator_actors.exchange.recording import (
    DepthEvent,
    Event,
    Snapshot,
    TickerEvent,
    TradeEvent,
)
from krator_actors.exchange.rules import Rules
from krator_actors.exchange.tape import PublicTrade, Tape
from krator_actors.model import OrderSide

FIRST_OWN_TRADE_ID = 10**12
"""recorded trade ids are below it, those of our own fills from it on"""


@dataclass(slots=True)
class _Queued:
    """A resting order of ours, and the recorded quantity that stands before it."""

    order_id: int
    side: OrderSide
    price: int
    remaining: int
    ahead: int


class ReplayMarket:
    """One symbol of a recording.

    An aggressive order takes the displayed size, each level once until the recording updates it.
    A resting order fills only from recorded trades: at its price, after the quantity that was
    displayed there when it came; through its price, at once.
    """

    def __init__(self, rules: Rules, *, own_trade_ids: IdSource) -> None:
        self.rules = rules
        self.tape = Tape()
        self._book = DisplayedBook()
        self._own_trade_ids = own_trade_ids
        self._event_ms = 0
        # our resting orders in the order of their arrival
        self._queued: dict[int, _Queued] = {}

    def absorb(self, event: Event) -> list[Execution]:
        """Take in what was recorded; return what it did to the account's orders."""
        match event:
            case TradeEvent():
                return self._trade(event)
            case TickerEvent():
                self._book.apply_ticker(event)
            case DepthEvent():
                self._event_ms = max(self._event_ms, event.time_ms)
                self._book.apply_depth(event)
            case Snapshot():
                self._book.apply_snapshot(event)
        return []

    def event_ms(self) -> int:
        """Return the latest time in the recording."""
        return self._event_ms

    def fillable(self, side: OrderSide, quantity: int, limit: int | None) -> list[Level]:
        """Return what an order would trade at once, changing nothing."""
        taken: list[Level] = []
        for price, size in self._book.opposite(side).available():
            if quantity == 0 or (limit is not None and (price - limit) * side.sign > 0):
                break
            part = min(quantity, size)
            taken.append((price, part))
            quantity -= part
        return taken

    def execute(self, order: Order) -> list[Execution]:
        """Trade against the displayed size; what is left of it rests when ``order.rests``."""
        executions: list[Execution] = []
        left = order.remaining
        opposite = self._book.opposite(order.side)
        for price, part in self.fillable(order.side, left, order.limit):
            opposite.consume(price, part)
            left -= part
            trade_id = self._own_trade_ids.take()
            executions.append(Execution(order.order_id, price, part, trade_id, is_maker=False))
        if left and order.rests:
            ahead = self._book.own(order.side).size_at(order.price)
            self._queued[order.order_id] = _Queued(
                order.order_id, order.side, order.price, left, ahead
            )
        return executions

    def rest(self, order: Order) -> list[Execution]:
        """Put an open order back after a restart: at the end of the queue."""
        return self.execute(order)

    def cancel(self, order_id: int) -> None:
        """Take an order out."""
        self._queued.pop(order_id, None)

    def reduce(self, order_id: int, quantity: int) -> None:
        """Take ``quantity`` off an order of ours, which keeps its place."""
        queued = self._queued.get(order_id)
        if queued is not None:
            queued.remaining -= quantity

    def depth(self, limit: int) -> Depth:
        """Return the displayed book; our own orders are not in it."""
        book = self._book
        return Depth(
            book.last_id(),
            list(islice(book.bids.displayed(), limit)),
            list(islice(book.asks.displayed(), limit)),
        )

    def flush(self) -> None:
        """Publish nothing: the recording is published as it is."""

    def close(self) -> None:
        """Give unused ids back."""
        self._own_trade_ids.close()

    def _trade(self, event: TradeEvent) -> list[Execution]:
        price, quantity = parse_recorded(event.price), parse_recorded(event.quantity)
        self._event_ms = max(self._event_ms, event.time_ms)
        self.tape.add(
            PublicTrade(event.trade_id, price, quantity, event.time_ms, event.buyer_is_maker)
        )
        if not self._queued:
            return []
        return self._fill_resting(event.buyer_is_maker, price, quantity)

    def _fill_resting(self, buyer_is_maker: bool, price: int, quantity: int) -> list[Execution]:  # noqa: FBT001 - the recording's own field
        """Let a recorded trade fill our orders that it reaches, best price and oldest first.

        Together they get no more than was traded.
        """
        side = OrderSide.BUY if buyer_is_maker else OrderSide.SELL
        reached = [
            queued
            for queued in self._queued.values()
            if queued.side is side and (queued.price - price) * side.sign >= 0
        ]
        reached.sort(key=_best_first(side))
        executions: list[Execution] = []
        for queued in reached:
            if queued.price == price:
                # those ahead of one order are ahead of the next as well: they cost it nothing
                passed = min(quantity, queued.ahead)
                queued.ahead -= passed
            else:
                passed = queued.ahead = 0
            part = min(queued.remaining, quantity - passed)
            if not part:
                continue
            quantity -= part
            queued.remaining -= part
            if not queued.remaining:
                del self._queued[queued.order_id]
            trade_id = self._own_trade_ids.take()
            executions.append(
                Execution(queued.order_id, queued.price, part, trade_id, is_maker=True)
            )
        return executions


def _best_first(side: OrderSide) -> Callable[[_Queued], int]:
    return lambda queued: -side.sign * queued.price
