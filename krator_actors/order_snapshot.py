"""The order actor's snapshot: what makes its recovery as short as what is open, and no longer.

Three files beside the log. ``.snapshot`` holds the fold as of one record. ``.archive`` holds what
the fold has forgotten, ``.closed`` where in it that is. Both may be ahead of the snapshot, because
what they say stays true.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
from loguru import logger

from krator_actors.adapters.local_log import (
    LogRecord,
    LogRemovedError,
    is_whole,
    read_log,
    sync_log,
)
from krator_actors.adapters.snapshot_file import SnapshotError, SnapshotFile
from krator_actors.core.balances import BalancesState
from krator_actors.core.order_memory import LAYOUT, ClosedOrders, MemoryState, Recent
from krator_actors.messages.orders import OrderEvent
from krator_actors.order_archive import ArchiveError, OrderArchive

_CLOSED_VERSION = 2
_NUMBER_BYTES = 8


class OrderSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of an order log up to record ``number``."""

    number: int
    ts_ns: int
    """when that record was appended: another log has another"""
    risk_generation: int
    table: MemoryState
    balances: BalancesState
    differences: dict[str, tuple[Decimal, Decimal]]
    archived_bytes: int
    """the archive has at least so much"""
    closed_number: int
    """the closed file covers at least the records up to here"""
    closed: Recent
    """what it may not have yet"""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OrderSnapshot).decode


class OrderSnapshots:
    """Reads and writes the files. ``write`` may run in another thread; a late one does nothing."""

    def __init__(self, log_path: Path) -> None:
        self.archive = OrderArchive(log_path.with_suffix(".archive"))
        # Up to here the log is not needed, even when the newest snapshot is lost.
        self.covered = 0
        self._log_path = log_path
        self._fold = SnapshotFile(log_path.with_suffix(".snapshot"), version=LAYOUT)
        # Never sealed, because it is mapped and not read; it has hashes, places and numbers only.
        self._closed = SnapshotFile(
            log_path.with_suffix(".closed"), version=_CLOSED_VERSION, is_secret=False
        )
        self._lock = threading.Lock()
        self._written = 0

    def load(
        self, closed: ClosedOrders, *, last_number: int
    ) -> tuple[OrderSnapshot | None, Iterator[LogRecord[OrderEvent]]]:
        """Return the newest snapshot that can be believed, and the records that follow it.

        ``closed`` is filled. Why one is not believed is reported. Without any: None, and all
        records. Raises LogRemovedError when these are not there any more; OSError, LogError.
        """
        for before in (False, True):
            try:
                payload = self._fold.read(before=before)
                if payload is None:
                    continue
                snapshot = _decode(payload)
                records = self._records_from(snapshot, last_number)
                self._load_closed(snapshot, closed, last_number)
            except (SnapshotError, ArchiveError, msgspec.DecodeError) as error:
                logger.bind(event_type="snapshot_ignored", detail=str(error)).warning(
                    "a snapshot of the orders is not believed; more of the log is read"
                )
                continue
            if before:
                self._fold.drop_newest()
            self._written = snapshot.number
            return snapshot, records
        if not is_whole(self._log_path):
            raise LogRemovedError(
                f"{self._fold.path}: there is no snapshot that can be believed, and records that it"
                " covered were removed from the log. Nothing is traded. Stop krator and let krator"
                " journal rebuild make the log whole; or put the files of the order actor back"
                " from a backup, or start the version of krator that wrote them"
            )
        # None of them may be believed again, because their places are in this archive.
        self._fold.delete()
        self._closed.delete()
        self.archive.clear()
        return None, read_log(self._log_path, types=OrderEvent)

    def write(self, number: int, payload: bytes, closed: bytes | None) -> None:
        """Replace the snapshot, after all that it relies on is on the disk. Raises OSError."""
        with self._lock:
            if number <= self._written:
                return
            sync_log(self._log_path, after=self._written)
            self.archive.sync()
            if closed is not None:
                self._closed.write(number.to_bytes(_NUMBER_BYTES, "little") + closed)
            self._fold.write(payload)
            # Its own record stays in the log: it shows that they belong together.
            self.covered, self._written = max(0, self._written - 1), number

    def read_closed(self, closed: ClosedOrders, recent: Recent) -> None:
        """Let ``closed`` use the file that was just written, and ``recent`` beside it."""
        number, columns = self._read_columns()
        closed.restore(columns, recent, number=number)

    def _read_columns(self) -> tuple[int, memoryview]:
        payload = self._closed.read()
        if payload is None or len(payload) < _NUMBER_BYTES:
            raise SnapshotError("the file of closed orders is missing")
        return int.from_bytes(payload[:_NUMBER_BYTES], "little"), payload[_NUMBER_BYTES:]

    def _records_from(
        self, snapshot: OrderSnapshot, last_number: int
    ) -> Iterator[LogRecord[OrderEvent]]:
        if snapshot.number > last_number:
            raise SnapshotError(f"it has {snapshot.number} records, the log has {last_number}")
        records = read_log(self._log_path, after=snapshot.number - 1, types=OrderEvent)
        try:
            own = next(records, None)
        except LogRemovedError as error:
            raise SnapshotError(f"it is older than the log: {error}") from error
        if own is None or (own.number, own.ts_ns) != (snapshot.number, snapshot.ts_ns):
            raise SnapshotError("it belongs to another log")
        return records

    def _load_closed(self, snapshot: OrderSnapshot, closed: ClosedOrders, last_number: int) -> None:
        if self.archive.size_bytes < snapshot.archived_bytes:
            raise SnapshotError(
                f"the archive has {self.archive.size_bytes} of {snapshot.archived_bytes} bytes"
            )
        self.archive.cut_behind(snapshot.archived_bytes)
        if not snapshot.closed_number:
            closed.restore(b"", snapshot.closed, number=0)
            return
        try:
            number, columns = self._read_columns()
            if not snapshot.closed_number <= number <= last_number:
                detail = f"it is as of record {number}, and {snapshot.closed_number} is needed"
                raise SnapshotError(detail)  # noqa: TRY301 - as damage, it is mended below
            closed.restore(columns, snapshot.closed, number=number)
        except (SnapshotError, ValueError) as error:
            logger.bind(event_type="closed_orders_ignored", detail=str(error)).warning(
                "where closed orders are is read from the archive itself"
            )
            closed.restore(b"", (), number=0)
            for offset, order in self.archive.orders():
                closed.add(order, offset)


def encoded(snapshot: OrderSnapshot) -> bytes:
    """Return the bytes of a snapshot."""
    return _encode(snapshot)
