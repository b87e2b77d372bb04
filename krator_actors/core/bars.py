"""Bars from trades and quotes, by event time, and how live bars join the venue's history.

The decisions, their reasons in docs/adr/0012:

* A bar of time holds the ticks with ``ts_open <= ts_event < ts_open + period``; periods begin at
  multiples of the period since the Unix epoch.
* A period without a tick has no bar (and history bars with no trade in them are left out): an
  average over bars is an average over traded prices. Nothing is invented.
* A bar of time is finished by the first tick of a later period, never by a clock. A bar of ticks,
  volume or value is finished by the tick that fills it, which is never cut in two.
* A finished bar never changes: a tick of an earlier period is left out and counted. Within the bar
  in work a tick that comes late counts, and is its open or close only if its time says so.
* Repeated trades have been dropped by the feed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import assert_never

from krator_actors.messages.bar_spec import BarPrice, BarSpec, BarUnit
from krator_actors.messages.market import Bar, QuoteTick, TradeTick
from krator_actors.model import NANOS_PER_SEC

_ZERO = Decimal(0)
_LAST = BarPrice.LAST


def period_start(ts_ns: int, period_secs: int) -> int:
    """Return when the period that ``ts_ns`` lies in begins; both in UTC nanoseconds."""
    period_ns = period_secs * NANOS_PER_SEC
    return ts_ns - ts_ns % period_ns


class BarBuilder:
    """Builds the bars of one symbol, one tick at a time. Not thread-safe."""

    def __init__(self, symbol: str, spec: BarSpec, *, start_ns: int = 0) -> None:
        """Ticks with an event time before ``start_ns`` belong to somebody else's bars."""
        self.symbol = symbol
        self.spec = spec
        # Ticks that were left out, because they came too late for their bar.
        self.left_out = 0
        self._period_ns = spec.period_secs * NANOS_PER_SEC
        self._start_ns = start_ns
        # The bar in work; meaningless while _ticks is 0.
        self._ts_open = 0
        self._open = self._high = self._low = self._close = self._volume = self._value = _ZERO
        self._ticks = 0
        # Event times of the ticks that are its open and its close.
        self._open_ns = self._close_ns = 0

    @property
    def has_begun(self) -> bool:
        """True when there is a bar in work."""
        return self._ticks > 0

    @property
    def unfinished(self) -> Bar | None:
        """The bar in work as it stands now; None when there is none."""
        if not self._ticks:
            return None
        return Bar(
            symbol=self.symbol,
            spec=self.spec,
            ts_open=self._ts_open if self._period_ns else self._open_ns,
            ts_close=self._ts_open + self._period_ns if self._period_ns else self._close_ns,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume,
            trades=self._ticks,
        )

    def on_trade(self, trade: TradeTick) -> Bar | None:
        """Count one trade, if the bars are of trades; return the bar that it has finished.

        ValueError when it is another symbol's.
        """
        self._require_symbol(trade.symbol)
        if self.spec.price is not _LAST:
            return None
        return self._count(trade.ts_event, trade.price, trade.size)

    def on_quote(self, quote: QuoteTick) -> Bar | None:
        """Count one quote, if the bars are of quotes; return the bar that it has finished.

        ValueError when it is another symbol's.
        """
        self._require_symbol(quote.symbol)
        match self.spec.price:
            case BarPrice.LAST:
                return None
            case BarPrice.BID:
                price = quote.bid
            case BarPrice.ASK:
                price = quote.ask
            case BarPrice.MID:
                price = (quote.bid + quote.ask) / 2
            case _:
                assert_never(self.spec.price)
        return self._count(quote.ts_event, price, _ZERO)

    def _require_symbol(self, symbol: str) -> None:
        if symbol != self.symbol:
            raise ValueError(f"tick of {symbol} came to the bars of {self.symbol}")

    def _count(self, ts_event: int, price: Decimal, size: Decimal) -> Bar | None:
        if ts_event < self._start_ns:
            self.left_out += 1
            return None
        if not self._period_ns:
            return self._fill(ts_event, price, size)
        ts_open = ts_event - ts_event % self._period_ns
        if self._ticks and ts_open < self._ts_open:
            self.left_out += 1
            return None
        if self._ticks and ts_open == self._ts_open:
            self._extend(ts_event, price, size)
            return None
        finished = self.unfinished
        self._begin(ts_event, price, size)
        self._ts_open = ts_open
        return finished

    def _fill(self, ts_event: int, price: Decimal, size: Decimal) -> Bar | None:
        if self._ticks:
            self._extend(ts_event, price, size)
        else:
            self._begin(ts_event, price, size)
        match self.spec.unit:
            case BarUnit.VOLUME:
                filled: Decimal | int = self._volume
            case BarUnit.VALUE:
                self._value += price * size
                filled = self._value
            case _:
                filled = self._ticks
        if filled < self.spec.step:
            return None
        finished = self.unfinished
        # What begins next must not take ticks from before what is finished.
        self._start_ns = self._close_ns
        self._ticks = 0
        return finished

    def _begin(self, ts_event: int, price: Decimal, size: Decimal) -> None:
        self._open = self._high = self._low = self._close = price
        self._open_ns = self._close_ns = ts_event
        self._volume = size
        self._value = _ZERO
        self._ticks = 1

    def _extend(self, ts_event: int, price: Decimal, size: Decimal) -> None:
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        if ts_event >= self._close_ns:
            self._close, self._close_ns = price, ts_event
        elif ts_event < self._open_ns:
            self._open, self._open_ns = price, ts_event
        self._volume += size
        self._ticks += 1


