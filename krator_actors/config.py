"""The configuration: read once, typed, frozen; unknown keys are refused, all mistakes reported.

Every key is explained in ``conf/krator.toml``, which holds exactly these defaults. Secrets are
named by environment variable and are handed to the adapter that signs; they are never in here.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from krator_actors.core.trading_hours import parse as parse_hours
from krator_actors.model import venue_of
from krator_actors.own_strategy import trial
from krator_actors.strategy_config import (
    OWN_KIND,
    SYMBOL_PATTERN,
    BuiltInStrategyConfig,
    ConfiguredStrategy,
    Fraction,
    OwnStrategyConfig,
    Positive,
    Section,
    SmaCrossConfig,
    StrategyConfig,
    Symbol,
)


class ConfigError(ValueError):
    """What is wrong with a configuration: one line a mistake, each naming key and remedy."""


class SystemConfig(Section):
    """Where things are kept, and whether a real venue may be traded on."""

    data_dir: Path = Path("var/krator")
    dry_run: bool = True
    admin_port: Annotated[int, Field(ge=0, le=65535)] = 0
    durability: Literal["process", "disk"] = "process"


class VenueConfig(Section):
    """The venue, and how patient to be with it."""

    name: Annotated[str, Field(pattern=r"^[A-Z0-9_]{2,16}$")] = "SIM"
    kind: Literal[
        "sim", "binance", "binance_usdm", "coinbase", "kraken", "alpaca_iex", "alpaca_sip"
    ] = "sim"
    url: str = ""
    api_key_env: str = "KRATOR_VENUE_API_KEY"
    api_secret_env: str = "KRATOR_VENUE_API_SECRET"  # noqa: S105 - a name, not a secret
    recv_window_ms: Annotated[int, Field(gt=0, le=60_000)] = 5_000
    request_timeout_secs: Annotated[float, Field(gt=0)] = 5.0
    heartbeat_secs: Annotated[float, Field(gt=0)] = 30.0
    reconnect_initial_secs: Annotated[float, Field(gt=0)] = 1.0
    reconnect_max_secs: Annotated[float, Field(gt=0)] = 32.0
    quote_stale_secs: Annotated[float, Field(gt=0)] = 5.0
    trade_stale_secs: Annotated[float, Field(gt=0)] = 60.0
    stale_max_secs: Annotated[float, Field(gt=0)] = 900.0
    connections: Annotated[int, Field(ge=1, le=4)] = 1
    compression: bool = False
    books: bool = False
    reconcile_secs: Annotated[float, Field(gt=0)] = 30.0

    @property
    def takes_orders(self) -> bool:
        """True where order entry is built; elsewhere Krator reads market data only."""
        return self.kind in {"sim", "binance"}


class ExchangeConfig(Section):
    """The simulated venue that ``krator run`` starts as a companion."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    seed: int = 1
    ticks_per_sec: Annotated[float, Field(gt=0, le=100_000)] = 20.0
    quote_balance: Positive = Decimal(100_000)
    fee_rate: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal("0.001")
    linger_secs: Annotated[float, Field(ge=0)] = 10.0


class PostgresConfig(Section):
    """The journal's database; embedded when the variable is not set."""

    dsn_env: str = "KRATOR_POSTGRES_DSN"
    commit_interval_ms: Annotated[int, Field(gt=0)] = 20
    batch_limit: Annotated[int, Field(gt=0)] = 5_000
    anchor_secs: Annotated[float, Field(gt=0)] = 60.0
    keep_days: Annotated[int, Field(ge=0)] = 0
    require_tls: bool = True
    store_ticks: bool = False


class RedisConfig(Section):
    """Events, prices and states for readers outside; embedded when the variable is not set."""

    url_env: str = "KRATOR_REDIS_URL"
    stream_max_length: Annotated[int, Field(gt=0, le=10_000_000)] = 10_000
    cache_interval_secs: Annotated[float, Field(ge=0.05)] = 1.0
    cache_ttl_secs: Annotated[float, Field(gt=0)] = 10.0
    timeout_secs: Annotated[float, Field(gt=0, le=60)] = 1.0
    max_memory_bytes: Annotated[int, Field(ge=4_000_000)] = 64_000_000
    require_tls: bool = True


def _checked_hours(window: str) -> str:
    parse_hours(window)
    return window


