"""The limits as the risk engine takes them, from ``[risk]`` as people write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from krator_actors.config import RiskConfig, SymbolRiskConfig
from krator_actors.core.limits import RiskLimits, SymbolLimits
from krator_actors.core.rates import RateLimits
from krator_actors.core.trading_hours import parse
from krator_actors.model import NANOS_PER_SEC


def limits_of(
    config: RiskConfig, symbols: Iterable[str], permissions: Mapping[str, Iterable[str]]
) -> RiskLimits:
    """Return the limits of the account and of ``symbols``; ``permissions``: see ``RiskLimits``."""
    return RiskLimits(
        max_gross_fraction=config.max_gross_fraction,
        max_net_fraction=config.max_net_fraction,
        max_daily_loss_fraction=config.max_daily_loss_fraction,
        max_drawdown_fraction=config.max_drawdown_fraction,
        max_reconciliation_difference=config.max_reconciliation_difference,
        max_open_orders=config.max_open_orders,
        max_executions=config.max_executions,
        executions_secs=config.executions_secs,
        rates=RateLimits(
            orders=config.max_orders_per_sec,
            strategy_orders=config.max_strategy_orders_per_sec,
            symbol_orders=config.max_symbol_orders_per_sec,
            messages=config.max_messages_per_sec,
            strategy_messages=config.max_strategy_messages_per_sec,
            symbol_messages=config.max_symbol_messages_per_sec,
        ),
        restricted=frozenset(config.restricted_symbols),
        permissions={name: frozenset(allowed) for name, allowed in permissions.items()},
        symbols={symbol: _symbol_limits(config.of_symbol(symbol)) for symbol in symbols},
    )


def _symbol_limits(config: SymbolRiskConfig) -> SymbolLimits:
    return SymbolLimits(
        max_position_fraction=config.max_position_fraction,
        max_order_notional=config.max_order_notional,
        max_order_quantity=config.max_order_quantity,
        max_open_orders=config.max_symbol_open_orders,
        max_orders_per_sec=config.max_symbol_orders_per_sec,
        max_messages_per_sec=config.max_symbol_messages_per_sec,
        price_collar_fraction=config.price_collar_fraction,
        last_collar_fraction=config.last_collar_fraction,
        average_collar_fraction=config.average_collar_fraction,
        max_volatility_fraction=config.max_volatility_fraction,
        max_gap_fraction=config.max_gap_fraction,
        price_window_secs=config.price_window_secs,
        max_volume_fraction=config.max_volume_fraction,
        volume_window_secs=config.volume_window_secs,
        quote_stale_ns=int(config.quote_stale_secs * NANOS_PER_SEC),
        # At least one, because the same order at the same time is always the same.
        duplicate_ns=max(1, int(config.duplicate_secs * NANOS_PER_SEC)),
        trading_hours=tuple(map(parse, config.trading_hours)),
    )