class BarSeries:
    """The newest bars of one symbol without a hole: history first, then live ones.

    The first live tick falls somewhere inside a period whose beginning we have not seen, so that
    period's bar can only come from history; every later one is built from live ticks. Until a
    history that reaches that period has been joined, only live bars are in the series. Where
    both have a bar, nothing is counted twice: the first period decides who builds it.

    Bars of ticks, volume or value have no history, and begin with the first live tick.
    """

    def __init__(self, symbol: str, spec: BarSpec, *, limit: int) -> None:
        """Keeps the newest ``limit`` bars."""
        self.symbol = symbol
        self.spec = spec
        # True when a history has been joined since the last gap.
        self.joined = False
        # Finished bars, oldest first.
        self._bars: deque[Bar] = deque(maxlen=limit)
        self._builder: BarBuilder | None = None
        # The period of the first live tick; None before that tick.
        self._first_period: int | None = None

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The finished bars, oldest first, without a hole."""
        return tuple(self._bars)

    @property
    def wants_history(self) -> bool:
        """True when the first live tick's period is over and its bar is still missing."""
        if self.joined or self._builder is None or not self._builder.has_begun:
            return False
        return self.spec.has_history

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
        return self._first_period + self.spec.period_secs * NANOS_PER_SEC

    def on_trade(self, trade: TradeTick) -> Bar | None:
        """Count one live trade, if the bars are of trades; return the bar that it has finished."""
        if self.spec.price is not _LAST:
            return None
        return self._keep(self._builder_at(trade.ts_event).on_trade(trade))

    def on_quote(self, quote: QuoteTick) -> Bar | None:
        """Count one live quote, if the bars are of quotes; return the bar that it has finished."""
        if self.spec.price is _LAST:
            return None
        return self._keep(self._builder_at(quote.ts_event).on_quote(quote))

    def _builder_at(self, ts_event: int) -> BarBuilder:
        if self._builder is None:
            period_secs = self.spec.period_secs
            self._first_period = period_start(ts_event, period_secs) if period_secs else ts_event
            self._builder = BarBuilder(self.symbol, self.spec, start_ns=self._live_from)
        return self._builder

    def _keep(self, bar: Bar | None) -> Bar | None:
        if bar is not None:
            self._bars.append(bar)
        return bar

    def on_gap(self) -> None:
        """Forget everything, because ticks are missing: the next tick is a new first one."""
        self._bars.clear()
        self._builder = None
        self._first_period = None
        self.joined = False

    def join(self, history: Iterable[Bar]) -> bool:
        """Put history (finished bars, oldest first) before the live bars.

        False, and nothing has changed, when there was no live tick yet, when a history was joined
        already, or when this one ends before the period of the first live tick: ask again later.
        ValueError when a bar is of another symbol or specification.
        """
        bars = list(history)
        for bar in bars:
            if bar.symbol != self.symbol or bar.spec != self.spec:
                raise ValueError(
                    f"history bar of {bar.symbol} with {bar.spec} does not belong to"
                    f" {self.symbol} with {self.spec}"
                )
        if self.joined or self._first_period is None:
            return False
        earlier = [bar for bar in bars if bar.trades != 0 and bar.ts_open <= self._first_period]
        if not earlier or bars[-1].ts_open < self._first_period:
            return False
        live = list(self._bars)
        self._bars.clear()
        self._bars.extend(earlier)
        self._bars.extend(live)
        self.joined = True
        return True
