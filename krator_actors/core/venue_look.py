"""What venue and risk say of the account at the close of a day, beside the journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from krator_actors.core.report import ReportedOrder
from krator_actors.core.venue_reports import OrderReport, external_id
from krator_actors.messages.risk import PortfolioReport
from krator_actors.model import OrderStatus

_ZERO = Decimal(0)


class DayDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not add up; a person should look."""

    what: str
    """``balance``, ``position`` (risk's), ``order``, ``journal``, or ``venue`` for what the order
    actor found there"""
    subject: str
    """an asset, a client order id, or a writer"""
    ours: str
    theirs: str
    detail: str


class OpenAtVenue(msgspec.Struct, frozen=True, kw_only=True):
    """One order that the venue holds open."""

    client_order_id: str
    external_id: str
    """its id in the journal when somebody else has sent it"""
    filled: Decimal


class VenueLook(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue said when it was asked."""

    ts: int
    """UTC ns"""
    silent: str = ""
    """why nobody said anything; empty: it answered"""
    balances: dict[str, Decimal] = {}
    """asset to total (free and locked)"""
    open_orders: tuple[OpenAtVenue, ...] = ()


class RiskLook(msgspec.Struct, frozen=True, kw_only=True):
    """What risk said when it was asked."""

    silent: str = ""
    """why it said nothing; empty: it answered"""
    held: dict[str, Decimal] = {}
    """asset to how much of it risk counts with: the positions, and the cash"""


def risk_look(report: PortfolioReport, quote: str) -> RiskLook:
    """Return what is compared of risk's portfolio; ``quote`` is the currency of its cash."""
    if not report.recovered:
        return RiskLook(silent="risk does not know its positions yet")
    held = {position.symbol.partition("-")[0]: position.quantity for position in report.positions}
    return RiskLook(held={**held, quote: report.cash})


def risk_differences(look: RiskLook, counted: dict[str, Decimal] | None) -> list[DayDifference]:
    """Return every asset of which risk holds otherwise; ``counted`` as in ``look_differences``."""
    found = []
    for asset, held in sorted(look.held.items()):
        ours = held if counted is None else counted.get(asset, _ZERO)
        if held != ours:
            found.append(
                DayDifference(
                    what="position",
                    subject=asset,
                    ours=f"{ours:f}",
                    theirs=f"{held:f}",
                    detail=f"{held - ours:+f} in risk now",
                )
            )
    return found


def open_at_venue(report: OrderReport) -> OpenAtVenue:
    """Return what is compared of an open order."""
    return OpenAtVenue(
        client_order_id=report.client_order_id,
        external_id=external_id(report),
        filled=report.filled,
    )


def look_differences(
    look: VenueLook, venue: str, counted: dict[str, Decimal] | None, orders: Iterable[ReportedOrder]
) -> list[DayDifference]:
    """Return everything that the venue has otherwise; [] when it was silent.

    ``counted`` is asset to what the journal makes of it; None: the journal has no balances, so that
    they cannot be compared. ``orders`` are all that the journal has.
    """
    if look.silent:
        return []
    found = [] if counted is None else _balances(look.balances, counted, venue)
    ours = {order.client_order_id: order for order in orders}
    theirs = {
        o.client_order_id if o.client_order_id in ours else o.external_id: o
        for o in look.open_orders
    }
    for identity, order in theirs.items():
        known = ours.get(identity)
        is_theirs = identity == order.external_id
        if known is None or not known.status.is_open:
            said = "none" if known is None else known.status.value
            found.append(_order(identity, said, "open", f"open at {venue} only"))
        elif known.filled_quantity != order.filled and not is_theirs:
            had, has = f"{known.filled_quantity:f}", f"{order.filled:f}"
            found.append(_order(identity, had, has, f"filled otherwise at {venue}"))
    for identity, known in ours.items():
        # What has not been sent yet is nowhere else, too.
        is_sent = known.status is not OrderStatus.INITIALIZED
        if known.status.is_open and is_sent and identity not in theirs:
            found.append(_order(identity, known.status.value, "none", f"not open at {venue}"))
    return found


def alike(found: Iterable[DayDifference], before: Iterable[DayDifference]) -> list[DayDifference]:
    """Return those of ``found`` that were there before: an order on its way differs only once."""
    known = {(each.what, each.subject, each.detail) for each in before}
    return [each for each in found if (each.what, each.subject, each.detail) in known]


def _balances(
    theirs: dict[str, Decimal], ours: dict[str, Decimal], venue: str
) -> list[DayDifference]:
    found = []
    for asset in sorted({*theirs, *ours}):
        has, counted = theirs.get(asset, _ZERO), ours.get(asset, _ZERO)
        if has != counted:
            found.append(
                DayDifference(
                    what="balance",
                    subject=asset,
                    ours=f"{counted:f}",
                    theirs=f"{has:f}",
                    detail=f"{has - counted:+f} at {venue} now",
                )
            )
    return found


def _order(identity: str, ours: str, theirs: str, detail: str) -> DayDifference:
    return DayDifference(what="order", subject=identity, ours=ours, theirs=theirs, detail=detail)
