"""What is asked of a venue's REST API about its market, and what a failure of it means."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loguru import logger

from krator_actors import clock
from krator_actors.adapters.rest import RestClient
from krator_actors.core.clock_offset import ClockSample
from krator_actors.messages.market import Bar, BarsRequest, BookSnapshot, TradeTick
from krator_actors.model import Instrument
from krator_actors.ports import MalformedFrameError, MarketRequests
from krator_actors.venue_errors import VenueError, VenueRefusedError, VenueUnavailableError

_RETRY_INITIAL_SECS = 1.0
_RETRY_MAX_SECS = 32.0
_FAILURES = (VenueError, MalformedFrameError)


class MarketReader:
    """What the venue's REST API knows of the configured symbols. ``close`` it at the end."""

    def __init__(
        self,
        rest: RestClient,
        requests: MarketRequests,
        *,
        symbols: Sequence[str],
        component: str,
    ) -> None:
        self._rest = rest
        self._requests = requests
        self._symbols = symbols
        self._logger = logger.bind(component=component)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()

    async def bars(self, request: BarsRequest) -> tuple[Bar, ...]:
        """Return the finished bars that the venue has, oldest first; none when it fails."""
        log = self._logger.bind(event_type="bars_unavailable", symbol=request.symbol)
        kept = request.symbol in self._symbols and request.spec.has_history
        if not kept or request.count < 1:
            log.bind(spec=str(request.spec), count=request.count).warning("no such bars")
            return ()
        wanted = (request.symbol, request.spec, request.count)
        try:
            body = await self._rest.get(self._requests.bars_path(*wanted, clock.utc_ns()))
            return tuple(self._requests.read_bars(body, *wanted))
        except (*_FAILURES, ValueError) as error:
            # ValueError: the venue has no bars that these could be made of.
            log.bind(reason=str(error)).warning("bars unavailable")
            return ()

    async def trades_after(self, last: TradeTick, count: int) -> Sequence[TradeTick] | None:
        """Return trades that followed ``last``, oldest first; None when the venue has no answer."""
        try:
            body = await self._rest.get(self._requests.trades_path(last, count))
            return self._requests.read_trades(body, last.symbol, clock.utc_ns())
        except _FAILURES as error:
            self._say_unavailable("trades_unavailable", last.symbol, error)
            return None

    async def book(self, symbol: str) -> BookSnapshot | None:
        """Return a snapshot of the order book; None when the venue has no answer."""
        try:
            body = await self._rest.get(self._requests.book_path(symbol))
            return self._requests.read_book(body, symbol, clock.utc_ns())
        except _FAILURES as error:
            self._say_unavailable("book_unavailable", symbol, error)
            return None

    async def venue_time(self) -> ClockSample | None:
        """Ask the venue for its time; None when it has no answer, or nothing to ask."""
        path = self._requests.time_path()
        if path is None:
            return None
        sent_ns, sent_utc_ns = clock.monotonic_ns(), clock.utc_ns()
        try:
            venue_ns = self._requests.read_time(await self._rest.get(path))
        except _FAILURES as error:
            self._say_unavailable("time_unavailable", "", error)
            return None
        return ClockSample(
            sent_utc_ns=sent_utc_ns, venue_ns=venue_ns, round_trip_ns=clock.monotonic_ns() - sent_ns
        )

    def _say_unavailable(self, event_type: str, symbol: str, error: Exception) -> None:
        self._logger.bind(event_type=event_type, symbol=symbol, reason=str(error)).warning(
            "the venue did not answer"
        )

    async def instruments(self) -> tuple[Instrument, ...]:
        """Return the trading rules of the symbols that the venue knows; asks until it answers."""
        retry_secs = _RETRY_INITIAL_SECS
        while True:
            try:
                return await self._known_instruments()
            except _FAILURES as error:
                self._logger.bind(event_type="instruments_unavailable", reason=str(error)).warning(
                    "instruments unavailable"
                )
                asked_secs = 0.0
                if isinstance(error, VenueUnavailableError):
                    asked_secs = error.retry_after_secs or 0.0
            await asyncio.sleep(max(retry_secs, asked_secs))
            retry_secs = min(retry_secs * 2, _RETRY_MAX_SECS)

    async def _known_instruments(self) -> tuple[Instrument, ...]:
        try:
            return tuple(await self._instruments_of(self._symbols))
        except VenueRefusedError:
            if len(self._symbols) == 1:
                raise
        # One unknown symbol, and the venue refuses all: so that it stops only itself, each is
        # asked for alone.
        found: list[Instrument] = []
        for symbol in self._symbols:
            try:
                found += await self._instruments_of((symbol,))
            except VenueRefusedError as error:
                self._logger.bind(
                    event_type="instrument_unknown", symbol=symbol, reason=str(error)
                ).error("the venue does not know this symbol")
        return tuple(found)

    async def _instruments_of(self, symbols: Sequence[str]) -> Sequence[Instrument]:
        body = await self._rest.get(self._requests.instruments_path(symbols))
        return self._requests.read_instruments(body)
