"""Who may trade what: the latched states of system, venue, symbols and strategies. Pure."""

from __future__ import annotations

from krator_actors.core.rules import DenialReason
from krator_actors.messages.risk import ControlOverridden, Scope, TradingStateChanged
from krator_actors.model import NANOS_PER_SEC, TradingState

RISK = "risk"
"""Who halts trading when a limit is hit; no person can have this name."""

OVERRIDABLE = frozenset(
    {
        DenialReason.RESTRICTED_SYMBOL,
        DenialReason.OUTSIDE_TRADING_HOURS,
        DenialReason.PRICE_COLLAR,
        DenialReason.LAST_PRICE_COLLAR,
        DenialReason.AVERAGE_PRICE_COLLAR,
        DenialReason.MAX_ORDER_NOTIONAL,
        DenialReason.MAX_ORDER_QUANTITY,
        DenialReason.MAX_VOLUME,
        DenialReason.MAX_POSITION,
        DenialReason.MAX_OPEN_ORDERS,
        DenialReason.DUPLICATE_ORDER,
    }
)
"""What a person may let pass for a time; halts, money, rates and the venue's rules are not."""

OVERRIDE_LIMIT_SECS = 3_600.0

_SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class TradingStates:
    """Every state that is not ACTIVE. Not thread-safe."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        # Empty while everything is ACTIVE.
        self._latched: dict[tuple[Scope, str], TradingStateChanged] = {}

    @property
    def latched(self) -> tuple[TradingStateChanged, ...]:
        """Every state that is not ACTIVE, the oldest first."""
        return tuple(self._latched.values())

    @property
    def system(self) -> TradingStateChanged | None:
        """The system's own state; None: ACTIVE."""
        return self._latched.get((Scope.SYSTEM, ""))

    def of(self, scope: Scope, target: str = "") -> TradingState:
        """Return the state of one scope alone."""
        changed = self._latched.get((scope, target))
        return TradingState.ACTIVE if changed is None else changed.state

    def of_system(self) -> TradingStateChanged | None:
        """Return the strictest of system and venue; None: ACTIVE."""
        return self._strictest(((Scope.SYSTEM, ""), (Scope.VENUE, self._venue)))

    def governing(self, symbol: str, strategy: str) -> TradingStateChanged | None:
        """Return the strictest state that an order meets; None: ACTIVE.

        Of equals the wider one: system, venue, symbol, strategy.
        """
        if not self._latched:
            return None
        return self._strictest(
            (
                (Scope.SYSTEM, ""),
                (Scope.VENUE, self._venue),
                (Scope.SYMBOL, symbol),
                (Scope.STRATEGY, strategy),
            )
        )

    def cancels(self, symbol: str, strategy: str) -> bool:
        """Return whether an open order must be canceled."""
        latched = self._latched
        keys = (
            (Scope.SYSTEM, ""),
            (Scope.VENUE, self._venue),
            (Scope.SYMBOL, symbol),
            (Scope.STRATEGY, strategy),
        )
        return any(key in latched and latched[key].cancels for key in keys)

    @property
    def may_cancel(self) -> bool:
        """True when ``cancels`` can be true for anything."""
        return any(changed.cancels for changed in self._latched.values())

    def set(self, changed: TradingStateChanged) -> None:
        """Latch a state, or lift one."""
        key = (changed.scope, changed.target)
        self._latched.pop(key, None)
        if changed.state is not TradingState.ACTIVE:
            self._latched[key] = changed

    def _strictest(self, keys: tuple[tuple[Scope, str], ...]) -> TradingStateChanged | None:
        strictest: TradingStateChanged | None = None
        for key in keys:
            changed = self._latched.get(key)
            if changed is not None and (
                strictest is None or _SEVERITY[changed.state] > _SEVERITY[strictest.state]
            ):
                strictest = changed
        return strictest


class Overrides:
    """Which controls a person lets pass, for which symbol, until when. Not thread-safe."""

    def __init__(self) -> None:
        # The latest of each symbol and control; an expired one stays until the next is set.
        self._set: dict[tuple[str, str], ControlOverridden] = {}

    def live(self, utc_ns: int) -> tuple[ControlOverridden, ...]:
        """Return those that have not expired."""
        return tuple(o for o in self._set.values() if utc_ns < o.until_ns)

    def covers(self, symbol: str, reason: DenialReason, utc_ns: int) -> bool:
        """Return whether a denial for ``reason`` is passed over now."""
        override = self._set.get((symbol, reason.value))
        return override is not None and utc_ns < override.until_ns

    def set(self, override: ControlOverridden) -> None:
        """Take one; those that have expired by then are forgotten."""
        self._set = {k: o for k, o in self._set.items() if override.ts_event < o.until_ns}
        self._set[(override.symbol, override.control)] = override


def check_person(by: str) -> None:
    """ValueError when ``by`` names no person; a part of the system has a colon in its name."""
    if not by.strip() or by.strip().lower() == RISK or ":" in by:
        raise ValueError(f"a named person only does this; by was {by!r}")


def override(
    control: str, symbol: str, *, secs: float, by: str, reason: str, utc_ns: int
) -> ControlOverridden:
    """Return the override, to be logged and recorded. ValueError: it is not to be had."""
    check_person(by)
    if not reason.strip():
        raise ValueError("an override needs a reason")
    if control not in OVERRIDABLE:
        known = ", ".join(sorted(OVERRIDABLE))
        raise ValueError(f"{control} cannot be overridden; these can: {known}")
    if not 0 < secs <= OVERRIDE_LIMIT_SECS:
        raise ValueError(f"an override lasts above 0 and up to {OVERRIDE_LIMIT_SECS:g} s")
    return ControlOverridden(
        control=control,
        symbol=symbol,
        until_ns=utc_ns + int(secs * NANOS_PER_SEC),
        by=by,
        reason=reason,
        ts_event=utc_ns,
    )
