"""What an account can ask for: the same methods behind the WebSocket API and behind REST."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from krator_actors.exchange import params as parameters
from krator_actors.exchange import reports, tickers
from krator_actors.exchange.errors import ApiError, neither
from krator_actors.exchange.faults import Faults
from krator_actors.exchange.half_done import HalfDoneError, error_body
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.params import SIGNED, Params
from krator_actors.exchange.records import FaultHit
from krator_actors.exchange.venue import Venue
from krator_actors.model import NANOS_PER_MILLI

ORDER_METHODS = frozenset({"order.place", "order.cancelReplace"})
"""methods that count as an order"""

_TRADES_DEFAULT = 500
_TRADES_MAX = 1_000
_SECRET = frozenset({"apiKey", "signature"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request while it is carried out."""

    method: str
    params: Mapping[str, Any]
    received_ns: int
    authorize: Callable[[], None]
    """raises ApiError unless the request is signed as its door wants it"""

    @property
    def now_ms(self) -> int:
        """When it came, Unix milliseconds."""
        return self.received_ns // NANOS_PER_MILLI

    @property
    def harmless_params(self) -> dict[str, Any]:
        """The parameters as they may be written down."""
        return {name: value for name, value in self.params.items() if name not in _SECRET}

    @property
    def client_order_id(self) -> str:
        """The order's id that it names, empty when it names none."""
        named = self.params.get("newClientOrderId") or self.params.get("origClientOrderId")
        return str(named or "")


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is carried out, and what it costs."""

    carry_out: Callable[[Call], Any]
    weight: int
    known: frozenset[str] = frozenset()
    signed: bool = True
    # writes a refusal down, for requests that the ledger must know of
    note: Callable[[ApiError, dict[str, Any], int], None] | None = None
    # weight when one parameter makes it another
    other_weight: tuple[str, int] = ("", 0)

    def weight_of(self, params: Params) -> int:
        """Return the weight of a request with these parameters."""
        name, weight = self.other_weight
        return weight if name and name in params else self.weight


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to: a result, or an error as Binance's JSON has it."""

    status: int
    result: Any = None
    error: dict[str, Any] | None = None


