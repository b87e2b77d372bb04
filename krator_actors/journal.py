"""The journal actor: reads every local log and writes PostgreSQL, once and in order.

The logs are the truth until they are in the database, and the database says how far that is. So
nothing is lost or doubled when PostgreSQL, this actor or both die: whoever comes back asks for the
watermarks and continues behind them. Hints (``LogGrew``) only make it sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors.adapters.anchors import AnchorBook, AnchorError, public_key_file, read_anchors
from krator_actors.adapters.embedded_postgres import embedded_dsn
from krator_actors.adapters.journal_schema import DAY_NS
from krator_actors.adapters.local_log import LocalLog, LogError, log_path, write_committed
from krator_actors.adapters.log_follower import LogFollower
from krator_actors.adapters.postgres import (
    JournalNotVerifiedError,
    JournalStore,
    JournalUnavailableError,
    StaleJournalError,
)
from krator_actors.breaker_acts import force, restore
from krator_actors.clock import monotonic_ns, utc_ns
from krator_actors.core.chain import Anchor
from krator_actors.messages.operations import (
    ForceBreaker,
    JournalStatus,
    JournalStatusRequest,
    LogGrew,
    SystemStarted,
)
from krator_actors.model import NANOS_PER_SEC
from supervisors.actor import Actor
from supervisors.breaker import (
    BreakerChanged,
    BreakerOpenError,
    BreakerSettings,
    BreakerState,
    CircuitBreaker,
)
from supervisors.messages import Message
from supervisors.times import Times

_POLL_SECS = 0.05
_DRAIN_SECS = 3.0
_TELL_EVERY_NS = NANOS_PER_SEC
_BREAKER = BreakerSettings(
    # One failure is enough, because after it there is no connection.
    window_calls=1,
    minimum_calls=1,
    # To connect and to write: a full disk lets everybody connect.
    half_open_calls=2,
    # Its time-outs are shorter: a slow PostgreSQL is one that works.
    slow_call_secs=60.0,
    open_secs=0.05,
    max_open_secs=2.5,
    jitter=1.0,
)


class JournalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the logs are, and where they go."""

    data_dir: Path
    dsn: str | None = None
    """None: the embedded server in this system's runtime folder"""
    commit_interval_ms: int = 20
    """at most one commit in this time, so that they are groups"""
    batch_limit: int = 5_000
    """records in one commit"""
    anchor_secs: float = 60.0
    """at most one anchor of the chain in this time"""
    keep_days: int = 0
    """days of the journal that are kept; 0: all"""
    configuration: str = "{}"
    """the configuration in force, as JSON; it holds no secret"""


