"""The composition root: which actors there are, under whom, and how they live and come back.

One-for-one everywhere: no child keeps state that another one shares, because each has it again
from its log, the journal or the venue (docs/ARCHITECTURE.md).
"""

from __future__ import annotations

import os

import msgspec

from krator_actors.config import Config
from krator_actors.external import external_dsn, external_redis
from krator_actors.feed import FeedConfig
from krator_actors.gateway import GatewayConfig
from krator_actors.jobs import JobsConfig
from krator_actors.journal import JournalConfig
from krator_actors.order import OrderActorConfig
from krator_actors.publisher import PublisherConfig
from krator_actors.rca import RcaConfig
from krator_actors.recorder import RecorderConfig
from krator_actors.redis_server import RedisServerConfig
from krator_actors.retention import RetentionLimits
from krator_actors.risk import RiskActorConfig
from krator_actors.storage import StorageConfig
from krator_actors.strategy import StrategyActorConfig
from supervisors.spec import Budget, ChildSpec, SupervisorSpec

_WHOLE_LOG_SECS = 300.0
"""Risk and order may take so long to start: without a snapshot they read their whole logs, a
million records in ten to twenty seconds."""
_STORAGE_START_SECS = 60.0
_JOURNAL_STOP_SECS = 8.0
_RECORDER = "recorder"
_FIRST_REALTIME = 10
"""the feed's real-time priority: above what an operator has for lesser things"""
_INFRASTRUCTURE_RESTARTS = 20
"""PostgreSQL, Redis and who writes them may be away for long without harm: they are tried long."""


def build(
    config: Config, *, venue_url: str, replay: bool = False, lockstep: bool = False
) -> SupervisorSpec:
    """Return the whole tree.

    ``venue_url`` is the venue's HTTP base; empty for a real venue. ``replay``: the venue plays a
    recording; ``lockstep``: and waits until each frame has been handled.
    """
    journal = _journal(config)
    storage = () if external_dsn(config) else (_storage(config),)
    market = _market(config, venue_url, lockstep=lockstep)
    strategies = _strategies(config)
    # Prices first, because risk needs them and strategies ask for their history; but a recording
    # begins with the first connection, and nobody may miss its first frames.
    prices_and_signals = (strategies, market) if replay else (market, strategies)
    root = SupervisorSpec(
        name="root",
        intensity=3,
        period_secs=60.0,
        children=(
            *storage,
            journal,
            _execution(config, venue_url),
            *prices_and_signals,
            _operations(config, venue_url),
        ),
    )
    limited = _with_memory_limit(root, config.supervision.max_rss_bytes)
    assert isinstance(limited, SupervisorSpec)
    return limited


def _with_memory_limit(
    spec: ChildSpec | SupervisorSpec, max_rss_bytes: int
) -> ChildSpec | SupervisorSpec:
    if isinstance(spec, ChildSpec):
        return msgspec.structs.replace(spec, max_rss_bytes=max_rss_bytes)
    children = tuple(_with_memory_limit(child, max_rss_bytes) for child in spec.children)
    return msgspec.structs.replace(spec, children=children)


def _budget(config: Config) -> Budget:
    return Budget(
        max_restarts=config.supervision.budget_restarts,
        period_secs=config.supervision.budget_period_secs,
    )


def _infrastructure_budget(config: Config) -> Budget:
    return Budget(
        max_restarts=_INFRASTRUCTURE_RESTARTS, period_secs=config.supervision.budget_period_secs
    )


def _on_hot_path(child: ChildSpec, place: int, config: Config) -> ChildSpec:
    """Return a child of the way of an order, ``place`` actors behind the venue's tick."""
    if not config.supervision.pin_hot_path:
        return child
    # The last processor, because interrupts and everybody else tend to the first. Who is further
    # down the way goes first, because then telling it is as calling it: what the teller still has
    # to do waits until the order has left.
    return msgspec.structs.replace(
        child, cpu=max(os.sched_getaffinity(0)), realtime=_FIRST_REALTIME + place
    )


