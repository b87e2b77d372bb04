"""Alpaca's stock data over REST, Sans-I/O: paths out, bodies in.

Written after docs.alpaca.markets, "Historical Stock Data". Every request is signed with the keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

import msgspec

from krator_actors.adapters.alpaca_market import ticker_of
from krator_actors.adapters.market_values import (
    Id,
    Text,
    base_and_quote,
    checked_bar,
    read_body,
    read_checked,
    require_positive,
    utc_ns,
)
from krator_actors.core.bar_merge import merge_finished
from krator_actors.messages.bar_spec import BarSpec, BarUnit
from krator_actors.messages.market import Bar, BookSnapshot, TradeTick
from krator_actors.model import NANOS_PER_SEC, Instrument

_ROOT: Final = "/v2/stocks"
_TIMEFRAMES: Final = {3_600: "1Hour", 1_800: "30Min", 900: "15Min", 300: "5Min", 60: "1Min"}
_MAX_ROWS: Final = 10_000
_QUIET_DAYS: Final = 5
"""A long weekend: bars of so many days are asked for, to find enough in which there was trading."""
_CENT: Final = Decimal("0.01")
_MAX_SHARES: Final = Decimal(10) ** 9


class _Bar(msgspec.Struct):
    t: Text
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - Alpaca's name
    c: Decimal
    v: Decimal
    n: Id


class _Bars(msgspec.Struct):
    bars: dict[str, list[_Bar]]


class _Trade(msgspec.Struct):
    t: Text
    p: Decimal
    s: Decimal
    i: Id


class _Trades(msgspec.Struct):
    trades: dict[str, list[_Trade] | None]


class AlpacaRest:
    """The requests for the configured symbols (``AAPL-USD.ALPACA``).

    Args:
        symbols: all that are configured.
        feed: ``iex`` or ``sip``.
    """

    def __init__(self, symbols: Sequence[str], *, feed: str) -> None:
        # AAPL to AAPL-USD.ALPACA
        self._symbols = {ticker_of(symbol): symbol for symbol in symbols}
        self._feed = feed

    def headers(self, api_key: str, secret: str) -> dict[str, str]:
        """Return the headers that say who we are."""
        return {"APCA-API-KEY-ID": api_key, "APCA-API-SECRET-KEY": secret}

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path and query of the snapshots, which show who is known to the data service."""
        return f"{_ROOT}/snapshots?" + self._query(",".join(map(ticker_of, symbols)))

    def read_instruments(self, body: bytes) -> tuple[Instrument, ...]:
        """Read them. The rules are those of all US stocks: cents (SEC Rule 612), whole shares."""
        known = read_body(body, dict[str, msgspec.Raw])
        return tuple(
            _instrument(ticker, symbol)
            for ticker, symbol in self._symbols.items()
            if ticker in known
        )

    def bars_path(self, symbol: str, spec: BarSpec, count: int, now_ns: int) -> str:
        """Path and query of bars, in the longest time frame that divides the period."""
        secs = _frame_secs(spec)
        asked = min(_MAX_ROWS, (count + 2) * (spec.period_secs // secs))
        start = datetime.fromtimestamp(now_ns // NANOS_PER_SEC, UTC) - timedelta(
            days=_QUIET_DAYS, seconds=asked * secs
        )
        query = self._query(
            ticker_of(symbol),
            start=f"{start:%Y-%m-%dT%H:%M:%SZ}",
            timeframe=_TIMEFRAMES[secs],
            limit=asked,
            sort="desc",
        )
        return f"{_ROOT}/bars?" + query

    def read_bars(self, body: bytes, symbol: str, spec: BarSpec, count: int) -> tuple[Bar, ...]:
        """Read bars, which come newest first: at most ``count`` finished ones, oldest first."""
        read = BarSpec(_frame_secs(spec), BarUnit.SECOND)
        answered = read_body(body, _Bars).bars.get(ticker_of(symbol), [])
        bars = read_checked(lambda: {(b := _bar(bar, symbol, read)).ts_open: b for bar in answered})
        return merge_finished([bars[ts] for ts in sorted(bars)], spec, count)

    def trades_path(self, after: TradeTick, count: int) -> str:
        """Path and query of the trades since the time of one."""
        whole, nanos = divmod(after.ts_event, NANOS_PER_SEC)
        start = f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"
        query = self._query(ticker_of(after.symbol), start=start, limit=min(_MAX_ROWS, count))
        return f"{_ROOT}/trades?" + query

    def read_trades(self, body: bytes, symbol: str, ts_init: int) -> tuple[TradeTick, ...]:
        """Read its answer, oldest first."""
        trades = read_body(body, _Trades).trades.get(ticker_of(symbol)) or []
        ticks = read_checked(lambda: [_trade(trade, symbol, ts_init) for trade in trades])
        return tuple(sorted(ticks, key=lambda tick: tick.ts_event))

    def book_path(self, symbol: str) -> str:
        """Refuse: Alpaca has no order books of stocks."""
        raise ValueError(f"Alpaca has no order book of {symbol}")

    def read_book(self, body: bytes, symbol: str, ts_init: int) -> BookSnapshot:  # noqa: ARG002 - never asked
        """Refuse: Alpaca has no order books of stocks."""
        raise ValueError(f"Alpaca has no order book of {symbol}")

    def time_path(self) -> None:
        """Return nothing: the data service has no clock."""

    def read_time(self, body: bytes) -> int:  # noqa: ARG002 - never asked
        """Refuse, as ``time_path`` says."""
        raise ValueError("Alpaca's data service has no clock")

    def _query(self, tickers: str, **more: str | int) -> str:
        return urlencode({"symbols": tickers, "feed": self._feed, **more})


def _frame_secs(spec: BarSpec) -> int:
    secs = next((secs for secs in _TIMEFRAMES if spec.period_secs % secs == 0), 0)
    if not secs or not spec.period_secs:
        raise ValueError(f"Alpaca has no bars that {spec} could be made of")
    return secs


def _instrument(ticker: str, symbol: str) -> Instrument:
    base, quote = base_and_quote(symbol)
    return Instrument(
        symbol=symbol,
        venue_symbol=ticker,
        base=base,
        quote=quote,
        tick_size=_CENT,
        lot_size=Decimal(1),
        min_quantity=Decimal(1),
        max_quantity=_MAX_SHARES,
        min_notional=Decimal(0),
    )


def _bar(bar: _Bar, symbol: str, spec: BarSpec) -> Bar:
    return checked_bar(
        symbol,
        spec,
        ts_open=utc_ns(bar.t),
        prices=(bar.o, bar.h, bar.l, bar.c),
        volume=bar.v,
        trades=bar.n,
    )


def _trade(trade: _Trade, symbol: str, ts_init: int) -> TradeTick:
    require_positive(trade.p, trade.s)
    return TradeTick(
        symbol=symbol,
        price=trade.p,
        size=trade.s,
        aggressor=None,
        trade_id=trade.i,
        ts_event=utc_ns(trade.t),
        ts_init=ts_init,
    )
