"""The trading connection to one venue: whose answer it is, and what time the venue has.

What is said is in ``binance_trading`` and ``binance_reports``; the socket is ``session``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from loguru import logger

from krator_actors.adapters.binance_errors import NO_SUCH_ORDER, REPLACE_HALF_DONE, TOO_MANY_ORDERS
from krator_actors.adapters.binance_limits import BinanceLimits
from krator_actors.adapters.binance_reports import (
    Answer,
    BinanceReports,
    Execution,
    MalformedFrameError,
    Replaced,
    StreamEnded,
)
from krator_actors.adapters.binance_trading import BinanceTrading, Request, SignedPath
from krator_actors.adapters.rest import RestClient
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


class Named(Protocol):
    """An order, by what the venue finds it with."""

    symbol: str
    venue_order_id: str
    client_order_id: str


OrderAnswer = tuple[OrderReport, tuple[FillReport, ...]]


class _Pending(msgspec.Struct, Generic[_Result]):
    future: asyncio.Future[_Result]
    read: Callable[[msgspec.Raw], _Result]
    deadline: asyncio.TimerHandle


class TradingClient:
    """Requests and answers over one kept connection. Of one event loop; not thread-safe.

    While it is out, questions and cancels go by REST; placing and changing waits for it.

    A request either raises VenueUnavailableError at once (nothing was sent: not connected, or the
    venue's limits leave room for cancels only), or returns a future
    of its answer. The future fails with VenueRefusedError or VenueUnavailableError (it did not
    happen) or with OutcomeUnknownError (no answer within ``request_timeout_secs``, the connection
    was lost, the venue does not know either: query, never resend).

    Args:
        on_execution: called for each report of the user stream, in order.
        rest: where it asks while the connection is out; closed with it. None: nowhere.
        on_connection: called with True after each handshake, with False and the reason after each
            lost connection and each failed attempt.
    """

    def __init__(
        self,
        *,
        url: str,
        requests: BinanceTrading,
        reports: BinanceReports,
        rest: RestClient | None = None,
        on_execution: Callable[[Execution], None],
        on_connection: Callable[[bool, str], None],
        request_timeout_secs: float,
        heartbeat_secs: float,
        reconnect: ReconnectPolicy,
    ) -> None:
        self._requests = requests
        # what the venue lets us send; a request that it would refuse is not sent
        self._limits = BinanceLimits()
        self._reports = reports
        self._rest = rest
        # requests under way by REST
        self._asking: set[asyncio.Task[Any]] = set()
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

    @property
    def can_ask(self) -> bool:
        """True while a question or a cancel can be sent, if only by REST."""
        return self.connected or self._rest is not None

    async def run(self) -> None:
        """Keep the connection until ``close`` or cancellation; see ``Session.run``."""
        await self._session.run()

    async def close(self) -> None:
        """End the connection; what was not answered fails with OutcomeUnknownError."""
        await self._session.close()
        self._fail_pending("the connection was closed")
        for task in tuple(self._asking):
            task.cancel()
        if self._rest is not None:
            await self._rest.close()

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

    def replace(
        self, order: SubmitOrder, *, old: Named, timestamp_ms: int
    ) -> asyncio.Future[Replaced]:
        """Take ``old`` off and place ``order``, which is not placed when that fails."""
        request = self._requests.replace(
            order,
            venue_order_id=old.venue_order_id,
            client_order_id=old.client_order_id,
            timestamp_ms=timestamp_ms,
        )
        return self._send(request, self._reports.read_replaced)

    def amend(
        self, order: Named, quantity: Decimal, *, timestamp_ms: int
    ) -> asyncio.Future[OrderReport]:
        """Ask the venue to make an order smaller, in its place."""
        request = self._requests.amend(
            order.symbol,
            venue_order_id=order.venue_order_id,
            client_order_id=order.client_order_id,
            quantity=quantity,
            timestamp_ms=timestamp_ms,
        )
        return self._send(request, self._reports.read_amended)

    async def best_prices(self, symbols: Iterable[str]) -> dict[str, tuple[Decimal, Decimal]]:
        """Return symbol to best bid and offer, 0 where there is none; one request for all."""
        request = self._requests.best_prices(symbols)
        return await self._send(request, self._reports.read_best_prices)

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
        wait_secs = self._limits.wait_secs(request.method, self._limits_ms())
        if wait_secs:
            raise VenueUnavailableError(
                f"{request.method} waits {wait_secs:.1f} s for the venue's limits",
                retry_after_secs=wait_secs,
            )
        path = None if self.connected else self._requests.by_rest(request)
        if self._rest is not None and path is not None:
            task = loop.create_task(self._ask_by_rest(self._rest, path, read))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            return task
        self._last_id += 1
        request_id = str(self._last_id)
        self._session.send(self._requests.encode(request_id, request))
        future: asyncio.Future[_Result] = loop.create_future()
        deadline = loop.call_later(self._request_timeout_secs, self._time_out, request_id)
        self._pending[request_id] = _Pending(future, read, deadline)
        return future

    async def _ask_by_rest(
        self, rest: RestClient, path: SignedPath, read: Callable[[msgspec.Raw], _Result]
    ) -> _Result:
        send = rest.get if path.verb == "GET" else rest.delete
        try:
            return read(msgspec.Raw(await send(path.path, path.headers)))
        except MalformedFrameError as error:
            raise OutcomeUnknownError(f"unreadable answer: {error}") from None
        except VenueUnavailableError as error:
            if error.retry_after_secs:
                self._limits.refused(
                    secs=error.retry_after_secs, now_ms=self._limits_ms(), orders_only=False
                )
            raise

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

    def _limits_ms(self) -> int:
        return monotonic_ns() // NANOS_PER_MILLI if self._clock is None else self.now_ms()

    def _answered(self, answer: Answer) -> None:
        self._learn(answer)
        pending = self._pending.pop(answer.id, None)
        if pending is None:
            return  # after its deadline: whoever waited has begun to query
        pending.deadline.cancel()
        if pending.future.done():
            return
        result = answer.result
        if answer.code == REPLACE_HALF_DONE and answer.data is not None:
            result = msgspec.Raw(msgspec.json.encode(answer.data))
        if isinstance(result, VenueError):
            pending.future.set_exception(result)
            return
        try:
            pending.future.set_result(pending.read(result))
        except MalformedFrameError as error:
            pending.future.set_exception(OutcomeUnknownError(f"unreadable answer: {error}"))

    def _learn(self, answer: Answer) -> None:
        now_ms = self._limits_ms()
        self._limits.learn(answer.rate_limits, now_ms)
        error = answer.result
        if isinstance(error, VenueUnavailableError) and error.retry_after_secs:
            self._limits.refused(
                secs=error.retry_after_secs,
                now_ms=now_ms,
                orders_only=answer.code == TOO_MANY_ORDERS,
            )

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
