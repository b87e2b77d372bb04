"""Binance's rate limits: request weight a minute, new orders in ten seconds and in a day."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from krator_actors.exchange.errors import ApiError

DEFAULT_WEIGHT_LIMIT = 6_000
DEFAULT_ORDER_LIMIT = 100
ORDERS_A_DAY = 200_000

_SECS = {"SECOND": 1, "MINUTE": 60, "DAY": 86_400}


@dataclass(slots=True)
class _Window:
    """A fixed window, which begins at multiples of its length, as Binance's do."""

    kind: str
    interval: str
    number: int
    limit: int
    count: int = 0
    index: int = -1

    @property
    def length_ms(self) -> int:
        return _SECS[self.interval] * self.number * 1_000

    def roll(self, now_ms: int) -> None:
        index = now_ms // self.length_ms
        if index != self.index:
            self.index, self.count = index, 0

    def retry_after_ms(self) -> int:
        return (self.index + 1) * self.length_ms

    def listing(self, *, with_count: bool) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.number,
            "limit": self.limit,
        }
        if with_count:
            entry["count"] = self.count
        return entry


class RateLimits:
    """What is used of the limits; one address, one account."""

    def __init__(self, *, weight_limit: int, order_limit: int) -> None:
        self._weight = _Window("REQUEST_WEIGHT", "MINUTE", 1, weight_limit)
        self._orders = [
            _Window("ORDERS", "SECOND", 10, order_limit),
            _Window("ORDERS", "DAY", 1, ORDERS_A_DAY),
        ]

    def spend(self, weight: int, now_ms: int) -> None:
        """Count a request; 429 with -1003 and ``retryAfter`` when the limit is passed."""
        window = self._weight
        window.roll(now_ms)
        window.count += weight
        if window.count > window.limit:
            raise _too_much(
                -1003,
                f"Too much request weight used; current limit is {window.limit} request weight "
                "per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling "
                "the API.",
                window,
                now_ms,
            )

    def spend_order(self, now_ms: int) -> None:
        """Count a new order; 429 with -1015 when the limit is passed."""
        for window in self._orders:
            window.roll(now_ms)
            if window.count >= window.limit:
                raise _too_much(
                    -1015,
                    f"Too many new orders; current limit is {window.limit} orders per "
                    f"{window.number} {window.interval}.",
                    window,
                    now_ms,
                )
        for window in self._orders:
            window.count += 1

    def used_weight(self, now_ms: int) -> int:
        """Return the weight used in this minute."""
        self._weight.roll(now_ms)
        return self._weight.count

    def used_orders(self, now_ms: int) -> tuple[int, int]:
        """Return the new orders in these ten seconds and in this day."""
        for window in self._orders:
            window.roll(now_ms)
        return self._orders[0].count, self._orders[1].count

    def listing(self, now_ms: int, *, orders: bool) -> list[dict[str, Any]]:
        """Return the ``rateLimits`` of an answer."""
        windows = [*self._orders, self._weight] if orders else [self._weight]
        for window in windows:
            window.roll(now_ms)
        return [window.listing(with_count=True) for window in windows]

    def rules(self) -> list[dict[str, Any]]:
        """Return the ``rateLimits`` of ``exchangeInfo``: no counts."""
        return [window.listing(with_count=False) for window in (self._weight, *self._orders)]


def _too_much(code: int, text: str, window: _Window, now_ms: int) -> ApiError:
    data = {"serverTime": now_ms, "retryAfter": window.retry_after_ms()}
    return ApiError(code, text, status=HTTPStatus.TOO_MANY_REQUESTS, data=data)
