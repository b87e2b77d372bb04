"""The order actor's log and the table that is its fold: the one way in which an order changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
from loguru import logger

from krator_actors.adapters.local_log import Durability, LocalLog, log_path, read_log
from krator_actors.clock import utc_ns
from krator_actors.core.orders import Order, OrderTable
from krator_actors.core.venue_reports import FillReport, OrderReport, external_of, news_of
from krator_actors.messages.orders import (
    AccountReport,
    OrderEvent,
    OrderEventTold,
    OrderExternal,
    OrderInitialized,
)


class Heard(msgspec.Struct, kw_only=True):
    """What came of a report."""

    order: Order | None = None
    """None when the report is of no concern, or not yet"""
    told: list[OrderEventTold] = []
    """new records, to be told in this order"""
    wanted: bool = False
    """True: the venue has more than it said; ask for the whole order"""


class OrderLedger:
    """Appends and folds; tells nobody. Made by ``open``."""

    def __init__(self, log: LocalLog, *, venue: str) -> None:
        self.table = OrderTable()
        # the highest risk generation whose order was begun
        self.risk_generation = 0
        self._log = log
        self._venue = venue

    @classmethod
    def open(
        cls, data_dir: Path, *, writer: str, venue: str, generation: int, durability: Durability
    ) -> Self:
        """Open the log of ``writer`` and fold all of it.

        Raises LogDamagedError, LogLockedError, OSError, and OrderTransitionError for a log that
        no version of the table could have written.
        """
        log = LocalLog.open(
            log_path(data_dir, writer), writer=writer, generation=generation, durability=durability
        )
        ledger = cls(log, venue=venue)
        for record in read_log(log.path, types=OrderEvent):
            ledger.table.apply(record.event, record.number)
            if isinstance(record.event, OrderInitialized):
                ledger.risk_generation = max(ledger.risk_generation, record.event.risk_generation)
        return ledger

    @property
    def last_number(self) -> int:
        """Number of the last record; 0 when there is none."""
        return self._log.last_number

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def record(self, event: OrderEvent) -> OrderEventTold:
        """Fold and append one event; return what is to be told of it.

        Whatever it raises (OrderTransitionError, LogFullError, OSError), nothing was appended or
        the log is closed, and the fold may be ahead of the log: the actor must crash.
        """
        number = self._log.last_number + 1
        # Folded first, because an event that the table refuses must not be in the log for ever.
        self.table.apply(event, number)
        self._log.append(event, ts_ns=utc_ns())
        return OrderEventTold(venue=self._venue, number=number, event=event)

    def told_after(self, watermark: int) -> Iterator[OrderEventTold]:
        """Yield every record above ``watermark`` again."""
        if watermark < self._log.last_number:
            for record in read_log(self._log.path, after=watermark, types=OrderEvent):
                yield OrderEventTold(venue=self._venue, number=record.number, event=record.event)

    def latest(self, order: Order) -> OrderEventTold:
        """Return the newest event of ``order`` again."""
        return OrderEventTold(venue=self._venue, number=order.number, event=order.last_event)

    def order_of(self, event: OrderEvent) -> Order | None:
        """Return the order that ``event`` is about; None for an AccountReport."""
        if isinstance(event, AccountReport):
            return None
        if isinstance(event, OrderInitialized):
            return self.table.orders[event.order.client_order_id]
        return self.table.orders[event.client_order_id]

    def hear(
        self, report: OrderReport | None, fills: tuple[FillReport, ...], *, whole: bool
    ) -> Heard:
        """Record what is new in a report; ``whole`` says that ``fills`` are all the order has."""
        table = self.table
        heard = Heard()
        if report is None:
            order = table.find(fills[0].symbol, fills[0].venue_order_id)
        else:
            order = table.find(report.symbol, report.venue_order_id, report.client_order_id)
        if order is None:
            if report is None or table.opening is None:
                return heard  # the first reconciliation lists it, after the opening balances
            if report.filled and not whole:
                return Heard(wanted=True)
            taken = self._take_over(report, fills, opened_at=table.opening.ts_event)
            if taken is None:
                return heard
            external, fills = taken
            heard.told.append(self.record(external))
            order = table.orders[external.client_order_id]
        news = news_of(table, order, report, fills, ts_init=utc_ns())
        heard.order = order
        heard.told += [self.record(event) for event in news.events]
        heard.wanted = not news.complete
        return heard

    def _take_over(
        self, report: OrderReport, fills: tuple[FillReport, ...], *, opened_at: int
    ) -> tuple[OrderExternal, tuple[FillReport, ...]] | None:
        if report.client_order_id in self.table.orders:
            logger.bind(
                event_type="order_doubled",
                order_id=report.client_order_id,
                venue_order_id=report.venue_order_id,
            ).error("the venue has two orders of one client order id")
        return external_of(report, fills, opened_at=opened_at)
