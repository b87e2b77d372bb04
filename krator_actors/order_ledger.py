"""The order actor's log and the folds of it: the one way in which an order changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Self

import msgspec
from loguru import logger

from krator_actors.adapters.local_log import (
    Durability,
    LocalLog,
    log_path,
    read_log,
)
from krator_actors.clock import utc_ns
from krator_actors.core.balances import Balances
from krator_actors.core.differences import busy_assets, doubled, overcounted, vanished
from krator_actors.core.order_memory import KEEP_CLOSED, ClosedOrders, OrderMemory, Recent
from krator_actors.core.orders import Order
from krator_actors.core.venue_reports import FillReport, OrderReport, external_of, news_of
from krator_actors.messages.orders import (
    AccountReport,
    Difference,
    OrderEvent,
    OrderEventTold,
    OrderInitialized,
    ReconciliationDifference,
)
from krator_actors.order_archive import ArchivedOrder, ArchiveError
from krator_actors.order_snapshot import OrderSnapshot, OrderSnapshots, encoded

SNAPSHOT_EVENTS = 1_000
"""After so many records a snapshot is due; recovery folds at most about as many again."""
_FORGET_EVENTS = 10_000
"""While a whole log is folded, what is over is forgotten so often."""


class OrderGoneError(Exception):
    """An order was ours, and what became of it cannot be read in the archive any more."""


class Heard(msgspec.Struct, kw_only=True):
    """What came of a report."""

    order: Order | None = None
    """None when the report is of no concern, or not yet"""
    told: list[OrderEventTold] = []
    """new records, to be told in this order"""
    wanted: bool = False
    """True: the venue has more than it said; ask for the whole order"""


class OrderLedger:
    """Appends and folds; tells nobody. Made by ``open``; of one event loop."""

    def __init__(self, log: LocalLog, snapshots: OrderSnapshots, *, venue: str) -> None:
        self.table = OrderMemory()
        self.balances = Balances()
        # where in the archive the orders are that the table has forgotten
        self.closed = ClosedOrders()
        # the highest risk generation whose order was begun
        self.risk_generation = 0
        # "what:subject" to the numbers of the last difference that was told
        self.differences: dict[str, tuple[Decimal, Decimal]] = {}
        self._log = log
        self._snapshots = snapshots
        self._venue = venue
        # when the last record was appended, UTC ns
        self._last_ts_ns = 0
        self._events_since_snapshot = 0
        # Up to here risk needs nothing to be told again, also at its next start.
        self._absorbed = 0
        self._snapshot_due = asyncio.Event()
        # False while the fold may be ahead of the log: then there is no snapshot of it
        self._is_whole = True

    @classmethod
    def open(
        cls, data_dir: Path, *, writer: str, venue: str, generation: int, durability: Durability
    ) -> Self:
        """Open the log of ``writer``; fold the snapshot and what follows it, or all of the log.

        Raises LogDamagedError, LogLockedError, LogRemovedError (no snapshot can be believed and the
        log has been shortened), OSError, and OrderTransitionError for a log that no version of the
        table could have written.
        """
        log = LocalLog.open(
            log_path(data_dir, writer), writer=writer, generation=generation, durability=durability
        )
        ledger = cls(log, OrderSnapshots(log.path), venue=venue)
        try:
            ledger._recover()
        except BaseException:
            ledger._snapshots.archive.close()
            log.close()
            raise
        return ledger

    @property
    def last_number(self) -> int:
        """Number of the last record; 0 when there is none."""
        return self._log.last_number

    @property
    def first_number(self) -> int:
        """Number of the oldest record that is still in the log."""
        return self._log.first_number

    def close(self) -> None:
        """Write a snapshot, so that the next start is short, and close the log."""
        if self._is_whole and self._events_since_snapshot:
            self._write(*self._snapshot())
        self._snapshots.archive.close()
        self._log.close()

    def record(self, event: OrderEvent) -> OrderEventTold:
        """Fold and append one event; return what is to be told of it.

        Whatever it raises (OrderTransitionError, LogFullError, OSError), nothing was appended or
        the log is closed, and the fold may be ahead of the log: the actor must crash.
        """
        number, ts_ns = self._log.last_number + 1, utc_ns()
        self._is_whole = False
        # Folded first, because an event that the table refuses must not be in the log for ever.
        self._fold(event, number, ts_ns)
        self._log.append(event, ts_ns=ts_ns)
        self._is_whole = True
        if self._events_since_snapshot >= SNAPSHOT_EVENTS:
            self._snapshot_due.set()
        return OrderEventTold(venue=self._venue, number=number, event=event)

    async def keep_snapshots(self) -> None:
        """Write a snapshot each time that one is due, in another thread; never returns."""
        while True:
            await self._snapshot_due.wait()
            self._snapshot_due.clear()
            if self._is_whole:
                number, payload, merge = self._snapshot()
                written = await asyncio.to_thread(self._write, number, payload, merge)
                if written and merge:
                    sorted_in = set(merge)
                    since = [place for place in self.closed.recent() if place not in sorted_in]
                    self._snapshots.read_closed(self.closed, tuple(since))
                self._log.release(min(self._snapshots.covered, self._absorbed))

    def absorbed(self, number: int) -> None:
        """Risk can recover without the records up to ``number``: they may be removed some day."""
        self._absorbed = number

    def can_tell_after(self, watermark: int) -> bool:
        """Return whether ``told_after`` has it all; if so, nothing above is removed any more."""
        self._absorbed = min(self._absorbed, watermark)
        return watermark + 1 >= self.first_number

    def told_after(self, watermark: int) -> Iterator[OrderEventTold]:
        """Yield every record above ``watermark`` again."""
        if watermark < self._log.last_number:
            for record in read_log(self._log.path, after=watermark, types=OrderEvent):
                yield OrderEventTold(venue=self._venue, number=record.number, event=record.event)

    def latest(self, order: Order) -> OrderEventTold:
        """Return the newest event of ``order`` again."""
        return OrderEventTold(venue=self._venue, number=order.number, event=order.last_event)

    def is_forgotten(self, name: str, symbol: str = "") -> bool:
        """True when the table may have forgotten this order: ``recall`` it. False is certain."""
        return bool(self.closed.find(name, symbol))

    async def recall(self, name: str, symbol: str = "") -> Order | None:
        """Return a forgotten order, now in the table again; None when there never was such a one.

        ``name`` is its client order id, or with ``symbol`` the venue's id. It is read in another
        thread. Raises OrderGoneError, OSError.
        """
        try:
            found = await asyncio.to_thread(self._archived, name, symbol)
        except ArchiveError as error:
            raise OrderGoneError(str(error)) from error
        return self._adopted(found) if found is not None else None

    def order_of(self, event: OrderEvent) -> Order | None:
        """Return the order that ``event`` is about; None when it is about the account."""
        if isinstance(event, AccountReport | ReconciliationDifference):
            return None
        if isinstance(event, OrderInitialized):
            return self.table.orders.get(event.order.client_order_id)
        return self.table.orders.get(event.client_order_id)

    def hear(
        self, report: OrderReport | None, fills: tuple[FillReport, ...], *, whole: bool
    ) -> Heard:
        """Record what is new in a report; ``whole`` says that ``fills`` are all the order has.

        What the table has forgotten of the order must have been recalled before.
        """
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
            taken = external_of(report, fills, opened_at=table.opening.ts_event)
            if taken is None:
                return heard
            heard.told += self._differing(doubled(table, report, utc_ns()))
            external, fills = taken
            heard.told.append(self.record(external))
            order = table.orders[external.client_order_id]
        news = news_of(table, order, report, fills, ts_init=utc_ns())
        heard.order = order
        heard.told += [self.record(event) for event in news.events]
        heard.wanted = not news.complete
        if report is not None:
            heard.told += self._differing(overcounted(order, report, utc_ns()))
        return heard

    def weigh(self, balances: Mapping[str, Decimal], *, asked_ns: int) -> list[OrderEventTold]:
        """Record the account as the venue has it, and where it differs from our record."""
        told: list[OrderEventTold] = []
        account = self.table.account
        if account is None or account.balances != balances:
            told.append(self.record(AccountReport(balances=dict(balances), ts_event=asked_ns)))
        found = self.balances.differences(
            balances,
            asked_ns=asked_ns,
            busy=busy_assets(self.table.open_orders),
            now_ns=utc_ns(),
        )
        return told + [self.record(difference) for difference in found]

    def vanished(self, order: Order) -> list[OrderEventTold]:
        """Record that the venue does not know an order that it had accepted."""
        return self._differing(vanished(order, utc_ns()))

    def _differing(self, difference: ReconciliationDifference | None) -> list[OrderEventTold]:
        if difference is None:
            return []
        key = f"{difference.what.value}:{difference.subject}"
        if self.differences.get(key) == (difference.ours, difference.venue):
            return []
        return [self.record(difference)]

    def _recover(self) -> None:
        snapshot, records = self._snapshots.load(self.closed, last_number=self._log.last_number)
        if snapshot is not None:
            self.table.restore(snapshot.table)
            self.balances.restore(snapshot.balances)
            self.differences = dict(snapshot.differences)
            self.risk_generation = snapshot.risk_generation
            self._last_ts_ns = snapshot.ts_ns
        for record in records:
            self._know_again(record.event)
            self._fold(record.event, record.number, record.ts_ns)
            if self._events_since_snapshot % _FORGET_EVENTS == 0:
                self._forget()
        if self._events_since_snapshot >= SNAPSHOT_EVENTS:
            # At once, because whoever dies again before the next one would read it all again.
            number, payload, merge = self._snapshot()
            if self._write(number, payload, merge) and merge:
                self._snapshots.read_closed(self.closed, ())

    def _fold(self, event: OrderEvent, number: int, ts_ns: int) -> None:
        self.table.apply(event, number)
        self.balances.apply(event)
        if isinstance(event, OrderInitialized):
            self.risk_generation = max(self.risk_generation, event.risk_generation)
        elif isinstance(event, ReconciliationDifference) and event.what is not Difference.BALANCE:
            key = f"{event.what.value}:{event.subject}"
            self.differences[key] = (event.ours, event.venue)
        self._last_ts_ns = ts_ns
        self._events_since_snapshot += 1

    def _forget(self) -> None:
        """Move what is long over from memory to the archive."""
        forgotten = self.table.closed_beyond(keep=KEEP_CLOSED)
        new = [order for order in forgotten if not self.closed.has(order)]
        trades = self.table.trade_ids(new)
        try:
            places = self._snapshots.archive.append(map(ArchivedOrder, new, trades))
        except OSError as error:
            logger.bind(event_type="archive_failed", error=str(error)).warning(
                "closed orders could not be archived; they stay in memory"
            )
            return
        for order, offset in zip(new, places, strict=True):
            self.closed.add(order, offset)
        self.table.forget(forgotten)

    def _know_again(self, event: OrderEvent) -> None:
        """Adopt the order of a late event, because it was recalled also when that was logged."""
        name = _id_of(event)
        if name and name not in self.table.orders:
            found = self._archived(name, "")
            if found is not None:
                self._adopted(found)

    def _archived(self, name: str, symbol: str) -> ArchivedOrder | None:
        for place in self.closed.find(name, symbol):
            found = self._snapshots.archive.read(place.offset)
            if name in {found.order.client_order_id, found.order.venue_order_id}:
                return found
        return None

    def _adopted(self, found: ArchivedOrder) -> Order:
        order = found.order
        if order.client_order_id not in self.table.orders:
            self.table.adopt(order, found.trade_ids)
        return self.table.orders[order.client_order_id]

    def _snapshot(self) -> tuple[int, bytes, Recent]:
        """Return number and bytes of a snapshot, and what is to be sorted into the closed file."""
        self._events_since_snapshot = 0
        self._forget()
        number, recent = self._log.last_number, self.closed.recent()
        merge = self.closed.is_merge_due
        snapshot = OrderSnapshot(
            number=number,
            ts_ns=self._last_ts_ns,
            risk_generation=self.risk_generation,
            table=self.table.state(),
            balances=self.balances.state(),
            differences=self.differences,
            archived_bytes=self._snapshots.archive.size_bytes,
            closed_number=number if merge else self.closed.merged_number,
            closed=() if merge else recent,
        )
        return number, encoded(snapshot), recent if merge else ()

    def _write(self, number: int, payload: bytes, merge: Recent) -> bool:
        try:
            self._snapshots.write(number, payload, self.closed.merged(merge) if merge else None)
        except OSError as error:
            logger.bind(event_type="snapshot_failed", error=str(error)).warning(
                "the snapshot of the orders was not written; recovery will be longer"
            )
            return False
        return True


def _id_of(event: OrderEvent) -> str:
    """Return the id of the order that must be known already; empty when there is none."""
    if isinstance(event, AccountReport | ReconciliationDifference | OrderInitialized):
        return ""
    return event.client_order_id
