"""The one fold of an order log from outside: when was which order in flight."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec

from krator_actors.adapters.local_log import LogRecord, log_path
from krator_actors.adapters.log_reader import LogTail
from krator_actors.messages.orders import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
)

_DECODER: msgspec.msgpack.Decoder[OrderEvent] = msgspec.msgpack.Decoder(OrderEvent)
_EVERYTHING = 1_000_000
FINAL = OrderDenied | OrderRejected | OrderCanceled | OrderExpired


class OrderSpans:
    """Of each order: when it was begun and when it ended, by the log's own times (UTC ns)."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}
        # Missing while the order is open.
        self.ended: dict[str, int] = {}
        self._remaining: dict[str, Decimal] = {}

    @property
    def open(self) -> set[str]:
        """The orders that are neither denied, rejected, filled nor ended."""
        return set(self._remaining)

    def apply(self, record: LogRecord[OrderEvent]) -> None:
        match record.event:
            case OrderInitialized(order=order):
                self._begin(order.client_order_id, order.quantity, record.ts_ns)
            case OrderExternal(client_order_id=key, quantity=quantity):
                self._begin(key, quantity, record.ts_ns)
            case OrderFilled(client_order_id=key, last_quantity=quantity):
                self._fill(key, quantity, record.ts_ns)
            case event if isinstance(event, FINAL):
                self._end(event.client_order_id, record.ts_ns)
            case _:
                pass

    def in_flight_at(self, moment_ns: int) -> bool:
        """Whether any order was in flight at ``moment_ns``."""
        return any(
            begun <= moment_ns < self.ended.get(key, moment_ns + 1)
            for key, begun in self.begun.items()
        )

    def _begin(self, key: str, quantity: Decimal, ts_ns: int) -> None:
        self.begun[key] = ts_ns
        self._remaining[key] = quantity

    def _fill(self, key: str, quantity: Decimal, ts_ns: int) -> None:
        if key in self._remaining:  # a fill after its end changes nothing here
            self._remaining[key] -= quantity
            if self._remaining[key] <= 0:
                self._end(key, ts_ns)

    def _end(self, key: str, ts_ns: int) -> None:
        if self._remaining.pop(key, None) is not None:
            self.ended[key] = ts_ns


class OrderWatch:
    """Follows the order actor's log while it is being written, by an open file: to be closed."""

    def __init__(self, data_dir: Path) -> None:
        self.spans = OrderSpans()
        self._tail = LogTail(log_path(data_dir, "order:SIM"))

    def poll(self) -> set[str]:
        """Read what is new; return the orders that are in flight."""
        for raw in self._tail.poll(_EVERYTHING):
            event = _DECODER.decode(raw.body)
            self.spans.apply(LogRecord(raw.number, raw.generation, raw.ts_ns, event))
        return self.spans.open

    def close(self) -> None:
        self._tail.close()
