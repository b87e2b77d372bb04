"""The life of an order as a table of (status, step) to status.

The fold of an order log, which uses it, is in ``core.orders``.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderModifyRejected,
    OrderPendingCancel,
    OrderPendingUpdate,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
)
from krator_actors.model import Choice, OrderStatus


class OrderTransitionError(ValueError):
    """The table has no row for this event in this status: a defect, not an accident."""


class Step(Choice):
    """What can happen to an order.

    A fill is two steps: with and without something left to trade. So are an update and its
    refusal: before and after the first fill.
    """

    INITIALIZED = "INITIALIZED"
    EXTERNAL = "EXTERNAL"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    TRIGGERED = "TRIGGERED"
    PENDING_UPDATE = "PENDING_UPDATE"
    UPDATED = "UPDATED"
    UPDATED_IN_PART = "UPDATED_IN_PART"
    UPDATED_TO_FILLED = "UPDATED_TO_FILLED"
    MODIFY_REJECTED = "MODIFY_REJECTED"
    MODIFY_REJECTED_IN_PART = "MODIFY_REJECTED_IN_PART"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    PARTIAL_FILL = "PARTIAL_FILL"
    LAST_FILL = "LAST_FILL"


class Row(msgspec.Struct, frozen=True):
    """Where a step leads; ``note`` says why a row exists that a textbook would not have."""

    status: OrderStatus
    note: str = ""


_S = OrderStatus
_E = Step
_UNSENT = "the process was killed between sending and logging that it sent"
_LATE_ACCEPT = "the acceptance was overtaken by what followed it"
_AFTER_END = "the venue traded before it took the order off, and said so later"
_OVERFILL = "overfill: the position is what was traded, not what was asked for"
_RISEN = "we had given it up, and the venue works it all the same"
_NOT_OURS = "somebody else changed it at the venue, or the change was told twice"
_UPDATED_FIRST = "the change was carried out before the cancel"
_UPDATED_LATE = "the fills of the smaller order overtook the news that it is smaller"

TABLE: dict[tuple[OrderStatus | None, Step], Row] = {
    (None, _E.INITIALIZED): Row(_S.INITIALIZED),
    (None, _E.EXTERNAL): Row(_S.ACCEPTED, "the venue had it before we knew of it"),
    # logged, not known to be sent
    (_S.INITIALIZED, _E.DENIED): Row(_S.DENIED),
    (_S.INITIALIZED, _E.SUBMITTED): Row(_S.SUBMITTED),
    (_S.INITIALIZED, _E.UNKNOWN): Row(_S.UNKNOWN, _UNSENT),
    (_S.INITIALIZED, _E.ACCEPTED): Row(_S.ACCEPTED, _UNSENT),
    (_S.INITIALIZED, _E.REJECTED): Row(_S.REJECTED, _UNSENT),
    (_S.INITIALIZED, _E.CANCELED): Row(_S.CANCELED, _UNSENT),
    (_S.INITIALIZED, _E.EXPIRED): Row(_S.EXPIRED, _UNSENT),
    (_S.INITIALIZED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, _UNSENT),
    (_S.INITIALIZED, _E.LAST_FILL): Row(_S.FILLED, _UNSENT),
    # sent, not answered yet
    (_S.SUBMITTED, _E.UNKNOWN): Row(_S.UNKNOWN),
    (_S.SUBMITTED, _E.ACCEPTED): Row(_S.ACCEPTED),
    (_S.SUBMITTED, _E.REJECTED): Row(_S.REJECTED),
    (_S.SUBMITTED, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.SUBMITTED, _E.CANCELED): Row(_S.CANCELED),
    (_S.SUBMITTED, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.SUBMITTED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, "the fill overtook the acceptance"),
    (_S.SUBMITTED, _E.LAST_FILL): Row(_S.FILLED, "the fill overtook the acceptance"),
    # sent, and we do not know
    (_S.UNKNOWN, _E.ACCEPTED): Row(_S.ACCEPTED),
    (_S.UNKNOWN, _E.REJECTED): Row(_S.REJECTED),
    (_S.UNKNOWN, _E.PENDING_CANCEL): Row(_S.UNKNOWN, "nobody knows yet what there is to cancel"),
    (_S.UNKNOWN, _E.CANCELED): Row(_S.CANCELED),
    (_S.UNKNOWN, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.UNKNOWN, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED),
    (_S.UNKNOWN, _E.LAST_FILL): Row(_S.FILLED),
    # the venue works it
    (_S.ACCEPTED, _E.TRIGGERED): Row(_S.TRIGGERED),
    (_S.ACCEPTED, _E.PENDING_UPDATE): Row(_S.PENDING_UPDATE),
    (_S.ACCEPTED, _E.UPDATED): Row(_S.ACCEPTED, _NOT_OURS),
    (_S.ACCEPTED, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.ACCEPTED, _E.CANCELED): Row(_S.CANCELED),
    (_S.ACCEPTED, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.ACCEPTED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED),
    (_S.ACCEPTED, _E.LAST_FILL): Row(_S.FILLED),
    # a stop order whose stop price was reached
    (_S.TRIGGERED, _E.ACCEPTED): Row(_S.TRIGGERED, _LATE_ACCEPT),
    (_S.TRIGGERED, _E.PENDING_UPDATE): Row(_S.PENDING_UPDATE),
    (_S.TRIGGERED, _E.UPDATED): Row(_S.TRIGGERED, _NOT_OURS),
    (_S.TRIGGERED, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.TRIGGERED, _E.CANCELED): Row(_S.CANCELED),
    (_S.TRIGGERED, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.TRIGGERED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED),
    (_S.TRIGGERED, _E.LAST_FILL): Row(_S.FILLED),
    # traded in part
    (_S.PARTIALLY_FILLED, _E.ACCEPTED): Row(_S.PARTIALLY_FILLED, _LATE_ACCEPT),
    (_S.PARTIALLY_FILLED, _E.PENDING_UPDATE): Row(_S.PENDING_UPDATE),
    (_S.PARTIALLY_FILLED, _E.UPDATED_IN_PART): Row(_S.PARTIALLY_FILLED, _NOT_OURS),
    (_S.PARTIALLY_FILLED, _E.UPDATED_TO_FILLED): Row(_S.FILLED, _UPDATED_LATE),
    (_S.PARTIALLY_FILLED, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.PARTIALLY_FILLED, _E.CANCELED): Row(_S.CANCELED),
    (_S.PARTIALLY_FILLED, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.PARTIALLY_FILLED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED),
    (_S.PARTIALLY_FILLED, _E.LAST_FILL): Row(_S.FILLED),
    # we asked for another quantity, or for another order in its place
    (_S.PENDING_UPDATE, _E.ACCEPTED): Row(_S.PENDING_UPDATE, _LATE_ACCEPT),
    (_S.PENDING_UPDATE, _E.TRIGGERED): Row(_S.PENDING_UPDATE, "triggered before it was changed"),
    (_S.PENDING_UPDATE, _E.UPDATED): Row(_S.ACCEPTED),
    (_S.PENDING_UPDATE, _E.UPDATED_IN_PART): Row(_S.PARTIALLY_FILLED),
    (_S.PENDING_UPDATE, _E.UPDATED_TO_FILLED): Row(_S.FILLED, _UPDATED_LATE),
    (_S.PENDING_UPDATE, _E.MODIFY_REJECTED): Row(_S.ACCEPTED),
    (_S.PENDING_UPDATE, _E.MODIFY_REJECTED_IN_PART): Row(_S.PARTIALLY_FILLED),
    (_S.PENDING_UPDATE, _E.PENDING_CANCEL): Row(_S.PENDING_CANCEL),
    (_S.PENDING_UPDATE, _E.CANCELED): Row(_S.CANCELED),
    (_S.PENDING_UPDATE, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.PENDING_UPDATE, _E.PARTIAL_FILL): Row(_S.PENDING_UPDATE, "it traded before it was changed"),
    (_S.PENDING_UPDATE, _E.LAST_FILL): Row(_S.FILLED, "it traded before it was changed"),
    # we asked for its end
    (_S.PENDING_CANCEL, _E.UNKNOWN): Row(_S.UNKNOWN, "the answer to the order itself was lost"),
    (_S.PENDING_CANCEL, _E.ACCEPTED): Row(_S.PENDING_CANCEL, _LATE_ACCEPT),
    (_S.PENDING_CANCEL, _E.REJECTED): Row(_S.REJECTED, "the cancel was sent before the answer"),
    (_S.PENDING_CANCEL, _E.TRIGGERED): Row(_S.PENDING_CANCEL, "triggered before the cancel"),
    (_S.PENDING_CANCEL, _E.UPDATED): Row(_S.PENDING_CANCEL, _UPDATED_FIRST),
    (_S.PENDING_CANCEL, _E.UPDATED_IN_PART): Row(_S.PENDING_CANCEL, _UPDATED_FIRST),
    (_S.PENDING_CANCEL, _E.UPDATED_TO_FILLED): Row(_S.FILLED, _UPDATED_LATE),
    (_S.PENDING_CANCEL, _E.MODIFY_REJECTED): Row(_S.PENDING_CANCEL, "the cancel followed it"),
    (_S.PENDING_CANCEL, _E.MODIFY_REJECTED_IN_PART): Row(
        _S.PENDING_CANCEL, "the cancel followed it"
    ),
    (_S.PENDING_CANCEL, _E.CANCELED): Row(_S.CANCELED),
    (_S.PENDING_CANCEL, _E.EXPIRED): Row(_S.EXPIRED),
    (_S.PENDING_CANCEL, _E.PARTIAL_FILL): Row(_S.PENDING_CANCEL),
    (_S.PENDING_CANCEL, _E.LAST_FILL): Row(_S.FILLED),
    # over, but for what the venue says late
    (_S.FILLED, _E.ACCEPTED): Row(_S.FILLED, _LATE_ACCEPT),
    (_S.FILLED, _E.PARTIAL_FILL): Row(_S.FILLED, _OVERFILL),
    (_S.FILLED, _E.LAST_FILL): Row(_S.FILLED, _OVERFILL),
    (_S.CANCELED, _E.PARTIAL_FILL): Row(_S.CANCELED, _AFTER_END),
    (_S.CANCELED, _E.LAST_FILL): Row(_S.FILLED, _AFTER_END),
    (_S.EXPIRED, _E.PARTIAL_FILL): Row(_S.EXPIRED, _AFTER_END),
    (_S.EXPIRED, _E.LAST_FILL): Row(_S.FILLED, _AFTER_END),
    # given up
    (_S.REJECTED, _E.ACCEPTED): Row(_S.ACCEPTED, _RISEN),
    (_S.REJECTED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, _RISEN),
    (_S.REJECTED, _E.LAST_FILL): Row(_S.FILLED, _RISEN),
    (_S.DENIED, _E.ACCEPTED): Row(_S.ACCEPTED, _RISEN),
    (_S.DENIED, _E.PARTIAL_FILL): Row(_S.PARTIALLY_FILLED, _RISEN),
    (_S.DENIED, _E.LAST_FILL): Row(_S.FILLED, _RISEN),
}
"""(status, step) to what follows. A row that is missing is an error."""


def next_status(status: OrderStatus | None, step: Step) -> OrderStatus:
    """Return the status after ``step``; OrderTransitionError naming both when there is no row."""
    row = TABLE.get((status, step))
    if row is None:
        before = "NONE" if status is None else status.value
        raise OrderTransitionError(f"no row for {step.value} in status {before}")
    return row.status


_STEPS: dict[type[OrderEvent], Step] = {
    OrderDenied: Step.DENIED,
    OrderSubmitted: Step.SUBMITTED,
    OrderUnknown: Step.UNKNOWN,
    OrderAccepted: Step.ACCEPTED,
    OrderRejected: Step.REJECTED,
    OrderTriggered: Step.TRIGGERED,
    OrderPendingUpdate: Step.PENDING_UPDATE,
    OrderPendingCancel: Step.PENDING_CANCEL,
    OrderCanceled: Step.CANCELED,
    OrderExpired: Step.EXPIRED,
}


def step_of(event: OrderEvent, *, filled: Decimal, quantity: Decimal) -> Step:
    """Return which step ``event`` is for an order of which ``filled`` of ``quantity`` has traded.

    A fill counts with what it trades itself. Not for the events that begin an order, nor for
    AccountReport: KeyError.
    """
    match event:
        case OrderFilled(last_quantity=last):
            return Step.LAST_FILL if filled + last >= quantity else Step.PARTIAL_FILL
        case OrderUpdated(quantity=new) if filled:
            return Step.UPDATED_TO_FILLED if filled >= new else Step.UPDATED_IN_PART
        case OrderUpdated():
            return Step.UPDATED
        case OrderModifyRejected():
            return Step.MODIFY_REJECTED_IN_PART if filled else Step.MODIFY_REJECTED
        case _:
            return _STEPS[type(event)]
