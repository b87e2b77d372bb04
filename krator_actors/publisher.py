"""The publisher actor: copies what happens into Redis, for readers outside (docs/REDIS.md).

It only reads: the writers' logs from disk, and risk's portfolio about once a second. Nobody waits
for it and nobody tells it anything, so whatever becomes of Redis or of this actor, trading does not
notice. What it has published is known by Redis alone, in the same transaction as the events; so it
continues behind that after an outage, after its own death, and in a Redis that has forgotten all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.embedded_redis import embedded_redis_url
from krator_actors.adapters.log_follower import LogFollower
from krator_actors.adapters.redis_store import (
    RedisNotVerifiedError,
    RedisStore,
    RedisUnavailableError,
)
from krator_actors.breaker_acts import force, restore
from krator_actors.core.backlog import Backlog, LogName
from krator_actors.core.publication import entry_of, publisher_state, states_of
from krator_actors.messages.operations import (
    ForceBreaker,
    PublisherStatus,
    PublisherStatusRequest,
)
from krator_actors.messages.risk import PortfolioReport, PortfolioRequest
from krator_actors.model import NANOS_PER_SEC
from supervisors.actor import Actor
from supervisors.breaker import (
    BreakerChanged,
    BreakerOpenError,
    BreakerSettings,
    BreakerState,
    CircuitBreaker,
)
from supervisors.messages import ActorError, Message

_POLL_SECS = 0.05
_READ_LIMIT = 1_000
_BATCH_LIMIT = 500
_ASK_TIMEOUT_SECS = 0.5
_BREAKER = BreakerSettings(
    # One failure is enough, because after it there is no connection.
    window_calls=1,
    minimum_calls=1,
    half_open_calls=1,
    # The time-out of every call is configured: what is slow within it is not broken.
    slow_call_secs=60.0,
    open_secs=0.1,
    max_open_secs=2.5,
    jitter=1.0,
)
_GRACE_SECS = 1.0
"""An embedded Redis starts when the publisher does: its start is no outage."""


class PublisherConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the logs are, and where they are published."""

    data_dir: Path
    url: str | None = None
    """None: the embedded server in this system's runtime folder"""
    stream_max_length: int
    timeout_secs: float
    """what Redis does not answer within is an outage"""
    cache_interval_secs: float
    cache_ttl_secs: float


class CacheDue(Message, frozen=True, kw_only=True):
    """To itself: time to ask risk for prices, positions and state."""


