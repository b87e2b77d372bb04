"""Binance's WebSocket API: requests about orders and the account, one answer each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from krator_actors.exchange import params as parameters
from krator_actors.exchange.connections import Connection
from krator_actors.exchange.faults import Faults
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.methods import ORDER_METHODS, Call, Method, Methods, Outcome
from krator_actors.exchange.signing import Credentials
from krator_actors.exchange.user_streams import UserStreams


class WsApi:
    """The frames. A request is carried out at once and whole; only its answer may be late."""

    def __init__(
        self,
        *,
        methods: Methods,
        credentials: Credentials,
        limits: RateLimits,
        faults: Faults,
        user_streams: UserStreams,
        announce: Callable[[], None],
    ) -> None:
        """``announce``: pushes what the venue has done to all who listen."""
        self._methods = methods
        self._credentials = credentials
        self._limits = limits
        self._faults = faults
        self._user_streams = user_streams
        self._announce = announce
        # of the request in work: the two methods below are about its connection
        self._connection: Connection | None = None
        methods.table["userDataStream.subscribe.signature"] = Method(self._subscribe, 2)
        methods.table["userDataStream.unsubscribe"] = Method(
            self._unsubscribe, 2, frozenset({"subscriptionId"}), signed=False
        )

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
            error = {"code": -1135, "msg": "Invalid JSON Request"}
            self._send(connection, {"id": None, "status": 400, "error": error})
            return
        method = str(request.get("method", "")).removeprefix("v3/")
        now_ms = received_ns // 1_000_000
        authorize = partial(self._credentials.authorize, params, now_ms)
        call = Call(method, params, received_ns, authorize)
        self._connection = connection
        answer = {"id": request.get("id"), **_frame(self._methods.perform(call))}
        if parameters.flag(params, "returnRateLimits", default=show_limits):
            orders = method in ORDER_METHODS
            answer["rateLimits"] = self._limits.listing(now_ms, orders=orders)
        if self._faults.take_lost_answer(method):
            self._methods.note_fault("lose_answer", call, acted=True)
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

    def _subscribe(self, _: Call) -> dict[str, Any]:
        assert self._connection is not None
        return {"subscriptionId": self._user_streams.subscribe(self._connection)}

    def _unsubscribe(self, _: Call) -> dict[str, Any]:
        assert self._connection is not None
        self._user_streams.unsubscribe(self._connection)
        return {}


def _frame(outcome: Outcome) -> dict[str, Any]:
    if outcome.error is not None:
        return {"status": outcome.status, "error": outcome.error}
    return {"status": outcome.status, "result": outcome.result}
