"""Whether a symbol's market data can be believed: no trade missing, nothing stale.

Ages are judged by the caller's monotonic clock, sequence by the venue's trade ids.
"""

from __future__ import annotations

from decimal import Decimal

from krator_actors.messages.market import MarketDataGap, TradeSummary, TradeTick
from krator_actors.model import NANOS_PER_SEC

CONNECTING = "CONNECTING"
DISCONNECTED = "DISCONNECTED"
GAP = "GAP"
LIVE = "LIVE"
STALE_QUOTES = "STALE_QUOTES"
STALE_TRADES = "STALE_TRADES"


class TradeSequence:
    """The trade ids of one symbol, across connections."""

    def __init__(self, *, continues: bool) -> None:
        """``continues``: trades were told by an earlier feed, and nobody knows up to which id."""
        # Trades that came again; left out.
        self.repeated = 0
        self._continues = continues
        self._last: TradeTick | None = None

    def is_repeated(self, trade: TradeTick) -> bool:
        """True when the trade, or a later one, has been counted; it is to be left out.

        A smaller id with a later time is not a repetition: the venue has begun to count anew.
        """
        last = self._last
        if last is None or trade.trade_id > last.trade_id or trade.ts_event > last.ts_event:
            return False
        self.repeated += 1
        return True

    def gap_before(self, trade: TradeTick) -> MarketDataGap | None:
        """Count a trade that is not repeated; return what is missing before it, if anything."""
        last, self._last = self._last, trade
        if last is None:
            return _gap(trade, 0, 0, "FEED_STARTED") if self._continues else None
        if trade.trade_id == last.trade_id + 1:
            return None
        if trade.trade_id <= last.trade_id:
            return _gap(trade, 0, 0, "SEQUENCE_RESTARTED")
        missing = trade.trade_id - last.trade_id - 1
        return _gap(trade, last.trade_id + 1, missing, "HOLE")


class Freshness:
    """When each stream of one symbol last spoke on the current connection."""

    def __init__(self, *, quote_stale_secs: float, trade_stale_secs: float) -> None:
        self._quote_stale_ns = int(quote_stale_secs * NANOS_PER_SEC)
        self._trade_stale_ns = int(trade_stale_secs * NANOS_PER_SEC)
        # Monotonic nanoseconds; None while not connected.
        self._connected_ns: int | None = None
        # True when a connection was lost or could not be made.
        self._failed = False
        # None until the stream has spoken on this connection.
        self._quote_ns: int | None = None
        self._trade_ns: int | None = None

    def on_connected(self, now_ns: int) -> None:
        """Begin anew: what was fresh on the last connection says nothing about this one."""
        self._connected_ns = now_ns
        self._quote_ns = self._trade_ns = None

    def on_disconnected(self) -> None:
        """Nothing is fresh any more; also when an attempt to connect has failed."""
        self._connected_ns = None
        self._failed = True

    def on_quote(self, now_ns: int) -> None:
        """A quote has come."""
        self._quote_ns = now_ns

    def on_trade(self, now_ns: int) -> None:
        """A trade has come."""
        self._trade_ns = now_ns

    def reason(self, now_ns: int) -> str:
        """Return ``LIVE``, or why the data is not to be trusted.

        A stream that has not spoken yet is as old as the connection; without a first quote it is
        not live, without a first trade it may be.
        """
        connected_ns = self._connected_ns
        if connected_ns is None:
            return DISCONNECTED if self._failed else CONNECTING
        if now_ns - (self._quote_ns or connected_ns) > self._quote_stale_ns:
            return STALE_QUOTES
        if now_ns - (self._trade_ns or connected_ns) > self._trade_stale_ns:
            return STALE_TRADES
        return CONNECTING if self._quote_ns is None else LIVE

    def silent_ns(self, now_ns: int) -> int:
        """Return for how long no stream has spoken on this connection; 0 when there is none."""
        if self._connected_ns is None:
            return 0
        return now_ns - max(self._connected_ns, self._quote_ns or 0, self._trade_ns or 0)


class Tape:
    """What one symbol has traded since the feed's start, for risk."""

    def __init__(self, symbol: str, now_ns: int) -> None:
        self._symbol = symbol
        self._since_ns = now_ns
        self._volume = Decimal(0)
        self._last: TradeTick | None = None
        # The last trade at the time of the latest summary.
        self._told: TradeTick | None = None

    def on_trade(self, trade: TradeTick) -> None:
        """Count a trade that is not repeated."""
        self._volume += trade.size
        self._last = trade

    def news(self, now_ns: int) -> TradeSummary | None:
        """Return the summary when there has been a trade since the last one."""
        return None if self._last is self._told else self.summary(now_ns)

    def summary(self, now_ns: int) -> TradeSummary | None:
        """Return the summary; None before the first trade."""
        last = self._told = self._last
        if last is None:
            return None
        return TradeSummary(
            symbol=self._symbol,
            last_price=last.price,
            volume=self._volume,
            counted_secs=(now_ns - self._since_ns) / NANOS_PER_SEC,
            ts_event=last.ts_event,
        )


def _gap(trade: TradeTick, first_id: int, count: int, reason: str) -> MarketDataGap:
    return MarketDataGap(
        symbol=trade.symbol,
        stream="trade",
        first_id=first_id,
        last_id=first_id + count - 1 if count else 0,
        count=count,
        reason=reason,
        ts_event=trade.ts_event,
        ts_init=trade.ts_init,
    )
