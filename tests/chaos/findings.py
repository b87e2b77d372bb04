"""What came of a run: the outside checker's word, and the numbers, as JSON."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any

from krator_actors.messages.orders import ReconciliationDifference
from tests.chaos.probe import Sample
from tests.chaos.storm import Hit
from tests.system.account_replay import QUOTE, Account
from tests.system.checker import (
    Evidence,
    check_doubles,
    check_ends,
    check_fills,
    check_given_up,
    check_orders,
)
from tests.system.limit_checks import LimitRules, check_halts, check_limits, wrong_denials

KILLS_PER_SEC = 100 / 600
"""So many kills must hit while an order is in flight, or the run has shown nothing."""
_KIND = re.compile(r" strategy:.*")
_PROFIT_TOLERANCE = Decimal("1e-6")


def judge(
    evidence: Evidence, report: dict[str, Any], rules: LimitRules, persons: Any
) -> dict[str, list[str]]:
    """Return the violations by kind; every list is empty when all is well.

    ``report`` is ``krator report --json``: what the journal says.
    """
    return {
        "lost": [*check_orders(evidence), *check_ends(evidence), *check_given_up(evidence)],
        "duplicated": check_doubles(evidence),
        "limit_breaches": [
            *check_limits(evidence, rules),
            *check_halts(evidence, rules, persons=persons),
        ],
        "position_mismatches": [
            *check_fills(evidence),
            *check_account(evidence, report),
            *(f"difference: {d}" for d in evidence.events(ReconciliationDifference)),
        ],
        "wrong_denials": wrong_denials(evidence, rules),
    }


def check_account(evidence: Evidence, report: dict[str, Any]) -> list[str]:
    """Positions, balances and profit of the journal are those of the venue's ledger."""
    account = Account(evidence.ledger)
    opening = balances = None
    marks: dict[str, Decimal] = {}
    balances = {}
    for line in evidence.ledger:
        account.apply(line)
        if line["record"] == "balance":
            balances[line["asset"]] = Decimal(line["free"]) + Decimal(line["locked"])
            opening = opening or account.cash
        elif line["record"] == "fill":
            marks[line["symbol"]] = Decimal(line["price"])
    found = []
    ours = {p["symbol"].partition(".")[0].replace("-", ""): p for p in report["positions"]}
    for symbol, held in account.held.items():
        base = symbol.removesuffix(QUOTE)
        if balances.get(base, held) != held:
            found.append(f"{base}: the ledger's balance is {balances[base]}, its fills say {held}")
        reported = Decimal(ours[symbol]["quantity"]) if symbol in ours else Decimal(0)
        if reported != held:
            found.append(f"{symbol}: the venue has {held}, the journal {reported}")
    if balances.get(QUOTE) != account.cash:
        found.append(f"cash: the ledger has {balances.get(QUOTE)}, its fills say {account.cash}")
    worth = sum((held * marks[symbol] for symbol, held in account.held.items()), Decimal(0))
    theirs = account.cash + worth - (opening or Decimal(0))
    profit = sum(
        (
            Decimal(p["realized_pnl"]) + Decimal(p["unrealized_pnl"]) - Decimal(p["fees"])
            for p in report["positions"]
        ),
        Decimal(0),
    )
    if abs(theirs - profit) > _PROFIT_TOLERANCE:
        found.append(f"profit: by the ledger {theirs}, by the journal {profit}")
    return found


def availability(samples: list[Sample]) -> float:
    """Return the share of looks at which an order of a healthy symbol could be placed.

    Not counted is the time in which a person had halted or reduced the system.
    """
    counted = [sample for sample in samples if not sample.is_held]
    return sum(not sample.cause for sample in counted) / max(1, len(counted))


def unavailable_secs_by_cause(samples: list[Sample]) -> dict[str, float]:
    """Return what was missing to how long it was, the longest first. Halts are not counted."""
    secs: dict[str, float] = {}
    for sample, following in pairwise(samples):
        if sample.cause and not sample.is_held:
            passed = following.monotonic - sample.monotonic
            secs[sample.cause] = secs.get(sample.cause, 0.0) + passed
    longest_first = sorted(secs.items(), key=lambda item: -item[1])
    return {cause: round(total, 1) for cause, total in longest_first}


def after_hits(samples: list[Sample], hits: list[Hit]) -> dict[str, dict[str, float]]:
    """Return, for each kind of fault, what it did to a system that could trade.

    Only hits while an order could be placed are counted, each until the next fault of any kind:
    so many hits, and for what share of that time an order could be placed. The least comes first.
    """
    looks: dict[str, list[bool]] = {}
    numbers: Counter[str] = Counter()
    times = [sample.monotonic for sample in samples]
    ends = [hit.monotonic for hit in hits[1:]] + [math.inf]
    for hit, end in zip(hits, ends, strict=True):
        if not hit.while_available:
            continue
        until_next = samples[bisect_right(times, hit.monotonic) : bisect_left(times, end)]
        label = _KIND.sub(" strategy", hit.label)
        numbers[label] += 1
        looks.setdefault(label, []).extend(not s.cause for s in until_next if not s.is_held)
    shares: dict[str, dict[str, float]] = {
        label: {"hits": numbers[label], "availability": round(sum(seen) / len(seen), 2)}
        for label, seen in looks.items()
        if seen
    }
    return dict(sorted(shares.items(), key=lambda item: item[1]["availability"]))


def recovery_max_ms(recoveries: list[tuple[str, float]]) -> dict[str, int]:
    """Return who was killed to the longest that it took to run again, the longest first."""
    longest: dict[str, float] = {}
    for name, ms in recoveries:
        longest[name] = max(ms, longest.get(name, 0.0))
    return {name: round(ms) for name, ms in sorted(longest.items(), key=lambda item: -item[1])}


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of all are; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
