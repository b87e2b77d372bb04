"""The composition root: what lives under whom, and with which patience."""

from __future__ import annotations

import pytest

from krator_actors import tree
from krator_actors.config import Config, ConfigError, JobsConfig
from krator_actors.external import external_redis
from supervisors.spec import ChildSpec, SupervisorSpec


@pytest.fixture(autouse=True)
def _no_servers_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KRATOR_POSTGRES_DSN", "KRATOR_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def workers(spec: SupervisorSpec) -> dict[str, ChildSpec]:
    found: dict[str, ChildSpec] = {}
    for child in spec.children:
        found |= {child.name: child} if isinstance(child, ChildSpec) else workers(child)
    return found


def test_journal_starts_before_trading_and_the_feed_before_who_asks_it_for_history() -> None:
    names = list(workers(tree.build(Config(), venue_url="http://127.0.0.1:1")))

    assert names.index("storage") < names.index("journal") < names.index("risk")
    assert names.index("risk") < names.index("order:SIM") < names.index("feed:SIM")
    assert names.index("feed:SIM") < names.index("strategy:BTC-USDT.SIM/sma_cross")


def test_feed_of_a_recording_starts_after_its_readers() -> None:
    names = list(workers(tree.build(Config(), venue_url="http://127.0.0.1:1", replay=True)))

    assert names.index("strategy:BTC-USDT.SIM/sma_cross") < names.index("feed:SIM")


def test_what_may_break_on_its_own_has_a_budget_and_what_trading_needs_has_none() -> None:
    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    without = {name for name, spec in found.items() if spec.budget is None}

    assert without == {"risk", "order:SIM"}


def test_configured_database_is_used_and_none_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", "postgresql://db/krator")

    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    assert "storage" not in found
    assert found["journal"].config.dsn == "postgresql://db/krator?sslmode=verify-full"


def test_quotes_of_a_symbol_go_to_its_own_strategy_only() -> None:
    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    assert found["feed:SIM"].config.routes == {
        f"{base}-USDT.SIM": (f"strategy:{base}-USDT.SIM/sma_cross",)
        for base in ("BTC", "ETH", "SOL")
    }


def test_redis_comes_along_and_starts_when_all_that_trades_runs() -> None:
    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    names = list(found)
    assert names.index("feed:SIM") < names.index("redis") < names.index("publisher")
    assert found["publisher"].config.url is None
    assert "jobs" in names


def test_configured_redis_is_used_and_none_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOR_REDIS_URL", "redis://localhost:6379/3")

    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    assert "redis" not in found
    assert found["publisher"].config.url == "redis://localhost:6379/3"


def test_redis_url_that_is_none_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KRATOR_REDIS_URL", "http://ada:hunter2@localhost")

    with pytest.raises(ConfigError, match="KRATOR_REDIS_URL: it is no Redis URL") as caught:
        external_redis(Config())

    assert "hunter2" not in str(caught.value)


def test_times_of_day_are_seconds_after_midnight() -> None:
    config = Config(jobs=JobsConfig(daily_close_at="00:01", retention_at="23:59"))

    jobs = workers(tree.build(config, venue_url="http://127.0.0.1:1"))["jobs"].config

    assert (jobs.daily_close_secs, jobs.retention_secs) == (60, 86_340)


def test_every_actor_has_the_configured_memory_limit() -> None:
    config = Config.model_validate({"supervision": {"max_rss_bytes": 5_000_000}})

    found = workers(tree.build(config, venue_url="http://127.0.0.1:1"))

    assert {spec.max_rss_bytes for spec in found.values()} == {5_000_000}


def test_whoever_acts_on_the_outside_world_is_fenced() -> None:
    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    fenced = {name for name, spec in found.items() if spec.fenced}

    assert fenced == {"storage", "journal", "order:SIM", "redis"}


def test_nothing_that_trades_is_built_again_because_of_who_looks_on() -> None:
    root = tree.build(Config(), venue_url="http://127.0.0.1:1")
    without_budget = {child.name for child in root.children if child.budget is None}

    assert without_budget == {"execution", "market", "strategies"}
