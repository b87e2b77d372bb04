"""An order's whole story, from the journal: what happened, when, by whom, because of what. Pure.

Names and codes are those of RTS 24 (Delegated Regulation (EU) 2017/580), whose time stamps are
``YYYY-MM-DDThh:mm:ss.ddddddZ``. What it wants and Krator does not know is left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from krator_actors.messages.emergency import FlattenOrderEnded, FlattenOrderInitialized
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import OrderSide, OrderStatus, OrderType, TimeInForce
from supervisors.messages import Message

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_VALIDITY = {TimeInForce.GTC: "GTCV", TimeInForce.IOC: "IOCV", TimeInForce.FOK: "FOKV"}
_ENDED = {
    OrderStatus.FILLED: "FILL",
    OrderStatus.CANCELED: "CAMO",
    OrderStatus.EXPIRED: "EXPI",
    OrderStatus.REJECTED: "REMO",
}
_IN_THE_HEAD = frozenset({"client_order_id", "symbol", "order", "ts_event", "ts_init", "_"})


class Entry(Protocol):
    """A row of the journal with its event; times are UTC ns."""

    @property
    def seq(self) -> int:
        """Its place in the journal."""

    @property
    def writer(self) -> str:
        """The actor that wrote it down."""

    @property
    def ts_logged(self) -> int:
        """When that actor did."""

    @property
    def ts_written(self) -> int:
        """When the journal did."""

    @property
    def causation_id(self) -> str | None:
        """What made it happen."""

    @property
    def event(self) -> Message:
        """What happened."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the story; times as RTS 24 has them."""

    sequence_number: int
    date_and_time: str
    """the event's own time; for a market event's consequence, the market event's"""
    logged: str
    written: str
    writer: str
    event: str
    order_event: str | None
    """RTS 24's code; None for what happened before the order was sent, or says nothing new"""
    causation_id: str | None
    details: dict[str, Any]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All that the journal has of one order or incident."""

    id: str
    instrument: str | None = None
    investment_decision_within_firm: str | None = None
    """the strategy"""
    buy_sell_indicator: str | None = None
    """``BUYI`` or ``SELL``"""
    order_type: str | None = None
    """``LMTO`` for a limit order; None for a market order, which has no code"""
    limit_price: Decimal | None = None
    validity_period: str | None = None
    initial_quantity: Decimal | None = None
    executed_quantity: Decimal = Decimal(0)
    remaining_quantity: Decimal | None = None
    steps: tuple[Step, ...] = ()


def time_stamp(ts_ns: int) -> str:
    """Return a UTC time in ns as RTS 24 writes it, to the microsecond, never rounded up."""
    moment = _EPOCH + dt.timedelta(microseconds=ts_ns // 1_000)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def tell_story(story_id: str, entries: Sequence[Entry]) -> Story:
    """Return the story of what belongs together, in the journal's order."""
    events = [entry.event for entry in entries]
    orders = [event.order for event in events if isinstance(event, _WITH_ORDER)]
    external = next((event for event in events if isinstance(event, OrderExternal)), None)
    order: SubmitOrder | OrderExternal | None = orders[0] if orders else external
    codes = _Codes(order.quantity if order else None)
    steps = tuple(_step(entry, codes.of(entry.event)) for entry in entries)
    if order is None:
        return Story(id=story_id, executed_quantity=codes.executed, steps=steps)
    return Story(
        id=story_id,
        instrument=order.symbol,
        investment_decision_within_firm=(
            order.strategy if isinstance(order, SubmitOrder) else None
        ),
        buy_sell_indicator="BUYI" if order.side is OrderSide.BUY else "SELL",
        order_type="LMTO" if order.order_type is OrderType.LIMIT else None,
        limit_price=order.price,
        validity_period=(
            _VALIDITY[order.time_in_force] if isinstance(order, SubmitOrder) else None
        ),
        initial_quantity=order.quantity,
        executed_quantity=codes.executed,
        remaining_quantity=order.quantity - codes.executed,
        steps=steps,
    )


_WITH_ORDER = (OrderApproved, OrderInitialized, FlattenOrderInitialized)


class _Codes:
    """Gives each event its code; some depend on what was before."""

    def __init__(self, quantity: Decimal | None) -> None:
        self.executed = Decimal(0)
        self._quantity = quantity
        self._canceling = False

    def of(self, event: Message) -> str | None:
        match event:
            case OrderSubmitted() | OrderExternal() | FlattenOrderInitialized():
                return "NEWO"
            case OrderAccepted():
                return "CHMO"
            case OrderRejected():
                return "REMO"
            case OrderPendingCancel():
                self._canceling = True
                return None
            case OrderCanceled():
                return "CAME" if self._canceling else "CAMO"
            case OrderExpired():
                return "EXPI"
            case OrderFilled():
                self.executed += event.last_quantity
                whole = self._quantity is not None and self.executed >= self._quantity
                return "FILL" if whole else "PARF"
            case FlattenOrderEnded():
                self.executed = event.filled
                return _ENDED.get(event.status)
            case _:
                return None


def _step(entry: Entry, code: str | None) -> Step:
    event = entry.event
    ts_event: int = getattr(event, "ts_event", entry.ts_logged)
    details = msgspec.to_builtins(event, builtin_types=(Decimal,))
    return Step(
        sequence_number=entry.seq,
        date_and_time=time_stamp(ts_event),
        logged=time_stamp(entry.ts_logged),
        written=time_stamp(entry.ts_written),
        writer=entry.writer,
        event=type(event).__name__,
        order_event=code,
        causation_id=entry.causation_id,
        details={
            name: value
            for name, value in details.items()
            if name not in _IN_THE_HEAD and value is not None
        },
    )
