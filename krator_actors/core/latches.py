"""What halts trading until a person lifts it, and what a person decides about it. Pure.

Losses, anomalous markets and strategies that trade too often are noticed here and become events;
an event takes effect when it has been logged.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.core.daily_loss import DailyLoss, DailyLossState
from krator_actors.core.drawdown import Drawdown
from krator_actors.core.executions import Executions
from krator_actors.core.limits import RiskLimits
from krator_actors.core.rules import Denial, DenialReason
from krator_actors.core.trading_states import RISK, Overrides, TradingStates, check_person
from krator_actors.core.unreconciled import Unreconciled, UnreconciledState
from krator_actors.messages.risk import (
    ControlOverridden,
    DayStarted,
    EquityPeaked,
    Scope,
    TradingStateChanged,
)
from krator_actors.model import TradingState

DueEvent = TradingStateChanged | DayStarted | EquityPeaked
LatchEvent = DueEvent | ControlOverridden


class LatchState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that Latches know; what a snapshot holds."""

    states: tuple[TradingStateChanged, ...]
    overrides: tuple[ControlOverridden, ...]
    daily_loss: DailyLossState
    peak: Decimal | None
    unreconciled: UnreconciledState
    execution_ages_ns: dict[str, tuple[int, ...]]
    """by strategy: how long before the snapshot its latest approvals were"""


class Latches:
    """The trading states, the losses and throttles that change them, and overrides."""

    def __init__(self, limits: RiskLimits, venue: str) -> None:
        self.states = TradingStates(venue)
        self.overrides = Overrides()
        self.daily_loss = DailyLoss(limits.max_daily_loss_fraction)
        self.drawdown = Drawdown(limits.max_drawdown_fraction)
        self.executions = Executions(limits.max_executions, limits.executions_secs)
        self.unreconciled = Unreconciled(limits.max_reconciliation_difference)
        # Symbols that must be halted and are not yet, and why.
        self._anomalies: dict[str, Denial] = {}

    def notice(self, symbol: str, anomaly: Denial) -> None:
        """A symbol's market is anomalous; the first reason stands."""
        if self.states.of(Scope.SYMBOL, symbol) is not TradingState.HALTED:
            self._anomalies.setdefault(symbol, anomaly)

    def due_event(self, equity: Decimal | None, utc_ns: int) -> DueEvent | None:
        """Return what must be logged and recorded now, or None; ask again until None.

        In this order: the halt of a symbol, of a strategy, because of the venue's account, the day
        that has begun, the halt when the loss of the day or since the peak is used up, a new peak.
        ``equity`` None: not known.
        """
        for symbol, anomaly in self._anomalies.items():
            return _halt(Scope.SYMBOL, symbol, anomaly.reason, anomaly.detail, utc_ns)
        for strategy in self.executions.exhausted:
            code, detail = DenialReason.EXECUTION_THROTTLE, self.executions.describe()
            return _halt(Scope.STRATEGY, strategy, code, detail, utc_ns)
        if self.unreconciled.due is not None:
            code, detail = DenialReason.RECONCILIATION, self.unreconciled.due
            return _halt(Scope.SYSTEM, "", code, detail, utc_ns)
        if equity is None:
            return None
        day = self.daily_loss.new_day(utc_ns, equity)
        if day is not None:
            return day
        if self.daily_loss.floor < equity and self.drawdown.floor < equity <= self.drawdown.ceiling:
            return None
        halt = self._loss(equity, utc_ns)
        return self.drawdown.new_peak(equity, utc_ns) if halt is None else halt

    def resume(
        self,
        scope: Scope,
        target: str,
        *,
        by: str,
        reason: str,
        equity: Decimal | None,
        utc_ns: int,
    ) -> TradingStateChanged:
        """Return the resume of a named person, to be logged and recorded.

        While the day's loss or the drawdown is past its limit, resuming the system accepts that
        loss: it is measured anew from ``equity``. ValueError when ``by`` names no person.
        """
        check_person(by)
        measured = equity if scope is Scope.SYSTEM else None
        past_day = measured is not None and self.daily_loss.is_reached(measured)
        past_peak = measured is not None and self.drawdown.is_reached(measured)
        return TradingStateChanged(
            state=TradingState.ACTIVE,
            scope=scope,
            target=target,
            by=by,
            reason=reason,
            loss_base=measured if past_day else None,
            peak_base=measured if past_peak else None,
            ts_event=utc_ns,
        )

    def record(self, event: LatchEvent) -> None:
        """Let a logged event take effect."""
        match event:
            case TradingStateChanged():
                self._change(event)
            case DayStarted():
                self.daily_loss.start(event)
            case EquityPeaked():
                self.drawdown.measure_from(event.equity)
            case ControlOverridden():
                self.overrides.set(event)

    def state(self, *, now_ns: int, utc_ns: int) -> LatchState:
        """Return what ``restore`` needs."""
        return LatchState(
            states=self.states.latched,
            overrides=self.overrides.live(utc_ns),
            daily_loss=self.daily_loss.state(),
            peak=self.drawdown.peak,
            unreconciled=self.unreconciled.state(),
            execution_ages_ns=self.executions.state(now_ns),
        )

    def restore(self, state: LatchState, saved_ns: int) -> None:
        """Become what ``state``, taken at ``saved_ns`` of the monotonic clock, says."""
        self.executions.restore(state.execution_ages_ns, saved_ns)
        for changed in state.states:
            self._change(changed)
        for override in state.overrides:
            self.overrides.set(override)
        self.daily_loss.restore(state.daily_loss)
        self.unreconciled.restore(state.unreconciled)
        if state.peak is not None:
            self.drawdown.measure_from(state.peak)

    def _loss(self, equity: Decimal, utc_ns: int) -> TradingStateChanged | None:
        if self.daily_loss.is_reached(equity):
            code, detail = DenialReason.DAILY_LOSS, self.daily_loss.describe(equity)
        elif self.drawdown.is_reached(equity):
            code, detail = DenialReason.DRAWDOWN, self.drawdown.describe(equity)
        else:
            return None
        if self.states.of(Scope.SYSTEM) is TradingState.HALTED:
            return None
        return _halt(Scope.SYSTEM, "", code, detail, utc_ns)

    def _change(self, changed: TradingStateChanged) -> None:
        self.states.set(changed)
        if changed.code == DenialReason.RECONCILIATION:
            self.unreconciled.settle(changed.ts_event)
        if changed.loss_base is not None:
            self.daily_loss.measure_from(changed.loss_base)
        if changed.peak_base is not None:
            self.drawdown.measure_from(changed.peak_base)
        if changed.scope is Scope.SYMBOL:
            self._anomalies.pop(changed.target, None)
        elif changed.scope is Scope.STRATEGY:
            if changed.state is TradingState.HALTED:
                self.executions.acknowledge(changed.target)
            else:
                self.executions.clear(changed.target)


def _halt(
    scope: Scope, target: str, code: DenialReason, detail: str, utc_ns: int
) -> TradingStateChanged:
    return TradingStateChanged(
        state=TradingState.HALTED,
        scope=scope,
        target=target,
        by=RISK,
        reason=f"{code}: {detail}",
        code=code.value,
        cancels=True,
        ts_event=utc_ns,
    )
