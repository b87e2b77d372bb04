"""Binance's USD-M futures, market data, Sans-I/O: spot's dialect with other names and rules.

Written after developers.binance.com, "USDS-M Futures": the trades are aggregated per taker order,
a depth update names the one before it (``pu``), a book ticker has the time of its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.adapters.binance_rest import AggregateTrade, BinanceRest, HistoricalTrade
from krator_actors.adapters.market_values import read_body
from krator_actors.core.books import BookRule
from krator_actors.ports import Channel


class BinanceFuturesMarket(BinanceMarket):
    """The codec for the configured symbols (``BTC-USDT.BINANCE_USDM``) of one connection."""

    book_rule: ClassVar[BookRule | None] = BookRule.PREVIOUS_ID

    _suffixes: ClassVar[Mapping[Channel, str]] = {
        Channel.TRADES: "aggTrade",
        Channel.QUOTES: "bookTicker",
        Channel.BOOK: "depth@100ms",
        Channel.BARS: "kline_1m",
    }


class BinanceFuturesRest(BinanceRest):
    """The requests for the configured symbols of the USD-M market."""

    _root: ClassVar[str] = "/fapi/v1"
    _trades: ClassVar[str] = "aggTrades"
    _shortest_interval_secs: ClassVar[int] = 60

    def instruments_path(self, symbols: Sequence[str]) -> str:  # noqa: ARG002 - this API lists all or nothing
        """Path of ``exchangeInfo``, which has no choice of symbols."""
        return f"{self._root}/exchangeInfo"

    def _read_trades(self, body: bytes) -> Sequence[HistoricalTrade | AggregateTrade]:
        return read_body(body, list[AggregateTrade])
