"""Binance's public REST endpoints. The signed ones are in ``rest_account``."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from krator_actors.exchange import fixed, tickers
from krator_actors.exchange import params as parameters
from krator_actors.exchange.errors import ApiError
from krator_actors.exchange.faults import Faults
from krator_actors.exchange.ledger import Ledger
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.market import Market
from krator_actors.exchange.records import FaultHit
from krator_actors.exchange.rules import AVERAGE_MINS
from krator_actors.model import NANOS_PER_MILLI

_DEPTH_DEFAULT = 100
_DEPTH_MAX = 5_000
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (_DEPTH_MAX, 250))
_LIST_DEFAULT = 500
_LIST_MAX = 1_000

Query = Mapping[str, str]


class RestApi:
    """The endpoints, each a function of its query."""

    def __init__(
        self,
        *,
        markets: Mapping[str, Market],
        limits: RateLimits,
        faults: Faults,
        ledger: Ledger,
    ) -> None:
        self._markets = markets
        self._limits = limits
        self._faults = faults
        self._ledger = ledger

    def routes(self) -> list[web.RouteDef]:
        """Return the routes below ``/api/v3``."""
        endpoints: dict[str, tuple[Callable[[Query], Any], Callable[[Query], int]]] = {
            "ping": (lambda _: {}, lambda _: 1),
            "time": (self._time, lambda _: 1),
            "exchangeInfo": (self._exchange_info, lambda _: 20),
            "depth": (self._depth, _depth_weight),
            "klines": (self._klines, lambda _: 2),
            "trades": (self._trades, lambda _: 25),
            "avgPrice": (self._average, lambda _: 2),
            "ticker/price": (partial(self._ticker, tickers.price), _ticker_weight),
            "ticker/bookTicker": (partial(self._ticker, tickers.book), _ticker_weight),
            "ticker/24hr": (partial(self._ticker, tickers.day), _day_weight),
        }
        return [
            web.get(f"/api/v3/{name}", self._endpoint(name, produce, weigh))
            for name, (produce, weigh) in endpoints.items()
        ]

    def _endpoint(
        self, name: str, produce: Callable[[Query], Any], weigh: Callable[[Query], int]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            now_ms = _now_ms()
            try:
                self._fail_if_told(name)
                self._limits.spend(weigh(request.query), now_ms)
                body, status = produce(request.query), HTTPStatus.OK.value
            except ApiError as error:
                body, status = {"code": error.code, "msg": error.message}, error.status
            headers = {"X-MBX-USED-WEIGHT-1M": str(self._limits.used_weight(now_ms))}
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                headers["Retry-After"] = str(60 - now_ms // 1_000 % 60)
            return web.Response(
                body=msgspec.json.encode(body),
                status=status,
                headers=headers,
                content_type="application/json",
            )

        return handle

    def _fail_if_told(self, name: str) -> None:
        fault = self._faults.take_error(name)
        if fault is not None:
            self._ledger.append(FaultHit(action="answer_error", method=name, acted=False))
            raise ApiError(fault.code, fault.text, status=fault.status)

    def _time(self, _: Query) -> dict[str, Any]:
        return {"serverTime": _now_ms()}

    def _exchange_info(self, query: Query) -> dict[str, Any]:
        listed = list(self._markets.values())
        if "symbol" in query:
            listed = [parameters.market(query, self._markets)]
        elif "symbols" in query:
            listed = parameters.listed_markets(query, self._markets)
        return {
            "timezone": "UTC",
            "serverTime": _now_ms(),
            "rateLimits": self._limits.rules(),
            "exchangeFilters": [],
            "symbols": [market.rules.listing() for market in listed],
        }

    def _depth(self, query: Query) -> dict[str, Any]:
        market = parameters.market(query, self._markets)
        limit = parameters.limit(query, default=_DEPTH_DEFAULT, largest=_DEPTH_MAX)
        depth = market.depth(limit)
        return {
            "lastUpdateId": depth.last_update_id,
            "bids": [[fixed.show(price), fixed.show(size)] for price, size in depth.bids],
            "asks": [[fixed.show(price), fixed.show(size)] for price, size in depth.asks],
        }

    def _klines(self, query: Query) -> list[list[Any]]:
        market = parameters.market(query, self._markets)
        return market.tape.klines(
            parameters.text(query, "interval"),
            now_ms=market.event_ms(),
            start_ms=parameters.optional_int(query, "startTime"),
            end_ms=parameters.optional_int(query, "endTime"),
            limit=parameters.limit(query, default=_LIST_DEFAULT, largest=_LIST_MAX),
        )

    def _average(self, query: Query) -> dict[str, Any]:
        market = parameters.market(query, self._markets)
        price = market.tape.average_price(AVERAGE_MINS)
        return {
            "mins": AVERAGE_MINS,
            "price": fixed.show(price),
            "closeTime": market.event_ms(),
        }

    def _ticker(self, ticker: Callable[[Market], dict[str, Any]], query: Query) -> Any:
        return tickers.of_symbols(query, self._markets, ticker)

    def _trades(self, query: Query) -> list[dict[str, Any]]:
        market = parameters.market(query, self._markets)
        limit = parameters.limit(query, default=_LIST_DEFAULT, largest=_LIST_MAX)
        return [trade.listing() for trade in list(market.tape.recent)[-limit:]]


def _depth_weight(query: Query) -> int:
    limit = parameters.limit(query, default=_DEPTH_DEFAULT, largest=_DEPTH_MAX)
    return next(weight for largest, weight in _DEPTH_WEIGHTS if limit <= largest)


def _ticker_weight(query: Query) -> int:
    return 2 if "symbol" in query else 4


def _day_weight(query: Query) -> int:
    return 2 if "symbol" in query else 80


def _now_ms() -> int:
    return time.time_ns() // NANOS_PER_MILLI