class PublisherActor(Actor):
    """Ready at once; Redis may come later."""

    inbox: ClassVar[Any] = CacheDue | PublisherStatusRequest | ForceBreaker
    answers: ClassVar[Any] = PortfolioReport
    config: PublisherConfig

    async def on_start(self) -> None:
        """Begin to follow the logs."""
        self._logger = logger.bind(component=self.name)
        self._url = self.config.url or embedded_redis_url(self.runtime)
        self._follower = LogFollower(self.config.data_dir, limit=_READ_LIMIT)
        self._backlog = Backlog(self.config.stream_max_length)
        # None while Redis does not answer.
        self._store: RedisStore | None = None
        # What risk said last; None when it is in the cache, or too old for it.
        self._report: PortfolioReport | None = None
        self._published = 0
        self._outages = 0
        # Why Redis is away, and since when (monotonic ns); empty and None while it is not.
        self._reason = ""
        self._outage_began: int | None = None
        # Whether this outage's server has failed to prove who it is: logged once, too.
        self._is_unproven = False
        self._breaker = CircuitBreaker(
            "redis", _BREAKER, failures=(RedisUnavailableError,), listener=self._breaker_changed
        )
        restore(self._breaker, data_dir=self.config.data_dir, writer=self.name)
        self._quiet_until_ns = clock.monotonic_ns() + int(_GRACE_SECS * NANOS_PER_SEC)
        self.every(self.config.cache_interval_secs, CacheDue())
        self.start_task(self._run(), name="publish")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Ask risk, answer how far the stream is, or do what a person decided."""
        match message:
            case CacheDue():
                await self._ask_risk()
                return None
            case PublisherStatusRequest():
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
                raise TypeError(f"publisher has no use for {type(message).__name__} of {sender}")

    def describe_state(self) -> Mapping[str, Any]:
        """Return how far the stream is, without addresses."""
        return msgspec.structs.asdict(self._status())

    async def on_stop(self) -> None:
        """Let go. What is not published yet is when it starts again."""
        await self._disconnect()
        self._follower.close()

    async def _run(self) -> None:
        while True:
            await self._read()
            try:
                async with self._breaker:
                    await self._write()
            except BreakerOpenError:
                # A person may have opened it while there was a connection.
                await self._disconnect()
            except RedisUnavailableError as error:
                await self._disconnect()
                self._report_outage(error)
            await asyncio.sleep(_POLL_SECS)

    async def _write(self) -> None:
        store = self._store or await self._connect()
        wrote = await self._publish(store)
        if await self._cache(store) or wrote:
            # Not before, because a full Redis lets everybody connect and ask.
            self._report_recovery()

    async def _read(self) -> None:
        """Read the logs to their ends, with a turn for others between the pieces."""
        is_more = True
        while is_more:
            batch = self._follower.batch()
            # Not until nothing is left, because busy writers always add one record more.
            is_more = len(batch) == _READ_LIMIT
            for writer, record in batch:
                log = LogName(writer, self._follower.birth_ns(writer))
                self._backlog.read(log, record)
            self._follower.committed(batch)
            await asyncio.sleep(0)

    async def _connect(self) -> RedisStore:
        # Kept at once, so that whatever ends this closes it.
        self._store = await RedisStore.connect(self._url, timeout_secs=self.config.timeout_secs)
        marks = await self._store.marks(self._backlog.logs)
        if self._backlog.is_behind(marks):
            self._logger.bind(event_type="redis_emptied").warning(
                "Redis has lost events; the newest ones are published again"
            )
            await self._read_again()
        self._backlog.continue_behind(marks)
        return self._store

    async def _read_again(self) -> None:
        self._follower.close()
        self._follower = LogFollower(self.config.data_dir, limit=_READ_LIMIT)
        self._backlog = Backlog(self.config.stream_max_length)
        await self._read()

    async def _publish(self, store: RedisStore) -> bool:
        wrote = False
        while batch := self._backlog.batch(_BATCH_LIMIT):
            await store.publish(
                map(entry_of, batch),
                {item.log: item.record.number for item in batch},
                max_length=self.config.stream_max_length,
            )
            self._backlog.put(batch)
            self._published += len(batch)
            wrote = True
        return wrote

    async def _cache(self, store: RedisStore) -> bool:
        report, self._report = self._report, None
        if report is None:
            return False
        states = states_of(report)
        states["publisher"] = publisher_state(self._status(), clock.utc_ns())
        await store.cache(states, ttl_secs=self.config.cache_ttl_secs)
        return True

    async def _ask_risk(self) -> None:
        # Of an outage only the newest report matters, and none that was taken before it.
        self._report = None
        try:
            answer = await self.ask("risk", PortfolioRequest(), timeout_secs=_ASK_TIMEOUT_SECS)
        except ActorError:
            # The keys expire, which tells readers more than an old value would.
            return
        assert isinstance(answer, PortfolioReport)
        self._report = answer

    async def _disconnect(self) -> None:
        if self._store is not None:
            await self._store.close()
            self._store = None

    def _breaker_changed(self, change: BreakerChanged) -> None:
        if change.after is BreakerState.CLOSED:
            self.clear_alarm("breaker_open")
        elif change.before is BreakerState.CLOSED:
            self.raise_alarm("breaker_open", f"{change.name}: {change.reason}")

    def _report_outage(self, error: RedisUnavailableError) -> None:
        self._reason = reason = str(error)
        now_ns = clock.monotonic_ns()
        if self._outage_began is None and now_ns >= self._quiet_until_ns:
            self._outage_began = now_ns
            self._outages += 1
            self._logger.bind(event_type="redis_unavailable", reason=reason).warning(
                "Redis does not take events; the logs keep them"
            )
        if isinstance(error, RedisNotVerifiedError) and not self._is_unproven:
            self._is_unproven = True
            self._logger.bind(event_type="redis_not_verified", reason=reason).error(
                "Redis does not prove by TLS who it is; nothing is sent to it"
            )

    def _report_recovery(self) -> None:
        self._reason = ""
        if self._outage_began is None:
            return
        outage_ns = clock.monotonic_ns() - self._outage_began
        self._outage_began, self._is_unproven = None, False
        self._logger.bind(
            event_type="redis_recovered",
            outage_secs=round(outage_ns / NANOS_PER_SEC, 3),
            published=self._published,
            left_out=self._backlog.left_out,
        ).info("the stream has caught up")

    def _status(self) -> PublisherStatus:
        return PublisherStatus(
            connected=self._store is not None,
            breaker=self._breaker.state.value,
            waiting=self._backlog.waiting,
            published=self._published,
            left_out=self._backlog.left_out,
            outages=self._outages,
            reason=self._reason,
        )
