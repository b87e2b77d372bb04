"""One kept connection to a venue's market streams: log in, subscribe, be confirmed, speak."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loguru import logger

from krator_actors import clock
from krator_actors.adapters.session import ReconnectPolicy, Session
from krator_actors.adapters.venues import MarketVenue
from krator_actors.config import VenueConfig
from krator_actors.core.books import OrderBook
from krator_actors.messages.market import QuoteTick, TradeTick
from krator_actors.model import NANOS_PER_SEC
from krator_actors.ports import (
    Channel,
    CloseAdvice,
    LoggedIn,
    MarketCodec,
    MarketEvent,
    RateLimited,
    Stream,
    StreamsChanged,
    StreamsRefused,
)
from krator_actors.venue_errors import VenueUnavailableError


@dataclass(frozen=True, kw_only=True)
class LineSpec:
    """What every connection to the venue's market streams has in common."""

    venue: MarketVenue
    url: str
    """of the streams, with its path"""
    config: VenueConfig
    symbols: tuple[str, ...]
    streams: frozenset[Stream]
    tls: ssl.SSLContext | None = None
    """replaces the system's trusted certificates"""


@dataclass(frozen=True, kw_only=True)
class LineListener:
    """Who is called, in the loop's thread, and must not wait."""

    on_open: Callable[[MarketLine], None]
    """the handshake is done; nothing is asked yet"""
    on_live: Callable[[MarketLine], None]
    """the venue has confirmed the subscription"""
    on_event: Callable[[MarketLine, MarketEvent], None]
    """also before ``on_live``; never of log-on and subscription, which end here"""
    on_lost: Callable[[MarketLine, str], None]
    """lost, or an attempt to connect has failed; the line tries again"""
    on_frame: Callable[[bytes, int], None] | None = None
    """each frame as it came, with the UTC time, before its events"""
    on_handled: Callable[[], None] | None = None
    """after the events of each frame of a live connection"""


class MarketLine:
    """Connects, and connects again, until closed. Await ``run`` in a task of its own."""

    def __init__(self, spec: LineSpec, listener: LineListener) -> None:
        self._spec = spec
        self._listener = listener
        self._logger = logger.bind(component=f"feed:{spec.config.name}")
        # True from the confirmation to the loss of a connection.
        self.is_live = False
        # True once a tick has come on this connection.
        self.has_spoken = False
        # Set when a live connection has spoken; never cleared, because only its first time counts.
        self.fresh = asyncio.Event()
        # Monotonic, of this connection; None between connections.
        self.opened_ns: int | None = None
        self._begin_anew()
        # Who waits for the answers of the connection at hand: done with why it was refused, empty
        # when it was not.
        self._logged_in: asyncio.Future[str] | None = None
        self._subscribed: asyncio.Future[str] | None = None
        config = spec.config
        self._session = Session(
            spec.url,
            on_connected=self._on_connected,
            on_text=self._on_frame,
            on_disconnected=self._on_disconnected,
            heartbeat_secs=config.heartbeat_secs,
            reconnect=ReconnectPolicy(
                initial_secs=config.reconnect_initial_secs, max_secs=config.reconnect_max_secs
            ),
            close_advice=self._advice,
            compression=config.compression,
            tls=spec.tls,
        )

    @property
    def codec(self) -> MarketCodec:
        """Of the connection at hand, or the next one."""
        return self._codec

    @property
    def age_secs(self) -> float:
        """For how long it has been connected; 0 between connections."""
        if self.opened_ns is None:
            return 0.0
        return (clock.monotonic_ns() - self.opened_ns) / NANOS_PER_SEC

    async def run(self) -> None:
        """Keep the connection until ``close``; see ``Session.run``."""
        await self._session.run()

    def drop(self, reason: str) -> None:
        """Give up this connection; another one is made."""
        self._session.drop(reason)

    async def close(self) -> None:
        """Say goodbye; ``run`` returns. Nobody is called any more."""
        self.is_live = False
        await self._session.close()

    def ask_again(self, stream: Stream) -> None:
        """End a stream and ask for it anew, so that the venue sends its snapshot."""
        try:
            for frame in (*self._codec.unsubscribe((stream,)), *self._codec.subscribe((stream,))):
                self._session.send(frame)
        except VenueUnavailableError:
            pass  # the next connection asks for everything

    def _begin_anew(self) -> None:
        venue, spec = self._spec.venue, self._spec
        self._codec = venue.codec(spec.symbols)
        rule = self._codec.book_rule
        # Symbol to its book, where books are wanted.
        self.books: dict[str, OrderBook] = {}
        if rule is not None:
            wanted = sorted(s.symbol for s in spec.streams if s.channel is Channel.BOOK)
            self.books = {symbol: OrderBook(symbol, rule) for symbol in wanted}

    async def _on_connected(self) -> None:
        self.opened_ns = clock.monotonic_ns()
        self._listener.on_open(self)
        loop = asyncio.get_running_loop()
        if self._codec.needs_login:
            self._logged_in = loop.create_future()
            # Read anew for each connection, because a token may be good for one only.
            config = self._spec.config
            key, secret = (
                os.environ.get(n, "") for n in (config.api_key_env, config.api_secret_env)
            )
            await self._ask(self._codec.login(key, secret), self._logged_in, "the log-on")
        self._subscribed = loop.create_future()
        frames = self._codec.subscribe(self._spec.streams)
        await self._ask(frames, self._subscribed, "the subscription")
        self.is_live = True
        if self.has_spoken:
            self.fresh.set()
        self._listener.on_live(self)

    async def _ask(self, frames: Sequence[str], answer: asyncio.Future[str], what: str) -> None:
        for frame in frames:
            self._session.send(frame)
        try:
            async with asyncio.timeout(self._spec.config.request_timeout_secs):
                error = await answer
        except TimeoutError:
            raise VenueUnavailableError(f"{what} was not acknowledged") from None
        if error:
            raise VenueUnavailableError(f"{what} was refused: {error}")

    def _on_disconnected(self, reason: str) -> None:
        self.is_live = self.has_spoken = False
        self.opened_ns = None
        # Now, because a venue may speak before the next handshake is known to be done.
        self._begin_anew()
        self._listener.on_lost(self, reason)

    def _on_frame(self, frame: bytes) -> None:
        ts_init = clock.utc_ns()
        if self._listener.on_frame is not None:
            self._listener.on_frame(frame, ts_init)
        events = self._codec.decode(frame, ts_init)
        for event in events:
            match event:
                case QuoteTick() | TradeTick():
                    if not self.has_spoken:
                        self.has_spoken = True
                        if self.is_live:
                            self.fresh.set()
                    self._listener.on_event(self, event)
                case LoggedIn():
                    _answer(self._logged_in, "")
                case StreamsChanged(active=active):
                    if active >= self._spec.streams:
                        _answer(self._subscribed, "")
                case StreamsRefused(reason=reason) | RateLimited(reason=reason):
                    self._on_refused(reason)
                case _:
                    self._listener.on_event(self, event)
        if self._listener.on_handled is not None and self.is_live:
            self._listener.on_handled()

    def _on_refused(self, reason: str) -> None:
        self._logger.bind(event_type="venue_refused", reason=reason).warning("refused")
        _answer(self._subscribed or self._logged_in, reason)

    def _advice(self, code: int) -> CloseAdvice:
        advice = self._codec.on_close(code)
        if advice is CloseAdvice.GIVE_UP:
            self._logger.bind(event_type="venue_closed", code=code).error(
                "the venue will refuse the same again: a person must look"
            )
        return advice


def _answer(waiting: asyncio.Future[str] | None, error: str) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(error)
