"""Trading states, losses, throttle and overrides: the part of docs/RISK.md that is latched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from krator_actors.messages.risk import Scope
from krator_actors.model import TradingState

SEC = 1_000_000_000
DAY = 86_400 * SEC
WIDEST_FIRST = (Scope.SYSTEM, Scope.VENUE, Scope.SYMBOL, Scope.STRATEGY)


@dataclass
class States:
    """The four states of everything, and what changes them by itself."""

    account: Mapping[str, Any]
    venue: str
    states: dict[tuple[Scope, str], tuple[TradingState, str]] = field(default_factory=dict)
    """by scope and target: the state and the code of a halt"""
    day: int = -1
    base: Decimal = Decimal(0)
    peak: Decimal | None = None
    executions: dict[str, list[int]] = field(default_factory=dict)
    """by strategy: when its orders were approved, since it was resumed"""
    overrides: dict[tuple[str, str], int] = field(default_factory=dict)
    """by control and symbol: until when the last one holds"""

    def of(self, scope: Scope, target: str) -> TradingState:
        return self.states.get((scope, target), (TradingState.ACTIVE, ""))[0]

    def strictest(self, symbol: str, strategy: str) -> tuple[TradingState, str]:
        """Return what decides on an order, and the reason when that is HALTED."""
        targets = ("", self.venue, symbol, strategy)
        met = [self.states.get(of) for of in zip(WIDEST_FIRST, targets, strict=True)]
        for state in (TradingState.HALTED, TradingState.REDUCING):
            for found in met:
                if found is not None and found[0] is state:
                    return found
        return TradingState.ACTIVE, ""

    def halt(self, scope: Scope, target: str, code: str) -> None:
        """Halt what is not halted yet: the first reason stands."""
        if self.of(scope, target) is not TradingState.HALTED:
            self.states[scope, target] = (TradingState.HALTED, code)

    def person(self, state: TradingState, scope: Scope, target: str) -> None:
        self.states[scope, target] = (state, "TRADING_HALTED")
        if scope is Scope.STRATEGY and state is TradingState.REDUCING:
            self.executions.pop(target, None)

    def resume(self, scope: Scope, target: str, equity: Decimal | None) -> None:
        if scope is Scope.SYSTEM and equity is not None:
            if self.is_daily_loss(equity):
                self.base = equity
            if self.is_drawdown(equity):
                self.peak = equity
        if scope is Scope.STRATEGY:
            self.executions.pop(target, None)
        self.states[scope, target] = (TradingState.ACTIVE, "")

    def is_daily_loss(self, equity: Decimal) -> bool:
        left = 1 - Decimal(self.account["max_daily_loss_fraction"])
        return self.base > 0 and equity <= self.base * left

    def is_drawdown(self, equity: Decimal) -> bool:
        left = 1 - Decimal(self.account["max_drawdown_fraction"])
        return self.peak is not None and equity <= self.peak * left

    def approved(self, strategy: str, now: int) -> None:
        count = self.account["max_executions"]
        period = int(self.account["executions_secs"] * SEC)
        times = [t for t in self.executions.get(strategy, []) if now - t < period]
        times.append(now)
        self.executions[strategy] = times
        if len(times) >= count:
            self.halt(Scope.STRATEGY, strategy, "EXECUTION_THROTTLE")

    def look(self, equity: Decimal | None, utc: int) -> None:
        """Let losses take effect; ``equity`` None: unknown, or risk is not recovered."""
        if equity is None:
            return
        if utc // DAY != self.day:
            self.day, self.base = utc // DAY, equity
        if self.of(Scope.SYSTEM, "") is not TradingState.HALTED:
            if self.is_daily_loss(equity):
                self.halt(Scope.SYSTEM, "", "DAILY_LOSS")
            elif self.is_drawdown(equity):
                self.halt(Scope.SYSTEM, "", "DRAWDOWN")
        if equity > 0 if self.peak is None else equity > self.peak * Decimal("1.001"):
            self.peak = equity

    def is_overridden(self, control: str, symbol: str, utc: int) -> bool:
        return utc < self.overrides.get((control, symbol), utc)
