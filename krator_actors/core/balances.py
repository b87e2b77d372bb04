"""What our record says is in the account, and where the venue says otherwise. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Context, Decimal

import msgspec

from krator_actors.messages.orders import (
    AccountReport,
    Difference,
    OrderEvent,
    OrderFilled,
    ReconciliationDifference,
)
from krator_actors.model import NANOS_PER_SEC

QUIET_NS = 2 * NANOS_PER_SEC
"""An asset that has traded within so long before it was asked for is not compared: the next trade
may be in the venue's answer and not yet in our record."""

_ZERO = Decimal(0)
# Wide enough that no sum or product of a fill is rounded.
_EXACT = Context(prec=96)


class BalancesState(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot holds; None before the opening AccountReport."""

    totals: dict[str, Decimal] | None
    traded_ns: dict[str, int]


class Balances:
    """The opening balances and all that has happened to them since: an exact fold of the log."""

    def __init__(self) -> None:
        # Asset to total; None before the opening.
        self.totals: dict[str, Decimal] | None = None
        # When an asset was traded last, by the venue's clock, UTC ns.
        self._traded_ns: dict[str, int] = {}
        # Asset to how much more the venue had when it was asked last.
        self._suspected: dict[str, Decimal] = {}

    def apply(self, event: OrderEvent) -> None:
        """Take one event of the order log, each once."""
        match event:
            case AccountReport() if self.totals is None:
                self.totals = dict(event.balances)
            case OrderFilled():
                self._fill(event)
            case ReconciliationDifference(what=Difference.BALANCE) if self.totals is not None:
                self.totals[event.subject] = event.venue
            case _:
                pass

    def differences(
        self, balances: Mapping[str, Decimal], *, asked_ns: int, busy: Collection[str], now_ns: int
    ) -> list[ReconciliationDifference]:
        """Return what the venue has more or less of than our record, twice in a row.

        Once is not enough, because a trade may reach the account before it reaches us. ``busy`` are
        assets of orders whose fills we do not know; ``asked_ns`` is the venue's clock when it was
        asked, ``now_ns`` what the events are stamped with.
        """
        if self.totals is None:
            return []
        suspected: dict[str, Decimal] = {}
        found = []
        for asset in sorted(self.totals.keys() | balances.keys()):
            ours, venue = self.totals.get(asset, _ZERO), balances.get(asset, _ZERO)
            quiet = self._traded_ns.get(asset, 0) + QUIET_NS < asked_ns
            if ours == venue or asset in busy or not quiet:
                continue
            if self._suspected.get(asset) != venue - ours:
                suspected[asset] = venue - ours
                continue
            found.append(
                ReconciliationDifference(
                    what=Difference.BALANCE,
                    subject=asset,
                    symbol="",
                    ours=ours,
                    venue=venue,
                    ts_event=now_ns,
                )
            )
        self._suspected = suspected
        return found

    @property
    def is_suspicious(self) -> bool:
        """True when a difference was seen once: ask again soon."""
        return bool(self._suspected)

    def state(self) -> BalancesState:
        """Return what ``restore`` needs; encode it at once."""
        return BalancesState(totals=self.totals, traded_ns=self._traded_ns)

    def restore(self, state: BalancesState) -> None:
        """Become what ``state`` says."""
        self.totals = state.totals
        self._traded_ns = state.traded_ns

    def _fill(self, fill: OrderFilled) -> None:
        if self.totals is None:
            return
        base, quote = fill.symbol.rpartition(".")[0].split("-")
        signed = fill.last_quantity * fill.side.sign
        paid = _EXACT.multiply(-signed, fill.last_price)
        moved = ((base, signed), (quote, paid), (fill.fee_currency, -fill.fee))
        for asset, amount in moved:
            if amount:
                self.totals[asset] = _EXACT.add(self.totals.get(asset, _ZERO), amount)
                self._traded_ns[asset] = max(self._traded_ns.get(asset, 0), fill.ts_event)