class Methods:
    """The methods by name. Each is carried out at once and whole.

    ``table`` may be added to by a door that has methods of its own.
    """

    def __init__(self, *, venue: Venue, limits: RateLimits, faults: Faults, fee_rate: int) -> None:
        self._venue = venue
        self._limits = limits
        self._faults = faults
        self._fee_rate = fee_rate
        by_id = frozenset({"symbol", "orderId", "origClientOrderId"})
        note_cancel = venue.note_cancel_rejection
        listed = frozenset({"symbol", "orderId", "startTime", "endTime", "fromId", "limit"})
        ticker = partial(
            Method,
            weight=4,
            known=frozenset({"symbol", "symbols"}),
            signed=False,
            other_weight=("symbol", 2),
        )
        self.table = {
            "ping": Method(lambda _: {}, 1, signed=False),
            "time": Method(lambda call: {"serverTime": call.now_ms}, 1, signed=False),
            "ticker.book": ticker(self._book_ticker),
            "ticker.price": ticker(self._price_ticker),
            "order.place": Method(self._place, 1, parameters.PLACE, note=venue.note_rejection),
            "order.cancelReplace": Method(
                self._replace, 1, parameters.REPLACE, note=venue.note_rejection
            ),
            "order.amend.keepPriority": Method(
                self._amend, 4, by_id | {"newClientOrderId", "newQty"}
            ),
            "order.status": Method(self._status, 4, by_id),
            "order.cancel": Method(
                self._cancel,
                1,
                by_id | {"newClientOrderId", "cancelRestrictions"},
                note=note_cancel,
            ),
            "openOrders.status": Method(
                self._open_orders, 80, frozenset({"symbol"}), other_weight=("symbol", 6)
            ),
            "openOrders.cancelAll": Method(
                self._cancel_all, 1, frozenset({"symbol"}), note=note_cancel
            ),
            "allOrders": Method(self._all_orders, 20, listed - {"fromId"}),
            "myTrades": Method(self._my_trades, 20, listed, other_weight=("orderId", 5)),
            "account.status": Method(self._account_status, 20, frozenset({"omitZeroBalances"})),
            "account.rateLimits.orders": Method(self._order_limits, 40),
        }

    def perform(self, call: Call) -> Outcome:
        """Carry out a request; whatever happened is in the ledger when it returns.

        Raises LedgerFailedError, which must end the process.
        """
        fault = self._faults.take_error(call.method)
        if fault is not None and not fault.act:
            self.note_fault("answer_error", call, acted=False)
            return Outcome(fault.status, error=fault.body(call.now_ms))
        try:
            outcome = Outcome(HTTPStatus.OK, self._carry_out(call))
        except ApiError as error:
            outcome = _failure(error)
        if fault is not None:
            self.note_fault("answer_error", call, acted=True)
            return Outcome(fault.status, error=fault.body(call.now_ms))
        return outcome

    def note_fault(self, action: str, call: Call, *, acted: bool) -> None:
        """Write down that a fault had its effect on a request."""
        self._venue.ledger.append(
            FaultHit(
                action=action,
                method=call.method,
                acted=acted,
                client_order_id=call.client_order_id,
            )
        )

    def _carry_out(self, call: Call) -> Any:
        method = self.table.get(call.method)
        if method is None:
            raise ApiError(-1020, "This operation is not supported.")
        try:
            self._limits.spend(method.weight_of(call.params), call.now_ms)
            if method.signed:
                call.authorize()
            parameters.refuse_unknown(call.params, method.known | SIGNED)
            return method.carry_out(call)
        except HalfDoneError as error:
            raise error.answer from None  # its parts are written down already
        except ApiError as error:
            if method.note is not None:
                method.note(error, call.harmless_params, call.received_ns)
            raise

    def _book_ticker(self, call: Call) -> Any:
        return tickers.of_symbols(call.params, self._venue.markets, tickers.book)

    def _price_ticker(self, call: Call) -> Any:
        return tickers.of_symbols(call.params, self._venue.markets, tickers.price)

    def _place(self, call: Call) -> dict[str, Any]:
        self._limits.spend_order(call.now_ms)
        return self._placed(call)

    def _placed(self, call: Call) -> dict[str, Any]:
        request = parameters.place_request(call.params, self._venue.markets, call.received_ns)
        order = self._venue.place(request)
        response_type = parameters.response_type(call.params, order.order_type)
        return reports.placed(order, self._venue.account.trades_of(order), response_type)

    def _replace(self, call: Call) -> dict[str, Any]:
        """Cancel one order and place another; either can fail, and the answer says which."""
        self._limits.spend_order(call.now_ms)
        stops = parameters.stops_on_failure(call.params)
        request = parameters.place_request(call.params, self._venue.markets, call.received_ns)
        self._venue.check_filters(request)
        named = {
            "symbol": call.params.get("symbol"),
            "orderId": call.params.get("cancelOrderId"),
            "origClientOrderId": call.params.get("cancelOrigClientOrderId"),
            "newClientOrderId": call.params.get("cancelNewClientOrderId"),
            "cancelRestrictions": call.params.get("cancelRestrictions"),
        }
        present = {name: value for name, value in named.items() if value is not None}
        canceled, cancel_error = self._try(replace(call, params=present), self._cancel)
        if cancel_error is not None and stops:
            self._note_refused(call, None, cancel_error)
            raise HalfDoneError(canceled, cancel_error, None, None)
        placed, place_error = self._try(call, self._placed)
        self._note_refused(call, place_error, cancel_error)
        if cancel_error is None and place_error is None:
            return {
                "cancelResult": "SUCCESS",
                "newOrderResult": "SUCCESS",
                "cancelResponse": canceled,
                "newOrderResponse": placed,
            }
        raise HalfDoneError(canceled, cancel_error, placed, place_error)

    def _try(self, call: Call, carry_out: Callable[[Call], Any]) -> tuple[Any, ApiError | None]:
        try:
            return carry_out(call), None
        except ApiError as error:
            return None, error

    def _note_refused(self, call: Call, place: ApiError | None, cancel: ApiError | None) -> None:
        if cancel is not None:
            self._venue.note_cancel_rejection(cancel, call.harmless_params, call.received_ns)
        if place is not None:
            self._venue.note_rejection(place, call.harmless_params, call.received_ns)

    def _amend(self, call: Call) -> dict[str, Any]:
        symbol, order_id, client_order_id = self._order_named(call.params)
        order, before_id = self._venue.amend(
            symbol=symbol,
            order_id=order_id,
            client_order_id=client_order_id,
            new_id=parameters.client_id(call.params, "newClientOrderId"),
            quantity=parameters.amount(call.params, "newQty"),
        )
        return reports.amended(order, before_id)

    def _status(self, call: Call) -> dict[str, Any]:
        symbol, order_id, client_order_id = self._order_named(call.params)
        order = self._venue.account.find(order_id=order_id, client_order_id=client_order_id)
        if order is None or order.symbol != symbol:
            raise ApiError(-2013, "Order does not exist.")
        if client_order_id is not None and order.client_order_id != client_order_id:
            raise ApiError(-2013, "Order does not exist.")
        return reports.order_status(order)

    def _cancel(self, call: Call) -> dict[str, Any]:
        symbol, order_id, client_order_id = self._order_named(call.params)
        cancel_id = parameters.client_id(call.params, "newClientOrderId")
        order = self._venue.cancel(
            symbol=symbol,
            order_id=order_id,
            client_order_id=client_order_id,
            cancel_id=cancel_id,
            only_status=parameters.cancel_restriction(call.params),
        )
        return reports.canceled(order, cancel_id)

    def _cancel_all(self, call: Call) -> list[dict[str, Any]]:
        rules = parameters.market(call.params, self._venue.markets).rules
        canceled = self._venue.cancel_all(rules.symbol, _fresh_ids())
        return [reports.canceled(order, cancel_id) for order, cancel_id in canceled]

    def _open_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol = None
        if "symbol" in call.params:
            symbol = parameters.market(call.params, self._venue.markets).rules.symbol
        return [reports.order_status(o) for o in self._venue.account.open_orders(symbol)]

    def _all_orders(self, call: Call) -> list[dict[str, Any]]:
        params = call.params
        symbol = parameters.market(params, self._venue.markets).rules.symbol
        from_id = parameters.optional_int(params, "orderId")
        limit = parameters.limit(params, default=_TRADES_DEFAULT, largest=_TRADES_MAX)
        between = parameters.period(params)
        chosen = [
            order
            for order in self._venue.account.orders.values()
            if order.symbol == symbol
            and (from_id is None or order.order_id >= from_id)
            and between(order.time_ms)
        ]
        page = chosen[-limit:] if from_id is None else chosen[:limit]
        return [reports.order_status(order) for order in page]

    def _my_trades(self, call: Call) -> list[dict[str, Any]]:
        params = call.params
        symbol = parameters.market(params, self._venue.markets).rules.symbol
        order_id = parameters.optional_int(params, "orderId")
        from_id = parameters.optional_int(params, "fromId")
        limit = parameters.limit(params, default=_TRADES_DEFAULT, largest=_TRADES_MAX)
        between = parameters.period(params)
        chosen = [
            trade
            for trade in self._venue.account.trades.get(symbol, ())
            if (order_id is None or trade.order_id == order_id)
            and (from_id is None or trade.trade_id >= from_id)
            and between(trade.time_ms)
        ]
        forward = from_id is not None or "startTime" in params
        return [reports.my_trade(t) for t in (chosen[:limit] if forward else chosen[-limit:])]

    def _account_status(self, call: Call) -> dict[str, Any]:
        omit_zero = parameters.flag(call.params, "omitZeroBalances", default=False)
        return reports.account_status(
            self._venue.account, fee_rate=self._fee_rate, omit_zero=omit_zero
        )

    def _order_limits(self, call: Call) -> list[dict[str, Any]]:
        listed = self._limits.listing(call.now_ms, orders=True)
        return [window for window in listed if window["rateLimitType"] == "ORDERS"]

    def _order_named(self, params: Params) -> tuple[str, int | None, str | None]:
        symbol = parameters.market(params, self._venue.markets).rules.symbol
        order_id = parameters.optional_int(params, "orderId")
        client_order_id = parameters.optional_text(params, "origClientOrderId")
        if order_id is None and client_order_id is None:
            raise neither("origClientOrderId", "orderId")
        return symbol, order_id, client_order_id


def _failure(error: ApiError) -> Outcome:
    body = error_body(error)
    if error.data is not None:
        body["data"] = error.data
    return Outcome(error.status, error=body)


def _fresh_ids() -> Iterator[str]:
    while True:
        yield uuid.uuid4().hex[:22]