class JournalActor(Actor):
    """Ready at once; PostgreSQL may come later."""

    inbox: ClassVar[Any] = LogGrew | JournalStatusRequest | ForceBreaker
    config: JournalConfig

    async def on_start(self) -> None:
        """Begin to follow the logs."""
        self._dsn = self.config.dsn or embedded_dsn(self.runtime)
        self._follower = LogFollower(self.config.data_dir, limit=self.config.batch_limit)
        self._grew = asyncio.Event()
        self._times = Times()
        # None while PostgreSQL does not answer.
        self._store: JournalStore | None = None
        self._seq = 0
        # When the outage began (monotonic ns); None while there is none, so that it is logged once.
        self._outage_began: int | None = None
        # Whether this outage's server has failed to prove who it is: logged once, too.
        self._is_unproven = False
        self._breaker = CircuitBreaker(
            "postgresql",
            _BREAKER,
            failures=(JournalUnavailableError,),
            listener=self._breaker_changed,
        )
        # When the writers were told last what is committed, monotonic ns, and what it was.
        self._told_at_ns = 0
        self._told: dict[str, int] = {}
        self._anchors = AnchorBook(self.config.data_dir)
        # When the end of the chain was anchored last, monotonic ns, and which row that was.
        self._anchored_at_ns = 0
        self._anchored_seq = -1
        # Up to when days were dropped last, UTC ns; 0 while none were looked for.
        self._dropped_before_ns = 0
        # Nothing is committed before this database says so: it may be another than before.
        self._tell_writers({})
        self._log_start()
        restore(self._breaker, data_dir=self.config.data_dir, writer=self.name)
        self.start_task(self._run(), name="journal")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Take a hint, answer how far the journal is, or do what a person decided."""
        match message:
            case LogGrew():
                self._grew.set()
                return None
            case JournalStatusRequest():
                return self._status()
            case ForceBreaker():
                return force(
                    self._breaker,
                    message,
                    data_dir=self.config.data_dir,
                    writer=self.name,
                    generation=self.generation,
                )
            case _:
                raise TypeError(f"journal has no use for {type(message).__name__} of {sender}")

    def describe_state(self) -> Mapping[str, Any]:
        """Return how far the journal is, without addresses."""
        return {
            "connected": self._store is not None,
            "breaker": self._breaker.state.value,
            "seq": self._seq,
            "lag_records": self._follower.lag(),
            "watermarks": self._follower.watermarks(),
        }

    async def on_stop(self) -> None:
        """Write what the logs still have, if PostgreSQL answers soon; else the next start does."""
        if self._breaker.state is BreakerState.FORCED_OPEN:
            self._follower.close()
            return
        try:
            async with asyncio.timeout(_DRAIN_SECS):
                await self._connect()
                more = True
                while more:
                    more = await self._commit() > 0 or self._follower.catching_up
                    await asyncio.sleep(0)
                self._tell_writers(self._follower.watermarks())
                await self._anchor()
        except (JournalUnavailableError, StaleJournalError, TimeoutError) as error:
            logger.bind(
                event_type="journal_not_drained",
                lag_records=self._follower.lag(),
                reason=str(error) or type(error).__name__,
            ).warning("some records wait in the logs for the next start")
        finally:
            self._disconnect()
            self._follower.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._connect_and_copy()
            except JournalUnavailableError as error:
                self._report_outage(error)
            except BreakerOpenError as refusal:
                # A person may have opened it while there was a connection.
                await asyncio.sleep(refusal.retry_in_secs or _POLL_SECS)

    async def _connect_and_copy(self) -> None:
        try:
            async with self._breaker:
                await self._connect()
            await self._copy()
        finally:
            # Whatever ended it, because one that crashes has no on_stop.
            self._disconnect()

    async def _copy(self) -> None:
        interval_secs = self.config.commit_interval_ms / 1_000
        while True:
            self._grew.clear()
            async with self._breaker:
                written = await self._commit()
                await self._keep_books()
            if written == self.config.batch_limit or (not written and self._follower.catching_up):
                await asyncio.sleep(0)
                continue
            if not written:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECS):
                        await self._grew.wait()
            # After the hint and not after the commit, because who gave it trades on at this moment.
            await asyncio.sleep(interval_secs)

    async def _connect(self) -> None:
        self._store = await JournalStore.connect(
            self._dsn, generation=self.generation, now_ns=utc_ns()
        )
        self._seq = (await self._store.last()).seq
        self._follower.continue_behind(await self._store.watermarks())
        if self._outage_began is not None:
            outage_ns = monotonic_ns() - self._outage_began
            logger.bind(
                event_type="journal_reconnected",
                outage_secs=round(outage_ns / NANOS_PER_SEC, 3),
                lag_records=self._follower.lag(),
            ).info("the journal continues")
        self._tell_writers(self._follower.watermarks())
        await self._anchor()
        self._outage_began, self._is_unproven = None, False

    async def _commit(self) -> int:
        """Write one batch; return how many records it had, 0 when the logs have no more."""
        assert self._store is not None
        batch = self._follower.batch()
        if batch:
            self._seq = await self._store.append(batch, ts_written=utc_ns())
            self._follower.committed(batch)
            now_ns = utc_ns()
            for _, record in batch:
                self._times.add((now_ns - record.ts_ns) // 1_000)
        return len(batch)

    def _log_start(self) -> None:
        """Put what is in force from now on on record, as every other event."""
        path = log_path(self.config.data_dir, self.name)
        event = SystemStarted(
            configuration=self.config.configuration,
            configuration_sha256=hashlib.sha256(self.config.configuration.encode()).hexdigest(),
            generation=self.generation,
            ts_event=utc_ns(),
        )
        try:
            with LocalLog.open(
                path, writer=self.name, generation=self.generation, durability="process"
            ) as log:
                log.release(log.append(event, ts_ns=utc_ns()))
        except (LogError, OSError) as error:
            # What the others wrote must get into the database all the same.
            logger.bind(event_type="start_not_logged", reason=str(error)).error(
                "the configuration in force is not on record"
            )

    async def _anchor(self) -> None:
        assert self._store is not None
        self._anchored_at_ns = monotonic_ns()
        anchor = await self._store.anchor(now_ns=utc_ns())
        if anchor.seq != self._anchored_seq and self._write_anchor(anchor):
            self._anchored_seq = anchor.seq

    async def _drop_old(self) -> None:
        """Once a day, drop the days that need not be kept any more."""
        before_ns = (utc_ns() // DAY_NS - self.config.keep_days) * DAY_NS
        if not self.config.keep_days or before_ns == self._dropped_before_ns:
            return
        assert self._store is not None
        self._dropped_before_ns = before_ns
        key = public_key_file(self.config.data_dir)
        try:
            anchors = await asyncio.to_thread(read_anchors, self._anchors.path, key)
        except (AnchorError, OSError) as error:
            logger.bind(event_type="days_not_dropped", reason=str(error)).error(
                "the anchors are not what was signed; no day of the journal is dropped"
            )
            return
        begun = [anchor for anchor in anchors if anchor.kind == "dropped"]
        anchor = await self._store.dropped_by(before_ns, begun[-1] if begun else None)
        if anchor is None or not self._write_anchor(anchor):
            return
        dropped = await self._store.drop(anchor)
        logger.bind(event_type="journal_days_dropped", days=dropped, up_to_seq=anchor.seq).info(
            "days that need not be kept any more were dropped"
        )

    def _write_anchor(self, anchor: Anchor) -> bool:
        try:
            self._anchors.write(anchor)
        except OSError as error:
            logger.bind(event_type="anchor_not_written", reason=str(error)).error(
                "the end of the journal's chain could not be anchored"
            )
            return False
        return True

    def _tell_writers(self, committed: dict[str, int]) -> None:
        """Say which records are in the database for good: their segments may be removed."""
        self._told_at_ns = monotonic_ns()
        if committed and committed == self._told:
            return
        try:
            write_committed(self.config.data_dir, committed)
        except OSError as error:
            logger.bind(event_type="committed_not_told", reason=str(error)).warning(
                "the logs are not told what the journal has; they keep everything"
            )
        else:
            self._told = committed

    async def _keep_books(self) -> None:
        """Tell the writers, anchor the chain, drop what need not be kept, each when it is due."""
        if monotonic_ns() - self._told_at_ns > _TELL_EVERY_NS:
            self._tell_writers(self._follower.watermarks())
        if monotonic_ns() - self._anchored_at_ns > self.config.anchor_secs * NANOS_PER_SEC:
            await self._anchor()
            await self._drop_old()

    def _disconnect(self) -> None:
        if self._store is not None:
            self._store.terminate()
            self._store = None

    def _breaker_changed(self, change: BreakerChanged) -> None:
        if change.after is BreakerState.CLOSED:
            self.clear_alarm("breaker_open")
        elif change.before is BreakerState.CLOSED:
            self.raise_alarm("breaker_open", f"{change.name}: {change.reason}")

    def _report_outage(self, error: JournalUnavailableError) -> None:
        if self._outage_began is None:
            self._outage_began = monotonic_ns()
            logger.bind(event_type="journal_unavailable", reason=str(error)).error(
                "PostgreSQL does not answer; the logs keep everything until it does"
            )
        if isinstance(error, JournalNotVerifiedError) and not self._is_unproven:
            self._is_unproven = True
            logger.bind(event_type="journal_not_verified", reason=str(error)).error(
                "PostgreSQL does not prove by TLS who it is; nothing is sent to it"
            )

    def _status(self) -> JournalStatus:
        return JournalStatus(
            connected=self._store is not None,
            breaker=self._breaker.state.value,
            seq=self._seq,
            lag_records=self._follower.lag(),
            times=self._times.take(),
            watermarks=self._follower.watermarks(),
        )
