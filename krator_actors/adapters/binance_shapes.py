"""What Binance's answers and events look like: their documented fields, those that we read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from krator_actors.adapters.binance_limits import RateLimit
from krator_actors.model import OrderSide


class FailureShape(msgspec.Struct):
    """An error."""

    code: int = 0
    msg: str = ""
    data: dict[str, Any] | None = None


class FrameShape(msgspec.Struct):
    """Any frame: an answer with result or error, or an event."""

    id: str | int | None = None
    status: int | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: FailureShape | None = None
    rate_limits: tuple[RateLimit, ...] = msgspec.field(default=(), name="rateLimits")
    event: msgspec.Raw = msgspec.Raw()


class EventShape(msgspec.Struct):
    """What kind an event is."""

    e: str


class FillShape(msgspec.Struct, rename="camel"):
    """A fill in the answer to a placed order."""

    trade_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str | None = None


class OrderShape(msgspec.Struct, rename="camel"):
    """An order in an answer."""

    symbol: str
    order_id: int
    client_order_id: str
    price: Decimal
    orig_qty: Decimal
    executed_qty: Decimal
    status: str
    type: str
    side: OrderSide
    orig_client_order_id: str = ""
    transact_time: int = 0
    update_time: int = 0
    time: int = 0
    is_working: bool = False
    working_time: int = -1
    fills: tuple[FillShape, ...] = ()


class ReplacementShape(msgspec.Struct, rename="camel"):
    """The answer to a cancel-replace, or its data when half of it was done."""

    new_order_result: str
    cancel_response: msgspec.Raw
    new_order_response: msgspec.Raw


class AmendedShape(msgspec.Struct, rename="camel"):
    """An order that was made smaller; its fields are called otherwise than everywhere else."""

    symbol: str
    order_id: int
    client_order_id: str
    price: Decimal
    qty: Decimal
    executed_qty: Decimal
    status: str
    type: str
    side: OrderSide


class AmendmentShape(msgspec.Struct, rename="camel"):
    """The answer to an amendment."""

    transact_time: int
    amended_order: AmendedShape


class BookTickerShape(msgspec.Struct, rename="camel"):
    """The best prices."""

    symbol: str
    bid_price: Decimal
    ask_price: Decimal


class KeyPermissionsShape(msgspec.Struct, rename="camel"):
    """What an API key may do."""

    enable_withdrawals: bool


class TradeShape(msgspec.Struct, rename="camel"):
    """One of our trades."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    time: int
    is_buyer: bool
    commission_asset: str | None = None


class BalanceShape(msgspec.Struct):
    """One asset of the account."""

    asset: str
    free: Decimal
    locked: Decimal


class AccountShape(msgspec.Struct):
    """The account."""

    balances: tuple[BalanceShape, ...]


class TimeShape(msgspec.Struct, rename="camel"):
    """The venue's clock."""

    server_time: int


class ExecutionShape(msgspec.Struct):
    """An ``executionReport``."""

    symbol: str = msgspec.field(name="s")
    client_order_id: str = msgspec.field(name="c")
    side: OrderSide = msgspec.field(name="S")
    type: str = msgspec.field(name="o")
    quantity: Decimal = msgspec.field(name="q")
    price: Decimal = msgspec.field(name="p")
    execution: str = msgspec.field(name="x")
    status: str = msgspec.field(name="X")
    reason: str = msgspec.field(name="r")
    order_id: int = msgspec.field(name="i")
    last_quantity: Decimal = msgspec.field(name="l")
    filled: Decimal = msgspec.field(name="z")
    last_price: Decimal = msgspec.field(name="L")
    fee: Decimal = msgspec.field(name="n")
    fee_currency: str | None = msgspec.field(name="N")
    time: int = msgspec.field(name="T")
    trade_id: int = msgspec.field(name="t")
    # the id of the order that is canceled; ``c`` is then the id of the cancel request
    canceled_id: str = msgspec.field(name="C", default="")
    # there once the order is in the market
    working_time: int = msgspec.field(name="W", default=-1)
