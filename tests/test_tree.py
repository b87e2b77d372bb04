"""The composition root: what lives under whom, and with which patience."""

from __future__ import annotations

import pytest

from krator_actors import tree
from krator_actors.config import Config
from supervisors.spec import ChildSpec, SupervisorSpec


def workers(spec: SupervisorSpec) -> dict[str, ChildSpec]:
    found: dict[str, ChildSpec] = {}
    for child in spec.children:
        found |= {child.name: child} if isinstance(child, ChildSpec) else workers(child)
    return found


def test_journal_starts_before_trading_and_the_feed_after_its_readers() -> None:
    names = list(workers(tree.build(Config(), venue_url="http://127.0.0.1:1")))

    assert names.index("storage") < names.index("journal") < names.index("risk")
    assert names.index("risk") < names.index("order:SIM")
    assert names.index("strategy:BTC-USDT.SIM/sma_cross") < names.index("feed:SIM")


def test_what_may_break_on_its_own_has_a_budget_and_what_trading_needs_has_none() -> None:
    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    without = {name for name, spec in found.items() if spec.budget is None}

    assert without == {"risk", "order:SIM"}


def test_configured_database_is_used_and_none_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", "postgresql://db/krator")

    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    assert "storage" not in found
    assert found["journal"].config.dsn == "postgresql://db/krator"


def test_quotes_of_a_symbol_go_to_its_own_strategy_only() -> None:
    found = workers(tree.build(Config(), venue_url="http://127.0.0.1:1"))

    assert found["feed:SIM"].config.routes == {
        f"{base}-USDT.SIM": (f"strategy:{base}-USDT.SIM/sma_cross",)
        for base in ("BTC", "ETH", "SOL")
    }
