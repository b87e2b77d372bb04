"""What a strategy asks when it starts, and what it writes in its own log."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.messages.handshake import OpenOrder
from krator_actors.model import Instrument, OrderSide
from supervisors.messages import Message


class StrategyStateRequest(Message, frozen=True, kw_only=True):
    """Strategy to risk (ask): position and open orders of this strategy's symbol."""

    strategy: str
    symbol: str


class StrategyState(Message, frozen=True, kw_only=True):
    """What a strategy that starts needs to know of the world."""

    symbol: str
    recovered: bool
    """False: risk does not know yet; ask again"""
    position: Decimal
    open_orders: tuple[OpenOrder, ...]
    equity: Decimal
    instrument: Instrument | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One number that a strategy decided on, e.g. ``rsi`` 27.4."""

    name: str
    value: float


class SettleRequest(Message, frozen=True, kw_only=True):
    """Feed to strategy (ask), in lockstep only. Answer: ``Settled``."""


class Settled(Message, frozen=True, kw_only=True):
    """Whether all that the strategy was told has led to all that it will lead to."""

    is_settled: bool
    """no order is under way, the position is known, no history is waited for"""


class SignalRaised(Message, frozen=True, kw_only=True):
    """What a strategy writes in its own log before it tells risk ``SubmitOrder``."""

    strategy: str
    """the strategy actor's name"""
    symbol: str
    side: OrderSide
    client_order_id: str
    """of the order that follows"""
    cause: str
    readings: tuple[Reading, ...] = ()
    """what the strategy's indicators said at the cause"""
    stop_price: Decimal | None = None
    """at or below this it will sell, or did; None: it has no stop"""
    is_bracketed: bool = False
    """entries: the order actor sells what it buys, and the strategy does not"""
    price: Decimal
    """last traded price the order was sized with"""
    quantity: Decimal
    ts_event: int
    """event time of the cause"""
    ts_init: int
