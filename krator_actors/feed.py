"""The feed: one venue's market data, told to the strategies of each symbol and to risk.

Ticks never pass through the inbox: a connection's callback decodes, checks and tells them; what
its receiver has no room for is queued, and one task tells it. The inbox is for questions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, assert_never

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.rest import RestClient
from krator_actors.adapters.venues import MARKET_VENUES, addresses
from krator_actors.clock_watch import ClockWatch
from krator_actors.config import VenueConfig
from krator_actors.core.market_watch import LIVE, VENUE_LOST
from krator_actors.gap_filler import GapFiller
from krator_actors.lockstep import Lockstep
from krator_actors.market_books import MarketBooks
from krator_actors.market_line import LineListener, LineSpec, MarketLine
from krator_actors.market_lines import MarketLines
from krator_actors.market_reader import MarketReader
from krator_actors.messages.market import (
    Bar,
    BarHistory,
    BarsRequest,
    BookDelta,
    BookRequest,
    BookSnapshot,
    BookTop,
    FeedStatus,
    FeedStatusRequest,
    Instruments,
    InstrumentsRequest,
    MarketDataGap,
    QuoteTick,
    TradeSummary,
    TradeTick,
)
from krator_actors.model import Instrument
from krator_actors.ports import (
    Channel,
    ClosingAnnounced,
    FramesMissing,
    Heartbeat,
    LoggedIn,
    MarketEvent,
    RateLimited,
    Stream,
    StreamsChanged,
    StreamsRefused,
    TradeIds,
    TradeRevised,
    TradingStatus,
    UnknownFrame,
)
from krator_actors.stream_changes import StreamChanges
from krator_actors.symbol_watch import RISK, SymbolWatch
from krator_actors.teller import Teller
from krator_actors.unreadable import UnreadableFrames
from supervisors.actor import Actor
from supervisors.messages import Message

_CHECKS_PER_STALE = 5
_INSTRUMENTS_REFRESH_SECS = 3_600.0


@dataclass(frozen=True, kw_only=True)
class FeedConfig:
    """What a feed is started with.

    ``url`` is the HTTP base of the simulated venue; empty for a real venue's own hosts.
    """

    venue: VenueConfig
    url: str
    symbols: tuple[str, ...]
    routes: Mapping[str, tuple[str, ...]]
    """symbol to the names of the strategy actors that trade it"""
    lockstep: bool = False
    """the venue is a replay that waits for each frame to be handled"""


class FeedActor(Actor):
    """``feed:<VENUE>``: holds no state that it cannot have again from the venue."""

    inbox: ClassVar[Any] = BarsRequest | InstrumentsRequest | FeedStatusRequest | BookRequest
    config: FeedConfig

    async def on_start(self) -> None:
        """Say that nothing is known yet, and begin to connect; ready at once."""
        self._venue = MARKET_VENUES[self.config.venue.kind]
        self._logger = logger.bind(component=self.name)
        self._ids = self._venue.codec(()).trade_ids
        self._teller = Teller(offer=self.offer, tell=self.tell)
        self._watches = {symbol: self._new_watch(symbol) for symbol in self.config.symbols}
        self._instruments: tuple[Instrument, ...] = ()
        self._unreadable = UnreadableFrames(self.name)
        # Trades left out because the queue was full and not reported yet.
        self._overflowed = 0
        self._connect()
        for watch in self._watches.values():
            self._teller.put(watch.everybody, watch.status())
        self.start_task(self._teller.keep_telling(), name="tell")
        if not self._watches:
            return  # nothing is traded, so there is nothing to ask a venue for
        self._lines.start()
        self.start_task(self._keep_watch(), name="watch")
        self.start_task(self._keep_instruments(), name="instruments")
        self.start_task(self._clock.keep_measuring(), name="clock")
        self.start_task(self._changes.keep_going(), name="changes")
        if self.config.lockstep:
            stepping = self._lockstep.keep_stepping(lambda: self._lines.live > 0, self._tell_news)
            self.start_task(stepping, name="lockstep")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Answer a question; whoever asks one has just started, and is told what is fresh."""
        assert isinstance(
            message, BarsRequest | InstrumentsRequest | FeedStatusRequest | BookRequest
        )
        self._remind(sender)
        match message:
            case BarsRequest():
                bars = await self._reader.bars(message)
                return BarHistory(symbol=message.symbol, bars=bars)
            case InstrumentsRequest():
                return Instruments(instruments=self._instruments)
            case FeedStatusRequest():
                return self._status()
            case BookRequest():
                return self._on_book_request(message)
            case _:
                assert_never(message)

    def describe_state(self) -> Mapping[str, Any]:
        """Return what a status tells: connections, symbols, what was unreadable, the clock."""
        return msgspec.structs.asdict(self._status())

    async def on_stop(self) -> None:
        """Say goodbye to the venue."""
        await self._lines.close()
        await self._reader.close()

    # -- the connections -----------------------------------------------------------------------

    def _connect(self) -> None:
        venue, symbols = self.config.venue, self.config.symbols
        streams_url, rest_url = addresses(self._venue, self.config.url)
        channels = [Channel.TRADES, Channel.QUOTES]
        codec = self._venue.codec(symbols)
        if venue.books and codec.book_rule is not None:
            channels.append(Channel.BOOK)
        streams = frozenset(Stream(symbol, kind) for symbol in symbols for kind in channels)
        spec = LineSpec(
            venue=self._venue,
            url=streams_url + self._venue.stream_path,
            config=venue,
            symbols=symbols,
            streams=streams,
        )
        requests = self._venue.requests(symbols)
        keys = (os.environ.get(name, "") for name in (venue.api_key_env, venue.api_secret_env))
        rest = RestClient(
            rest_url, timeout_secs=venue.request_timeout_secs, headers=requests.headers(*keys)
        )
        self._reader = MarketReader(rest, requests, symbols=symbols, component=self.name)
        routed = {name for names in self.config.routes.values() for name in names}
        strategies = sorted(name for name in routed if name.startswith("strategy:"))
        self._lockstep = Lockstep(rest, strategies, self._ask_within)
        listener = LineListener(
            on_open=self._on_open,
            on_live=self._on_live,
            on_event=self._on_event,
            on_lost=self._on_lost,
            on_handled=self._lockstep.on_frame if self.config.lockstep else None,
        )
        self._lines = MarketLines(spec, listener, count=venue.connections, start=self.start_task)
        self._changes = StreamChanges(
            [stream for stream in streams if stream.channel is Channel.BOOK],
            offered=[Stream(symbol, kind) for symbol in symbols for kind in codec.channels],
            carry_out=self._lines.change,
            done=lambda: self._lines.each_live(self._books.on_live),
            component=self.name,
        )
        self._clock = ClockWatch(self._reader, put=self._teller.put, component=self.name)
        self._books = MarketBooks(
            self._reader,
            snapshot_streamed=codec.book_snapshot_streamed,
            on_top=self._on_top,
            on_broken=self._on_broken,
            start=self._start_named,
        )
        self._filler = GapFiller(
            self._reader, limit_secs=venue.request_timeout_secs, start=self._start_named
        )

    def _on_open(self, _line: MarketLine) -> None:
        if not self._lines.live:
            now_ns = clock.monotonic_ns()
            for watch in self._watches.values():
                watch.on_connected(now_ns)

    def _on_live(self, line: MarketLine) -> None:
        now_ns = clock.monotonic_ns()
        is_first = self._lines.live == 1
        refusals = {symbol: self._lines.refusal(symbol) for symbol in self._watches}
        for symbol, watch in self._watches.items():
            watch.freshness.on_confirmed(now_ns)
            watch.freshness.refused = bool(refusals[symbol])
            watch.review(now_ns)
            if is_first and self._ids is not TradeIds.CONSECUTIVE:
                self._filler.on_reconnected(watch)
        self._books.on_live(line)
        self.clear_alarm(VENUE_LOST)
        refused = [f"{symbol}: {reason}" for symbol, reason in refusals.items() if reason]
        if refused:
            self.raise_alarm("symbol_refused", "; ".join(refused))
        else:
            self.clear_alarm("symbol_refused")
        self._logger.bind(
            event_type="feed_connected", symbols=len(self._watches), refused=refused
        ).info("feed connected")

    def _on_lost(self, _line: MarketLine, reason: str) -> None:
        self._logger.bind(
            event_type="feed_disconnected", reason=reason, others=self._lines.live
        ).warning("feed disconnected")
        if self._lines.live:
            return
        self.raise_alarm(VENUE_LOST, reason)
        for watch in self._watches.values():
            watch.freshness.on_disconnected()
            watch.review(clock.monotonic_ns())

    def _on_event(self, line: MarketLine, event: MarketEvent) -> None:
        match event:
            case QuoteTick():
                self._on_quote(line, event)
            case TradeTick():
                self._on_trade(event)
            case BookSnapshot() | BookDelta():
                self._books.on_event(line, event)
            case TradingStatus():
                self._on_trading_status(event)
            case ClosingAnnounced(reason=reason):
                self._lines.renew(line, f"the venue: {reason}")
            case FramesMissing():
                line.drop(f"the venue: {event}")
            case UnknownFrame():
                self._unreadable.on_frame(event)
            case TradeRevised():
                self._watches[event.symbol].on_revised(event)
            case Bar() | Heartbeat():
                pass  # nobody reads them
            case LoggedIn() | StreamsChanged() | StreamsRefused() | RateLimited():
                raise TypeError(f"{event} ends in the line")
            case _:
                assert_never(event)

    def _on_quote(self, line: MarketLine, quote: QuoteTick) -> None:
        watch = self._watches[quote.symbol]
        if self._lines.are_several:
            if not self._lines.is_news(line, quote.update_id, watch.quote_id):
                return
            watch.quote_id = quote.update_id
        now_ns = clock.monotonic_ns()
        watch.freshness.on_quote(now_ns)
        watch.tell_quote(quote, now_ns)
        if watch.told != LIVE:
            watch.review(now_ns)

    def _on_trade(self, trade: TradeTick) -> None:
        watch = self._watches[trade.symbol]
        if self._teller.queue.is_full:
            # Not counted in the sequence, so that the next trade that has room finds the hole.
            self._overflowed += 1
            return
        now_ns = clock.monotonic_ns()
        repeated = watch.flow.repeated
        watch.tell(watch.flow.on_trade(trade, now_ns))
        if watch.flow.repeated == repeated:
            # A repetition is no sign of life: some venue may be telling its past.
            watch.freshness.on_trade(now_ns)
        if watch.flow.hole_since_ns is not None:
            self._filler.on_hole(watch)
        if watch.told != LIVE:
            watch.review(now_ns)

    def _on_top(self, line: MarketLine, top: BookTop) -> None:
        watch = self._watches[top.symbol]
        if self._lines.are_several:
            if not self._lines.is_news(line, top.update_id, watch.book_id):
                return
            watch.book_id = top.update_id
        self._teller.put(watch.strategies, top)

    def _on_broken(self, line: MarketLine, gap: MarketDataGap) -> None:
        if line is self._lines.leader:
            self._watches[gap.symbol].tell_gap(gap)

    def _on_trading_status(self, status: TradingStatus) -> None:
        now_ns = clock.monotonic_ns()
        for symbol, watch in self._watches.items():
            if status.symbol in {"", symbol}:
                watch.freshness.halted = not status.trading
                watch.review(now_ns)

    # -- what is fresh -------------------------------------------------------------------------

    async def _keep_watch(self) -> None:
        stale_secs = self.config.venue.quote_stale_secs
        while True:
            await asyncio.sleep(min(1.0, stale_secs / _CHECKS_PER_STALE))
            now_ns = clock.monotonic_ns()
            is_open = self._venue.is_open(clock.utc_ns())
            for watch in self._watches.values():
                watch.review(now_ns, is_open=is_open)
            if not self.config.lockstep:
                self._tell_news()
            self._lines.renew_old()
            if is_open:
                self._lines.mend(self._watches.values(), now_ns)
            if self._overflowed:
                count, self._overflowed = self._overflowed, 0
                self._logger.bind(event_type="feed_overflow", count=count).warning(
                    "trades left out"
                )

    def _tell_news(self) -> None:
        for watch in self._watches.values():
            self._tell_risk(watch.tape.news(clock.monotonic_ns()))

    def _tell_risk(self, summary: TradeSummary | None) -> None:
        if summary is not None:
            self._teller.put((RISK,), summary)

    def _remind(self, sender: str) -> None:
        for watch in self._watches.values():
            if sender in watch.everybody:
                self._teller.put((sender,), watch.status())
            if sender == RISK:
                self._tell_risk(watch.tape.summary(clock.monotonic_ns()))

    # -- questions to the venue ----------------------------------------------------------------

    async def _keep_instruments(self) -> None:
        while True:
            instruments = await self._reader.instruments()
            if instruments != self._instruments:
                self._instruments = instruments
                routes = {name for watch in self._watches.values() for name in watch.strategies}
                told = Instruments(instruments=instruments)
                self._teller.put((RISK, *sorted(routes)), told)
            await asyncio.sleep(_INSTRUMENTS_REFRESH_SECS)

    def _on_book_request(self, request: BookRequest) -> FeedStatus:
        error = self._changes.put(Stream(request.symbol, Channel.BOOK), begin=request.wanted)
        status = self._status()
        books = {**status.books, request.symbol: error} if error else status.books
        return msgspec.structs.replace(status, books=books)

    def _status(self) -> FeedStatus:
        offset = self._clock.offset
        sample = offset.latest
        return FeedStatus(
            connections=self._lines.live,
            symbols={symbol: watch.told for symbol, watch in self._watches.items()},
            unreadable=dict(self._unreadable.counts),
            repeated=sum(watch.flow.repeated for watch in self._watches.values()),
            merged=sum(watch.merged for watch in self._watches.values()),
            books={stream.symbol: state for stream, state in self._changes.states.items()},
            clock_offset_secs=None if sample is None else sample.offset_secs,
            clock_error_secs=None if sample is None else sample.error_secs,
            clock_drift_ppm=offset.drift_ppm,
        )

    async def _ask_within(self, receiver: str, message: Message, timeout_secs: float) -> Message:
        return await self.ask(receiver, message, timeout_secs=timeout_secs)

    def _start_named(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        self.start_task(coroutine, name=name)

    def _new_watch(self, symbol: str) -> SymbolWatch:
        return SymbolWatch(
            symbol,
            self.config.venue,
            strategies=tuple(self.config.routes.get(symbol, ())),
            ids=self._ids,
            put=self._teller.put,
            component=self.name,
            continues=self.generation > 1,  # the strategies have outlived an earlier feed
            merges=not self.config.lockstep,
        )
