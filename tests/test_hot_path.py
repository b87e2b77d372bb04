"""Which actors share a processor when the operator says so."""

from __future__ import annotations

import os

from krator_actors import tree
from krator_actors.config import Config, SupervisionConfig
from supervisors.spec import ChildSpec, SupervisorSpec


def children(spec: SupervisorSpec) -> list[ChildSpec]:
    found: list[ChildSpec] = []
    for child in spec.children:
        found += children(child) if isinstance(child, SupervisorSpec) else [child]
    return found


def test_hot_path_shares_the_last_processor_and_nobody_else_does() -> None:
    config = Config(supervision=SupervisionConfig(pin_hot_path=True))

    pinned = {
        c.name for c in children(tree.build(config, venue_url="http://h")) if c.cpu is not None
    }

    strategies = {strategy.actor_name for strategy in config.strategies}
    assert pinned == {"feed:SIM", "risk", "order:SIM", *strategies}


def test_pinned_processor_is_one_that_this_process_may_use() -> None:
    config = Config(supervision=SupervisionConfig(pin_hot_path=True))

    cpus = {child.cpu for child in children(tree.build(config, venue_url="http://h"))}

    assert cpus - {None} <= os.sched_getaffinity(0)


def test_whoever_is_further_down_the_way_of_an_order_goes_first() -> None:
    config = Config(supervision=SupervisionConfig(pin_hot_path=True))

    found = {c.name: c.realtime or 0 for c in children(tree.build(config, venue_url="http://h"))}

    for strategy in config.strategies:
        assert found["feed:SIM"] < found[strategy.actor_name] < found["risk"] < found["order:SIM"]
    assert found["journal"] == 0


def test_nothing_is_pinned_by_default() -> None:
    assert {child.cpu for child in children(tree.build(Config(), venue_url="http://h"))} == {None}