def _storage(config: Config) -> ChildSpec:
    return ChildSpec(
        name="storage",
        actor="krator_actors.storage:StorageActor",
        config=StorageConfig(data_dir=config.system.data_dir),
        start_timeout_secs=_STORAGE_START_SECS,
        shutdown_secs=15.0,
        fenced=True,
        beat_secs=config.supervision.beat_secs,
        budget=_infrastructure_budget(config),
    )


def _journal(config: Config) -> ChildSpec:
    return ChildSpec(
        name="journal",
        actor="krator_actors.journal:JournalActor",
        config=JournalConfig(
            dsn=external_dsn(config),
            data_dir=config.system.data_dir,
            commit_interval_ms=config.postgres.commit_interval_ms,
            batch_limit=config.postgres.batch_limit,
            anchor_secs=config.postgres.anchor_secs,
            keep_days=config.postgres.keep_days,
            configuration=config.model_dump_json(),
        ),
        shutdown_secs=_JOURNAL_STOP_SECS,
        fenced=True,
        beat_secs=config.supervision.critical_beat_secs,
        budget=_infrastructure_budget(config),
    )


def _execution(config: Config, venue_url: str) -> SupervisorSpec:
    risk = ChildSpec(
        name="risk",
        actor="krator_actors.risk:RiskActor",
        config=RiskActorConfig(
            risk=config.risk,
            venue=config.venue.name,
            symbols=config.symbols,
            permissions={s.actor_name: (s.symbol,) for s in config.strategies},
            data_dir=config.system.data_dir,
            durability=config.system.durability,
        ),
        start_timeout_secs=_WHOLE_LOG_SECS,
        beat_secs=config.supervision.critical_beat_secs,
    )
    order = ChildSpec(
        name=f"order:{config.venue.name}",
        actor="krator_actors.order:OrderActor",
        config=OrderActorConfig(
            venue=config.venue,
            url=venue_url,
            symbols=config.symbols,
            data_dir=config.system.data_dir,
            durability=config.system.durability,
            dry_run=config.system.dry_run,
        ),
        fenced=True,
        start_timeout_secs=_WHOLE_LOG_SECS,
        beat_secs=config.supervision.critical_beat_secs,
    )
    return SupervisorSpec(
        name="execution",
        children=(_on_hot_path(risk, 2, config), _on_hot_path(order, 3, config)),
    )


def _strategies(config: Config) -> SupervisorSpec:
    children = (
        ChildSpec(
            name=strategy.actor_name,
            actor="krator_actors.strategy:StrategyActor",
            config=StrategyActorConfig(
                strategy=strategy,
                venue=config.venue.name,
                data_dir=config.system.data_dir,
                durability=config.system.durability,
            ),
            beat_secs=config.supervision.beat_secs,
            budget=_budget(config),
        )
        for strategy in config.strategies
    )
    return SupervisorSpec(
        name="strategies", children=tuple(_on_hot_path(child, 1, config) for child in children)
    )


def _market(config: Config, venue_url: str, *, lockstep: bool) -> SupervisorSpec:
    routes = {
        symbol: (
            *(s.actor_name for s in config.strategies if s.symbol == symbol),
            *((_RECORDER,) if config.postgres.store_ticks else ()),
        )
        for symbol in config.symbols
    }
    feed = ChildSpec(
        name=f"feed:{config.venue.name}",
        actor="krator_actors.feed:FeedActor",
        config=FeedConfig(
            venue=config.venue,
            url=venue_url,
            symbols=config.symbols,
            routes=routes,
            lockstep=lockstep,
        ),
        beat_secs=config.supervision.beat_secs,
        budget=_budget(config),
    )
    return SupervisorSpec(name="market", children=(_on_hot_path(feed, 0, config),))


