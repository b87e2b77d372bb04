"""Risk's own log and its snapshot: what is logged takes effect on the engine, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.local_log import (
    Durability,
    LocalLog,
    LogFullError,
    log_path,
    read_log,
)
from krator_actors.adapters.snapshot_file import SnapshotError, SnapshotFile
from krator_actors.core.latches import DueEvent
from krator_actors.core.risk import RiskEngine, RiskEvent, RiskState
from krator_actors.messages.orders import OrderEvent
from krator_actors.model import NANOS_PER_SEC

SNAPSHOT_EVENTS = 1_000
"""After so many events of either log a snapshot is due ..."""
_SNAPSHOT_NS = NANOS_PER_SEC
"""... but not sooner after the last one, because it takes as long as thousands of events."""

_SNAPSHOT_VERSION = 5


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    own_number: int
    watermark: int
    state: RiskState


class RiskLedger:
    """Holds the engine and writes before it lets it change. Made by ``open``; not thread-safe."""

    def __init__(
        self, engine: RiskEngine, log: LocalLog, snapshot: SnapshotFile, *, generation: int
    ) -> None:
        self.engine = engine
        # Events that hold although they could not be written yet; they go first.
        self._unlogged: list[DueEvent] = []
        self._log = log
        self._snapshot = snapshot
        self._generation = generation
        self._events_since_snapshot = 0
        # Monotonic.
        self._snapshot_ns = clock.monotonic_ns()

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
        Raises LogError, OSError.
        """
        path = log_path(data_dir, writer)
        log = LocalLog.open(path, writer=writer, generation=generation, durability=durability)
        file = SnapshotFile(
            path.with_name(f"{writer}.snapshot"),
            version=_SNAPSHOT_VERSION,
            sync=durability == "disk",
        )
        ledger = cls(engine, log, file, generation=generation)
        return ledger, ledger._recover(path)

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
        self._events_since_snapshot += 1
        self.engine.absorb(event)

    def snapshot_if_due(self, watermark: int) -> None:
        """Write a snapshot after ``SNAPSHOT_EVENTS`` events, at most one a second."""
        if self._events_since_snapshot < SNAPSHOT_EVENTS:
            return
        if clock.monotonic_ns() - self._snapshot_ns >= _SNAPSHOT_NS:
            self.snapshot(watermark)

    def snapshot(self, watermark: int) -> None:
        """Write a snapshot; ``watermark`` is the last order event absorbed.

        Failing is logged only: the next recovery reads more of the log.
        """
        self._events_since_snapshot = 0
        self._snapshot_ns = clock.monotonic_ns()
        snapshot = _Snapshot(
            own_number=self._log.last_number,
            watermark=watermark,
            state=self.engine.state(now_ns=clock.monotonic_ns(), utc_ns=clock.utc_ns()),
        )
        try:
            self._snapshot.write(msgspec.msgpack.encode(snapshot))
        except OSError as error:
            logger.bind(event_type="snapshot_failed", error=str(error)).warning(
                "risk's snapshot was not written; recovery will be longer"
            )

    def forget_snapshot(self) -> None:
        """Recover from the logs alone at the next start. Raises OSError."""
        self._snapshot.delete()

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _recover(self, path: Path) -> int:
        now_ns, utc_ns = clock.monotonic_ns(), clock.utc_ns()
        own_number = watermark = 0
        snapshot = self._read_snapshot()
        if snapshot is not None:
            own_number, watermark = snapshot.own_number, snapshot.watermark
            self.engine.restore(snapshot.state, now_ns=now_ns, utc_ns=utc_ns)
        for record in read_log(path, after=own_number, types=RiskEvent):
            self.engine.record(
                record.event,
                number=record.number,
                generation=record.generation,
                now_ns=now_ns - max(0, utc_ns - record.ts_ns),
            )
        return watermark

    def _read_snapshot(self) -> _Snapshot | None:
        try:
            payload = self._snapshot.read()
            if payload is None:
                return None
            snapshot = msgspec.msgpack.decode(payload, type=_Snapshot)
        except (SnapshotError, msgspec.DecodeError) as error:
            logger.bind(event_type="snapshot_ignored", detail=str(error)).warning(
                "risk's snapshot is not believed; the logs are read"
            )
            return None
        # A log that is shorter lost its end with the machine: the snapshot knows too much.
        return snapshot if snapshot.own_number <= self._log.last_number else None

    def _take_effect(self, event: RiskEvent, number: int) -> None:
        self._events_since_snapshot += 1
        self.engine.record(
            event, number=number, generation=self._generation, now_ns=clock.monotonic_ns()
        )
