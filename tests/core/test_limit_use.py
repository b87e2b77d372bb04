from __future__ import annotations

from typing import Any

import pytest

from krator_actors.config import RiskConfig
from krator_actors.core.limit_use import LIMITS, limit_uses
from krator_actors.core.limits import RiskLimits
from krator_actors.messages.risk import PortfolioReport
from krator_actors.risk_limits import limits_of
from tests.core.day_events import BTC, D
from tests.core.portfolios import portfolio, position


def limits() -> RiskLimits:
    return limits_of(RiskConfig(), [BTC], {})


def used(report: PortfolioReport) -> dict[tuple[str, str], float]:
    return {(use.limit, use.symbol): use.ratio for use in limit_uses(report, limits())}


def test_every_limit_is_a_share_of_what_is_allowed() -> None:
    report = portfolio(
        equity=D(95_000),
        day_start_equity=D(96_000),
        peak_equity=D(100_000),
        positions=(position(quantity=D(9), mark_price=D(100), reserved_buy=D(1)),),
    )

    assert used(report) == {
        ("daily_loss", ""): pytest.approx(1_000 / (96_000 * 0.05)),
        ("drawdown", ""): pytest.approx(1.0),
        ("position", BTC): pytest.approx(1_000 / (95_000 * 0.02)),
        ("gross", ""): pytest.approx(1_000 / 95_000),
        ("net", ""): pytest.approx(1_000 / 95_000),
        ("open_orders", ""): 0.0,
        ("open_orders", BTC): 0.0,
    }
    assert {limit for limit, _ in used(report)} == set(LIMITS)


def test_profit_uses_no_loss_limit() -> None:
    report = portfolio(equity=D(120), day_start_equity=D(100), peak_equity=D(110))

    assert used(report)["daily_loss", ""] == 0.0
    assert used(report)["drawdown", ""] == 0.0


@pytest.mark.parametrize(
    "missing",
    [{"equity": D(0), "day_start_equity": D(0)}, {"positions": (position(mark_price=None),)}],
)
def test_limit_without_a_base_is_left_out(missing: dict[str, Any]) -> None:
    assert ("position", BTC) not in used(portfolio(**missing))
