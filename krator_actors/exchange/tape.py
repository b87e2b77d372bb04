"""What has traded: the latest trades and the klines made of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from krator_actors.exchange import fixed
from krator_actors.exchange.errors import ApiError

RECENT_TRADES = 1_000
SECONDS_KEPT = 7_200
MINUTES_KEPT = 10_080

_MILLIS_PER_SEC = 1_000
_MINUTE_SECS = 60

INTERVALS_SECS = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "8h": 28_800,
    "12h": 43_200,
    "1d": 86_400,
}


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade as everybody sees it."""

    trade_id: int
    price: int
    quantity: int
    time_ms: int
    buyer_is_maker: bool

    def listing(self) -> dict[str, Any]:
        """Return the entry of ``/api/v3/trades``."""
        return {
            "id": self.trade_id,
            "price": fixed.show(self.price),
            "qty": fixed.show(self.quantity),
            "quoteQty": fixed.show(fixed.notional(self.price, self.quantity)),
            "time": self.time_ms,
            "isBuyerMaker": self.buyer_is_maker,
            "isBestMatch": True,
        }


@dataclass(slots=True)
class _Candle:
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    quote_volume: int = 0
    trades: int = 0
    taker_volume: int = 0
    taker_quote: int = 0

    @classmethod
    def flat(cls, price: int) -> _Candle:
        return cls(price, price, price, price)

    def add(self, later: _Candle) -> None:
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.trades += later.trades
        self.taker_volume += later.taker_volume
        self.taker_quote += later.taker_quote

    def listing(self, open_ms: int, period_ms: int) -> list[Any]:
        return [
            open_ms,
            fixed.show(self.open),
            fixed.show(self.high),
            fixed.show(self.low),
            fixed.show(self.close),
            fixed.show(self.volume),
            open_ms + period_ms - 1,
            fixed.show(self.quote_volume),
            self.trades,
            fixed.show(self.taker_volume),
            fixed.show(self.taker_quote),
            "0",
        ]


class Tape:
    """The trades of one symbol, newest last. Bounded: old klines are forgotten."""

    def __init__(self) -> None:
        self.recent: deque[PublicTrade] = deque(maxlen=RECENT_TRADES)
        # candles by their second, and by their minute, since the epoch; oldest first
        self._seconds: dict[int, _Candle] = {}
        self._minutes: dict[int, _Candle] = {}

    @property
    def last_price(self) -> int:
        """The price of the last trade, 0 before the first."""
        return self.recent[-1].price if self.recent else 0

    def average_price(self, minutes: int) -> int:
        """Return the average price of the last ``minutes`` that traded, by volume, 0 before any."""
        recent = list(self._minutes.values())[-minutes:]
        volume = sum(candle.volume for candle in recent)
        quote = sum(candle.quote_volume for candle in recent)
        return quote * fixed.SCALE // volume if volume else self.last_price

    def add(self, trade: PublicTrade) -> None:
        """Add a trade; times must not go back by more than a candle is long."""
        self.recent.append(trade)
        candle = _Candle.flat(trade.price)
        candle.volume = trade.quantity
        candle.quote_volume = fixed.notional(trade.price, trade.quantity)
        candle.trades = 1
        if not trade.buyer_is_maker:
            candle.taker_volume = candle.volume
            candle.taker_quote = candle.quote_volume
        second = trade.time_ms // _MILLIS_PER_SEC
        _add(self._seconds, second, candle, SECONDS_KEPT)
        _add(self._minutes, second // _MINUTE_SECS, candle, MINUTES_KEPT)

    def klines(
        self,
        interval: str,
        *,
        now_ms: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[list[Any]]:
        """Return klines as ``/api/v3/klines`` does, oldest first, the unfinished one included.

        ``now_ms`` is the venue's position in event time. As on Binance, a period without a trade
        has a flat kline. Raises -1120 for an interval that there is not.
        """
        period_secs = INTERVALS_SECS.get(interval)
        if period_secs is None:
            raise ApiError(-1120, "Invalid interval.")
        unit_secs = 1 if period_secs < _MINUTE_SECS else _MINUTE_SECS
        units = self._seconds if unit_secs == 1 else self._minutes
        if not units:
            return []
        ratio = period_secs // unit_secs
        period_ms = period_secs * _MILLIS_PER_SEC
        last = min(now_ms if end_ms is None else end_ms, now_ms) // period_ms
        first = next(iter(units)) // ratio
        if start_ms is not None:
            first = max(first, -(-start_ms // period_ms))
            last = min(last, first + limit - 1)
        first = max(first, last - limit + 1)
        candles = _merge(units, ratio, first, last)
        return [c.listing(i * period_ms, period_ms) for i, c in enumerate(candles, start=first)]


def _add(candles: dict[int, _Candle], key: int, candle: _Candle, kept: int) -> None:
    present = candles.get(key)
    if present is not None:
        present.add(candle)
        return
    candles[key] = replace(candle)
    if len(candles) > kept:
        del candles[next(iter(candles))]


def _merge(units: dict[int, _Candle], ratio: int, first: int, last: int) -> list[_Candle]:
    """Return one candle for each period from first to last; empty ones are flat."""
    periods: dict[int, _Candle] = {}
    before = 0
    for key, unit in units.items():
        period = key // ratio
        if period < first:
            before = unit.close
        elif period > last:
            break
        elif period in periods:
            periods[period].add(unit)
        else:
            periods[period] = replace(unit)
    merged: list[_Candle] = []
    for period in range(first, last + 1):
        candle = periods.get(period) or _Candle.flat(merged[-1].close if merged else before)
        merged.append(candle)
    return merged
