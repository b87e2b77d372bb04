"""One kept WebSocket connection: every venue socket, its timeouts and its backoff live here.

Reconnecting is here; one connection's life is in ``websocket``; what is said is the codec's.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode
from websockets.uri import parse_uri

from krator_actors.adapters.websocket import WebSocketConnection
from krator_actors.ports import CloseAdvice
from krator_actors.venue_errors import VenueUnavailableError
from supervisors.redaction import redacted

_REASON_LIMIT = 200


class ReconnectPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait before connecting again: exponential backoff with full jitter.

    A connection that held for ``healthy_secs`` ends a series of failures: after it the first
    attempt is made at once.
    """

    initial_secs: float = 1.0
    max_secs: float = 32.0
    healthy_secs: float = 10.0
    retry_after_max_secs: float = 259_200.0
    """the longest wait that a venue may ask for; Binance bans for up to three days"""
    give_up_secs: float = 900.0
    """the wait after a close that says that the same again would be refused again"""
    storm_attempts: int = 30
    """so many attempts, also ones that succeed, within ``storm_secs`` ..."""
    storm_secs: float = 300.0
    """... and the next waits until the oldest of them is past; Binance bans at 300 in 300 s"""

    def delay_secs(self, failures: int, dice: float) -> float:
        """Return the wait before the next attempt.

        ``failures`` counts the failed attempts since the last healthy connection; ``dice`` is
        uniform in [0, 1).
        """
        if failures == 0:
            return 0.0
        # The exponent is bounded because 2.0**1024 overflows after a weekend without a venue.
        return dice * min(self.max_secs, self.initial_secs * 2.0 ** min(failures - 1, 32))

    def advised_secs(self, advice: CloseAdvice) -> float:
        """Return the least wait after a close of the venue."""
        match advice:
            case CloseAdvice.RECONNECT:
                return 0.0
            case CloseAdvice.WAIT:
                return self.max_secs
            case CloseAdvice.GIVE_UP:
                return self.give_up_secs


