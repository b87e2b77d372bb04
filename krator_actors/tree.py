"""The composition root: which actors there are, under whom, and how they live and come back.

One-for-one everywhere: no child keeps state that another one shares, because each has it again
from its log, the journal or the venue (docs/ARCHITECTURE.md).
"""

from __future__ import annotations

import os

from krator_actors.config import Config
from krator_actors.feed import FeedConfig
from krator_actors.journal import JournalConfig
from krator_actors.order import OrderActorConfig
from krator_actors.rca import RcaConfig
from krator_actors.risk import RiskActorConfig
from krator_actors.storage import StorageConfig
from krator_actors.strategy import StrategyActorConfig
from supervisors.spec import Budget, ChildSpec, SupervisorSpec

_STORAGE_START_SECS = 60.0
_JOURNAL_STOP_SECS = 8.0
_INFRASTRUCTURE_RESTARTS = 20
"""PostgreSQL and the journal may be away for long without harm, so they are tried for long."""


def external_dsn(config: Config) -> str | None:
    """Return the configured PostgreSQL's URL, or None when it is to be embedded."""
    return os.environ.get(config.postgres.dsn_env) or None


def build(config: Config, *, venue_url: str) -> SupervisorSpec:
    """Return the whole tree. ``venue_url`` is the venue's HTTP base; empty for a real venue."""
    journal = _journal(config)
    storage = () if external_dsn(config) else (_storage(config),)
    return SupervisorSpec(
        name="root",
        intensity=3,
        period_secs=60.0,
        children=(
            *storage,
            journal,
            _execution(config, venue_url),
            _strategies(config),
            _market(config, venue_url),
            _operations(config),
        ),
    )


def _budget(config: Config) -> Budget:
    return Budget(
        max_restarts=config.supervision.budget_restarts,
        period_secs=config.supervision.budget_period_secs,
    )


def _infrastructure_budget(config: Config) -> Budget:
    return Budget(
        max_restarts=_INFRASTRUCTURE_RESTARTS, period_secs=config.supervision.budget_period_secs
    )


def _storage(config: Config) -> ChildSpec:
    return ChildSpec(
        name="storage",
        actor="krator_actors.storage:StorageActor",
        config=StorageConfig(data_dir=config.system.data_dir),
        start_timeout_secs=_STORAGE_START_SECS,
        shutdown_secs=15.0,
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
        ),
        shutdown_secs=_JOURNAL_STOP_SECS,
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
            data_dir=config.system.data_dir,
            durability=config.system.durability,
        ),
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
        beat_secs=config.supervision.critical_beat_secs,
    )
    return SupervisorSpec(name="execution", children=(risk, order))


def _strategies(config: Config) -> SupervisorSpec:
    return SupervisorSpec(
        name="strategies",
        children=tuple(
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
        ),
    )


def _market(config: Config, venue_url: str) -> SupervisorSpec:
    routes = {
        symbol: tuple(s.actor_name for s in config.strategies if s.symbol == symbol)
        for symbol in config.symbols
    }
    feed = ChildSpec(
        name=f"feed:{config.venue.name}",
        actor="krator_actors.feed:FeedActor",
        config=FeedConfig(venue=config.venue, url=venue_url, symbols=config.symbols, routes=routes),
        beat_secs=config.supervision.beat_secs,
        budget=_budget(config),
    )
    return SupervisorSpec(name="market", children=(feed,))


def _operations(config: Config) -> SupervisorSpec:
    rca = ChildSpec(
        name="rca",
        actor="krator_actors.rca:RcaActor",
        config=RcaConfig(data_dir=config.system.data_dir, durability=config.system.durability),
        beat_secs=config.supervision.beat_secs,
        budget=_budget(config),
    )
    return SupervisorSpec(name="operations", children=(rca,))
