"""A day's setting: symbols, strategies, limits, balances. All of it from the seed."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from krator_actors.model import Instrument, OrderType, PriceBand

D = Decimal
SEC = 1_000_000_000
DAY = 86_400 * SEC
LOOSE: dict[str, Any] = {
    "max_position_fraction": "1",
    "max_order_notional": "100000",
    "max_order_quantity": "1000000000",
    "max_symbol_open_orders": 40,
    "max_symbol_orders_per_sec": 40,
    "max_symbol_messages_per_sec": 80,
    "price_collar_fraction": "0.05",
    "last_collar_fraction": "0.1",
    "average_collar_fraction": "0.2",
    "max_volatility_fraction": "0.3",
    "max_gap_fraction": "0.1",
    "price_window_secs": 300.0,
    "max_volume_fraction": "1",
    "volume_window_secs": 300.0,
    "quote_stale_secs": 5.0,
    "duplicate_secs": 0.001,
    "trading_hours": ["always"],
    "max_gross_fraction": "5",
    "max_net_fraction": "5",
    "max_daily_loss_fraction": "0.2",
    "max_drawdown_fraction": "0.2",
    "max_open_orders": 100,
    "max_orders_per_sec": 60,
    "max_strategy_orders_per_sec": 50,
    "max_messages_per_sec": 120,
    "max_strategy_messages_per_sec": 100,
    "max_executions": 1000,
    "executions_secs": 60.0,
    "restricted_symbols": [],
    "max_log_bytes": 2_000_000_000,
}
TIGHT: dict[str, tuple[Any, ...]] = {
    "max_position_fraction": ("0.02", "0.005", "0.1"),
    "max_order_notional": ("5000", "777.77", "12345.678"),
    "max_order_quantity": ("3", "25.5", "1000"),
    "max_symbol_open_orders": (1, 3, 6),
    "max_symbol_orders_per_sec": (1, 3, 5),
    "max_symbol_messages_per_sec": (2, 5, 8),
    "price_collar_fraction": ("0.01", "0.002"),
    "last_collar_fraction": ("0.02", "0.004"),
    "average_collar_fraction": ("0.05", "0.003"),
    "max_volatility_fraction": ("0.02", "0.01"),
    "max_gap_fraction": ("0.005", "0.02"),
    "price_window_secs": (2.0, 20.0),
    "max_volume_fraction": ("0.1", "0.001"),
    "volume_window_secs": (3.0, 60.0),
    "quote_stale_secs": (0.5, 1.0),
    "duplicate_secs": (1.0, 0.25, 3.0),
    "trading_hours": (
        ["Mon 08:00-Fri 21:30"],
        ["Mon 00:00-Mon 12:00", "Tue 09:00-Wed 17:00", "Thu 13:37-Sun 23:59"],
        ["Mon 00:00-Mon 06:00", "Fri 20:00-Sun 23:59"],
        [],
    ),
    "max_gross_fraction": ("0.5", "0.9"),
    "max_net_fraction": ("0.5", "0.9"),
    "max_daily_loss_fraction": ("0.05", "0.004"),
    "max_drawdown_fraction": ("0.05", "0.003"),
    "max_open_orders": (5, 12),
    "max_orders_per_sec": (3, 10),
    "max_strategy_orders_per_sec": (2, 5),
    "max_messages_per_sec": (6, 15),
    "max_strategy_messages_per_sec": (4, 10),
    "max_executions": (5, 20),
    "executions_secs": (2.0, 30.0),
}
"""What a limit is on the days on which it binds."""
ACCOUNT = frozenset(list(LOOSE)[list(LOOSE).index("max_gross_fraction") :])


class World:
    """What does not change in the day."""

    def __init__(self, rng: Random) -> None:
        names = [f"C{i:02}" for i in range(rng.randint(5, 20))] + ["BNB"]
        self.symbols = tuple(f"{name}-USDT.SIM" for name in names)
        # One symbol is configured and has no limits; one is not configured at all.
        self.limited = self.symbols[:-2] + self.symbols[-1:]
        self.unlimited, self.stranger = self.symbols[-2], "XYZ-USDT.SIM"
        self.tight = rng.sample(list(TIGHT), rng.randint(3, 9))
        self.common = dict(LOOSE)
        self.own: dict[str, dict[str, Any]] = {}
        for key in self.tight:
            if key in ACCOUNT or (key != "trading_hours" and rng.random() < 0.3):
                self.common[key] = rng.choice(TIGHT[key])
            else:
                for symbol in rng.sample(self.limited, rng.randint(1, 3)):
                    self.own.setdefault(symbol, {})[key] = rng.choice(TIGHT[key])
        if rng.random() < 0.4:
            self.common["restricted_symbols"] = [rng.choice(self.limited)]
        self.strategies = tuple(f"strategy:s{i}" for i in range(rng.randint(2, 6)))
        self.permissions = {
            each: tuple(s for s in self.limited if rng.random() < 0.95) for each in self.strategies
        }
        self.mids = {
            s: D(rng.randint(100, 99_999)) * D(10) ** rng.randint(-5, 0) for s in self.symbols
        }
        self.instruments = {s: self.instrument(rng, s) for s in self.symbols}
        self.now = 1_000 * SEC + rng.randrange(SEC)
        self.utc = (20_000 + rng.randrange(7)) * DAY + rng.randrange(DAY)
        self.balances = {"USDT": D(rng.choice((100_000, 1_000_000, "54321.12345678")))}
        for symbol in self.limited:
            if rng.random() < 0.5:
                worth = self.balances["USDT"] * rng.randint(1, 40) / 100
                held = (worth / self.mids[symbol]).quantize(D("1e-8"))
                self.balances[symbol.partition("-")[0]] = held

    def venue_rules(self, rng: Random, mid: Decimal, lot: Decimal) -> dict[str, Any]:
        """Return a few of the rules that few venues have."""
        rules = {
            "max_notional": D(4_000),
            "min_price": mid * D("0.99"),
            "max_price": mid * D("1.01"),
            "price_band": PriceBand(
                buy_down=D("0.99"), buy_up=D("1.002"), sell_down=D("0.998"), sell_up=D("1.01")
            ),
            "market_lot_size": lot * 2,
            "market_min_quantity": lot * 3,
            "market_max_quantity": lot * 500,
            "max_open_orders": 2,
            "max_stop_orders": 1,
            "max_position": lot * 2_000,
            "order_types": frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.STOP_LIMIT}),
            "is_min_notional_for_market": False,
            "is_max_notional_for_market": True,
        }
        return {key: rules[key] for key in rules if rng.random() < 0.06}

    def instrument(self, rng: Random, symbol: str) -> Instrument:
        mid, is_free = self.mids[symbol], rng.random() < 0.3
        base = symbol.partition("-")[0]
        tick = D(10) ** (mid.adjusted() - rng.choice((4, 5)))
        lot = D(10) ** (-mid.adjusted() - rng.choice((0, 1, 2)))
        return Instrument(
            symbol=symbol,
            venue_symbol=base + "USDT",
            base=base,
            quote="USDT",
            tick_size=D(0) if is_free else tick,
            lot_size=D(0) if is_free else lot,
            min_quantity=lot,
            max_quantity=lot * 100_000,
            min_notional=D(rng.choice((5, 10))),
            **self.venue_rules(rng, mid, lot),
        )
