"""The outside checker sees every violation that it is there for: each in a doctored run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from krator_actors.messages.orders import Difference, OrderRejected, ReconciliationDifference
from krator_actors.messages.risk import Scope
from krator_actors.model import OrderSide
from tests.chaos.findings import judge
from tests.system.evidence_builder import (
    RULES,
    SYMBOL,
    D,
    Run,
    approved,
    filled,
    initialized,
    submitted,
)

BUY, SELL = OrderSide.BUY, OrderSide.SELL
PERSONS = ("ann",)


def faultless() -> Run:
    run = Run()
    run.trade("k1")
    run.trade("k2", SELL, "4")
    run.halt()
    run.pass_time()
    run.resume()
    run.trade("k3", BUY, "5")
    return run


def kinds(run: Run, **report: Any) -> list[str]:
    """Return the kinds of violation that are found."""
    held = sum(
        (D(f["qty"]) * (1 if f["side"] == "BUY" else -1) for f in run.evidence.of_venue("fill")),
        D(0),
    )
    position = {
        "symbol": SYMBOL,
        "quantity": held,
        "realized_pnl": 0,
        "unrealized_pnl": 0,
        "fees": 0,
    }
    found = judge(run.evidence, {"positions": [position | report]}, RULES, PERSONS)
    return [kind for kind, violations in found.items() if violations]


def test_faultless_run_has_no_violation() -> None:
    assert kinds(faultless()) == []


def not_logged(run: Run) -> None:
    run.accept("k9")
    run.fill("k9")
    del run.evidence.order_log[-2:]


def logged_after_it_was_sent(run: Run) -> None:
    run.evidence.of_venue("order")[-1]["received_ns"] -= 1


def open_at_the_venue(run: Run) -> None:
    run.evidence.ledger.pop()


def ended_here_only(run: Run) -> None:
    order = submitted("k9", BUY, "1")
    run.in_risk_log(approved(order))
    run.in_order_log(initialized(order))


def given_up_and_taken(run: Run) -> None:
    rejected = OrderRejected(
        client_order_id="k3", symbol=SYMBOL, reason="NEVER_ARRIVED", ts_event=1
    )
    run.in_order_log(rejected)


@pytest.mark.parametrize(
    "doctor",
    [not_logged, logged_after_it_was_sent, open_at_the_venue, ended_here_only, given_up_and_taken],
)
def test_lost_order_is_seen(doctor: Callable[[Run], None]) -> None:
    run = faultless()
    doctor(run)

    assert "lost" in kinds(run)


def test_order_begun_without_approval_is_seen() -> None:
    run = faultless()
    run.trade("k9", BUY, "1")
    run.evidence.risk_log.pop()

    assert kinds(run) == ["limit_breaches"]


def test_cause_that_became_two_orders_is_seen() -> None:
    run = faultless()
    run.trade("k9", BUY, "1", cause="bar:k3")

    assert kinds(run) == ["duplicated"]


def test_order_that_is_at_the_venue_twice_is_seen() -> None:
    run = faultless()
    run.accept("k3", BUY, "1")

    assert "duplicated" in kinds(run)


def test_fill_counted_twice_is_seen() -> None:
    run = faultless()
    run.in_order_log(filled("k3", BUY, "5"))

    assert "position_mismatches" in kinds(run)


def test_fill_that_we_have_not_is_seen() -> None:
    run = faultless()
    run.evidence.order_log.pop()

    assert "position_mismatches" in kinds(run)


@pytest.mark.parametrize("field", ["qty", "price", "commission"])
def test_fill_with_other_numbers_is_seen(field: str) -> None:
    run = faultless()
    run.evidence.of_venue("fill")[-1][field] = "5.1"

    assert "position_mismatches" in kinds(run)


def test_position_of_the_journal_that_differs_is_seen() -> None:
    assert kinds(faultless(), quantity="10") == ["position_mismatches"]


def test_difference_that_reconciliation_found_is_seen() -> None:
    run = faultless()
    run.in_order_log(
        ReconciliationDifference(
            what=Difference.BALANCE, subject="BTC", symbol="", ours=D(11), venue=D(12), ts_event=1
        )
    )

    assert kinds(run) == ["position_mismatches"]


def test_profit_of_the_journal_that_differs_is_seen() -> None:
    assert kinds(faultless(), realized_pnl="0.01") == ["position_mismatches"]


def test_balance_that_is_not_the_sum_of_the_fills_is_seen() -> None:
    run = faultless()
    run.at_venue("balance", asset="BTC", free="10.9", locked="0", reason="fill")

    assert kinds(run) == ["position_mismatches"]


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        (Scope.SYSTEM, ""),
        (Scope.VENUE, "SIM"),
        (Scope.SYMBOL, SYMBOL),
        (Scope.STRATEGY, "strategy:BTC-USDT.SIM/sma_cross"),
    ],
)
def test_approval_under_a_halt_is_seen(scope: Scope, target: str) -> None:
    run = faultless()
    run.halt(scope=scope, target=target)
    run.trade("k9", SELL, "1")

    assert kinds(run) == ["limit_breaches"]


def test_halt_of_another_symbol_does_not_matter() -> None:
    run = faultless()
    run.halt(scope=Scope.SYMBOL, target="ETH-USDT.SIM")
    run.trade("k9", SELL, "1")

    assert kinds(run) == []


def test_order_begun_long_after_the_halt_is_seen() -> None:
    run = faultless()
    order = submitted("k9", SELL, "1")
    run.in_risk_log(approved(order))
    run.halt()
    run.pass_time(6)
    run.in_order_log(initialized(order))
    run.accept("k9", SELL, "1")
    run.fill("k9", SELL, "1")

    assert kinds(run) == ["limit_breaches"]


@pytest.mark.parametrize("by", ["risk", "", "mallory"])
def test_halt_that_no_person_lifted_is_seen(by: str) -> None:
    run = faultless()
    run.halt()
    run.resume(by=by)

    assert kinds(run) == ["limit_breaches"]


def test_position_past_its_limit_is_seen() -> None:
    run = faultless()
    run.trade("k8", BUY, "9")
    assert kinds(run) == []

    run.trade("k9", BUY, "1")

    assert kinds(run) == ["limit_breaches"]


def test_order_past_its_size_is_seen() -> None:
    run = Run()
    run.trade("k1", BUY, "15.2")

    assert kinds(run) == ["limit_breaches"]


def test_more_orders_in_a_second_than_allowed_are_seen() -> None:
    run = faultless()
    run.trade("k8", SELL, "1", secs=0.5)
    assert kinds(run) == []

    run.trade("k9", SELL, "1", secs=0.4)

    assert kinds(run) == ["limit_breaches"]


def test_more_open_orders_than_allowed_are_seen() -> None:
    run = faultless()
    for key in ("k7", "k8", "k9"):
        run.pass_time()
        run.accept(key, SELL, "1")

    assert "limit_breaches" in kinds(run)


@pytest.mark.parametrize(
    ("reason", "explained", "wrong"),
    [
        ("MAX_POSITION", ("2500", "2000"), ("4200", "2000")),
        ("INSUFFICIENT_POSITION", ("9", "5"), ("9", "-10")),
        ("INSUFFICIENT_CASH", ("200000", "97500"), ("200000", "90000")),
        ("MAX_OPEN_ORDERS", ("3", "2"), ("5", "2")),
    ],
)
def test_denial_that_nothing_explains_is_seen(
    reason: str, explained: tuple[str, str], wrong: tuple[str, str]
) -> None:
    run = faultless()
    run.deny("k8", reason, *explained)
    assert kinds(run) == []

    run.deny("k9", reason, *wrong)

    assert kinds(run) == ["wrong_denials"]
