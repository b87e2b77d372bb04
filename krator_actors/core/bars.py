"""Time bars from trades, by event time, and how live bars join the venue's history.

Decisions:

* A bar holds the trades with ``ts_open <= ts_event < ts_open + period``; periods begin at
  multiples of the period since the Unix epoch.
* A period without a trade has no bar (and history bars with no trade in them are left out): an
  average over bars is an average over traded prices. Nothing is invented.
* A bar is finished by the first trade of a later period, never by a clock.
* A finished bar never changes. A trade whose id is not above the last one counted is a repetition
  or has come too late, as has a trade of an earlier period: it is left out and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from krator_actors.messages.market import Bar, TradeTick
from krator_actors.model import NANOS_PER_SEC


def period_start(ts_ns: int, period_secs: int) -> int:
    """Return when the period that ``ts_ns`` lies in begins; both in UTC nanoseconds."""
    period_ns = period_secs * NANOS_PER_SEC
    return ts_ns - ts_ns % period_ns


class BarBuilder:
    """Builds the bars of one symbol, one trade at a time. Not thread-safe."""

    def __init__(self, symbol: str, period_secs: int, *, start_ns: int = 0) -> None:
        """Trades with an event time before ``start_ns`` belong to somebody else's bars."""
        if period_secs <= 0:
            raise ValueError(f"period_secs was {period_secs}; expected at least 1")
        self.symbol = symbol
        self.period_secs = period_secs
        # Trades that were left out: repeated, or too late for their bar.
        self.left_out = 0
        self._start_ns = start_ns
        self._last_trade_id = -1
        # The bar in work; meaningless while _trades is 0.
        self._ts_open = 0
        self._open = self._high = self._low = self._close = self._volume = Decimal(0)
        self._trades = 0

    @property
    def unfinished(self) -> Bar | None:
        """The bar in work as it stands now; None before the first trade."""
        if not self._trades:
            return None
        return Bar(
            symbol=self.symbol,
            period_secs=self.period_secs,
            ts_open=self._ts_open,
            ts_close=self._ts_open + self.period_secs * NANOS_PER_SEC,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume,
            trades=self._trades,
        )

    def on_trade(self, trade: TradeTick) -> Bar | None:
        """Count one trade; return the bar that it has finished, if it began a later one.

        ValueError when it is another symbol's.
        """
        if trade.symbol != self.symbol:
            raise ValueError(f"trade of {trade.symbol} came to the bars of {self.symbol}")
        ts_open = period_start(trade.ts_event, self.period_secs)
        late = self._trades > 0 and ts_open < self._ts_open
        if late or trade.trade_id <= self._last_trade_id or trade.ts_event < self._start_ns:
            self.left_out += 1
            return None
        self._last_trade_id = trade.trade_id
        if self._trades and ts_open == self._ts_open:
            self._extend(trade)
            return None
        finished = self.unfinished
        self._begin(ts_open, trade)
        return finished

    def _begin(self, ts_open: int, trade: TradeTick) -> None:
        self._ts_open = ts_open
        self._open = self._high = self._low = self._close = trade.price
        self._volume = trade.size
        self._trades = 1

    def _extend(self, trade: TradeTick) -> None:
        self._high = max(self._high, trade.price)
        self._low = min(self._low, trade.price)
        self._close = trade.price
        self._volume += trade.size
        self._trades += 1


class BarSeries:
    """The newest bars of one symbol without a hole: history first, then live trades.

    The first live trade falls somewhere inside a period whose beginning we have not seen, so that
    period's bar can only come from history; every later one is built from live trades. Until a
    history that reaches that period has been joined, only live bars are in the series. Where
    both have a bar, nothing is counted twice: the first period decides who builds it.
    """

    def __init__(self, symbol: str, period_secs: int, *, limit: int) -> None:
        """Keeps the newest ``limit`` bars."""
        self.symbol = symbol
        self.period_secs = period_secs
        # True when a history has been joined since the last gap.
        self.joined = False
        # Finished bars, oldest first.
        self._bars: deque[Bar] = deque(maxlen=limit)
        self._builder: BarBuilder | None = None
        # The period of the first live trade; None before that trade.
        self._first_period: int | None = None

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The finished bars, oldest first, without a hole."""
        return tuple(self._bars)

    @property
    def wants_history(self) -> bool:
        """True when the first live trade's period is over and its bar is still missing."""
        begun = self._builder is not None and self._builder.unfinished is not None
        return begun and not self.joined

    @property
    def newest_is_current(self) -> bool:
        """True when the newest finished bar is of the period before the one in work.

        Only then is a decision on it still in time. The one in work may not have a bar yet.
        """
        if not self._bars or self._builder is None:
            return False
        unfinished = self._builder.unfinished
        in_work = unfinished.ts_open if unfinished is not None else self._live_from
        return self._bars[-1].ts_close == in_work

    @property
    def _live_from(self) -> int:
        assert self._first_period is not None
        return self._first_period + self.period_secs * NANOS_PER_SEC

    def on_trade(self, trade: TradeTick) -> Bar | None:
        """Count one live trade; return the bar that it has finished, if any."""
        if self._builder is None:
            self._first_period = period_start(trade.ts_event, self.period_secs)
            self._builder = BarBuilder(self.symbol, self.period_secs, start_ns=self._live_from)
        bar = self._builder.on_trade(trade)
        if bar is not None:
            self._bars.append(bar)
        return bar

    def on_gap(self) -> None:
        """Forget everything, because trades are missing: the next trade is a new first one."""
        self._bars.clear()
        self._builder = None
        self._first_period = None
        self.joined = False

    def join(self, history: Iterable[Bar]) -> bool:
        """Put history (finished bars, oldest first) before the live bars.

        False, and nothing has changed, when there was no live trade yet, when a history was joined
        already, or when this one ends before the period of the first live trade: ask again later.
        ValueError when a bar is of another symbol or period.
        """
        bars = list(history)
        for bar in bars:
            if bar.symbol != self.symbol or bar.period_secs != self.period_secs:
                raise ValueError(
                    f"history bar of {bar.symbol} with {bar.period_secs} s does not belong to"
                    f" {self.symbol} with {self.period_secs} s"
                )
        if self.joined or self._first_period is None:
            return False
        earlier = [bar for bar in bars if bar.trades and bar.ts_open <= self._first_period]
        if not earlier or bars[-1].ts_open < self._first_period:
            return False
        live = list(self._bars)
        self._bars.clear()
        self._bars.extend(earlier)
        self._bars.extend(live)
        self.joined = True
        return True
