"""The order actor's way to the model venue: what ``TradingClient`` promises, and its pains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any

from krator_actors.adapters.binance_reports import Execution
from krator_actors.adapters.binance_trading import MAX_TRADES
from krator_actors.adapters.trading import Named
from krator_actors.core.venue_reports import FillReport, OrderReport
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import NANOS_PER_MILLI
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueError,
    VenueUnavailableError,
)
from tests.simulation.model_venue import ModelVenue
from tests.simulation.processes import Process, Town

REQUEST_TIMEOUT_SECS = 0.6
RECV_WINDOW_MS = 1_500
_TRIP_SECS = 0.004
_LATE_SECS = 3.0

Act = Callable[[], Any]


class Weather:
    """How much the way to the venue suffers: probabilities, each of one request."""

    def __init__(self) -> None:
        self.lost_request = self.lost_answer = self.late_request = self.late_answer = 0.0
        self.error = self.error_acted = self.banned = 0.0
        self.is_closed = False
        """True: nobody is let in"""

    def storm(self, share: float) -> None:
        self.lost_request = self.lost_answer = self.late_answer = share
        self.late_request = 2 * share
        self.error = self.error_acted = self.banned = share / 2


class ModelClient:
    """One incarnation's connection. What it has sent arrives also when its process is dead."""

    def __init__(
        self,
        town: Town,
        venue: ModelVenue,
        weather: Weather,
        *,
        on_execution: Callable[[Execution], None],
        on_connection: Callable[[bool, str], None],
    ) -> None:
        self.connected = self.can_ask = False
        self.connections = 0
        self.clock_error_ms = 0
        self._town = town
        self._world = town.world
        self._venue = venue
        self._weather = weather
        self._process: Process = town.world.current
        self._on_execution = on_execution
        self._on_connection = on_connection
        self._clock: tuple[int, int] | None = None
        # Requests without an answer, in the order in which they were sent.
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self._lost = asyncio.Event()
        self._last_push_ns = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._world.dice.random() * 0.3)
            if self._weather.is_closed:
                continue
            self.connected = self.can_ask = True
            self.connections += 1
            self._lost.clear()
            self._on_connection(True, "")
            await self._lost.wait()
            self._on_connection(False, "cut")

    async def close(self) -> None:
        self.cut()

    def cut(self) -> None:
        """Lose the connection, and with it the user stream and every answer."""
        if self.connected and self._process.alive:
            self.connected = self.can_ask = False
            self._unsubscribe()
            for future in tuple(self._waiting):
                _fail(future, OutcomeUnknownError("the connection was cut"))
            self._lost.set()

    def now_ms(self) -> int:
        if self._clock is None:
            raise VenueUnavailableError("the venue's clock has not been measured yet")
        server_ms, measured_ns = self._clock
        return server_ms + (self._world.monotonic_ns() - measured_ns) // NANOS_PER_MILLI

    async def measure_clock(self) -> None:
        before_ns = self._world.monotonic_ns()
        server_ms = await self._send(self._venue.account.now_ms)
        half_ns = (self._world.monotonic_ns() - before_ns) // 2
        self._clock = (server_ms, before_ns + half_ns)
        self.clock_error_ms = -(-half_ns // NANOS_PER_MILLI)

    async def subscribe(self) -> None:
        connection = self.connections
        await self._send(lambda: self._subscribe(connection))

    def place(self, order: SubmitOrder, *, timestamp_ms: int) -> asyncio.Future[Any]:
        return self._mortal(partial(self._venue.place, order, timestamp_ms, RECV_WINDOW_MS))

    def replace(self, order: SubmitOrder, *, old: Named, timestamp_ms: int) -> asyncio.Future[Any]:
        act = partial(self._venue.replace, order, _name(old), timestamp_ms, RECV_WINDOW_MS)
        return self._mortal(act)

    def amend(self, order: Named, quantity: Decimal, *, timestamp_ms: int) -> asyncio.Future[Any]:
        act = partial(self._venue.amend, _name(order), quantity, timestamp_ms, RECV_WINDOW_MS)
        return self._mortal(act)

    def cancel(
        self, symbol: str, *, venue_order_id: str, client_order_id: str
    ) -> asyncio.Future[Any]:
        named, timestamp_ms = (venue_order_id, client_order_id), self.now_ms()
        return self._send(lambda: (self._venue.cancel(named, timestamp_ms, RECV_WINDOW_MS), ()))

    async def best_prices(self, symbols: Iterable[str]) -> dict[str, tuple[Decimal, Decimal]]:
        return await self._send(partial(self._venue.best_prices, symbols))  # type: ignore[no-any-return]

    async def order_status(
        self, symbol: str, *, venue_order_id: str, client_order_id: str
    ) -> OrderReport | None:
        self.now_ms()
        act = partial(self._venue.order_status, (venue_order_id, client_order_id))
        return await self._send(act)  # type: ignore[no-any-return]

    async def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        self.now_ms()
        return await self._send(partial(self._venue.open_orders, symbol))  # type: ignore[no-any-return]

    async def trades(
        self, symbol: str, *, from_id: str | None = None, venue_order_id: str | None = None
    ) -> tuple[FillReport, ...]:
        self.now_ms()
        found: tuple[FillReport, ...] = await self._send(
            partial(self._venue.trades, symbol, from_id, venue_order_id)
        )
        return found[-MAX_TRADES:] if from_id is None else found[:MAX_TRADES]

    async def balances(self) -> dict[str, Decimal]:
        self.now_ms()
        return await self._send(self._venue.balances)  # type: ignore[no-any-return]

    # -- the way there and back ------------------------------------------------------------------

    def _mortal(self, act: Act) -> asyncio.Future[Any]:
        """Send what the process may die before or after sending."""
        self._town.point()
        sent = self._send(act)
        self._town.point()
        return sent

    def _send(self, act: Act) -> asyncio.Future[Any]:
        if not self.connected:
            raise VenueUnavailableError("not connected")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting[future] = None
        future.add_done_callback(lambda done: self._waiting.pop(done, None))
        loop.call_later(
            REQUEST_TIMEOUT_SECS, _fail, future, OutcomeUnknownError("no answer in time")
        )
        dice, weather = self._world.dice, self._weather
        if dice.random() < weather.lost_request:
            self._world.after(self._trip(), self.cut)
            return future
        late = _LATE_SECS * dice.random() if dice.random() < weather.late_request else 0.0
        self._world.after(self._trip() + late, self._arrive, act, future, self.connections)
        return future

    def _arrive(self, act: Act, future: asyncio.Future[Any], connection: int) -> None:
        dice, weather = self._world.dice, self._weather
        answer: Any = VenueUnavailableError("too many requests", retry_after_secs=0.5)
        if dice.random() >= weather.banned:
            answer = OutcomeUnknownError("-1007: execution status unknown")
            if dice.random() >= weather.error:
                try:
                    answer = act()
                except VenueError as refused:
                    answer = refused
                if dice.random() < weather.error_acted:
                    answer = OutcomeUnknownError("-1006: execution status unknown")
        if dice.random() < weather.lost_answer:
            self._world.after(self._trip(), self.cut)
            return
        late = _LATE_SECS * dice.random() if dice.random() < weather.late_answer else 0.0
        self._world.after(self._trip() + late, self._answer, answer, future, connection)

    def _answer(self, answer: Any, future: asyncio.Future[Any], connection: int) -> None:
        if not self._process.alive or connection != self.connections or future.done():
            return
        if isinstance(answer, VenueError):
            future.set_exception(answer)
            future.exception()  # seen: nobody need wait for it
        else:
            future.set_result(answer)

    def _trip(self) -> float:
        return _TRIP_SECS * self._world.dice.random()

    # -- the user stream -------------------------------------------------------------------------

    def _subscribe(self, connection: int) -> None:
        if self.connected and connection == self.connections:
            self._unsubscribe()
            self._venue.account.listeners.append(self._push)

    def _unsubscribe(self) -> None:
        if self._push in self._venue.account.listeners:
            self._venue.account.listeners.remove(self._push)

    def _push(self, execution: Execution) -> None:
        if not self._process.alive:
            self._unsubscribe()
            return
        arrival_ns = self._world.now_ns + int(self._trip() * 1e9)
        self._last_push_ns = max(arrival_ns, self._last_push_ns)
        secs = (self._last_push_ns - self._world.now_ns) / 1e9
        self._world.after(secs, self._pushed, execution, self.connections)

    def _pushed(self, execution: Execution, connection: int) -> None:
        if self._process.alive and self.connected and connection == self.connections:
            self._on_execution(execution)


def _name(order: Named) -> tuple[str, str]:
    return order.venue_order_id, order.client_order_id


def _fail(future: asyncio.Future[Any], error: VenueError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen: nobody need wait for it