TradingHours = Annotated[str, AfterValidator(_checked_hours)]
"""``always``, or ``Mon 08:00-Fri 21:30``, UTC"""
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class SymbolRiskConfig(Section):
    """The limits of a symbol."""

    max_position_fraction: Fraction = Decimal("0.02")
    max_order_notional: Positive = Decimal(5_000)
    max_order_quantity: Positive = Decimal(1_000_000)
    max_symbol_open_orders: Annotated[int, Field(gt=0)] = 20
    max_symbol_orders_per_sec: Annotated[int, Field(gt=0)] = 5
    max_symbol_messages_per_sec: Annotated[int, Field(gt=0)] = 20
    price_collar_fraction: Fraction = Decimal("0.01")
    last_collar_fraction: Fraction = Decimal("0.02")
    average_collar_fraction: Fraction = Decimal("0.05")
    max_volatility_fraction: Fraction = Decimal("0.1")
    max_gap_fraction: Fraction = Decimal("0.05")
    price_window_secs: Seconds = 300.0
    max_volume_fraction: Fraction = Decimal(1)
    volume_window_secs: Seconds = 300.0
    quote_stale_secs: Seconds = 5.0
    duplicate_secs: Seconds = 1.0
    trading_hours: tuple[TradingHours, ...] = ("always",)


class RiskConfig(SymbolRiskConfig):
    """The limits of the account, and of every symbol that has none of its own."""

    max_gross_fraction: Positive = Decimal(1)
    max_net_fraction: Positive = Decimal(1)
    max_daily_loss_fraction: Fraction = Decimal("0.05")
    max_drawdown_fraction: Fraction = Decimal("0.05")
    max_reconciliation_difference: Annotated[Decimal, Field(ge=0)] = Decimal(10)
    max_open_orders: Annotated[int, Field(gt=0)] = 100
    max_orders_per_sec: Annotated[int, Field(gt=0)] = 10
    max_strategy_orders_per_sec: Annotated[int, Field(gt=0)] = 5
    max_messages_per_sec: Annotated[int, Field(gt=0)] = 40
    max_strategy_messages_per_sec: Annotated[int, Field(gt=0)] = 20
    max_executions: Annotated[int, Field(gt=0, le=1_000_000)] = 200
    executions_secs: Seconds = 600.0
    restricted_symbols: tuple[Symbol, ...] = ()
    max_log_bytes: Annotated[int, Field(gt=0)] = 2_000_000_000
    symbols: dict[Symbol, SymbolRiskConfig] = Field(default_factory=dict)

    def of_symbol(self, symbol: str) -> SymbolRiskConfig:
        """Return the limits of ``symbol``: its own keys, and for the rest those of ``[risk]``."""
        own = self.symbols.get(symbol)
        if own is None:
            return self
        return self.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""``HH:MM``, UTC"""


class JobsConfig(Section):
    """Background work: when, and for how long things are kept."""

    daily_close_at: TimeOfDay = "00:01"
    retention_at: TimeOfDay = "03:30"
    catch_up_days: Annotated[int, Field(ge=1, le=366)] = 7
    deadline_secs: Annotated[float, Field(gt=0)] = 300.0
    retry_first_secs: Annotated[float, Field(gt=0)] = 60.0
    retry_max_secs: Annotated[float, Field(gt=0)] = 3_600.0
    keep_logs_days: Annotated[int, Field(ge=1)] = 14
    keep_crash_files_days: Annotated[int, Field(ge=1)] = 30
    keep_replays_days: Annotated[int, Field(ge=1)] = 7


class GatewayConfig(Section):
    """Metrics, health and status over HTTP, for programs on this host."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    interval_secs: Annotated[float, Field(ge=0.2, le=60)] = 2.0


class SupervisionConfig(Section):
    """How soon a hung actor is found and how often one may be restarted."""

    beat_secs: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    critical_beat_secs: Annotated[float, Field(ge=0.05, le=60)] = 0.1
    budget_restarts: Annotated[int, Field(gt=0)] = 5
    budget_period_secs: Annotated[float, Field(gt=0)] = 60.0
    heart_restarts: Annotated[int, Field(gt=0)] = 5
    heart_period_secs: Annotated[float, Field(gt=0)] = 300.0
    max_rss_bytes: Annotated[int, Field(gt=0)] = 2_147_483_648
    pin_hot_path: bool = False


