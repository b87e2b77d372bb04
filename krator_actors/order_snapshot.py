"""The order actor's snapshot: what makes its recovery as short as what is open, and no longer.

Two files beside the log. ``.snapshot`` holds the fold as of one record. ``.closed`` holds where
older orders are in the log; it may be newer than the snapshot, because what it says stays true.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
from loguru import logger

from krator_actors.adapters.local_log import Durability, LogRecord, read_log
from krator_actors.adapters.snapshot_file import SnapshotError, SnapshotFile
from krator_actors.core.balances import BalancesState
from krator_actors.core.order_memory import LAYOUT, ClosedOrders, MemoryState, Recent
from krator_actors.messages.orders import OrderEvent

_CLOSED_VERSION = 1
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
    closed_number: int
    """the closed file covers at least the records up to here"""
    closed: Recent
    """what it may not have yet"""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OrderSnapshot).decode


class OrderSnapshots:
    """Reads and writes both files. ``write`` may run in another thread; a late one does nothing."""

    def __init__(self, log_path: Path, *, durability: Durability) -> None:
        sync = durability == "disk"
        self._log_path = log_path
        self._fold = SnapshotFile(log_path.with_suffix(".snapshot"), version=LAYOUT, sync=sync)
        self._closed = SnapshotFile(
            log_path.with_suffix(".closed"), version=_CLOSED_VERSION, sync=sync
        )
        self._lock = threading.Lock()
        self._written = 0

    def load(
        self, closed: ClosedOrders, *, last_number: int
    ) -> tuple[OrderSnapshot | None, Iterator[LogRecord[OrderEvent]]]:
        """Return the snapshot and the records that follow it; ``closed`` is filled.

        Without one that can be believed (why is reported): None, and all records. Raises OSError,
        LogError.
        """
        try:
            payload = self._fold.read()
            if payload is not None:
                snapshot = _decode(payload)
                records = self._records_from(snapshot, last_number)
                self._load_closed(snapshot, closed, last_number)
                return snapshot, records
        except (SnapshotError, msgspec.DecodeError, ValueError) as error:
            logger.bind(event_type="snapshot_ignored", detail=str(error)).warning(
                "the snapshot of the orders is not believed; the whole log is read"
            )
        return None, read_log(self._log_path, types=OrderEvent)

    def write(self, number: int, payload: bytes, closed: bytes | None) -> None:
        """Replace the snapshot, after the closed file when that is new. Raises OSError."""
        with self._lock:
            if number <= self._written:
                return
            if closed is not None:
                self._closed.write(number.to_bytes(_NUMBER_BYTES, "little") + closed)
            self._fold.write(payload)
            self._written = number

    def read_closed(self, closed: ClosedOrders, recent: Recent) -> None:
        """Let ``closed`` use the file that was just written, and ``recent`` beside it."""
        payload = self._closed.read()
        assert payload is not None
        number = int.from_bytes(payload[:_NUMBER_BYTES], "little")
        closed.restore(payload[_NUMBER_BYTES:], recent, number=number)

    def _records_from(
        self, snapshot: OrderSnapshot, last_number: int
    ) -> Iterator[LogRecord[OrderEvent]]:
        if snapshot.number > last_number:
            raise SnapshotError(f"it has {snapshot.number} records, the log has {last_number}")
        records = read_log(self._log_path, after=snapshot.number - 1, types=OrderEvent)
        own = next(records, None)
        if own is None or (own.number, own.ts_ns) != (snapshot.number, snapshot.ts_ns):
            raise SnapshotError("it belongs to another log")
        return records

    def _load_closed(self, snapshot: OrderSnapshot, closed: ClosedOrders, last_number: int) -> None:
        if not snapshot.closed_number:
            closed.restore(b"", snapshot.closed, number=0)
            return
        payload = self._closed.read()
        if payload is None or len(payload) < _NUMBER_BYTES:
            raise SnapshotError("the file of closed orders is missing")
        number = int.from_bytes(payload[:_NUMBER_BYTES], "little")
        if not snapshot.closed_number <= number <= last_number:
            raise SnapshotError(f"the file of closed orders is as of record {number}")
        closed.restore(payload[_NUMBER_BYTES:], snapshot.closed, number=number)


def encoded(snapshot: OrderSnapshot) -> bytes:
    """Return the bytes of a snapshot."""
    return _encode(snapshot)
