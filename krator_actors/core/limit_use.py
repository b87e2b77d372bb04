"""How much of each limit is used: 1 is all of it. Pure.

What uses a limit is docs/RISK.md's left side of the comparison without the order that asks, and
with the mark in the place of each reservation's own price.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Final, NamedTuple

from krator_actors.core.limits import RiskLimits
from krator_actors.messages.risk import PortfolioReport

LIMITS: Final = ("daily_loss", "drawdown", "gross", "net", "open_orders", "position")

_ZERO = Decimal(0)


class LimitUse(NamedTuple):
    """One limit; ``symbol`` is empty for one of the account."""

    limit: str
    symbol: str
    ratio: float


def limit_uses(report: PortfolioReport, limits: RiskLimits) -> list[LimitUse]:
    """Return how far every limit is used; one that has no base yet (no equity) is left out."""
    found = [
        _use("daily_loss", report.day_start_equity - report.equity,
             report.day_start_equity * limits.max_daily_loss_fraction),
        *_exposures(report, limits),
        _use("open_orders", Decimal(len(report.open_orders)), Decimal(limits.max_open_orders)),
    ]  # fmt: skip
    if report.peak_equity is not None:
        lost = report.peak_equity - report.equity
        found.append(_use("drawdown", lost, report.peak_equity * limits.max_drawdown_fraction))
    open_orders = Counter(order.symbol for order in report.open_orders)
    for symbol, own in limits.symbols.items():
        allowed = Decimal(own.max_open_orders)
        found.append(_use("open_orders", Decimal(open_orders[symbol]), allowed, symbol))
    return [use for use in found if use is not None]


def _exposures(report: PortfolioReport, limits: RiskLimits) -> list[LimitUse | None]:
    equity, gross, net, reserved = report.equity, _ZERO, _ZERO, _ZERO
    found = []
    for position in report.positions:
        own = limits.symbols.get(position.symbol)
        if own is None or position.mark_price is None:
            continue
        value = position.quantity * position.mark_price
        buys = position.reserved_buy * position.mark_price
        gross, net, reserved = gross + abs(value), net + value, reserved + buys
        allowed = equity * own.max_position_fraction
        found.append(_use("position", value + buys, allowed, position.symbol))
    return [
        *found,
        _use("gross", gross + reserved, equity * limits.max_gross_fraction),
        _use("net", net + reserved, equity * limits.max_net_fraction),
    ]


def _use(limit: str, used: Decimal, allowed: Decimal, symbol: str = "") -> LimitUse | None:
    if not (used.is_finite() and allowed.is_finite() and allowed > 0):
        return None
    return LimitUse(limit, symbol, float(max(used, _ZERO) / allowed))
