"""What people decide about trading, and what risk must latch: written down, then in force."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
from loguru import logger

from krator_actors import clock, halt_file
from krator_actors.core.latches import DueEvent, LatchEvent
from krator_actors.core.rules import DenialReason
from krator_actors.core.trading_states import override
from krator_actors.messages.risk import (
    ActRefused,
    ControlOverridden,
    DayStarted,
    EquityPeaked,
    Halt,
    OverrideControl,
    Reduce,
    Resume,
    Scope,
    TradingStateChanged,
)
from krator_actors.model import TradingState
from krator_actors.risk_ledger import RiskLedger

_Act = TypeVar("_Act", TradingStateChanged, ControlOverridden)
_EVENT_TYPES: dict[type[LatchEvent], tuple[str, str]] = {
    TradingStateChanged: ("trading_state_changed", "WARNING"),
    ControlOverridden: ("control_overridden", "WARNING"),
    DayStarted: ("day_started", "INFO"),
    EquityPeaked: ("equity_peaked", "DEBUG"),
}


class RiskActs:
    """Changes the engine's latches through the log. Methods raise OSError as the ledger does.

    A restriction holds also when the log is full; what loosens one is written down or refused.
    """

    def __init__(self, ledger: RiskLedger, data_dir: Path, *, component: str) -> None:
        self._ledger = ledger
        self._engine = ledger.engine
        self._data_dir = data_dir
        self._logger = logger.bind(component=component)

    def restrict(self, act: Halt | Reduce) -> TradingStateChanged:
        """Latch a person's halt, or let only reductions pass."""
        is_halt = isinstance(act, Halt)
        filed = self.adopt_filed_halt() if is_halt and act.scope is Scope.SYSTEM else None
        if filed is not None:
            return filed  # krator kill wrote the file before it asked
        changed = TradingStateChanged(
            state=TradingState.HALTED if is_halt else TradingState.REDUCING,
            scope=act.scope,
            target=act.target,
            by=act.by,
            reason=act.reason,
            cancels=isinstance(act, Halt) and act.cancels,
            ts_event=clock.utc_ns(),
        )
        self._latch(changed)
        return changed

    def resume(self, act: Resume) -> TradingStateChanged | ActRefused:
        """Lift a state in the name of a person."""
        # One that waits in its file is older than this act, and must not come after it.
        self.adopt_filed_halt()
        try:
            changed = self._engine.latches.resume(
                act.scope,
                act.target,
                by=act.by,
                reason=act.reason,
                equity=self._engine.portfolio.equity,
                utc_ns=clock.utc_ns(),
            )
        except ValueError as error:
            return _refused(str(error))
        return self._record(changed)

    def override(self, act: OverrideControl) -> ControlOverridden | ActRefused:
        """Let a control pass for a time, in the name of a person."""
        try:
            overridden = override(
                act.control,
                act.symbol,
                secs=act.secs,
                by=act.by,
                reason=act.reason,
                utc_ns=clock.utc_ns(),
            )
        except ValueError as error:
            return _refused(str(error))
        return self._record(overridden)

    def adopt_filed_halt(self) -> TradingStateChanged | None:
        """Latch the halt that waits in its file, if one does; the file goes when the log has it."""
        filed = halt_file.read(self._data_dir)
        if filed is None:
            return None
        system = self._engine.latches.states.system
        if system is None or system.ts_event != filed.ts_event:
            system = TradingStateChanged(
                state=TradingState.HALTED,
                by=filed.by,
                reason=filed.reason,
                cancels=True,
                ts_event=filed.ts_event,
            )
            self._latch(system)
        if not self._ledger.is_behind:
            try:
                halt_file.delete(self._data_dir)
            except OSError as error:
                self._logger.bind(event_type="halt_file_stays", error=str(error)).error(
                    "the halt is latched, and its file cannot be deleted"
                )
        return system

    def record_due(self) -> bool:
        """Latch what is due now; False when nothing was."""
        was_due = False
        while (due := self._engine.due_event(clock.utc_ns())) is not None:
            self._latch(due)
            was_due = True
        return was_due

    def _record(self, event: _Act) -> _Act | ActRefused:
        if not self._ledger.record(event):
            return _refused(f"{DenialReason.LOG_FULL}: it must be written down")
        self._log(event)
        return event

    def _latch(self, event: DueEvent) -> None:
        self._ledger.latch(event)
        self._log(event)

    def _log(self, event: LatchEvent) -> None:
        event_type, level = _EVENT_TYPES[type(event)]
        fields = {key: str(value) for key, value in msgspec.structs.asdict(event).items()}
        self._logger.bind(event_type=event_type, **fields).log(level, "risk has recorded")


def _refused(reason: str) -> ActRefused:
    return ActRefused(reason=reason, ts_event=clock.utc_ns())
