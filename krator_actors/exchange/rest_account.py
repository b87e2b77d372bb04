"""Binance's signed REST endpoints: the account's methods behind HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from krator_actors.exchange.account import Account
from krator_actors.exchange.faults import Faults
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.methods import ORDER_METHODS, Call, Method, Methods, Outcome
from krator_actors.exchange.signing import Credentials
from krator_actors.model import NANOS_PER_MILLI

_ENDPOINTS = {
    ("POST", "/api/v3/order"): "order.place",
    ("GET", "/api/v3/order"): "order.status",
    ("DELETE", "/api/v3/order"): "order.cancel",
    ("POST", "/api/v3/order/cancelReplace"): "order.cancelReplace",
    ("PUT", "/api/v3/order/amend/keepPriority"): "order.amend.keepPriority",
    ("GET", "/api/v3/openOrders"): "openOrders.status",
    ("DELETE", "/api/v3/openOrders"): "openOrders.cancelAll",
    ("GET", "/api/v3/allOrders"): "allOrders",
    ("GET", "/api/v3/myTrades"): "myTrades",
    ("GET", "/api/v3/account"): "account.status",
    ("GET", "/api/v3/rateLimit/order"): "account.rateLimits.orders",
    ("GET", "/sapi/v1/account/apiRestrictions"): "sapi.apiRestrictions",
    ("GET", "/sapi/v1/capital/config/getall"): "sapi.coins",
}
_HALF_DONE = frozenset({-2021, -2022})
"""errors whose data REST shows too"""
_KEY_CREATED_MS = 1_600_000_000_000


class RestAccount:
    """The endpoints: parameters and signature out of HTTP, the outcome into it."""

    def __init__(
        self,
        *,
        methods: Methods,
        credentials: Credentials,
        limits: RateLimits,
        faults: Faults,
        account: Account,
        announce: Callable[[], None],
        withdrawals: bool,
    ) -> None:
        """``withdrawals``: what the venue says whether the API key may withdraw."""
        self._methods = methods
        self._credentials = credentials
        self._limits = limits
        self._faults = faults
        self._account = account
        self._announce = announce
        self._withdrawals = withdrawals
        methods.table["sapi.apiRestrictions"] = Method(self._api_restrictions, 1)
        methods.table["sapi.coins"] = Method(self._coins, 10)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.route(verb, path, self._endpoint(method))
            for (verb, path), method in _ENDPOINTS.items()
        ]

    def _endpoint(self, method: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            received_ns = time.time_ns()
            body = await request.text()
            query = request.rel_url.raw_query_string
            # What is in the query wins over what is in the body.
            params: dict[str, Any] = dict(parse_qsl(body, keep_blank_values=True))
            params |= dict(parse_qsl(query, keep_blank_values=True))
            authorize = partial(
                self._credentials.authorize_text,
                request.headers.get("X-MBX-APIKEY", ""),
                _unsigned(query) + _unsigned(body),
                params,
                received_ns // NANOS_PER_MILLI,
            )
            call = Call(method, params, received_ns, authorize)
            outcome = self._methods.perform(call)
            lost = self._faults.take_lost_answer(method)
            if lost:
                self._methods.note_fault("lose_answer", call, acted=True)
            self._announce()
            if lost and request.transport is not None:
                request.transport.abort()
            if self._faults.delay_ms:
                await asyncio.sleep(self._faults.delay_ms / 1_000)
            return self._response(call, outcome)

        return handle

    def _response(self, call: Call, outcome: Outcome) -> web.Response:
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._limits.used_weight(call.now_ms))}
        if call.method in ORDER_METHODS:
            ten_secs, day = self._limits.used_orders(call.now_ms)
            headers |= {"X-MBX-ORDER-COUNT-10S": str(ten_secs), "X-MBX-ORDER-COUNT-1D": str(day)}
        if outcome.status == HTTPStatus.TOO_MANY_REQUESTS:
            headers["Retry-After"] = str(60 - call.now_ms // 1_000 % 60)
        body = outcome.result
        if outcome.error is not None:
            shown = (
                {"code", "msg", "data"} if outcome.error["code"] in _HALF_DONE else {"code", "msg"}
            )
            body = {name: value for name, value in outcome.error.items() if name in shown}
        return web.Response(
            body=msgspec.json.encode(body),
            status=outcome.status,
            headers=headers,
            content_type="application/json",
        )

    def _api_restrictions(self, _: Call) -> dict[str, Any]:
        return {
            "ipRestrict": True,
            "createTime": _KEY_CREATED_MS,
            "enableReading": True,
            "enableWithdrawals": self._withdrawals,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableSpotAndMarginTrading": True,
        }

    def _coins(self, _: Call) -> list[dict[str, Any]]:
        return [
            {"coin": asset, "name": asset, "depositAllEnable": False, "withdrawAllEnable": False}
            | {"trading": True, "isLegalMoney": False, "networkList": []}
            for asset in sorted(self._account.holdings)
        ]


def _unsigned(text: str) -> str:
    return "&".join(pair for pair in text.split("&") if not pair.startswith("signature="))
