"""Binance's own limits: how much of them is used, and what is kept for cancels. Sans-I/O.

Request weight is counted in fixed minutes of the venue's clock, orders in fixed windows of ten
seconds and a day. Every answer says where the counts stand; in between we count ourselves. Written
after github.com/binance/binance-spot-api-docs, web-socket-api.md, "Rate limits".
"""

from __future__ import annotations

import msgspec

CANCEL_SHARE = 0.2
"""of the weight of a minute: only cancels may use it"""
ORDER_SHARE = 0.2
"""of the same, next to it: orders may use it, questions may not. A reconciliation of everything
must hold up neither."""

_INTERVAL_MS = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
_WEIGHTS = {
    "time": 1,
    "ticker.book": 4,
    "userDataStream.subscribe.signature": 2,
    "order.place": 1,
    "order.cancelReplace": 1,
    "order.cancel": 1,
    "order.amend.keepPriority": 4,
    "order.status": 4,
    "openOrders.status": 6,
    "myTrades": 20,
    "account.status": 20,
}
_ORDERS = frozenset({"order.place", "order.cancelReplace"})
_CANCELS = frozenset({"order.cancel"})
_QUESTIONS = frozenset(
    {"ticker.book", "order.status", "openOrders.status", "myTrades", "account.status"}
)
_ORDERS_UNTOLD = ((10_000, 100), (86_400_000, 200_000))
"""length in ms and limit of Binance's order windows, until the venue has told its own"""


class RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    """One of an answer's ``rateLimits``."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int
    count: int = 0

    @property
    def length_ms(self) -> int:
        """How long its window is; 0 for an interval that is not documented."""
        return _INTERVAL_MS.get(self.interval, 0) * self.interval_num


class _Window(msgspec.Struct):
    length_ms: int
    limit: int
    index: int = -1
    count: int = 0

    def used(self, now_ms: int) -> int:
        index = now_ms // self.length_ms
        if index != self.index:
            self.index, self.count = index, 0
        return self.count

    def ends_in_secs(self, now_ms: int) -> float:
        return (self.length_ms - now_ms % self.length_ms) / 1_000


class BinanceLimits:
    """What one account may still send. Times are of the venue's clock, Unix milliseconds."""

    def __init__(self) -> None:
        self._weight = _Window(60_000, 6_000)
        # by length; the venue tells which there are
        self._orders = {length: _Window(length, limit) for length, limit in _ORDERS_UNTOLD}
        # until when nothing, and until when no order, may be sent
        self._banned_until_ms = 0
        self._orders_until_ms = 0

    def wait_secs(self, method: str, now_ms: int) -> float:
        """Return how long ``method`` must wait; 0: it may be sent now, and counts."""
        weight = _WEIGHTS.get(method, 1)
        if now_ms < self._banned_until_ms:
            return (self._banned_until_ms - now_ms) / 1_000
        share = 1.0 if method in _CANCELS else 1.0 - CANCEL_SHARE
        if method in _QUESTIONS:
            share -= ORDER_SHARE
        if self._weight.used(now_ms) + weight > self._weight.limit * share:
            return self._weight.ends_in_secs(now_ms)
        if method in _ORDERS:
            if now_ms < self._orders_until_ms:
                return (self._orders_until_ms - now_ms) / 1_000
            for window in self._orders.values():
                if window.used(now_ms) >= window.limit:
                    return window.ends_in_secs(now_ms)
            for window in self._orders.values():
                window.count += 1
        self._weight.count += weight
        return 0.0

    def learn(self, limits: tuple[RateLimit, ...], now_ms: int) -> None:
        """Take what an answer says of the counts; the larger of its count and ours holds."""
        for limit in limits:
            if not limit.length_ms:
                continue
            match limit.rate_limit_type:
                case "REQUEST_WEIGHT" if limit.length_ms == self._weight.length_ms:
                    window = self._weight
                case "ORDERS":
                    window = self._orders.setdefault(
                        limit.length_ms, _Window(limit.length_ms, limit.limit)
                    )
                case _:
                    continue
            window.limit = limit.limit
            window.count = max(window.used(now_ms), limit.count)

    def refused(self, *, secs: float, now_ms: int, orders_only: bool) -> None:
        """Take that the venue asked us to wait: a 429 or 418, or its order limit."""
        until_ms = now_ms + int(secs * 1_000)
        if orders_only:
            self._orders_until_ms = max(self._orders_until_ms, until_ms)
        else:
            self._banned_until_ms = max(self._banned_until_ms, until_ms)
