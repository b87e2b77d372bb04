"""Where the journal, the venue's word and the positions do not agree at the end of a day. Pure."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from krator_actors.core.report import ReportedOrder
from krator_actors.core.venue_look import DayDifference
from krator_actors.messages.orders import (
    AccountReport,
    Difference,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    ReconciliationDifference,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import OrderSide, OrderStatus
from supervisors.messages import Message

_ZERO = Decimal(0)


class DayDifferences:
    """Takes all events from the beginning of the journal to the end of the day.

    A balance that the venue reports is compared with the report before it and the fills between; it
    agrees when it does so at some moment before the next report, because the two are told on
    different ways. After a difference, the venue's number is ours.
    """

    def __init__(self) -> None:
        # By venue and asset: what we count, and what the venue has said and we have not met yet.
        self._ours: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._unmet: dict[tuple[str, str], Decimal] = {}
        self._reported: set[str] = set()
        # By writer, the last record's number.
        self._numbers: dict[str, int] = {}
        self._approved: dict[str, int] = {}
        self._begun: set[str] = set()
        # By order: (symbol, quantity of its fills).
        self._filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._trades: set[tuple[str, str, str]] = set()
        self._found: list[DayDifference] = []

    def take(self, event: Message, writer: str, number: int) -> None:
        """Take the next row of the journal."""
        last = self._numbers.get(writer)
        # The first one may be any, because retention cuts the journal's beginning off.
        if last is not None and number != last + 1:
            self._add("journal", writer, str(number), str(last + 1), "its next record is missing")
        self._numbers[writer] = number
        match event:
            case AccountReport():
                self._report(writer.rpartition(":")[2], event)
            case OrderFilled():
                self._fill(writer.rpartition(":")[2], event)
            case OrderInitialized(order=order):
                self._begun.add(order.client_order_id)
            case OrderExternal():
                self._begun.add(event.client_order_id)
            case OrderApproved(order=order):
                self._approved[order.client_order_id] = event.ts_event
            case ReconciliationDifference() if event.what is not Difference.BALANCE:
                # Balances are compared here, by the fills alone.
                self._add(
                    "venue",
                    event.subject,
                    f"{event.ours:f}",
                    f"{event.venue:f}",
                    event.what.value.lower(),
                )
            case _:
                pass

    def begin_day(self) -> None:
        """Forget what was found before: it stands in the reports of the days before."""
        self._found.clear()

    def counted(self, venue: str) -> dict[str, Decimal] | None:
        """Return asset to what the journal makes of it; None before the venue's first report."""
        if venue not in self._reported:
            return None
        return {asset: amount for (at, asset), amount in self._ours.items() if at == venue}

    def differences(self, orders: list[ReportedOrder]) -> list[DayDifference]:
        """Return what was found, and which orders do not add up; ``orders`` are all there are.

        A balance that the venue reported last is not compared: it may be old. ``look_differences``
        compares with what the venue says when it is asked.
        """
        found = list(self._found)
        for order in orders:
            found += self._of_order(order)
        return found

    def _of_order(self, order: ReportedOrder) -> list[DayDifference]:
        identity, filled = order.client_order_id, order.filled_quantity
        found = []
        if order.status is OrderStatus.UNKNOWN:
            found.append(_order(identity, order.status.value, "?", "its outcome is not known"))
        if identity in self._approved and identity not in self._begun:
            is_ended = order.status is OrderStatus.DENIED
            if not is_ended:
                found.append(_order(identity, "approved", "none", "the order actor never had it"))
        if identity in self._filled and identity not in self._begun:
            found.append(_order(identity, "none", f"{filled:f}", "filled, and not ours"))
        if order.quantity is not None and filled > order.quantity:
            text = "more was filled than was ordered"
            found.append(_order(identity, f"{order.quantity:f}", f"{filled:f}", text))
        if order.status is OrderStatus.FILLED and filled < (order.quantity or _ZERO):
            found.append(_order(identity, f"{filled:f}", f"{order.quantity}", "fills are missing"))
        return found

    def _report(self, venue: str, report: AccountReport) -> None:
        self._found += self._balances(venue)
        is_opening = venue not in self._reported
        self._reported.add(venue)
        for asset in {*report.balances, *(a for v, a in self._ours if v == venue)}:
            key, says = (venue, asset), report.balances.get(asset, _ZERO)
            self._unmet.pop(key, None)
            if is_opening:
                self._ours[key] = says
            elif self._ours[key] != says:
                self._unmet[key] = says

    def _fill(self, venue: str, fill: OrderFilled) -> None:
        trade = (fill.symbol, fill.trade_id, fill.venue_order_id)
        if trade in self._trades:
            return
        self._trades.add(trade)
        self._filled[fill.client_order_id] += fill.last_quantity
        base, _, quote = fill.symbol.rpartition(".")[0].partition("-")
        sign = 1 if fill.side is OrderSide.BUY else -1
        changes = (
            (base, sign * fill.last_quantity),
            (quote, -sign * fill.last_quantity * fill.last_price),
            (fill.fee_currency, -fill.fee),
        )
        for asset, change in changes:
            self._ours[venue, asset] += change
        for asset, _ in changes:
            key = (venue, asset)
            if self._unmet.get(key) == self._ours[key]:
                del self._unmet[key]

    def _balances(self, venue: str) -> list[DayDifference]:
        """Return its balances that were never met; from here on the venue's are ours."""
        found = []
        for key, says in sorted(self._unmet.items()):
            if key[0] != venue:
                continue
            ours = self._ours[key]
            text = f"{says - ours:+f} at {key[0]}"
            found.append(_difference("balance", key[1], f"{ours:f}", f"{says:f}", text))
            self._ours[key] = says
        return found

    def _add(self, what: str, subject: str, ours: str, theirs: str, detail: str) -> None:
        self._found.append(_difference(what, subject, ours, theirs, detail))


def _order(identity: str, ours: str, theirs: str, detail: str) -> DayDifference:
    return _difference("order", identity, ours, theirs, detail)


def _difference(what: str, subject: str, ours: str, theirs: str, detail: str) -> DayDifference:
    return DayDifference(what=what, subject=subject, ours=ours, theirs=theirs, detail=detail)
