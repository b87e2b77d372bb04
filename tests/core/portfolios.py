"""Builders of what risk answers when it is asked what it knows."""

from __future__ import annotations

from typing import Any

from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.model import TradingState
from tests.core.day_events import BTC, D


def position(**changes: Any) -> PositionReport:
    zero = D(0)
    fields: dict[str, Any] = {
        "symbol": BTC,
        "quantity": D("0.5"),
        "average_price": D(100),
        "mark_price": D(101),
        "realized_pnl": zero,
        "unrealized_pnl": zero,
        "fees": zero,
        "reserved_buy": zero,
        "reserved_sell": zero,
        "quote_ts_init": 5,
    }
    return PositionReport(**{**fields, **changes})


def portfolio(**changes: Any) -> PortfolioReport:
    fields: dict[str, Any] = {
        "state": TradingState.ACTIVE,
        "recovered": True,
        "cash": D(100_000),
        "equity": D(100_000),
        "day_start_equity": D(100_000),
        "peak_equity": D(100_000),
        "positions": (position(),),
        "open_orders": (),
        "orders_approved": 0,
        "orders_denied": 0,
        "fills": 0,
        "ts_event": 6,
    }
    return PortfolioReport(**{**fields, **changes})
