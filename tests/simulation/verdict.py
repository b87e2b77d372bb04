"""What came of a day: the outside checker over its logs and its venue's ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path

from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.config import RiskConfig
from krator_actors.core.risk import RiskEvent
from krator_actors.messages.orders import OrderEvent, ReconciliationDifference
from krator_actors.model import venue_symbol_of
from tests.simulation.model_venue import ModelVenue
from tests.simulation.processes import Town
from tests.system.account_replay import Account
from tests.system.bracket_checks import check_brackets
from tests.system.checker import (
    Evidence,
    check_doubles,
    check_ends,
    check_fills,
    check_given_up,
    check_orders,
)
from tests.system.limit_checks import LimitRules, check_halts, check_limits, wrong_denials


@dataclass(frozen=True)
class Verdict:
    """``violations`` is empty when the day was survived."""

    violations: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    digest: str = ""
    """of everything that was written down: the same seed has the same"""


def judge(folder: Path, venue: ModelVenue, town: Town, *, person: str, risk: RiskConfig) -> Verdict:
    """Read what the actors have written, and compare it with the venue's ledger."""
    order_log = list(read_log(log_path(folder, "order:SIM"), types=OrderEvent))
    risk_log = list(read_log(log_path(folder, "risk"), types=RiskEvent))
    evidence = Evidence(order_log, risk_log, [], venue.account.ledger)
    rules = LimitRules(
        venue="SIM",
        max_position_fraction=risk.max_position_fraction,
        max_order_notional=risk.max_order_notional,
        max_orders_per_sec=risk.max_orders_per_sec,
        max_open_orders=risk.max_open_orders,
        tolerance=Decimal("0.01"),
    )
    violations = [
        *check_orders(evidence),
        *check_doubles(evidence),
        *check_fills(evidence),
        *check_ends(evidence),
        *check_given_up(evidence),
        *check_brackets(evidence),
        *check_halts(evidence, rules, persons={person}),
        *check_limits(evidence, rules),
        *wrong_denials(evidence, rules),
        *_check_positions(town, venue),
        *(f"difference: {d}" for d in evidence.events(ReconciliationDifference)),
        *(crash for crash in town.crashes if "LogFullError" not in crash),
    ]
    counts = Counter(type(r.event).__name__ for r in (*order_log, *risk_log))
    counts["kills"] = town.kills
    counts["orders at the venue"] = len(evidence.of_venue("order"))
    return Verdict(violations, counts, _digest(folder))


def _check_positions(town: Town, venue: ModelVenue) -> list[str]:
    process = town.processes["risk"]
    if not process.alive:
        return ["risk does not run"]
    engine = process.actor._engine  # type: ignore[attr-defined]
    account = Account(venue.account.ledger)
    for line in venue.account.ledger:
        account.apply(line)
    found = []
    if engine.portfolio.cash != account.cash:
        found.append(f"cash: the venue has {account.cash}, we have {engine.portfolio.cash}")
    for symbol in engine.portfolio.positions:
        held, ours = account.held[venue_symbol_of(symbol)], engine.portfolio.position(symbol)
        if ours.quantity != held:
            found.append(f"{symbol}: the venue has {held}, we have {ours.quantity}")
    if not engine.is_recovered or len(engine.reservations):
        found.append(f"risk still reserves {len(engine.reservations)} orders")
    return found


def _digest(folder: Path) -> str:
    digest = blake2b(digest_size=8)
    for path in sorted((folder / "log").glob("*.log")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