def _operations(config: Config, venue_url: str) -> SupervisorSpec:
    rca = ChildSpec(
        name="rca",
        actor="krator_actors.rca:RcaActor",
        config=RcaConfig(data_dir=config.system.data_dir, durability=config.system.durability),
        beat_secs=config.supervision.beat_secs,
        budget=_budget(config),
    )
    url = external_redis(config)
    redis = () if url else (_redis(config),)
    return SupervisorSpec(
        name="operations",
        # Its deaths do not count towards the root's intensity: nothing that trades is built again
        # because those who look on have died too often.
        budget=_infrastructure_budget(config),
        children=(
            rca,
            *redis,
            _publisher(config, url),
            _jobs(config, venue_url),
            *_recorder(config),
            _gateway(config, venue_url),
        ),
    )


def _recorder(config: Config) -> tuple[ChildSpec, ...]:
    if not config.postgres.store_ticks:
        return ()
    return (
        ChildSpec(
            name=_RECORDER,
            actor="krator_actors.recorder:RecorderActor",
            config=RecorderConfig(data_dir=config.system.data_dir, dsn=external_dsn(config)),
            beat_secs=config.supervision.beat_secs,
            budget=_infrastructure_budget(config),
        ),
    )


def _redis(config: Config) -> ChildSpec:
    return ChildSpec(
        name="redis",
        actor="krator_actors.redis_server:RedisServerActor",
        config=RedisServerConfig(
            data_dir=config.system.data_dir, max_memory_bytes=config.redis.max_memory_bytes
        ),
        fenced=True,
        beat_secs=config.supervision.beat_secs,
        budget=_infrastructure_budget(config),
    )


def _publisher(config: Config, url: str | None) -> ChildSpec:
    return ChildSpec(
        name="publisher",
        actor="krator_actors.publisher:PublisherActor",
        config=PublisherConfig(
            data_dir=config.system.data_dir,
            url=url,
            stream_max_length=config.redis.stream_max_length,
            timeout_secs=config.redis.timeout_secs,
            cache_interval_secs=config.redis.cache_interval_secs,
            cache_ttl_secs=config.redis.cache_ttl_secs,
        ),
        beat_secs=config.supervision.beat_secs,
        budget=_infrastructure_budget(config),
    )


def _jobs(config: Config, venue_url: str) -> ChildSpec:
    jobs = config.jobs
    return ChildSpec(
        name="jobs",
        actor="krator_actors.jobs:JobsActor",
        config=JobsConfig(
            config=config,
            venue_url=venue_url,
            data_dir=config.system.data_dir,
            dsn=external_dsn(config),
            daily_close_secs=_secs_of_day(jobs.daily_close_at),
            retention_secs=_secs_of_day(jobs.retention_at),
            catch_up_days=jobs.catch_up_days,
            deadline_secs=jobs.deadline_secs,
            retry_first_secs=jobs.retry_first_secs,
            retry_max_secs=jobs.retry_max_secs,
            limits=RetentionLimits(
                logs_days=jobs.keep_logs_days,
                crash_files_days=jobs.keep_crash_files_days,
                replays_days=jobs.keep_replays_days,
            ),
        ),
        beat_secs=config.supervision.beat_secs,
        budget=_budget(config),
    )


def _gateway(config: Config, venue_url: str) -> ChildSpec:
    return ChildSpec(
        name="gateway",
        actor="krator_actors.gateway:GatewayActor",
        config=GatewayConfig(
            data_dir=config.system.data_dir,
            port=config.gateway.port,
            interval_secs=config.gateway.interval_secs,
            venue=config.venue,
            venue_url=venue_url,
            risk=config.risk,
            symbols=config.symbols,
            observed=("risk", *(strategy.actor_name for strategy in config.strategies)),
        ),
        beat_secs=config.supervision.beat_secs,
        budget=_infrastructure_budget(config),
    )


def _secs_of_day(hours_and_minutes: str) -> int:
    hours, minutes = hours_and_minutes.split(":")
    return (int(hours) * 60 + int(minutes)) * 60
