"""One symbol's trades, in order and each once, from any number of connections. Pure.

First arrival wins. Where the venue's ids are consecutive, a trade behind a hole is held until the
hole is filled (by another connection, or by what the caller fetches) or given up; then the gap is
declared before it. Times are the caller's monotonic nanoseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from krator_actors.messages.market import MarketDataGap, TradeTick

HELD_LIMIT: Final = 5_000
"""Trades held behind a hole; with more, or a hole of more, the gap is declared at once."""
_RECENT: Final = 10_000
"""Trades remembered where ids do not say which one is newer."""

Told = Sequence[TradeTick | MarketDataGap]
_Key = tuple[int, str, int]


class TradeFlow:
    """Trades in, what is to be told out. Not thread-safe.

    Args:
        consecutive: each id is the one before + 1 (``ports.TradeIds``); else a hole between two
            ids says nothing, and only what was lost with a connection can be asked for.
        continues: trades were told by an earlier feed, and nobody knows up to which id.
    """

    def __init__(self, *, consecutive: bool, continues: bool) -> None:
        self._consecutive = consecutive
        self._continues = continues
        # Trades that came again; left out.
        self.repeated = 0
        # The newest trade that was told; None before the first.
        self.last: TradeTick | None = None
        # When the hole in work was found; None: there is none.
        self.hole_since_ns: int | None = None
        # Trades behind the first missing one, by id; which of them were fetched.
        self._held: dict[int, TradeTick] = {}
        self._fetched: set[int] = set()
        # Ids, prices and times of the last trades; used unless consecutive.
        self._recent: dict[_Key, None] = {}
        self._oldest: deque[_Key] = deque()

    @property
    def missing(self) -> int:
        """How many trades are missing before the newest one that is held."""
        if not self._held or self.last is None:
            return 0
        return max(self._held) - self.last.trade_id - len(self._held)

    def on_trade(self, trade: TradeTick, now_ns: int) -> Told:
        """Take a trade of any connection; return what it lets be told, in order."""
        if not self._consecutive:
            return self._take_unnumbered(trade)
        last = self.last
        if last is None:
            self.last = trade
            return (_gap(trade, reason="FEED_STARTED"), trade) if self._continues else (trade,)
        if trade.trade_id == last.trade_id + 1 and not self._held:
            self.last = trade
            return (trade,)
        if trade.trade_id <= last.trade_id:
            if trade.trade_id == last.trade_id or trade.ts_event <= last.ts_event:
                self.repeated += 1
                return ()
            # A smaller id with a later time is not a repetition: the venue counts anew.
            told = [*self.give_up(), _gap(trade, reason="SEQUENCE_RESTARTED"), trade]
            self.last = trade
            return told
        if trade.trade_id in self._held:
            self.repeated += 1
            return ()
        if self.hole_since_ns is None:
            self.hole_since_ns = now_ns
        self._held[trade.trade_id] = trade
        return self._settle()

    def on_fetched(self, trades: Iterable[TradeTick]) -> Told:
        """Take what the venue was asked for: the trades that followed ``last``."""
        if not self._consecutive:
            return self._take_since_last(trades)
        if self._held and self.last is not None:
            end = max(self._held)
            for trade in trades:
                number = trade.trade_id
                if self.last.trade_id < number < end and number not in self._held:
                    self._held[number] = trade
                    self._fetched.add(number)
        return self._settle()

    def give_up(self) -> Told:
        """Tell what is held, and before it the gap that stays; nothing when there is no hole."""
        if not self._held or self.last is None:
            return ()
        first_id, end, count = self.last.trade_id + 1, max(self._held), self.missing
        last_id = next(number for number in range(end, 0, -1) if number not in self._held)
        last_id = max(last_id, *self._fetched) if self._fetched else last_id
        return self._release(first_id, last_id, count)

    def _settle(self) -> Told:
        if not self._held or self.last is None:
            return ()
        if not self._fetched:
            # Filled from both ends by connections: only the order was wrong, and no word is due.
            told = []
            while (trade := self._held.pop(self.last.trade_id + 1, None)) is not None:
                told.append(trade)
                self.last = trade
            if told:
                self.hole_since_ns = self.hole_since_ns if self._held else None
                return told
        if max(self._held) - self.last.trade_id > HELD_LIMIT:
            return self.give_up()
        if self.missing:
            return ()
        return self._release(min(self._fetched), max(self._fetched), 0)

    def _release(self, first_id: int, last_id: int, count: int) -> Told:
        told = [self._held[number] for number in sorted(self._held)]
        gap = _gap(
            told[0],
            first_id=first_id,
            last_id=last_id,
            count=count,
            filled=len(self._fetched),
            reason="HOLE",
        )
        self._held.clear()
        self._fetched.clear()
        self.hole_since_ns = None
        self.last = told[-1]
        return (gap, *told)

    def _take_unnumbered(self, trade: TradeTick) -> Told:
        key = (trade.trade_id, str(trade.price), trade.ts_event)
        if key in self._recent:
            self.repeated += 1
            return ()
        self._recent[key] = None
        self._oldest.append(key)
        if len(self._oldest) > _RECENT:
            del self._recent[self._oldest.popleft()]
        last = self.last
        if last is None or trade.ts_event >= last.ts_event:
            self.last = trade
        if last is None and self._continues:
            return (_gap(trade, reason="FEED_STARTED"), trade)
        return (trade,)

    def _take_since_last(self, trades: Iterable[TradeTick]) -> Told:
        told = [tick for trade in trades for tick in self._take_unnumbered(trade)]
        if not told:
            return ()
        first = told[0]
        assert isinstance(first, TradeTick)
        return (_gap(first, filled=len(told), reason="RECONNECTED"), *told)


def _gap(
    trade: TradeTick,
    *,
    reason: str,
    first_id: int = 0,
    last_id: int = 0,
    count: int = 0,
    filled: int = 0,
) -> MarketDataGap:
    return MarketDataGap(
        symbol=trade.symbol,
        stream="trade",
        first_id=first_id,
        last_id=last_id,
        count=count,
        filled=filled,
        reason=reason,
        ts_event=trade.ts_event,
        ts_init=trade.ts_init,
    )


def unseen_gap(last: TradeTick, reason: str) -> MarketDataGap:
    """Return the declaration that nobody knows what was traded after ``last``."""
    return _gap(last, reason=reason)
