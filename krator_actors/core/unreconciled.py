"""Which differences between the venue and our record must halt trading. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.messages.orders import ReconciliationDifference


class UnreconciledState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an Unreconciled knows; what a snapshot holds."""

    settled_ns: int = 0
    due: tuple[str, ...] = ()


class Unreconciled:
    """Differences that are worth more than the limit, until a halt because of them is logged.

    The halt is latched, so a difference halts once: one that is read again after a restart, and
    was found before the last such halt, has had its person's attention.
    """

    def __init__(self, max_value: Decimal) -> None:
        self._max_value = max_value
        self._settled_ns = 0
        self._due: list[str] = []

    def notice(self, difference: ReconciliationDifference, value: Decimal | None) -> None:
        """Take a difference; ``value`` is in the quote currency, None: nobody can tell its worth.

        Then it counts as above the limit.
        """
        if difference.ts_event <= self._settled_ns:
            return
        if value is not None and abs(value) <= self._max_value:
            return
        worth = "of unknown value" if value is None else f"worth {abs(value):.2f}"
        self._due.append(
            f"{difference.what.value} {difference.subject}: ours "
            f"{difference.ours}, the venue's {difference.venue}, {worth}; "
            f"exceeds max {self._max_value}"
        )

    @property
    def due(self) -> str | None:
        """Why trading must be halted now, or None."""
        return self._due[0] if self._due else None

    def settle(self, halted_ns: int) -> None:
        """A halt because of what was found up to then (UTC ns) is in risk's log."""
        self._settled_ns = max(self._settled_ns, halted_ns)
        self._due.clear()

    def state(self) -> UnreconciledState:
        """Return what ``restore`` needs."""
        return UnreconciledState(settled_ns=self._settled_ns, due=tuple(self._due))

    def restore(self, state: UnreconciledState) -> None:
        """Become what ``state`` says."""
        self._settled_ns = state.settled_ns
        self._due = list(state.due)
