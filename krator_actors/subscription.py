"""What one connection has asked its venue for: all at once, and symbol by symbol after a refusal.

Venues refuse in four ways: by an error that names the symbol (Kraken), by one that names the
request (Binance) or nothing (Coinbase, Alpaca), and by a list in which the symbol is not (Alpaca)
or never will be (Coinbase). Whichever it is, one bad symbol costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from krator_actors.ports import MarketCodec, RateLimited, Stream, StreamsChanged, StreamsRefused
from krator_actors.venue_errors import VenueUnavailableError

_NO_ANSWER: Final = "was not acknowledged"
_LEFT_OUT: Final = "is not in the venue's list of subscriptions"
_PACE_SECS: Final = 0.25
"""Between two requests of one symbol each: Binance ends connections that send five in a second."""


class Subscription:
    """The streams of one connection. Made anew for each; all in the loop's thread.

    Args:
        send: hands a frame to the connection; raises VenueUnavailableError.
        timeout_secs: what is not answered by then is refused.
    """

    def __init__(
        self, codec: MarketCodec, *, send: Callable[[str], None], timeout_secs: float
    ) -> None:
        self._codec = codec
        self._send = send
        self._timeout_secs = timeout_secs
        self._active: frozenset[Stream] = frozenset()
        # Symbols of which the venue will not tell everything that was asked for, and why.
        self.refused: dict[str, str] = {}
        # Why the request in work was refused, when the venue has not said for which symbol ...
        self._unnamed = ""
        # ... and when it wants to be asked less.
        self._limited = ""
        self._answered = asyncio.Event()

    def on_answer(self, event: StreamsChanged | StreamsRefused | RateLimited) -> None:
        """Note what the venue has said."""
        match event:
            case StreamsChanged(active=active, left_out=left_out):
                self._active = active
                self._refuse((stream.symbol for stream in left_out), _LEFT_OUT)
            case StreamsRefused(streams=streams, reason=reason):
                symbols = {stream.symbol for stream in streams}
                if len(symbols) == 1:
                    self._refuse(symbols, reason)
                else:
                    self._unnamed = reason
            case RateLimited(reason=reason):
                self._limited = reason
        self._answered.set()

    async def ask(self, streams: Iterable[Stream]) -> None:
        """Ask for them; what is refused afterwards is in ``refused``.

        Raises VenueUnavailableError when that is all of them, or the venue wants to be left alone.
        """
        wanted = frozenset(streams)
        reason = await self._request(wanted)
        doubtful = self._open(wanted)
        if reason == _NO_ANSWER or len(doubtful) == 1:
            self._refuse(doubtful, reason)
        else:
            for symbol in doubtful:
                await asyncio.sleep(_PACE_SECS)
                await self._ask_for(symbol, wanted)
        if all(stream.symbol in self.refused for stream in wanted):
            reasons = "; ".join(sorted(set(self.refused.values())))
            raise VenueUnavailableError(f"the subscription was refused: {reasons}")

    async def ask_again(self, streams: Iterable[Stream]) -> bool:
        """Ask once more for what was refused of them; True when some of it is there now."""
        before = dict(self.refused)
        self.refused.clear()
        for symbol in before:
            await self._ask_for(symbol, streams)
            await asyncio.sleep(_PACE_SECS)
        return self.refused.keys() != before.keys()

    async def end(self, stream: Stream) -> str:
        """End a stream; return why the venue has not, empty when it has."""
        return await self._until(
            self._codec.unsubscribe((stream,)), lambda: stream not in self._active
        )

    async def begin(self, stream: Stream) -> str:
        """Ask for one stream more; return why it was refused, empty when it was not."""
        reason = await self._request(frozenset((stream,)))
        return self.refused.pop(stream.symbol, reason) if stream not in self._active else ""

    async def _ask_for(self, symbol: str, streams: Iterable[Stream]) -> None:
        only = frozenset(stream for stream in streams if stream.symbol == symbol)
        reason = await self._request(only)
        self._refuse(self._open(only), reason)

    async def _request(self, streams: frozenset[Stream]) -> str:
        return await self._until(self._codec.subscribe(streams), lambda: not self._open(streams))

    async def _until(self, frames: Sequence[str], settled: Callable[[], bool]) -> str:
        """Send; return why it was refused, empty when it is settled, symbol by symbol."""
        self._unnamed = self._limited = ""
        for frame in frames:
            self._send(frame)
        try:
            async with asyncio.timeout(self._timeout_secs):
                while not settled():
                    if self._limited:
                        raise VenueUnavailableError(f"the venue limits us: {self._limited}")
                    if self._unnamed:
                        return self._unnamed
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            return _NO_ANSWER
        return ""

    def _open(self, streams: frozenset[Stream]) -> list[str]:
        """Symbols of which not all is confirmed, and which are not refused either."""
        return sorted({s.symbol for s in streams - self._active} - self.refused.keys())

    def _refuse(self, symbols: Iterable[str], reason: str) -> None:
        for symbol in symbols:
            self.refused.setdefault(symbol, reason)
