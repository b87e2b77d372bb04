"""Binance's WebSocket API: requests about orders and the account, one answer each."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from krator_actors.exchange import params as parameters
from krator_actors.exchange import reports
from krator_actors.exchange.connections import Connection
from krator_actors.exchange.errors import ApiError, neither
from krator_actors.exchange.faults import AnswerError, Faults
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.params import SIGNED, Params
from krator_actors.exchange.records import FaultHit
from krator_actors.exchange.signing import Credentials
from krator_actors.exchange.user_streams import UserStreams
from krator_actors.exchange.venue import Venue
from krator_actors.model import NANOS_PER_MILLI

_TRADES_DEFAULT = 500
_TRADES_MAX = 1_000
_SECRET = frozenset({"apiKey", "signature"})


@dataclass(frozen=True, slots=True)
class _Call:
    """One request while it is carried out."""

    connection: Connection
    method: str
    params: dict[str, Any]
    received_ns: int

    @property
    def now_ms(self) -> int:
        return self.received_ns // NANOS_PER_MILLI

    @property
    def harmless_params(self) -> dict[str, Any]:
        return {name: value for name, value in self.params.items() if name not in _SECRET}

    @property
    def client_order_id(self) -> str:
        named = self.params.get("newClientOrderId") or self.params.get("origClientOrderId")
        return str(named or "")


@dataclass(frozen=True, slots=True)
class _Method:
    carry_out: Callable[[_Call], Any]
    weight: int
    known: frozenset[str]
    signed: bool = True
    # writes a refusal down, for requests that the ledger must know of
    note: Callable[[ApiError, dict[str, Any], int], None] | None = None
    # weight when one parameter makes it another
    other_weight: tuple[str, int] = ("", 0)

    def weight_of(self, params: Params) -> int:
        name, weight = self.other_weight
        return weight if name and name in params else self.weight


class WsApi:
    """The methods. A request is carried out at once and whole; only its answer may be late."""

    def __init__(
        self,
        *,
        venue: Venue,
        credentials: Credentials,
        limits: RateLimits,
        faults: Faults,
        user_streams: UserStreams,
        announce: Callable[[], None],
        fee_rate: int,
    ) -> None:
        """``announce``: pushes what the venue has done to all who listen."""
        self._venue = venue
        self._credentials = credentials
        self._limits = limits
        self._faults = faults
        self._user_streams = user_streams
        self._announce = announce
        self._fee_rate = fee_rate
        by_id = frozenset({"symbol", "orderId", "origClientOrderId"})
        self._methods = {
            "ping": _Method(lambda _: {}, 1, frozenset(), signed=False),
            "time": _Method(self._time, 1, frozenset(), signed=False),
            "order.place": _Method(self._place, 1, parameters.PLACE, note=venue.note_rejection),
            "order.status": _Method(self._status, 4, by_id),
            "order.cancel": _Method(
                self._cancel,
                1,
                by_id | {"newClientOrderId"},
                note=venue.note_cancel_rejection,
            ),
            "openOrders.status": _Method(
                self._open_orders, 80, frozenset({"symbol"}), other_weight=("symbol", 6)
            ),
            "openOrders.cancelAll": _Method(
                self._cancel_all, 1, frozenset({"symbol"}), note=venue.note_cancel_rejection
            ),
            "myTrades": _Method(
                self._my_trades,
                20,
                frozenset({"symbol", "orderId", "startTime", "endTime", "fromId", "limit"}),
                other_weight=("orderId", 5),
            ),
            "account.status": _Method(self._account_status, 20, frozenset({"omitZeroBalances"})),
            "userDataStream.subscribe.signature": _Method(self._subscribe, 2, frozenset()),
            "userDataStream.unsubscribe": _Method(
                self._unsubscribe, 2, frozenset({"subscriptionId"}), signed=False
            ),
        }

    def handle(self, connection: Connection, text: str, *, show_limits: bool) -> None:
        """Carry out a request and answer it.

        Whatever happened is in the ledger before the answer leaves; events follow the answer.
        Raises LedgerFailedError, which must end the process.
        """
        received_ns = time.time_ns()
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = None
        params = request.get("params") or {} if isinstance(request, dict) else None
        if not isinstance(request, dict) or not isinstance(params, dict):
            error = ApiError(-1135, "Invalid JSON Request")
            self._send(connection, {"id": None, **_failure(error)})
            return
        method = str(request.get("method", "")).removeprefix("v3/")
        call = _Call(connection, method, params, received_ns)
        answer = {"id": request.get("id"), **self._answer(call)}
        if parameters.flag(params, "returnRateLimits", default=show_limits):
            orders = method == "order.place"
            answer["rateLimits"] = self._limits.listing(call.now_ms, orders=orders)
        if self._faults.take_lost_answer(method):
            self._note_fault("lose_answer", call, acted=True)
            connection.abort()
        else:
            self._send(connection, answer)
        self._announce()

    def _send(self, connection: Connection, answer: dict[str, Any]) -> None:
        text = msgspec.json.encode(answer).decode()
        if self._faults.delay_ms:
            asyncio.get_running_loop().call_later(
                self._faults.delay_ms / 1_000, connection.send, text
            )
        else:
            connection.send(text)

    def _answer(self, call: _Call) -> dict[str, Any]:
        """Return status and result, or status and error."""
        fault = self._faults.take_error(call.method)
        if fault is not None and not fault.act:
            self._note_fault("answer_error", call, acted=False)
            return _fault_answer(fault, call.now_ms)
        try:
            result = self._carry_out(call)
        except ApiError as error:
            answer = _failure(error)
        else:
            answer = {"status": HTTPStatus.OK, "result": result}
        if fault is not None:
            self._note_fault("answer_error", call, acted=True)
            return _fault_answer(fault, call.now_ms)
        return answer

    def _carry_out(self, call: _Call) -> Any:
        method = self._methods.get(call.method)
        if method is None:
            raise ApiError(-1020, "This operation is not supported.")
        try:
            self._admit(call, method)
            parameters.refuse_unknown(call.params, method.known | SIGNED)
            return method.carry_out(call)
        except ApiError as error:
            if method.note is not None:
                method.note(error, call.harmless_params, call.received_ns)
            raise

    def _admit(self, call: _Call, method: _Method) -> None:
        self._limits.spend(method.weight_of(call.params), call.now_ms)
        if method.signed:
            self._credentials.authorize(call.params, call.now_ms)

    def _note_fault(self, action: str, call: _Call, *, acted: bool) -> None:
        self._venue.ledger.append(
            FaultHit(
                action=action,
                method=call.method,
                acted=acted,
                client_order_id=call.client_order_id,
            )
        )

    def _time(self, call: _Call) -> dict[str, Any]:
        return {"serverTime": call.now_ms}

    def _place(self, call: _Call) -> dict[str, Any]:
        self._limits.spend_order(call.now_ms)
        request = parameters.place_request(call.params, self._venue.markets, call.received_ns)
        order = self._venue.place(request)
        response_type = parameters.response_type(call.params, order.order_type)
        return reports.placed(order, self._venue.account.trades_of(order), response_type)

    def _status(self, call: _Call) -> dict[str, Any]:
        symbol, order_id, client_order_id = self._order_named(call.params)
        order = self._venue.account.find(order_id=order_id, client_order_id=client_order_id)
        if order is None or order.symbol != symbol:
            raise ApiError(-2013, "Order does not exist.")
        if client_order_id is not None and order.client_order_id != client_order_id:
            raise ApiError(-2013, "Order does not exist.")
        return reports.order_status(order)

    def _cancel(self, call: _Call) -> dict[str, Any]:
        symbol, order_id, client_order_id = self._order_named(call.params)
        cancel_id = parameters.client_id(call.params, "newClientOrderId")
        order = self._venue.cancel(
            symbol=symbol, order_id=order_id, client_order_id=client_order_id, cancel_id=cancel_id
        )
        return reports.canceled(order, cancel_id)

    def _cancel_all(self, call: _Call) -> list[dict[str, Any]]:
        rules = parameters.market(call.params, self._venue.markets).rules
        canceled = self._venue.cancel_all(rules.symbol, _fresh_ids())
        return [reports.canceled(order, cancel_id) for order, cancel_id in canceled]

    def _open_orders(self, call: _Call) -> list[dict[str, Any]]:
        symbol = None
        if "symbol" in call.params:
            symbol = parameters.market(call.params, self._venue.markets).rules.symbol
        return [reports.order_status(o) for o in self._venue.account.open_orders(symbol)]

    def _my_trades(self, call: _Call) -> list[dict[str, Any]]:
        params = call.params
        symbol = parameters.market(params, self._venue.markets).rules.symbol
        order_id = parameters.optional_int(params, "orderId")
        from_id = parameters.optional_int(params, "fromId")
        start_ms = parameters.optional_int(params, "startTime")
        end_ms = parameters.optional_int(params, "endTime")
        limit = parameters.limit(params, default=_TRADES_DEFAULT, largest=_TRADES_MAX)
        chosen = [
            trade
            for trade in self._venue.account.trades.get(symbol, ())
            if (order_id is None or trade.order_id == order_id)
            and (from_id is None or trade.trade_id >= from_id)
            and (start_ms is None or trade.time_ms >= start_ms)
            and (end_ms is None or trade.time_ms <= end_ms)
        ]
        forward = from_id is not None or start_ms is not None
        return [reports.my_trade(t) for t in (chosen[:limit] if forward else chosen[-limit:])]

    def _account_status(self, call: _Call) -> dict[str, Any]:
        omit_zero = parameters.flag(call.params, "omitZeroBalances", default=False)
        return reports.account_status(
            self._venue.account, fee_rate=self._fee_rate, omit_zero=omit_zero
        )

    def _subscribe(self, call: _Call) -> dict[str, Any]:
        return {"subscriptionId": self._user_streams.subscribe(call.connection)}

    def _unsubscribe(self, call: _Call) -> dict[str, Any]:
        self._user_streams.unsubscribe(call.connection)
        return {}

    def _order_named(self, params: Params) -> tuple[str, int | None, str | None]:
        symbol = parameters.market(params, self._venue.markets).rules.symbol
        order_id = parameters.optional_int(params, "orderId")
        client_order_id = parameters.optional_text(params, "origClientOrderId")
        if order_id is None and client_order_id is None:
            raise neither("origClientOrderId", "orderId")
        return symbol, order_id, client_order_id


def _failure(error: ApiError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "msg": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"status": error.status, "error": body}


def _fault_answer(fault: AnswerError, now_ms: int) -> dict[str, Any]:
    error: dict[str, Any] = {"code": fault.code, "msg": fault.text}
    if fault.status == HTTPStatus.TOO_MANY_REQUESTS:
        error["data"] = {"serverTime": now_ms, "retryAfter": now_ms + 1_000}
    return {"status": fault.status, "error": error}


def _fresh_ids() -> Iterator[str]:
    while True:
        yield uuid.uuid4().hex[:22]
