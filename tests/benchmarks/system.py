"""The whole system against the benchmark's venue, as ``krator run`` builds it, timed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from krator_actors import place, telemetry, tree
from krator_actors.config import Config, RiskConfig, SupervisionConfig, SystemConfig
from krator_actors.strategy import StrategyActorConfig
from krator_actors.strategy_config import SmaCrossConfig
from supervisors.heart import Heart
from supervisors.spec import Backoff, Budget, ChildSpec, SupervisorSpec
from supervisors.status import NodeStatus
from tests.benchmarks.firing import FiringConfig

SYMBOLS = ("BTC-USDT.SIM", "ETH-USDT.SIM", "SOL-USDT.SIM")
VENUE_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
TIMED = {
    "krator_actors.order:OrderActor": "tests.benchmarks.timed_actors:TimedOrderActor",
    "krator_actors.risk:RiskActor": "tests.benchmarks.timed_actors:TimedRiskActor",
    "krator_actors.journal:JournalActor": "tests.benchmarks.timed_actors:TimedJournalActor",
    "krator_actors.publisher:PublisherActor": "tests.benchmarks.timed_actors:TimedPublisherActor",
}
_ENDLESS = Budget(max_restarts=100_000, backoff=Backoff(initial_secs=0.0, max_secs=0.0))
_READY_SECS = 60.0
_RATE = 1_000


def strategy_of(symbol: str) -> str:
    """Return the name of the actor that trades it: the configured one's, also when it fires."""
    return SmaCrossConfig(symbol=symbol).actor_name


def config(data_dir: Path, *, pinned: bool = False) -> Config:
    """Return the default configuration, but for what would stop a benchmark after ten orders.

    Every rule is on. The rate is the venue's that is measured, so more orders a second are
    allowed, and the day's loss and the position are as large as by default.
    """
    return Config(
        system=SystemConfig(data_dir=data_dir),
        risk=RiskConfig(
            max_orders_per_sec=_RATE,
            max_strategy_orders_per_sec=_RATE,
            max_symbol_orders_per_sec=_RATE,
            max_messages_per_sec=_RATE,
            max_strategy_messages_per_sec=_RATE,
            max_symbol_messages_per_sec=_RATE,
            max_executions=100 * _RATE,
            executions_secs=1.0,
            duplicate_secs=1e-9,
        ),
        supervision=SupervisionConfig(pin_hot_path=pinned),
        strategies=tuple(SmaCrossConfig(symbol=symbol) for symbol in SYMBOLS),
    )


def spec(
    settings: Config,
    url: str,
    *,
    actors: Mapping[str, str] = TIMED,
    fire_every: int | None = 1,
    endless: bool = False,
) -> SupervisorSpec:
    """Return the product's tree with other classes for some actors.

    ``fire_every``: the strategies are ``Firing`` ones; None: the configured ones. ``endless``:
    restarts are at once and never too many, because a backoff is not what is measured.
    """

    def changed(node: ChildSpec | SupervisorSpec) -> Any:
        if isinstance(node, SupervisorSpec):
            fields: dict[str, Any] = {"children": tuple(map(changed, node.children))}
            if endless:
                fields["intensity"] = 100_000
            return msgspec.structs.replace(node, **fields)
        fields = {"actor": actors.get(node.actor, node.actor)}
        if endless and node.budget is not None:
            fields["budget"] = _ENDLESS
        if fire_every is not None and isinstance(node.config, StrategyActorConfig):
            symbol = node.config.strategy.symbol
            offset = SYMBOLS.index(symbol) * fire_every // len(SYMBOLS)
            firing: Any = FiringConfig(symbol=symbol, every=fire_every, offset=offset)
            fields["config"] = msgspec.structs.replace(node.config, strategy=firing)
        return msgspec.structs.replace(node, **fields)

    built: SupervisorSpec = changed(tree.build(settings, venue_url=url))
    return built


@contextlib.contextmanager
def running(settings: Config, root: SupervisorSpec) -> Iterator[Heart]:
    """Run it as long as the context; what the actors have noted can be read afterwards."""
    data_dir = settings.system.data_dir
    place.prepare(data_dir)
    telemetry.configure(
        data_dir / "logs" / "krator.jsonl",
        level=settings.log.level,
        max_bytes=settings.log.max_bytes,
        component="krator",
    )
    heart = Heart(
        root,
        runtime=place.runtime_dir(data_dir),
        state_dir=data_dir,
        crash_dir=data_dir / "crash",
        budget=Budget(),
    )
    heart.start()
    try:
        yield heart
    finally:
        heart.stop()


def watch(heart: Heart, secs: float) -> None:
    """Let it run, as ``krator run`` watches it."""
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        for event in heart.poll():
            raise AssertionError(f"the system was built again: {event}")
        time.sleep(0.2)


def wait_until(condition: Callable[[], bool], what: str, secs: float = _READY_SECS) -> None:
    """Return when it holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, f"not within {secs} s: {what}"
        time.sleep(0.05)


def node(heart: Heart, name: str) -> NodeStatus:
    """Return what is known of one child."""
    found = heart.status().find(name)
    assert found is not None, name
    return found
