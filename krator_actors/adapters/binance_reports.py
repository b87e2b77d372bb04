"""What Binance's WebSocket API for spot trading says, read into reports: Sans-I/O.

Written after github.com/binance/binance-spot-api-docs: web-socket-api.md, user-data-stream.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from krator_actors.adapters.binance_errors import error_of
from krator_actors.core.venue_reports import FillReport, OrderReport
from krator_actors.model import NANOS_PER_MILLI, OrderSide, OrderStatus, OrderType
from krator_actors.venue_errors import VenueError

_STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "PENDING_CANCEL": OrderStatus.ACCEPTED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}


class MalformedFrameError(ValueError):
    """What arrived is not what Binance documents. What it was about is not known."""


class Answer(msgspec.Struct, frozen=True):
    """What came back for a request; ``result`` is read by the codec's ``read_...`` methods."""

    id: str
    result: msgspec.Raw | VenueError


class Execution(msgspec.Struct, frozen=True):
    """An ``executionReport`` of the user stream: the order now, and the fill if it is one."""

    report: OrderReport
    fill: FillReport | None


class StreamEnded(msgspec.Struct, frozen=True):
    """The venue has ended the user stream of this connection: subscribe again."""


class _Failure(msgspec.Struct):
    code: int = 0
    msg: str = ""
    data: dict[str, Any] | None = None


class _Frame(msgspec.Struct):
    id: str | int | None = None
    status: int | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Failure | None = None
    event: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct):
    e: str


class _Fill(msgspec.Struct, rename="camel"):
    trade_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str | None = None


class _Order(msgspec.Struct, rename="camel"):
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
    fills: tuple[_Fill, ...] = ()


class _Trade(msgspec.Struct, rename="camel"):
    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    time: int
    is_buyer: bool
    commission_asset: str | None = None


class _Balance(msgspec.Struct):
    asset: str
    free: Decimal
    locked: Decimal


class _Account(msgspec.Struct):
    balances: tuple[_Balance, ...]


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


class _Execution(msgspec.Struct):
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


_Shape = TypeVar("_Shape")


