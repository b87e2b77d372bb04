"""The feed: one venue's market data, told to the strategies of each symbol and to risk.

Ticks never pass through the inbox: the session's callback decodes, checks and tells them; what
its receiver has no room for is queued, and one task tells it. The inbox is for questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, assert_never

from loguru import logger

from krator_actors import clock
from krator_actors.adapters.rest import RestClient
from krator_actors.adapters.session import ReconnectPolicy, Session
from krator_actors.adapters.venues import MARKET_VENUES, MarketVenue
from krator_actors.config import ConfigError, VenueConfig
from krator_actors.core.market_watch import CONNECTING, GAP, LIVE, Freshness, Tape, TradeSequence
from krator_actors.core.tick_queue import TickQueue
from krator_actors.market_reader import MarketReader
from krator_actors.messages.incidents import StallDetected
from krator_actors.messages.market import (
    Bar,
    BarHistory,
    BarsRequest,
    BookDelta,
    BookSnapshot,
    Instruments,
    InstrumentsRequest,
    MarketDataGap,
    MarketStatus,
    QuoteTick,
    TradeSummary,
    TradeTick,
)
from krator_actors.model import NANOS_PER_SEC, Instrument
from krator_actors.ports import (
    Channel,
    ClosingAnnounced,
    FramesMissing,
    Heartbeat,
    LoggedIn,
    MarketCodec,
    MarketEvent,
    RateLimited,
    Stream,
    StreamsChanged,
    StreamsRefused,
    TradingStatus,
    UnknownFrame,
)
from krator_actors.venue_errors import VenueUnavailableError
from supervisors.actor import Actor
from supervisors.messages import Delivery, Message

RISK = "risk"
RCA = "rca"

_QUEUE_LIMIT = 20_000
"""messages that wait to be told: many seconds of the busiest recorded market"""
_CONFLATE_ABOVE = 1_000
"""waiting messages, from which on only the newest quote of a symbol waits"""
_GAP_TELL_SECS = 1.0
"""how long one receiver that takes nothing may hold up the others"""
_SILENT_FACTOR = 2.0
"""a connection on which no symbol speaks for so many times quote_stale_secs is made anew"""
_CHECKS_PER_STALE = 5
_REPORT_SECS = 10.0
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


@dataclass(kw_only=True)
class _Stream:
    """One symbol, as the feed sees it."""

    strategies: tuple[str, ...]
    trades: TradeSequence
    freshness: Freshness
    tape: Tape
    # What was last told in a MarketStatus.
    told: str = CONNECTING


class FeedActor(Actor):
    """``feed:<VENUE>``: holds no state that it cannot have again from the venue."""

    inbox: ClassVar[Any] = BarsRequest | InstrumentsRequest
    config: FeedConfig

    async def on_start(self) -> None:
        """Say that nothing is known yet, and begin to connect; ready at once."""
        venue = self.config.venue
        self._venue = MARKET_VENUES[venue.kind]
        streams_url, rest_url = _addresses(self._venue, self.config.url)
        self._logger = logger.bind(component=self.name)
        # Of the connection at hand.
        self._codec: MarketCodec = self._venue.codec(self.config.symbols)
        self._reader = MarketReader(
            RestClient(rest_url, timeout_secs=venue.request_timeout_secs),
            self._venue.requests(self.config.symbols),
            symbols=self.config.symbols,
            component=self.name,
        )
        self._streams = {symbol: self._new_stream(symbol) for symbol in self.config.symbols}
        self._instruments: tuple[Instrument, ...] = ()
        # Told in this order by one task, because on_text must not wait; each with its receivers.
        self._queue = TickQueue(limit=_QUEUE_LIMIT, conflate_above=_CONFLATE_ABOVE)
        self._queued = asyncio.Event()
        # True while that task waits for a receiver, whose message is in the queue no more.
        self._telling = False
        # Trades left out because the queue was full and not reported yet; frames by why they could
        # not be read.
        self._overflowed = 0
        self._malformed: dict[str, int] = {}
        self._report_ns = 0
        # Every symbol's trades and quotes; no actor reads books or the venue's bars.
        self._wanted = frozenset(
            Stream(symbol, channel)
            for symbol in self.config.symbols
            for channel in (Channel.TRADES, Channel.QUOTES)
        )
        # Who waits for the subscription: done with why it was refused, empty when it was not.
        self._subscription: asyncio.Future[str] | None = None
        self._session = Session(
            streams_url + self._venue.stream_path,
            on_connected=self._on_connected,
            on_text=self._on_text,
            on_disconnected=self._on_disconnected,
            heartbeat_secs=venue.heartbeat_secs,
            reconnect=ReconnectPolicy(
                initial_secs=venue.reconnect_initial_secs, max_secs=venue.reconnect_max_secs
            ),
        )
        for symbol, stream in self._streams.items():
            self._put((*stream.strategies, RISK), self._status(symbol))
        self.start_task(self._tell_queued(), name="tell")
        if not self._streams:
            return  # nothing is traded, so there is nothing to ask a venue for
        self.start_task(self._session.run(), name="session")
        self.start_task(self._watch(), name="watch")
        self.start_task(self._keep_instruments(), name="instruments")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Answer a question; whoever asks one has just started, and is told what is fresh."""
        assert isinstance(message, BarsRequest | InstrumentsRequest)
        self._remind(sender)
        match message:
            case BarsRequest():
                bars = await self._reader.bars(message)
                return BarHistory(symbol=message.symbol, bars=bars)
            case InstrumentsRequest():
                return Instruments(instruments=self._instruments)
            case _:
                assert_never(message)

    async def on_stop(self) -> None:
        """Say goodbye to the venue."""
        await self._session.close()
        await self._reader.close()

    # -- the connection ------------------------------------------------------------------------

    async def _on_connected(self) -> None:
        self._codec = self._venue.codec(self.config.symbols)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._subscription = answer
        for frame in self._codec.subscribe(self._wanted):
            self._session.send(frame)
        now_ns = clock.monotonic_ns()
        for symbol, stream in self._streams.items():
            stream.freshness.on_connected(now_ns)
            self._review(symbol, stream, now_ns)
        try:
            async with asyncio.timeout(self.config.venue.request_timeout_secs):
                error = await answer
        except TimeoutError:
            raise VenueUnavailableError("the subscription was not acknowledged") from None
        if error:
            raise VenueUnavailableError(f"the subscription was refused: {error}")
        self._logger.bind(event_type="feed_connected", symbols=len(self._streams)).info(
            "feed connected"
        )

    def _on_disconnected(self, reason: str) -> None:
        self._logger.bind(event_type="feed_disconnected", reason=reason).warning(
            "feed disconnected"
        )
        now_ns = clock.monotonic_ns()
        for symbol, stream in self._streams.items():
            stream.freshness.on_disconnected()
            self._review(symbol, stream, now_ns)

    def _on_text(self, text: str) -> None:
        for event in self._codec.decode(text, clock.utc_ns()):
            self._on_event(event)

    def _on_event(self, event: MarketEvent) -> None:
        match event:
            case QuoteTick():
                self._on_quote(event)
            case TradeTick():
                self._on_trade(event)
            case StreamsChanged():
                if event.active >= self._wanted:
                    self._answer_subscription("")
            case StreamsRefused(reason=reason) | RateLimited(reason=reason):
                self._answer_subscription(reason)
            case ClosingAnnounced() | FramesMissing():
                self._session.drop(f"the venue: {event}")
            case UnknownFrame():
                self._on_malformed(event)
            case BookSnapshot() | BookDelta() | Bar() | LoggedIn() | Heartbeat() | TradingStatus():
                pass  # nobody reads them
            case _:
                assert_never(event)

    def _on_quote(self, quote: QuoteTick) -> None:
        stream = self._streams[quote.symbol]
        now_ns = clock.monotonic_ns()
        stream.freshness.on_quote(now_ns)
        receivers = self._offered((*stream.strategies, RISK), quote)
        if receivers:
            self._queue.put_quote(receivers, quote)
            self._queued.set()
        if stream.told != LIVE:
            self._review(quote.symbol, stream, now_ns)

    def _on_trade(self, trade: TradeTick) -> None:
        stream = self._streams[trade.symbol]
        now_ns = clock.monotonic_ns()
        stream.freshness.on_trade(now_ns)
        if stream.trades.is_repeated(trade):
            return
        stream.tape.on_trade(trade)
        if self._queue.is_full:
            # Not counted in the sequence, so that the next trade that has room declares the gap.
            self._overflowed += 1
            return
        gap = stream.trades.gap_before(trade)
        if gap is not None:
            self._on_gap(stream, gap)
        self._put(stream.strategies, trade)
        if stream.told != LIVE:
            self._review(trade.symbol, stream, now_ns)

    def _on_gap(self, stream: _Stream, gap: MarketDataGap) -> None:
        self._put(stream.strategies, gap)
        if gap.count:
            self._tell_rca(gap.symbol, GAP, 0)
            if stream.told == LIVE:
                self._tell_rca(gap.symbol, LIVE, 0)
        self._logger.bind(
            event_type="market_data_gap", symbol=gap.symbol, count=gap.count, reason=gap.reason
        ).warning("trades missing")

    def _answer_subscription(self, error: str) -> None:
        if self._subscription is not None and not self._subscription.done():
            self._subscription.set_result(error)

    def _on_malformed(self, error: UnknownFrame) -> None:
        self._malformed[error.reason] = self._malformed.get(error.reason, 0) + 1
        now_ns = clock.monotonic_ns()
        if now_ns < self._report_ns:
            return
        self._report_ns = now_ns + int(_REPORT_SECS * NANOS_PER_SEC)
        self._logger.bind(
            event_type="frame_malformed",
            reason=error.reason,
            detail=error.detail,
            counts=dict(self._malformed),
        ).warning("frame malformed")

    # -- what is fresh -------------------------------------------------------------------------

    async def _watch(self) -> None:
        stale_secs = self.config.venue.quote_stale_secs
        silent_limit_ns = int(_SILENT_FACTOR * stale_secs * NANOS_PER_SEC)
        while True:
            await asyncio.sleep(min(1.0, stale_secs / _CHECKS_PER_STALE))
            now_ns = clock.monotonic_ns()
            for symbol, stream in self._streams.items():
                self._review(symbol, stream, now_ns)
                self._tell_risk(stream.tape.news(now_ns))
            if all(
                stream.freshness.silent_ns(now_ns) > silent_limit_ns
                for stream in self._streams.values()
            ):
                self._session.drop("connected, and every symbol is silent")
            if self._overflowed:
                count, self._overflowed = self._overflowed, 0
                self._logger.bind(event_type="feed_overflow", count=count).warning(
                    "trades left out"
                )

    def _review(self, symbol: str, stream: _Stream, now_ns: int) -> None:
        reason = stream.freshness.reason(now_ns)
        if reason == stream.told:
            return
        before, stream.told = stream.told, reason
        self._put((*stream.strategies, RISK), self._status(symbol))
        # Connecting is on the way from one state to another, and no news for an incident.
        if reason != CONNECTING:
            self._tell_rca(symbol, reason, stream.freshness.silent_ns(now_ns))
        self._logger.bind(
            event_type="market_status", symbol=symbol, status=reason, before=before
        ).info("market status changed")

    def _tell_rca(self, symbol: str, code: str, age_ns: int) -> None:
        stall = StallDetected(
            component=self.name,
            symbol=symbol,
            code=code,
            age_secs=age_ns / NANOS_PER_SEC,
            ts_event=clock.utc_ns(),
        )
        self._put((RCA,), stall)

    def _tell_risk(self, summary: TradeSummary | None) -> None:
        if summary is not None:
            self._put((RISK,), summary)

    def _status(self, symbol: str) -> MarketStatus:
        told = self._streams[symbol].told
        return MarketStatus(symbol=symbol, fresh=told == LIVE, reason=told, ts_event=clock.utc_ns())

    def _remind(self, sender: str) -> None:
        for symbol, stream in self._streams.items():
            if sender == RISK or sender in stream.strategies:
                self._put((sender,), self._status(symbol))
            if sender == RISK:
                self._tell_risk(stream.tape.summary(clock.monotonic_ns()))

    # -- telling -------------------------------------------------------------------------------

    def _put(self, receivers: Sequence[str], message: Message) -> None:
        receivers = self._offered(receivers, message)
        if receivers:
            self._queue.put(receivers, message)
            self._queued.set()

    def _offered(self, receivers: Sequence[str], message: Message) -> Sequence[str]:
        """Tell it now to those that take it; return those that do not. Nobody overtakes a queue."""
        if self._telling or self._queue:
            return receivers
        return [receiver for receiver in receivers if not self.offer(receiver, message)]

    async def _tell_queued(self) -> None:
        while True:
            self._telling = False
            await self._queued.wait()
            self._queued.clear()
            self._telling = True
            while self._queue:
                receivers, message = self._queue.take()
                for receiver in receivers:
                    if message.delivery is Delivery.WAIT:
                        await self._tell_in_time(receiver, message)
                    else:
                        await self.tell(receiver, message)

    async def _tell_in_time(self, receiver: str, message: Message) -> None:
        try:
            async with asyncio.timeout(_GAP_TELL_SECS):
                await self.tell(receiver, message)
        except TimeoutError:
            # It has a thousand of them waiting and reads none: one more would tell it nothing.
            self._logger.bind(
                event_type="receiver_blocked", receiver=receiver, message=type(message).__name__
            ).warning("receiver takes no messages")

    # -- questions to the venue ----------------------------------------------------------------

    async def _keep_instruments(self) -> None:
        while True:
            instruments = await self._reader.instruments()
            if instruments != self._instruments:
                self._instruments = instruments
                routes = {name for stream in self._streams.values() for name in stream.strategies}
                self._put((RISK, *sorted(routes)), Instruments(instruments=instruments))
            await asyncio.sleep(_INSTRUMENTS_REFRESH_SECS)

    def _new_stream(self, symbol: str) -> _Stream:
        venue = self.config.venue
        return _Stream(
            strategies=tuple(self.config.routes.get(symbol, ())),
            # The strategies have outlived an earlier feed, and trades were missed in between.
            trades=TradeSequence(continues=self.generation > 1),
            freshness=Freshness(
                quote_stale_secs=venue.quote_stale_secs, trade_stale_secs=venue.trade_stale_secs
            ),
            tape=Tape(symbol, clock.monotonic_ns()),
        )


def _addresses(venue: MarketVenue, url: str) -> tuple[str, str]:
    """Return where the streams are, and the REST API."""
    if not url and venue.streams_url:
        return venue.streams_url, venue.rest_url
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"venue.url {url!r} is no address of a venue; expected http://HOST:PORT")
    base = url.rstrip("/")
    return "ws" + base.removeprefix("http"), base
