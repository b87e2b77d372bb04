"""What Binance's WebSocket API for spot trading says, read into reports: Sans-I/O.

Written after github.com/binance/binance-spot-api-docs: web-socket-api.md, user-data-stream.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from krator_actors.adapters.binance_errors import error_of
from krator_actors.adapters.binance_limits import RateLimit
from krator_actors.adapters.binance_shapes import (
    AccountShape,
    AmendmentShape,
    BookTickerShape,
    EventShape,
    ExecutionShape,
    FailureShape,
    FrameShape,
    KeyPermissionsShape,
    OrderShape,
    ReplacementShape,
    TimeShape,
    TradeShape,
)
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
    rate_limits: tuple[RateLimit, ...] = ()
    code: int = 0
    """the error's code, 0 for a result"""
    data: dict[str, Any] | None = None
    """what the error says beside its text"""


class Replaced(msgspec.Struct, frozen=True):
    """What became of a cancel-replace. At least one of the two was done."""

    canceled: OrderReport
    """the old order"""
    placed: tuple[OrderReport, tuple[FillReport, ...]] | None
    """the new order and its fills; None when it was refused"""
    refusal: str
    """why; empty when it was placed"""


class Execution(msgspec.Struct, frozen=True):
    """An ``executionReport`` of the user stream: the order now, and the fill if it is one."""

    report: OrderReport
    fill: FillReport | None


class StreamEnded(msgspec.Struct, frozen=True):
    """The venue has ended the user stream of this connection: subscribe again."""


_Shape = TypeVar("_Shape")


def _decode(data: str | bytes | msgspec.Raw, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.DecodeError as error:
        raise MalformedFrameError(
            f"not a {shape.__name__.removesuffix('Shape')}: {error}"
        ) from error


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
        frame = _decode(text, FrameShape)
        if frame.status is not None:
            name, limits = str(frame.id), frame.rate_limits
            if frame.error is None and bytes(frame.result):
                return Answer(name, frame.result, limits)
            failure = frame.error or FailureShape()
            error = error_of(frame.status, failure.code, failure.msg, failure.data or {})
            return Answer(name, error, limits, failure.code, failure.data)
        if not bytes(frame.event):
            raise MalformedFrameError("neither an answer nor an event")
        match _decode(frame.event, EventShape).e:
            case "executionReport":
                return self._execution(_decode(frame.event, ExecutionShape))
            case "eventStreamTerminated":
                return StreamEnded()
            case _:
                return None

    def read_time(self, result: msgspec.Raw) -> int:
        """Return the venue's clock in Unix milliseconds."""
        return _decode(result, TimeShape).server_time

    def read_order(self, result: msgspec.Raw) -> tuple[OrderReport, tuple[FillReport, ...]]:
        """Read the answer to place, cancel or status; fills are in the first one only."""
        order = _decode(result, OrderShape)
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

    def read_replaced(self, result: msgspec.Raw) -> Replaced:
        """Read the answer to ``replace``, and the data of one that was half done."""
        outcome = _decode(result, ReplacementShape)
        canceled, _ = self.read_order(outcome.cancel_response)
        if outcome.new_order_result == "SUCCESS":
            return Replaced(canceled, self.read_order(outcome.new_order_response), "")
        failure = _decode(outcome.new_order_response, FailureShape)
        return Replaced(canceled, None, f"{failure.msg} (code {failure.code})")

    def read_amended(self, result: msgspec.Raw) -> OrderReport:
        """Read the answer to ``amend``."""
        amendment = _decode(result, AmendmentShape)
        order = amendment.amended_order
        return OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id=str(order.order_id),
            symbol=self._symbol(order.symbol),
            side=order.side,
            order_type=_order_type(order.type),
            quantity=_finite(order.qty),
            price=_finite(order.price) or None,
            status=_status(order.status),
            filled=_finite(order.executed_qty),
            ts_event=_nanos(amendment.transact_time),
        )

    def read_best_prices(self, result: msgspec.Raw) -> dict[str, tuple[Decimal, Decimal]]:
        """Return symbol to best bid and offer; 0 where there is none."""
        return {
            self._symbol(best.symbol): (_finite(best.bid_price), _finite(best.ask_price))
            for best in _decode(result, tuple[BookTickerShape, ...])
        }

    def read_key_permissions(self, body: bytes) -> bool:
        """Return whether the API key may withdraw, from REST's ``apiRestrictions``."""
        return _decode(body, KeyPermissionsShape).enable_withdrawals

    def read_open_orders(self, result: msgspec.Raw) -> tuple[OrderReport, ...]:
        """Read the answer to ``open_orders``."""
        return tuple(self._report(order) for order in _decode(result, tuple[OrderShape, ...]))

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
            for trade in _decode(result, tuple[TradeShape, ...])
        )

    def read_balances(self, result: msgspec.Raw) -> dict[str, Decimal]:
        """Read the answer to ``account``: asset to free plus locked, without empty ones."""
        totals = {
            balance.asset: _finite(balance.free) + _finite(balance.locked)
            for balance in _decode(result, AccountShape).balances
        }
        return {asset: total for asset, total in totals.items() if total}

    def _symbol(self, venue_symbol: str) -> str:
        try:
            return self._symbols[venue_symbol]
        except KeyError:
            raise MalformedFrameError(f"symbol {venue_symbol} was not asked for") from None

    def _report(self, order: OrderShape) -> OrderReport:
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
            is_triggered=_is_stop(order.type) and (order.is_working or order.working_time > 0),
            ts_event=_nanos(order.transact_time or order.update_time or order.time),
        )

    def _execution(self, event: ExecutionShape) -> Execution | None:
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
            is_triggered=_is_stop(event.type) and event.working_time > 0,
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


def _is_stop(name: str) -> bool:
    return name.startswith(("STOP_LOSS", "TAKE_PROFIT"))


def _order_type(name: str) -> OrderType:
    # Somebody else's take-profit order waits for a price as a stop order does, from the other side.
    if _is_stop(name):
        return OrderType.STOP_LIMIT if name.endswith("LIMIT") else OrderType.STOP_MARKET
    return OrderType.LIMIT if "LIMIT" in name else OrderType.MARKET
