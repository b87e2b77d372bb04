"""One kept connection to a venue's market streams: log in, subscribe, be confirmed, speak."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

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
from krator_actors.subscription import Subscription
from krator_actors.venue_errors import VenueUnavailableError

_ASK_AGAIN_SECS: Final = 300.0
"""What the venue has refused is asked for again on the same connection."""


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
    """the venue has confirmed the subscription, but for ``refused``; again when that changes"""
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
        # What is asked for on the next connection.
        self.streams = spec.streams
        # Done with why the venue does not let us in, empty when it does; None: nobody waits.
        self._logged_in: asyncio.Future[str] | None = None
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
        self._begin_anew()

    @property
    def refused(self) -> Mapping[str, str]:
        """Symbols that the venue will not tell on this connection, and why."""
        return self._subscription.refused

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

    async def change(self, stream: Stream, *, begin: bool) -> str:
        """Begin or end a stream on this connection; why the venue will not, empty: it is done.

        Raises VenueUnavailableError when the connection is lost, or was none.
        """
        if not begin:
            self.books.pop(stream.symbol, None)
            return await self._subscription.end(stream)
        self._open_books((stream,))
        error = await self._subscription.begin(stream)
        if error:
            self.books.pop(stream.symbol, None)
        return error

    def _begin_anew(self) -> None:
        self._codec = self._spec.venue.codec(self._spec.symbols)
        self._subscription = Subscription(
            self._codec,
            send=self._session.send,
            timeout_secs=self._spec.config.request_timeout_secs,
        )
        # Symbol to its book, where books are wanted.
        self.books: dict[str, OrderBook] = {}
        self._open_books(self.streams)

    def _open_books(self, streams: Iterable[Stream]) -> None:
        rule = self._codec.book_rule
        wanted = sorted(s.symbol for s in streams if s.channel is Channel.BOOK)
        if rule is not None:
            self.books |= {symbol: OrderBook(symbol, rule) for symbol in wanted}

    async def _on_connected(self) -> None:
        self.opened_ns = clock.monotonic_ns()
        self._listener.on_open(self)
        if self._codec.needs_login:
            await self._log_in()
        await self._subscription.ask(self.streams)
        self.is_live = True
        if self.has_spoken:
            self.fresh.set()
        self._listener.on_live(self)
        while True:  # until the connection is lost, which cancels this
            await asyncio.sleep(_ASK_AGAIN_SECS)
            if self.refused and await self._subscription.ask_again(self.streams):
                self._listener.on_live(self)

    async def _log_in(self) -> None:
        self._logged_in = asyncio.get_running_loop().create_future()
        # Read anew for each connection, because a token may be good for one only.
        config = self._spec.config
        key, secret = (os.environ.get(n, "") for n in (config.api_key_env, config.api_secret_env))
        try:
            async with asyncio.timeout(config.request_timeout_secs):
                for frame in self._codec.login(key, secret):
                    self._session.send(frame)
                error = await self._logged_in
        except TimeoutError:
            raise VenueUnavailableError("the log-on was not acknowledged") from None
        finally:
            self._logged_in = None
        if error:
            raise VenueUnavailableError(f"the log-on was refused: {error}")

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
                case StreamsChanged():
                    self._subscription.on_answer(event)
                case StreamsRefused() | RateLimited():
                    self._on_refused(event)
                case _:
                    self._listener.on_event(self, event)
        if self._listener.on_handled is not None and self.is_live:
            self._listener.on_handled()

    def _on_refused(self, event: StreamsRefused | RateLimited) -> None:
        self._logger.bind(event_type="venue_refused", reason=event.reason).warning("refused")
        if self._logged_in is not None:
            _answer(self._logged_in, event.reason)
        else:
            self._subscription.on_answer(event)

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