class Session:
    """One WebSocket connection that is kept: connect, serve, reconnect, until closed.

    All callbacks are called in the task of ``run`` or its loop, never in another thread. What a
    callback raises comes out of ``run``; the one exception is below.

    Args:
        url: ``ws://`` or ``wss://``; the certificate of a ``wss`` server is verified.
        on_connected: awaited after each handshake (log on, subscribe); cancelled when the
            connection is lost meanwhile. When it raises VenueUnavailableError the connection is
            given up and tried again with backoff.
        on_text: called with the UTF-8 of each complete text message, in order, also before
            ``on_connected`` was awaited if the venue speaks first. Must not block.
        on_disconnected: called with the reason after each lost connection *and* each failed
            attempt to connect; not called on ``close``.
        heartbeat_secs: a connection on which no byte arrived for so long is dead; pings are sent
            three times as often.
        max_frame_bytes: a larger message ends the connection.
        close_advice: what a close code of this venue means; default: connect again.
        compression: ask for per-message deflate.
        tls: replaces the system's trusted certificates.
        dice: uniform in [0, 1), for the jitter.
    """

    def __init__(
        self,
        url: str,
        *,
        on_connected: Callable[[], Awaitable[None]],
        on_text: Callable[[bytes], None],
        on_disconnected: Callable[[str], None],
        heartbeat_secs: float = 30.0,
        reconnect: ReconnectPolicy | None = None,
        connect_timeout_secs: float = 10.0,
        max_frame_bytes: int = 4 * 1024 * 1024,
        close_advice: Callable[[int], CloseAdvice] = lambda _code: CloseAdvice.RECONNECT,
        compression: bool = False,
        tls: ssl.SSLContext | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._uri = parse_uri(url)
        self._tls = (tls or ssl.create_default_context()) if self._uri.secure else None
        self._on_connected = on_connected
        self._on_text = on_text
        self._on_disconnected = on_disconnected
        self._heartbeat_secs = heartbeat_secs
        self._reconnect = reconnect or ReconnectPolicy()
        self._connect_timeout_secs = connect_timeout_secs
        self._max_frame_bytes = max_frame_bytes
        self._close_advice = close_advice
        self._compression = compression
        self._dice = dice
        # The live connection; None between connections.
        self._connection: WebSocketConnection | None = None
        # The task that keeps the connection; None before run() and after it has ended.
        self._keeper: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._failures = 0
        # When the last attempts were made, by the loop's clock.
        self._attempts: deque[float] = deque(maxlen=self._reconnect.storm_attempts)

    @property
    def connected(self) -> bool:
        """True while ``send`` can hand bytes to a connection."""
        return self._connection is not None and self._connection.is_open

    async def run(self) -> None:
        """Keep the connection until ``close`` or cancellation.

        Raises only what a callback raised: every fault of the network or the venue ends in
        ``on_disconnected`` and another attempt.
        """
        if self._closed.is_set():
            return
        self._keeper = asyncio.ensure_future(self._keep())
        try:
            await self._keeper
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closed.is_set() or (task is not None and task.cancelling()):
                raise
        finally:
            self._keeper = None

    def send(self, text: str | bytes) -> None:
        """Hand one text message to the connection.

        Raises VenueUnavailableError when not connected or when the venue has stopped reading:
        then nothing was sent. Returning means only that the bytes left for the socket.
        """
        if self._connection is None:
            raise VenueUnavailableError(f"not connected to {self._uri.host}")
        self._connection.send(text.encode() if isinstance(text, str) else text)

    def drop(self, reason: str) -> None:
        """Give up the current connection, e.g. because it is silent; ``run`` connects again."""
        if self._connection is not None:
            self._connection.fail(CloseCode.GOING_AWAY, reason)

    async def close(self) -> None:
        """End the connection and ``run`` with it; idempotent."""
        self._closed.set()
        keeper = self._keeper
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_out_storm()
            self._attempts.append(loop.time())
            connection = WebSocketConnection(
                self._uri,
                self._on_text,
                self._heartbeat_secs,
                self._max_frame_bytes,
                compression=self._compression,
            )
            self._failures += 1
            try:
                reason, wait_secs = await self._open(connection)
                if not reason:
                    opened_at = loop.time()
                    reason = await self._serve(connection)
                    if loop.time() - opened_at >= self._reconnect.healthy_secs:
                        self._failures = 0
                    advice = self._close_advice(connection.close_code)
                    wait_secs = self._reconnect.advised_secs(advice)
            finally:
                self._connection = None
                await connection.close()
            self._on_disconnected(reason[:_REASON_LIMIT])
            backoff_secs = self._reconnect.delay_secs(self._failures, self._dice())
            await asyncio.sleep(max(backoff_secs, wait_secs))

    async def _wait_out_storm(self) -> None:
        if len(self._attempts) < self._reconnect.storm_attempts:
            return
        ends_at = self._attempts[0] + self._reconnect.storm_secs
        await asyncio.sleep(max(0.0, ends_at - asyncio.get_running_loop().time()))

    async def _open(self, connection: WebSocketConnection) -> tuple[str, float]:
        # Returns why it failed and the venue's Retry-After; an empty reason when it did not fail.
        try:
            async with asyncio.timeout(self._connect_timeout_secs):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, self._uri.host, self._uri.port, ssl=self._tls
                )
                await connection.opened
        except InvalidStatus as error:
            response = error.response
            asked_secs = parse_retry_after(response.headers.get("Retry-After"))
            return (
                f"upgrade refused: HTTP {response.status_code}",
                min(asked_secs, self._reconnect.retry_after_max_secs),
            )
        except InvalidHandshake as error:
            return redacted(f"handshake failed: {type(error).__name__}: {error}"), 0.0
        except TimeoutError:
            return f"no connection within {self._connect_timeout_secs:g} s", 0.0
        except OSError as error:
            return redacted(f"connect failed: {error}"), 0.0
        return "", 0.0

    async def _serve(self, connection: WebSocketConnection) -> str:
        self._connection = connection
        greeting = asyncio.ensure_future(self._greet(connection))
        both: set[asyncio.Future[Any]] = {greeting, connection.lost}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if greeting.done():
                greeting.result()
            await asyncio.wait({connection.lost})
            return connection.lost.result()
        finally:
            greeting.cancel()
            await asyncio.wait({greeting})

    async def _greet(self, connection: WebSocketConnection) -> None:
        try:
            await self._on_connected()
        except VenueUnavailableError as error:
            connection.fail(CloseCode.GOING_AWAY, f"log-on failed: {error}")


def parse_retry_after(value: str | None) -> float:
    """Return the seconds of a ``Retry-After`` header; 0 when absent or not a number of seconds."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else 0.0
