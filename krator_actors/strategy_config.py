"""What ``[[strategies]]`` of the configuration may hold: kinds, their keys, and their limits.

What a strategy computes with is imported when one is made, because every command reads this.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from krator_actors import own_strategy
from krator_actors.core.strategies import Strategy
from krator_actors.messages.bar_spec import BarSpec

SYMBOL_PATTERN = r"^[A-Z0-9]{1,12}(?:\.[A-Z]{1,3})?-[A-Z0-9]{2,12}\.[A-Z0-9_]{2,16}$"

Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN)]
Positive = Annotated[Decimal, Field(gt=0)]
Fraction = Annotated[Decimal, Field(gt=0, le=1)]


class Section(BaseModel):
    """A table of the file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _written_bar(text: str) -> str:
    BarSpec.parse(text)
    return text


class _StrategySection(Section):
    kind: str
    symbol: Symbol
    bar: Annotated[str, AfterValidator(_written_bar)] = "5-SECOND-LAST"
    order_notional: Positive = Decimal(500)
    stop_loss_fraction: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal(0)
    take_profit_fraction: Annotated[Decimal, Field(ge=0)] = Decimal(0)

    @model_validator(mode="after")
    def _both_ways_out_or_none(self) -> Self:
        if (self.stop_loss_fraction > 0) != (self.take_profit_fraction > 0):
            raise ValueError("stop_loss_fraction and take_profit_fraction are given together")
        return self

    @property
    def actor_name(self) -> str:
        """The name of its actor, e.g. ``strategy:BTC-USDT.SIM/sma_cross``."""
        return f"strategy:{self.symbol}/{self.kind}"

    @property
    def bar_spec(self) -> BarSpec:
        """``bar``, read."""
        return BarSpec.parse(self.bar)


class _CrossSection(_StrategySection):
    fast: Annotated[int, Field(ge=2, le=500)] = 3
    slow: Annotated[int, Field(ge=3, le=1_000)] = 8

    @model_validator(mode="after")
    def _fast_below_slow(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast {self.fast} must be below slow {self.slow}")
        return self


class SmaCrossConfig(_CrossSection):
    """Simple averages that cross, on one symbol: one actor."""

    kind: Literal["sma_cross"] = "sma_cross"

    def make(self) -> Strategy:
        """Return a new, cold strategy."""
        from krator_actors.core.cross import sma_cross  # noqa: PLC0415 - see above

        return sma_cross(fast=self.fast, slow=self.slow)


class EmaCrossConfig(_CrossSection):
    """Exponential averages that cross, on one symbol: one actor."""

    kind: Literal["ema_cross"] = "ema_cross"

    def make(self) -> Strategy:
        """Return a new, cold strategy."""
        from krator_actors.core.cross import ema_cross  # noqa: PLC0415 - see above

        return ema_cross(fast=self.fast, slow=self.slow)


class MeanReversionConfig(_StrategySection):
    """A fall that went too far, bought, on one symbol: one actor."""

    kind: Literal["mean_reversion"] = "mean_reversion"
    bollinger_period: Annotated[int, Field(ge=2, le=500)] = 20
    bollinger_deviations: Annotated[float, Field(gt=0, le=10)] = 2.0
    rsi_period: Annotated[int, Field(ge=2, le=200)] = 14
    rsi_oversold: Annotated[float, Field(gt=0, lt=50)] = 30.0
    atr_period: Annotated[int, Field(ge=2, le=200)] = 14
    stop_atr: Annotated[float, Field(gt=0, le=100)] = 3.0

    def make(self) -> Strategy:
        """Return a new, cold strategy."""
        from krator_actors.core.mean_reversion import mean_reversion  # noqa: PLC0415 - see above

        return mean_reversion(
            bollinger_period=self.bollinger_period,
            bollinger_deviations=self.bollinger_deviations,
            rsi_period=self.rsi_period,
            rsi_oversold=self.rsi_oversold,
            atr_period=self.atr_period,
            stop_atr=self.stop_atr,
        )


class OwnStrategyConfig(_StrategySection):
    """A class that is not Krator's, on one symbol: one actor. docs/STRATEGIES.md has an example."""

    kind: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def actor_name(self) -> str:
        """The name of its actor, with the class's name: ``strategy:BTC-USDT.SIM/Breakout``."""
        return f"strategy:{self.symbol}/{self.kind.partition(':')[2]}"

    def make(self) -> Strategy:
        """Return a new, cold strategy. Raises what ``own_strategy.make`` does."""
        return own_strategy.make(self.kind, self.parameters)


BuiltInStrategyConfig = SmaCrossConfig | EmaCrossConfig | MeanReversionConfig
StrategyConfig = BuiltInStrategyConfig | OwnStrategyConfig
"""One strategy on one symbol: one actor. ``kind`` says which, and so which keys there are."""

OWN_KIND = "module:Class"


def _kind(raw: Any) -> str:
    default = "sma_cross"
    kind = raw.get("kind", default) if isinstance(raw, dict) else getattr(raw, "kind", default)
    return OWN_KIND if isinstance(kind, str) and ":" in kind else str(kind)


ConfiguredStrategy = Annotated[
    Annotated[SmaCrossConfig, Tag("sma_cross")]
    | Annotated[EmaCrossConfig, Tag("ema_cross")]
    | Annotated[MeanReversionConfig, Tag("mean_reversion")]
    | Annotated[OwnStrategyConfig, Tag(OWN_KIND)],
    Discriminator(_kind),
]
"""A strategy as the file has it: without ``kind`` it is ``sma_cross``."""
