"""Whether a symbol's market data is fresh. Ages are judged by the caller's monotonic clock.

A connection that answers pings is not looked at here: a pong is not data, a quiet market no stall.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

from krator_actors.messages.market import TradeSummary, TradeTick
from krator_actors.model import NANOS_PER_SEC

CLOSED = "CLOSED"
CONNECTING = "CONNECTING"
DISCONNECTED = "DISCONNECTED"
GAP = "GAP"
HALTED = "HALTED"
LIVE = "LIVE"
REFUSED = "REFUSED"
STALE_QUOTES = "STALE_QUOTES"
STALE_TRADES = "STALE_TRADES"

VENUE_LOST = "venue_lost"
"""The alarm of a feed that has no connection at all: nothing is traded meanwhile."""

STALLS: Final = frozenset({DISCONNECTED, GAP, REFUSED, STALE_QUOTES, STALE_TRADES})
"""what an incident is opened for; the others are on the way, or as they should be"""

_INTERVALS: Final = 200
_LEARN_EVERY: Final = 20
_QUANTILE: Final = 0.95
_FACTOR: Final = 3.0


class StreamClock:
    """How old a stream's last message is, against what is normal for this stream.

    Normal is learned: three times the 95th percentile of the last 200 intervals, one outlier in
    twenty left aside because it may have been a stall. Never below ``stale_secs``, which is also
    the limit until 20 intervals are known, and never above ``stale_max_secs``.
    """

    def __init__(self, *, stale_secs: float, stale_max_secs: float) -> None:
        self._floor_ns = int(stale_secs * NANOS_PER_SEC)
        self._ceiling_ns = max(self._floor_ns, int(stale_max_secs * NANOS_PER_SEC))
        # How old the last message may be.
        self.limit_ns = self._floor_ns
        # Monotonic; None until it has spoken on this connection.
        self.last_ns: int | None = None
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        # Intervals since the limit was learned last.
        self._unlearned = 0

    def restart(self) -> None:
        """Begin anew on a new connection; what is normal stays known."""
        self.last_ns = None

    def on_message(self, now_ns: int) -> None:
        """Data has come."""
        last_ns, self.last_ns = self.last_ns, now_ns
        if last_ns is not None:
            self._intervals.append(now_ns - last_ns)
            self._unlearned += 1

    def is_stale(self, since_ns: int, now_ns: int) -> bool:
        """True when it is silent for too long; before its first message since ``since_ns``."""
        if self._unlearned >= _LEARN_EVERY:
            self._learn()
        return now_ns - (self.last_ns or since_ns) > self.limit_ns

    def _learn(self) -> None:
        self._unlearned = 0
        ordered = sorted(self._intervals)
        usual_ns = ordered[int(len(ordered) * _QUANTILE) - 1]
        self.limit_ns = min(max(self._floor_ns, int(usual_ns * _FACTOR)), self._ceiling_ns)


class Freshness:
    """Whether one symbol's data is to be trusted now."""

    def __init__(self, *, quotes: StreamClock, trades: StreamClock) -> None:
        self._quotes = quotes
        self._trades = trades
        # Monotonic nanoseconds; None while no connection is there.
        self._connected_ns: int | None = None
        # True when the venue has confirmed the subscription on a connection.
        self._confirmed = False
        # True when a connection was lost or could not be made.
        self._failed = False
        # True while the venue says that it does not trade.
        self.halted = False
        # True while the venue does not tell it, and says so.
        self.refused = False
        # True while trades are missing and being fetched.
        self.has_hole = False

    def on_connected(self, now_ns: int) -> None:
        """Begin anew: what was fresh on the last connection says nothing about this one."""
        self._connected_ns = now_ns
        self._confirmed = self.halted = self.refused = False
        self._quotes.restart()
        self._trades.restart()

    def on_confirmed(self, now_ns: int) -> None:
        """The venue has confirmed the subscription."""
        if self._connected_ns is None:
            self.on_connected(now_ns)
        self._confirmed = True

    def on_disconnected(self) -> None:
        """Nothing is fresh any more; also when an attempt to connect has failed."""
        self._connected_ns = None
        self._failed = True

    def on_quote(self, now_ns: int) -> None:
        """A quote has come."""
        self._quotes.on_message(now_ns)

    def on_trade(self, now_ns: int) -> None:
        """A trade has come that is no repetition."""
        self._trades.on_message(now_ns)

    def reason(self, now_ns: int, *, is_open: bool = True) -> str:
        """Return ``LIVE``, or why the data is not to be trusted.

        A stream that has not spoken yet is as old as the connection; without a first quote it is
        not live, without a first trade it may be. ``is_open``: these are hours of trading; silence
        outside of them is no stall.
        """
        connected_ns = self._connected_ns
        if connected_ns is None:
            return DISCONNECTED if self._failed else CONNECTING
        if self.refused:
            return REFUSED
        if self.halted:
            return HALTED
        if self.has_hole:
            return GAP
        if self._quotes.is_stale(connected_ns, now_ns):
            return STALE_QUOTES if is_open else CLOSED
        if self._trades.is_stale(connected_ns, now_ns):
            return STALE_TRADES if is_open else CLOSED
        return LIVE if self._confirmed and self._quotes.last_ns is not None else CONNECTING

    def silent_ns(self, now_ns: int) -> int:
        """Return for how long no stream has spoken on this connection; 0 when there is none."""
        if self._connected_ns is None:
            return 0
        spoken_ns = max(self._quotes.last_ns or 0, self._trades.last_ns or 0)
        return now_ns - max(self._connected_ns, spoken_ns)

    @property
    def patience_ns(self) -> int:
        """For how long its quotes may be silent."""
        return self._quotes.limit_ns


class Tape:
    """What one symbol has traded since the feed's start, for risk."""

    def __init__(self, symbol: str, now_ns: int) -> None:
        self._symbol = symbol
        self._since_ns = now_ns
        self._volume = Decimal(0)
        self._last: TradeTick | None = None
        # The trade before it; None when that is not known.
        self._before: TradeTick | None = None
        # The last trade at the time of the latest summary.
        self._told: TradeTick | None = None

    def on_trade(self, trade: TradeTick) -> None:
        """Count a trade that is not repeated."""
        self._volume += trade.size
        self._before, self._last = self._last, trade

    def on_revised(self, trade_id: int) -> None:
        """Leave the last trade out when it is no more what the venue has told."""
        if self._last is not None and self._last.trade_id == trade_id:
            self._volume -= self._last.size
            self._last, self._before = self._before, None

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