def _decode(data: str | bytes | msgspec.Raw, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.DecodeError as error:
        raise MalformedFrameError(f"not a {shape.__name__.strip('_')}: {error}") from error


def venue_symbol_of(symbol: str) -> str:
    """Return ``BTCUSDT`` for ``BTC-USDT.SIM``."""
    pair, _, _ = symbol.rpartition(".")
    return pair.replace("-", "")


class BinanceReports:
    """Reads the frames of one account.

    Args:
        symbols: ours (``BTC-USDT.SIM``); what the user stream says of others is none of our
            business.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self._symbols = {venue_symbol_of(symbol): symbol for symbol in symbols}

    def decode(self, text: str | bytes) -> Answer | Execution | StreamEnded | None:
        """Return what a frame says; None when it is of no concern to orders.

        Raises MalformedFrameError.
        """
        frame = _decode(text, _Frame)
        if frame.status is not None:
            if frame.error is None and bytes(frame.result):
                return Answer(str(frame.id), frame.result)
            failure = frame.error or _Failure()
            error = error_of(frame.status, failure.code, failure.msg, failure.data or {})
            return Answer(str(frame.id), error)
        if not bytes(frame.event):
            raise MalformedFrameError("neither an answer nor an event")
        match _decode(frame.event, _Event).e:
            case "executionReport":
                return self._execution(_decode(frame.event, _Execution))
            case "eventStreamTerminated":
                return StreamEnded()
            case _:
                return None

    def read_time(self, result: msgspec.Raw) -> int:
        """Return the venue's clock in Unix milliseconds."""
        return _decode(result, _Time).server_time

    def read_order(self, result: msgspec.Raw) -> tuple[OrderReport, tuple[FillReport, ...]]:
        """Read the answer to place, cancel or status; fills are in the first one only."""
        order = _decode(result, _Order)
        report = self._report(order)
        return report, tuple(
            FillReport(
                venue_order_id=report.venue_order_id,
                trade_id=str(fill.trade_id),
                symbol=report.symbol,
                side=report.side,
                quantity=_finite(fill.qty),
                price=_finite(fill.price),
                fee=_finite(fill.commission),
                fee_currency=fill.commission_asset or "",
                ts_event=report.ts_event,
            )
            for fill in order.fills
        )

    def read_open_orders(self, result: msgspec.Raw) -> tuple[OrderReport, ...]:
        """Read the answer to ``open_orders``."""
        return tuple(self._report(order) for order in _decode(result, tuple[_Order, ...]))

    def read_trades(self, result: msgspec.Raw) -> tuple[FillReport, ...]:
        """Read the answer to ``trades``, oldest first."""
        return tuple(
            FillReport(
                venue_order_id=str(trade.order_id),
                trade_id=str(trade.id),
                symbol=self._symbol(trade.symbol),
                side=OrderSide.BUY if trade.is_buyer else OrderSide.SELL,
                quantity=_finite(trade.qty),
                price=_finite(trade.price),
                fee=_finite(trade.commission),
                fee_currency=trade.commission_asset or "",
                ts_event=_nanos(trade.time),
            )
            for trade in _decode(result, tuple[_Trade, ...])
        )

    def read_balances(self, result: msgspec.Raw) -> dict[str, Decimal]:
        """Read the answer to ``account``: asset to free plus locked, without empty ones."""
        totals = {
            balance.asset: _finite(balance.free) + _finite(balance.locked)
            for balance in _decode(result, _Account).balances
        }
        return {asset: total for asset, total in totals.items() if total}

    def _symbol(self, venue_symbol: str) -> str:
        try:
            return self._symbols[venue_symbol]
        except KeyError:
            raise MalformedFrameError(f"symbol {venue_symbol} was not asked for") from None

    def _report(self, order: _Order) -> OrderReport:
        return OrderReport(
            client_order_id=order.orig_client_order_id or order.client_order_id,
            venue_order_id=str(order.order_id),
            symbol=self._symbol(order.symbol),
            side=order.side,
            order_type=_order_type(order.type),
            quantity=_finite(order.orig_qty),
            price=_finite(order.price) or None,
            status=_status(order.status),
            filled=_finite(order.executed_qty),
            ts_event=_nanos(order.transact_time or order.update_time or order.time),
        )

    def _execution(self, event: _Execution) -> Execution | None:
        symbol = self._symbols.get(event.symbol)
        if symbol is None:
            return None
        canceled_id = event.canceled_id if event.execution == "CANCELED" else ""
        report = OrderReport(
            client_order_id=canceled_id or event.client_order_id,
            venue_order_id=str(event.order_id),
            symbol=symbol,
            side=event.side,
            order_type=_order_type(event.type),
            quantity=_finite(event.quantity),
            price=_finite(event.price) or None,
            status=_status(event.status),
            filled=_finite(event.filled),
            reason="" if event.reason == "NONE" else event.reason,
            ts_event=_nanos(event.time),
        )
        if event.execution != "TRADE":
            return Execution(report, None)
        fill = FillReport(
            venue_order_id=report.venue_order_id,
            trade_id=str(event.trade_id),
            symbol=symbol,
            side=event.side,
            quantity=_finite(event.last_quantity),
            price=_finite(event.last_price),
            fee=_finite(event.fee),
            fee_currency=event.fee_currency or "",
            ts_event=report.ts_event,
        )
        return Execution(report, fill)


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite() or value < 0:
        raise MalformedFrameError(f"{value} is no price, quantity or fee")
    return value


def _nanos(unix_ms: int) -> int:
    if unix_ms < 0:
        raise MalformedFrameError(f"time {unix_ms} is negative")
    return unix_ms * NANOS_PER_MILLI


def _status(status: str) -> OrderStatus:
    try:
        return _STATUSES[status]
    except KeyError:
        raise MalformedFrameError(f"order status {status!r} is not documented") from None


def _order_type(name: str) -> OrderType:
    # Somebody else's stop and maker orders are, once they work, one of our two.
    return OrderType.LIMIT if "LIMIT" in name else OrderType.MARKET