class LogConfig(Section):
    """The JSON log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    max_bytes: Annotated[int, Field(gt=0)] = 50_000_000
    max_files: Annotated[int, Field(ge=1, le=1_000)] = 20
    redact_names: tuple[Annotated[str, Field(min_length=2, max_length=100)], ...] = ()


def _default_strategies() -> tuple[StrategyConfig, ...]:
    return tuple(
        SmaCrossConfig(symbol=symbol) for symbol in ("BTC-USDT.SIM", "ETH-USDT.SIM", "SOL-USDT.SIM")
    )


class Config(Section):
    """The whole configuration; ``Config()`` is what ``conf/krator.toml`` says."""

    system: SystemConfig = SystemConfig()
    venue: VenueConfig = VenueConfig()
    exchange: ExchangeConfig = ExchangeConfig()
    postgres: PostgresConfig = PostgresConfig()
    redis: RedisConfig = RedisConfig()
    risk: RiskConfig = RiskConfig()
    jobs: JobsConfig = JobsConfig()
    gateway: GatewayConfig = GatewayConfig()
    supervision: SupervisionConfig = SupervisionConfig()
    log: LogConfig = LogConfig()
    strategies: tuple[ConfiguredStrategy, ...] = Field(default_factory=_default_strategies)

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        symbols = [strategy.symbol for strategy in self.strategies]
        shared = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if shared:
            # A position belongs to a symbol: two strategies would sell each other's holding.
            raise ValueError(f"strategies: {', '.join(shared)} has more than one strategy")
        foreign = [s.symbol for s in self.strategies if venue_of(s.symbol) != self.venue.name]
        if foreign:
            raise ValueError(f"strategies: {', '.join(foreign)} is not at {self.venue.name}")
        unknown = sorted({*self.risk.symbols, *self.risk.restricted_symbols} - set(symbols))
        if unknown:
            raise ValueError(f"risk: {', '.join(unknown)} is not traded by any strategy")
        for number, strategy in enumerate(self.strategies):
            entry, most = strategy.order_notional, self.risk.of_symbol(strategy.symbol)
            if entry > most.max_order_notional:
                # Not one of its entries could pass.
                raise ValueError(
                    f"strategies.{number}.order_notional: {entry} exceeds risk.max_order_notional, "
                    f"{most.max_order_notional} for {strategy.symbol}"
                )
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every configured symbol, once, in order."""
        return tuple(dict.fromkeys(strategy.symbol for strategy in self.strategies))


def load(path: Path) -> Config:
    """Read a TOML file.

    Raises ConfigError with every mistake, one a line: key, what was found, what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"there is no configuration file: {path}; pass --config PATH") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [f"  {_explained(item)}" for item in error.errors()]
        raise ConfigError("\n".join([f"{path}:", *lines])) from error


def require_code(config: Config) -> None:
    """Try the classes that ``[[strategies]]`` names, each in a process of its own.

    Not part of ``load``, because ``krator kill`` must not need them. Raises ConfigError with every
    mistake.
    """
    tried = (
        (n, trial(strategy.kind, strategy.parameters))
        for n, strategy in enumerate(config.strategies)
        if isinstance(strategy, OwnStrategyConfig)
    )
    mistakes = [f"  strategies.{n}.{mistake}" for n, mistake in tried if mistake]
    if mistakes:
        raise ConfigError("\n".join(["a strategy of your own cannot be run:", *mistakes]))


def _explained(item: ErrorDetails) -> str:
    """Return key, what was found, what is allowed."""
    where = item["loc"]
    # In a strategy pydantic puts its kind before the key, which the file does not.
    is_strategy = where[:1] == ("strategies",)
    key = ".".join(str(part) for n, part in enumerate(where) if not (is_strategy and n == 2))  # noqa: PLR2004 - behind the number
    if item["type"] == "union_tag_invalid":
        context = item["ctx"]
        return f"{key}.kind: was {context['tag']!r}; allowed are {context['expected_tags']}"
    if item["type"] == "extra_forbidden":
        # Not the value, because it may be a secret that was put in the wrong place.
        return f"{key}: there is no such key; known are {', '.join(_known_keys(where))}"
    if item["type"] == "value_error":
        return ": ".join(filter(None, (key, str(item["ctx"]["error"]))))
    if item["type"] == "string_pattern_mismatch" and item["ctx"]["pattern"] == SYMBOL_PATTERN:
        return f"{key}: {item['input']!r} is not like BTC-USDT.SIM"
    if where == ("strategies",):
        return f"{key}: each one is a table of its own, below a line [[strategies]]"
    found = item["input"]
    was = f", was {found!r}" if isinstance(found, str | int | float) else ""
    return f"{key}: {item['msg']}{was}"


def _known_keys(where: tuple[int | str, ...]) -> list[str]:
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    built_in = get_args(BuiltInStrategyConfig)
    sections.update((kind.model_fields["kind"].default, kind) for kind in built_in)
    sections[OWN_KIND] = OwnStrategyConfig
    if where[:2] == ("risk", "symbols"):
        return list(SymbolRiskConfig.model_fields)
    # The key itself is last; before it the section or the strategy's kind, or nothing.
    section: Any = sections[str(where[-2])] if len(where) > 1 else Config
    return list(section.model_fields)
