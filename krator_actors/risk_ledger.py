"""Risk's own log and its snapshot: what is logged takes effect on the engine, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.local_log import (
    Durability,
    LocalLog,
    LogFullError,
    LogRemovedError,
    is_whole,
    log_path,
    read_log,
    sync_log,
)
from krator_actors.adapters.snapshot_file import SnapshotError, SnapshotFile
from krator_actors.core.latches import DueEvent
from krator_actors.core.risk import RiskEngine, RiskEvent, RiskState
from krator_actors.messages.orders import OrderEvent

SNAPSHOT_EVENTS = 1_000
"""After so many events of either log a snapshot is due ..."""
SNAPSHOT_SECS = 1.0
"""... but not sooner after the last one, because it takes as long as thousands of events."""

_SNAPSHOT_VERSION = 5


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    own_number: int
    watermark: int
    state: RiskState


class Covered(NamedTuple):
    """Up to which record of either log a snapshot knows everything."""

    own: int = 0
    orders: int = 0


class RiskLedger:
    """Holds the engine and writes before it lets it change. Made by ``open``; not thread-safe."""

    def __init__(
        self, engine: RiskEngine, log: LocalLog, snapshot: SnapshotFile, *, generation: int
    ) -> None:
        self.engine = engine
        # False while order events are known to be lost: such an engine must not be kept.
        self.is_complete = True
        # Events that hold although they could not be written yet; they go first.
        self._unlogged: list[DueEvent] = []
        self._log = log
        self._snapshot = snapshot
        self._generation = generation
        self._events_since_snapshot = 0
        self._snapshot_due = asyncio.Event()
        self._lock = threading.Lock()
        # What the newest snapshot covers, and the one before it; nothing when there is none.
        self._newest = self._before = Covered()

    @classmethod
    def open(
        cls,
        engine: RiskEngine,
        data_dir: Path,
        *,
        writer: str,
        generation: int,
        durability: Durability,
    ) -> tuple[Self, int]:
        """Rebuild ``engine``, which is new, from snapshot and log.

        Also returns the highest number of the order actor's log that the engine has absorbed.
        Raises LogRemovedError when no snapshot can be believed and the log has been shortened;
        LogError, OSError.
        """
        path = log_path(data_dir, writer)
        log = LocalLog.open(path, writer=writer, generation=generation, durability=durability)
        file = SnapshotFile(
            path.with_name(f"{writer}.snapshot"),
            version=_SNAPSHOT_VERSION,
        )
        ledger = cls(engine, log, file, generation=generation)
        try:
            return ledger, ledger._recover()
        except BaseException:
            log.close()
            raise

    @property
    def last_number(self) -> int:
        """Number of the last record of risk's own log."""
        return self._log.last_number

    @property
    def is_behind(self) -> bool:
        """True while something holds that is not written down yet."""
        return bool(self._unlogged)

    @property
    def size_bytes(self) -> int:
        """Size of risk's own log."""
        return self._log.size_bytes

    def record(self, event: RiskEvent) -> bool:
        """Log an event, then let it take effect. False when the log is full: neither happened.

        OSError: the end of the log is in doubt, the caller must crash.
        """
        try:
            while self._unlogged:
                self._log.append(self._unlogged[0], ts_ns=clock.utc_ns())
                del self._unlogged[0]
            number = self._log.append(event, ts_ns=clock.utc_ns())
        except LogFullError as error:
            logger.bind(event_type="log_full", error=str(error)).error("risk's log is full")
            return False
        self._take_effect(event, number)
        return True

    def latch(self, event: DueEvent) -> None:
        """As ``record``, but a full log delays the writing only."""
        if not self.record(event):
            self._unlogged.append(event)
            self._take_effect(event, 0)

    def absorb(self, event: OrderEvent) -> None:
        """See ``RiskEngine.absorb``; the order actor has logged it."""
        self._count_event()
        self.engine.absorb(event)

    async def next_snapshot(self, watermark: Callable[[], int]) -> int:
        """Write a snapshot when one is due, in another thread.

        ``watermark`` says then which order event was absorbed last. Returns up to which of them
        nobody needs any, also when this snapshot is lost again.
        """
        await self._snapshot_due.wait()
        covers, payload = self._take_snapshot(watermark())
        await asyncio.to_thread(self._write, covers, payload)
        self._log.release(self._before.own)
        return self._before.orders

    def snapshot(self, watermark: int) -> None:
        """Write a snapshot at once; ``watermark`` is the last order event absorbed."""
        covers, payload = self._take_snapshot(watermark)
        self._write(covers, payload)

    def forget_beyond(self, number: int) -> None:
        """At the next start, recover from what knows no more than ``number`` order events.

        Raises LogRemovedError when there is nothing such: then all stays as it is. OSError.
        """
        for before in (False, True):
            snapshot = self._read_snapshot(before=before)
            if snapshot is not None and snapshot.watermark <= number:
                if before:
                    self._snapshot.drop_newest()
                return
        self._require_whole_log()
        self._snapshot.delete()

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _recover(self) -> int:
        now_ns, utc_ns = clock.monotonic_ns(), clock.utc_ns()
        snapshot = self._newest_snapshot()
        if snapshot is None:
            self._require_whole_log()
        else:
            self._newest = Covered(snapshot.own_number, snapshot.watermark)
            self.engine.restore(snapshot.state, now_ns=now_ns, utc_ns=utc_ns)
        for record in read_log(self._log.path, after=self._newest.own, types=RiskEvent):
            self.engine.record(
                record.event,
                number=record.number,
                generation=record.generation,
                now_ns=now_ns - max(0, utc_ns - record.ts_ns),
            )
        return self._newest.orders

    def _newest_snapshot(self) -> _Snapshot | None:
        for before in (False, True):
            snapshot = self._read_snapshot(before=before)
            if snapshot is not None:
                if before:
                    self._snapshot.drop_newest()
                return snapshot
        return None

    def _read_snapshot(self, *, before: bool) -> _Snapshot | None:
        try:
            payload = self._snapshot.read(before=before)
            if payload is None:
                return None
            snapshot = msgspec.msgpack.decode(payload, type=_Snapshot)
        except (SnapshotError, msgspec.DecodeError) as error:
            logger.bind(event_type="snapshot_ignored", detail=str(error)).warning(
                "a snapshot of risk is not believed; more of the logs is read"
            )
            return None
        # A log that is shorter lost its end with the machine: the snapshot knows too much.
        return snapshot if snapshot.own_number <= self._log.last_number else None

    def _require_whole_log(self) -> None:
        if not is_whole(self._log.path):
            raise LogRemovedError(
                f"{self._snapshot.path}: there is no snapshot that can be believed, and records"
                " that it covered were removed from risk's log. Nothing is traded. Stop krator and"
                " let krator journal rebuild make the logs whole; or put the snapshot back from a"
                " backup, or start the version of krator that wrote it"
            )

    def _take_snapshot(self, watermark: int) -> tuple[Covered, bytes]:
        self._events_since_snapshot = 0
        self._snapshot_due.clear()
        snapshot = _Snapshot(
            own_number=self._log.last_number,
            watermark=watermark,
            state=self.engine.state(now_ns=clock.monotonic_ns(), utc_ns=clock.utc_ns()),
        )
        return Covered(self._log.last_number, watermark), msgspec.msgpack.encode(snapshot)

    def _write(self, covers: Covered, payload: bytes) -> None:
        with self._lock:
            if not self.is_complete or covers <= self._newest:
                return
            try:
                sync_log(self._log.path, after=self._newest.own)
                self._snapshot.write(payload)
            except OSError as error:
                logger.bind(event_type="snapshot_failed", error=str(error)).warning(
                    "risk's snapshot was not written; recovery will be longer"
                )
                return
            self._before, self._newest = self._newest, covers

    def _take_effect(self, event: RiskEvent, number: int) -> None:
        self._count_event()
        self.engine.record(
            event, number=number, generation=self._generation, now_ns=clock.monotonic_ns()
        )

    def _count_event(self) -> None:
        self._events_since_snapshot += 1
        if self._events_since_snapshot >= SNAPSHOT_EVENTS:
            self._snapshot_due.set()
