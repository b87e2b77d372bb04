"""The short form of ``make oracle``: 20,000 orders, and every reason among them."""

from __future__ import annotations

import pytest

from tests.oracle.days import is_passed, tally_of
from tests.oracle.pair import Tally

AT_LEAST = 10
REASONS = (
    "DuplicateRefused",
    "RISK_RECOVERING",
    "TRADING_HALTED",
    "DAILY_LOSS",
    "DRAWDOWN",
    "EXECUTION_THROTTLE",
    "VOLATILITY",
    "PRICE_GAP",
    "VENUE_UNREACHABLE",
    "UNKNOWN_SYMBOL",
    "NO_LIMIT",
    "NO_PERMISSION",
    "RESTRICTED_SYMBOL",
    "OUTSIDE_TRADING_HOURS",
    "QUANTITY_INVALID",
    "LOT_SIZE",
    "PRICE_INVALID",
    "TICK_SIZE",
    "TRADING_REDUCING",
    "LOG_FULL",
    "POSITIONS_STALE",
    "STALE_PRICE",
    "CROSSED_MARKET",
    "PRICE_COLLAR",
    "LAST_PRICE_COLLAR",
    "AVERAGE_PRICE_COLLAR",
    "MIN_NOTIONAL",
    "MAX_ORDER_NOTIONAL",
    "MAX_ORDER_QUANTITY",
    "MAX_VOLUME",
    "EQUITY_UNKNOWN",
    "INSUFFICIENT_POSITION",
    "MAX_POSITION",
    "MAX_GROSS_EXPOSURE",
    "MAX_NET_EXPOSURE",
    "INSUFFICIENT_CASH",
    "MAX_OPEN_ORDERS",
    "SELF_MATCH",
    "DUPLICATE_ORDER",
    "REDUCE_ONLY",
    "VENUE_RULE",
    "ORDER_RATE",
    "MESSAGE_RATE",
)
"""All of docs/RISK.md's table.

``RISK_RESTARTED`` and ``LOST_APPROVAL`` deny no order that comes; restarts compare them. What
cannot be written down at all is denied by the actor, not by the engine.
"""


@pytest.fixture(scope="module")
def tally() -> Tally:
    return tally_of(20_000, seed=20_261_122, processes=1)


def test_engine_and_oracle_agree_on_every_order(tally: Tally) -> None:
    examples = "\n\n".join(tally.examples)

    assert is_passed(tally), examples
    assert not tally.wrong_denials, examples


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_asked_for(tally: Tally, reason: str) -> None:
    assert tally.denied[reason] >= AT_LEAST


def test_many_orders_are_valid(tally: Tally) -> None:
    assert tally.valid > tally.orders // 4


def test_an_oracle_that_disagrees_fails_the_run() -> None:
    tally = Tally(orders=20_000, valid=10_000)
    assert is_passed(tally)

    tally.wrong_denials["PRICE_COLLAR"] = 1
    assert not is_passed(tally)
