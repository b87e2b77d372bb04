"""The records of the ledger: one JSON object a line. The package's docstring is their reference.

Amounts are text with eight decimals, as in Binance's answers; ``fixed.parse`` reads them.
"""

from __future__ import annotations

from typing import Any

import msgspec

_NAMES = {
    "order_id": "orderId",
    "client_order_id": "clientOrderId",
    "orig_client_order_id": "origClientOrderId",
    "stop_price": "stopPrice",
    "cancel_client_order_id": "cancelClientOrderId",
    "order_type": "type",
    "time_in_force": "timeInForce",
    "quantity": "qty",
    "quote_quantity": "quoteQty",
    "executed_quantity": "executedQty",
    "trade_id": "tradeId",
    "commission_asset": "commissionAsset",
    "is_maker": "isMaker",
}


class Record(msgspec.Struct, tag_field="record", kw_only=True, rename=_NAMES):
    """What every record has; the ledger fills both in when it writes."""

    seq: int = 0
    """from 1, without a gap, over all restarts"""
    ts_ns: int = 0
    """wall clock, UTC"""


class Opened(Record, tag="opened"):
    """The exchange started on this ledger."""

    mode: str
    seed: int
    symbols: list[str]
    pid: int
    epoch_ns: int
    """wall clock of the first start on this ledger: where the synthetic price path begins"""
    torn_bytes: int
    """what was cut off the end: a line that the last process did not finish"""


class Closed(Record, tag="closed"):
    """The exchange ended in an orderly way."""

    reason: str


class IdsReserved(Record, tag="ids"):
    """Ids of this name below ``below`` may have been given out; the next start begins there."""

    name: str
    below: int


class OrderAccepted(Record, tag="order"):
    """An ``order.place`` that the venue took."""

    order_id: int
    client_order_id: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: str
    price: str
    """``0.00000000`` for an order at market"""
    received_ns: int
    stop_price: str = "0.00000000"
    """``0.00000000`` for an order that does not wait"""


class OrderTriggered(Record, tag="triggered"):
    """A stop order's price was reached: it is in the market from here on."""

    order_id: int
    client_order_id: str
    symbol: str


class OrderAmended(Record, tag="amended"):
    """An order was made smaller, in its place."""

    order_id: int
    client_order_id: str
    orig_client_order_id: str
    symbol: str
    quantity: str
    """of the whole order, filled part included"""


class OrderRejected(Record, tag="rejected"):
    """An ``order.place`` that the venue refused; parameters are as they were sent."""

    code: int
    msg: str
    params: dict[str, Any]
    """without apiKey and signature"""
    received_ns: int


class Filled(Record, tag="fill"):
    """One fill of one order. Two own orders that meet have two fills with the same trade id."""

    trade_id: int
    order_id: int
    client_order_id: str
    symbol: str
    side: str
    quantity: str
    price: str
    quote_quantity: str
    commission: str
    commission_asset: str
    is_maker: bool


class OrderEnded(Record, tag="ended"):
    """An order is final: FILLED, CANCELED or EXPIRED."""

    order_id: int
    client_order_id: str
    symbol: str
    status: str
    executed_quantity: str
    cancel_client_order_id: str = ""
    """the cancel request's own id, for CANCELED"""
    reason: str = ""


class CancelRejected(Record, tag="cancel_rejected"):
    """A cancellation that the venue refused: of one order, of all, or before a replacement."""

    code: int
    msg: str
    params: dict[str, Any]
    received_ns: int


class Balance(Record, tag="balance"):
    """An asset's balance after a change."""

    asset: str
    free: str
    locked: str
    reason: str
    """``deposit``, ``order``, ``fill``, ``amended``, ``ended``"""


class FaultSet(Record, tag="fault"):
    """Somebody told the venue to misbehave, as posted to ``/sim/faults``."""

    action: str
    params: dict[str, Any]


class FaultHit(Record, tag="fault_hit"):
    """A fault had its effect on a request. ``acted`` tells whether the venue did what was asked."""

    action: str
    method: str
    acted: bool
    client_order_id: str = ""


AnyRecord = (
    Opened
    | Closed
    | IdsReserved
    | OrderAccepted
    | OrderTriggered
    | OrderAmended
    | OrderRejected
    | Filled
    | OrderEnded
    | CancelRejected
    | Balance
    | FaultSet
    | FaultHit
)
