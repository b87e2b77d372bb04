"""The trading connection to one venue: whose answer it is, and what time the venue has.

What is said is in ``binance_trading`` and ``binance_reports``; the socket is ``session``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from loguru import logger

from krator_actors.adapters.binance_errors import NO_SUCH_ORDER
from krator_actors.adapters.binance_reports import (
    Answer,
    BinanceReports,
    Execution,
    MalformedFrameError,
    StreamEnded,
)
from krator_actors.adapters.binance_trading import BinanceTrading, Request
from krator_actors.adapters.session import ReconnectPolicy, Session
from krator_actors.clock import monotonic_ns
from krator_actors.core.venue_reports import FillReport, OrderReport
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import NANOS_PER_MILLI
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueError,
    VenueRefusedError,
    VenueUnavailableError,
)

_Result = TypeVar("_Result")

OrderAnswer = tuple[OrderReport, tuple[FillReport, ...]]


class _Pending(msgspec.Struct, Generic[_Result]):
    future: asyncio.Future[_Result]
    read: Callable[[msgspec.Raw], _Result]
    deadline: asyncio.TimerHandle


class TradingClient:
    """Requests and answers over one kept connection. Of one event loop; not thread-safe.

    A request either raises VenueUnavailableError at once (nothing was sent), or returns a future
    of its answer. The future fails with VenueRefusedError or VenueUnavailableError (it did not
    happen) or with OutcomeUnknownError (no answer within ``request_timeout_secs``, the connection
    was lost, the venue does not know either: query, never resend).

    Args:
        on_execution: called for each report of the user stream, in order.
        on_connection: called with True after each handshake, with False and the reason after each
            lost connection and each failed attempt.
    """

    def __init__(
        self,
        *,
        url: str,
        requests: BinanceTrading,
        reports: BinanceReports,
        on_execution: Callable[[Execution], None],
        on_connection: Callable[[bool, str], None],
        request_timeout_secs: float,
        heartbeat_secs: float,
        reconnect: ReconnectPolicy,
    ) -> None:
        self._requests = requests
        self._reports = reports
        self._on_execution = on_execution
        self._on_connection = on_connection
        self._request_timeout_secs = request_timeout_secs
        # request id to who waits for its answer
        self._pending: dict[str, _Pending[Any]] = {}
        self._last_id = 0
        # the venue's clock at one moment: (its Unix ms, our monotonic ns); None before the first
        self._clock: tuple[int, int] | None = None
        # half the round trip of that measurement: the clock may be wrong by so much
        self.clock_error_ms = 0
        # how many connections there have been
        self.connections = 0
        self._session = Session(
            url,
            on_connected=self._connected,
            on_text=self._received,
            on_disconnected=self._disconnected,
            heartbeat_secs=heartbeat_secs,
            reconnect=reconnect,
        )

    @property
    def connected(self) -> bool:
        """True while a request can be sent."""
        return self._session.connected

    async def run(self) -> None:
        """Keep the connection until ``close`` or cancellation; see ``Session.run``."""
        await self._session.run()

    async def close(self) -> None:
        """End the connection; what was not answered fails with OutcomeUnknownError."""
        await self._session.close()
        self._fail_pending("the connection was closed")

    def now_ms(self) -> int:
        """Return the venue's clock in Unix ms; VenueUnavailableError before ``measure_clock``.

        It runs on our monotonic clock, so a step of this machine's time does not move it.
        """
        if self._clock is None:
            raise VenueUnavailableError("the venue's clock has not been measured yet")
        server_ms, measured_ns = self._clock
        return server_ms + (monotonic_ns() - measured_ns) // NANOS_PER_MILLI

    async def measure_clock(self) -> None:
        """Ask the venue for its time; ``now_ms`` and ``clock_error_ms`` follow."""
        before_ns = monotonic_ns()
        server_ms = await self._send(self._requests.time(), self._reports.read_time)
        half_ns = (monotonic_ns() - before_ns) // 2
        self._clock = (server_ms, before_ns + half_ns)
        self.clock_error_ms = -(-half_ns // NANOS_PER_MILLI)

    async def subscribe(self) -> None:
        """Have the venue report on this connection what happens to our orders."""
        await self._send(self._requests.subscribe(timestamp_ms=self.now_ms()), bytes)

    def place(self, order: SubmitOrder, *, timestamp_ms: int) -> asyncio.Future[OrderAnswer]:
        """Send ``order``, valid at the venue from ``timestamp_ms`` for recvWindow."""
        request = self._requests.place(order, timestamp_ms=timestamp_ms)
        return self._send(request, self._reports.read_order)

    def cancel(
        self, symbol: str, *, venue_order_id: str, client_order_id: str
    ) -> asyncio.Future[OrderAnswer]:
        """Ask the venue to take an order off."""
        request = self._requests.cancel(
            symbol,
            venue_order_id=venue_order_id,
            client_order_id=client_order_id,
            timestamp_ms=self.now_ms(),
        )
        return self._send(request, self._reports.read_order)

    async def order_status(
        self, symbol: str, *, venue_order_id: str, client_order_id: str
    ) -> OrderReport | None:
        """Return the order as the venue has it now; None when it has no such order *yet*."""
        request = self._requests.order_status(
            symbol,
            venue_order_id=venue_order_id,
            client_order_id=client_order_id,
            timestamp_ms=self.now_ms(),
        )
        try:
            report, _ = await self._send(request, self._reports.read_order)
        except VenueRefusedError as error:
            if error.code == NO_SUCH_ORDER:
                return None
            raise
        return report

    async def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        """Return every order of ``symbol`` that the venue works, ours or not."""
        request = self._requests.open_orders(symbol, timestamp_ms=self.now_ms())
        return await self._send(request, self._reports.read_open_orders)

    async def trades(
        self, symbol: str, *, from_id: str | None = None, venue_order_id: str | None = None
    ) -> tuple[FillReport, ...]:
        """Return one page of our trades, oldest first; see ``BinanceTrading.trades``."""
        request = self._requests.trades(
            symbol, from_id=from_id, venue_order_id=venue_order_id, timestamp_ms=self.now_ms()
        )
        return await self._send(request, self._reports.read_trades)

    async def balances(self) -> dict[str, Decimal]:
        """Return asset to total."""
        request = self._requests.account(timestamp_ms=self.now_ms())
        return await self._send(request, self._reports.read_balances)

    def _send(
        self, request: Request, read: Callable[[msgspec.Raw], _Result]
    ) -> asyncio.Future[_Result]:
        loop = asyncio.get_running_loop()
        self._last_id += 1
        request_id = str(self._last_id)
        self._session.send(self._requests.encode(request_id, request))
        future: asyncio.Future[_Result] = loop.create_future()
        deadline = loop.call_later(self._request_timeout_secs, self._time_out, request_id)
        self._pending[request_id] = _Pending(future, read, deadline)
        return future

    def _received(self, text: bytes) -> None:
        try:
            frame = self._reports.decode(text)
        except MalformedFrameError as error:
            # Whoever waits for it is told by the deadline that its outcome is not known.
            logger.bind(event_type="malformed_frame", detail=str(error)).warning("malformed frame")
            return
        match frame:
            case Answer():
                self._answered(frame)
            case Execution():
                self._on_execution(frame)
            case StreamEnded():
                self._session.drop("the venue ended the user stream")
            case None:
                pass

    def _answered(self, answer: Answer) -> None:
        pending = self._pending.pop(answer.id, None)
        if pending is None:
            return  # after its deadline: whoever waited has begun to query
        pending.deadline.cancel()
        if pending.future.done():
            return
        if isinstance(answer.result, VenueError):
            pending.future.set_exception(answer.result)
            return
        try:
            pending.future.set_result(pending.read(answer.result))
        except MalformedFrameError as error:
            pending.future.set_exception(OutcomeUnknownError(f"unreadable answer: {error}"))

    def _time_out(self, request_id: str) -> None:
        pending = self._pending.pop(request_id)
        if not pending.future.done():
            text = f"no answer within {self._request_timeout_secs:g} s"
            pending.future.set_exception(OutcomeUnknownError(text))

    def _fail_pending(self, reason: str) -> None:
        lost, self._pending = self._pending, {}
        for pending in lost.values():
            pending.deadline.cancel()
            if not pending.future.done():
                pending.future.set_exception(OutcomeUnknownError(reason))

    async def _connected(self) -> None:
        self.connections += 1
        self._on_connection(True, "")

    def _disconnected(self, reason: str) -> None:
        self._fail_pending(reason)
        self._on_connection(False, reason)
