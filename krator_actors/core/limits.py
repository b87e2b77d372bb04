"""The limits; what they mean and their defaults are in ``[risk]`` of conf/krator.toml. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.core.rates import RateLimits
from krator_actors.core.trading_hours import Window


class SymbolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one symbol. Fractions are shares of one; prices and money in the quote."""

    max_position_fraction: Decimal
    max_order_notional: Decimal
    max_order_quantity: Decimal
    max_open_orders: int
    max_orders_per_sec: int
    max_messages_per_sec: int
    price_collar_fraction: Decimal
    last_collar_fraction: Decimal
    average_collar_fraction: Decimal
    max_volatility_fraction: Decimal
    max_gap_fraction: Decimal
    price_window_secs: float
    max_volume_fraction: Decimal
    volume_window_secs: float
    quote_stale_ns: int
    duplicate_ns: int
    trading_hours: tuple[Window, ...]


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the account, and for each symbol. A symbol that is not in here is blocked."""

    max_gross_fraction: Decimal
    max_net_fraction: Decimal
    max_daily_loss_fraction: Decimal
    max_drawdown_fraction: Decimal
    max_reconciliation_difference: Decimal
    """in the quote currency"""
    max_open_orders: int
    max_executions: int
    executions_secs: float
    rates: RateLimits
    restricted: frozenset[str]
    permissions: dict[str, frozenset[str]]
    """strategy to the symbols that it may trade"""
    symbols: dict[str, SymbolLimits]

    @property
    def longest_duplicate_ns(self) -> int:
        """The longest time in which the same order of any symbol is a duplicate."""
        return max((limits.duplicate_ns for limits in self.symbols.values()), default=0)
