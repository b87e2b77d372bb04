"""What a feed knows of one symbol, and what it has told of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from loguru import logger

from krator_actors import clock
from krator_actors.config import VenueConfig
from krator_actors.core.market_watch import (
    CLOSED,
    CONNECTING,
    GAP,
    HALTED,
    LIVE,
    STALE_QUOTES,
    STALE_TRADES,
    STALLS,
    Freshness,
    StreamClock,
    Tape,
)
from krator_actors.core.trade_flow import Told, TradeFlow
from krator_actors.messages.incidents import StallDetected
from krator_actors.messages.market import MarketDataGap, MarketStatus, QuoteTick, TradeTick
from krator_actors.model import NANOS_PER_SEC
from krator_actors.ports import TradeIds, TradeRevised
from supervisors.messages import Message

RISK = "risk"
RCA = "rca"
RISK_QUOTE_NS = 1_000_000
"""Risk is told the newest quote of a symbol at most so often."""
_REVISED = 100
"""Revisions that are known when another connection tells them again."""

Put = Callable[[Sequence[str], Message], None]


class SymbolWatch:
    """One symbol: its trades in order, its freshness, and who is told of both.

    Args:
        strategies: the actors that trade it.
        put: tells without waiting.
        component: the feed's name.
        continues: see ``TradeFlow``; trades were missed between the feeds.
        merges: risk may be spared quotes. Not where each frame must have the same effect each time.
    """

    def __init__(
        self,
        symbol: str,
        venue: VenueConfig,
        *,
        strategies: tuple[str, ...],
        ids: TradeIds,
        put: Put,
        component: str,
        continues: bool,
        merges: bool,
    ) -> None:
        self.symbol = symbol
        self.strategies = strategies
        self.everybody = (*strategies, RISK)
        self._put = put
        self._component = component
        self.flow = TradeFlow(consecutive=ids is TradeIds.CONSECUTIVE, continues=continues)
        ceiling = venue.stale_max_secs
        self.freshness = Freshness(
            quotes=StreamClock(stale_secs=venue.quote_stale_secs, stale_max_secs=ceiling),
            trades=StreamClock(stale_secs=venue.trade_stale_secs, stale_max_secs=ceiling),
        )
        self.tape = Tape(symbol, clock.monotonic_ns())
        # The newest quote's and book's update id, since there was no connection.
        self.quote_id = 0
        self.book_id = 0
        # The last trades that the venue has taken back or corrected.
        self._revised: deque[tuple[int, str]] = deque(maxlen=_REVISED)
        # Quotes that a newer one has replaced before risk was told.
        self.merged = 0
        self._merges = merges
        # When risk was told a quote last, and the newest that it is still to be told.
        self._risk_told_ns = 0
        self._waiting: QuoteTick | None = None
        # Its reason in the last MarketStatus.
        self.told = CONNECTING

    @property
    def is_stalled(self) -> bool:
        """True when it is silent while it should speak."""
        return self.told in {STALE_QUOTES, STALE_TRADES}

    def on_connected(self, now_ns: int) -> None:
        """The first of all connections is there, and nothing is fresh yet."""
        self.freshness.on_connected(now_ns)
        self.quote_id = self.book_id = 0
        self.review(now_ns)

    def review(self, now_ns: int, *, is_open: bool = True) -> None:
        """Tell everybody when what is to be believed of it has changed."""
        reason = self.freshness.reason(now_ns, is_open=is_open)
        if reason == self.told:
            return
        before, self.told = self.told, reason
        self._put(self.everybody, self.status())
        if reason in STALLS:
            self._tell_rca(reason, self.freshness.silent_ns(now_ns))
        elif reason == LIVE or (before in STALLS and reason in {HALTED, CLOSED}):
            self._tell_rca(LIVE, 0)
        logger.bind(
            component=self._component,
            event_type="market_status",
            symbol=self.symbol,
            status=reason,
            before=before,
        ).info("market status changed")

    def status(self) -> MarketStatus:
        """Return what was told last."""
        return MarketStatus(
            symbol=self.symbol,
            fresh=self.told == LIVE,
            reason=self.told,
            ts_event=clock.utc_ns(),
        )

    def tell(self, told: Told) -> None:
        """Tell the strategies trades and gaps, in order."""
        for one in told:
            if isinstance(one, TradeTick):
                self.tape.on_trade(one)
                self._put(self.strategies, one)
            else:
                self.tell_gap(one)

    def tell_quote(self, quote: QuoteTick, now_ns: int) -> None:
        """Tell the strategies every quote, and risk the newest at most each millisecond.

        Because risk only needs to know how the market stands, and no order must wait behind quotes
        that are old already.
        """
        if not self._merges:
            self._put(self.everybody, quote)
            return
        self._put(self.strategies, quote)
        if self._waiting is not None:
            self._waiting = quote
            self.merged += 1
        elif now_ns - self._risk_told_ns >= RISK_QUOTE_NS:
            self._tell_risk(quote, now_ns)
        else:
            self._waiting = quote
            asyncio.get_running_loop().call_later(RISK_QUOTE_NS / NANOS_PER_SEC, self._tell_waiting)

    def _tell_waiting(self) -> None:
        quote, self._waiting = self._waiting, None
        assert quote is not None
        self._tell_risk(quote, clock.monotonic_ns())

    def _tell_risk(self, quote: QuoteTick, now_ns: int) -> None:
        self._risk_told_ns = now_ns
        self._put((RISK,), quote)

    def tell_gap(self, gap: MarketDataGap) -> None:
        """Declare what is missing, and open an incident for what stays missing."""
        self._put(self.strategies, gap)
        if gap.count and self.told == LIVE:
            self._tell_rca(GAP, 0)
            self._tell_rca(LIVE, 0)
        logger.bind(
            component=self._component,
            event_type="market_data_gap",
            symbol=gap.symbol,
            stream=gap.stream,
            count=gap.count,
            filled=gap.filled,
            reason=gap.reason,
        ).warning("data missing")

    def on_revised(self, revised: TradeRevised) -> None:
        """Declare a trade that the venue takes back or corrects: once, of any connection."""
        key = (revised.trade_id, revised.reason)
        if key in self._revised:
            return
        self._revised.append(key)
        self.tape.on_revised(revised.trade_id)
        self.tell_gap(
            MarketDataGap(
                symbol=self.symbol,
                stream="trade",
                first_id=revised.trade_id,
                last_id=revised.trade_id,
                count=1,
                reason=revised.reason,
                ts_event=revised.ts_event,
                ts_init=revised.ts_init,
            )
        )

    def _tell_rca(self, code: str, age_ns: int) -> None:
        stall = StallDetected(
            component=self._component,
            symbol=self.symbol,
            code=code,
            age_secs=age_ns / NANOS_PER_SEC,
            ts_event=clock.utc_ns(),
        )
        self._put((RCA,), stall)
