"""What the venue asks of a market, be it synthetic or replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from krator_actors.exchange.orders import Order
from krator_actors.exchange.rules import Rules
from krator_actors.exchange.tape import Tape
from krator_actors.model import OrderSide


class Publish(Protocol):
    """Sends an event to a stream's subscribers."""

    def __call__(self, stream: str, data: str, combined: str | None = None) -> int:
        """Return how many listen.

        ``data``: the event's JSON text; ``combined``: its wrapped text when that is known.
        """


Level = tuple[int, int]
"""(price, quantity)"""


@dataclass(frozen=True, slots=True)
class Execution:
    """Part of an order of the account has traded."""

    order_id: int
    price: int
    quantity: int
    trade_id: int
    is_maker: bool


@dataclass(frozen=True, slots=True)
class Depth:
    """The book, best prices first."""

    last_update_id: int
    bids: list[Level]
    asks: list[Level]


class Market(Protocol):
    """One symbol's market. It knows orders and trades, and nothing of balances or ledgers."""

    rules: Rules
    tape: Tape

    def event_ms(self) -> int:
        """Return the position in event time, which is not the wall clock in a replay."""

    def fillable(self, side: OrderSide, quantity: int, limit: int | None) -> list[Level]:
        """Return what an order would trade at once, changing nothing."""

    def execute(self, order: Order) -> list[Execution]:
        """Trade an order at once as far as it goes; the rest of it stays when ``order.rests``.

        The executions may be of other orders of the account too, which were in its way.
        """

    def rest(self, order: Order) -> list[Execution]:
        """Put an open order back after a restart."""

    def cancel(self, order_id: int) -> None:
        """Take an order out; unknown ones are no error."""

    def reduce(self, order_id: int, quantity: int) -> None:
        """Take ``quantity`` off an order, which keeps its place and something of itself."""

    def depth(self, limit: int) -> Depth:
        """Return the best ``limit`` levels of both sides."""

    def flush(self) -> None:
        """Publish what has happened since the last flush."""

    def close(self) -> None:
        """The exchange ends in an orderly way."""
