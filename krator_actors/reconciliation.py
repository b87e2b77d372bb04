"""What the order actor asks the venue, to know what it may have missed.

It changes nothing: what it finds goes into the actor's own inbox, where it is handled like what
the user stream says. Everything may be found twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from loguru import logger

from krator_actors.adapters.binance_trading import MAX_TRADES
from krator_actors.adapters.trading import TradingClient
from krator_actors.clock import monotonic_ns
from krator_actors.core.orders import Order, OrderTable
from krator_actors.core.venue_reports import FillReport, OrderReport
from krator_actors.messages.orders import AccountReport
from krator_actors.model import NANOS_PER_MILLI, NANOS_PER_SEC, OrderStatus
from krator_actors.venue_errors import VenueError, VenueUnavailableError
from supervisors.messages import Message

_LOOKBACK_FILLS = 100
"""After a start the trades are read again from so many fills back, because a killed process may
have logged a later fill before an earlier one."""
_DOUBT_INITIAL_SECS = 0.1
_DOUBT_MAX_SECS = 5.0
_CLOCK_SECS = 60.0
_REST_AFTER_SECS = 3.0
_REST_SECS = 5.0
"""without a connection REST is asked so often, and for the first time so long after its end"""
_LOOK_AGAIN_SECS = 1.0
_QUESTIONS = 50
"""In one round at most so many orders in doubt are asked for: the venue counts what it is asked."""


class VenueSaid(Message, frozen=True, kw_only=True):
    """Something of one order: its state, its fills, or both."""

    report: OrderReport | None
    fills: tuple[FillReport, ...] = ()
    whole: bool = False
    """True when ``fills`` are all trades that the order has had"""

    @property
    def names(self) -> tuple[str, str, str]:
        """Symbol, the venue's id and the client order id, which is empty without a report."""
        if self.report is None:
            return self.fills[0].symbol, self.fills[0].venue_order_id, ""
        return self.report.symbol, self.report.venue_order_id, self.report.client_order_id


class NoSuchOrder(Message, frozen=True, kw_only=True):
    """The venue had no such order. Final only when the request can no longer arrive."""

    client_order_id: str
    asked_at_ms: int
    """venue clock, certainly not later than the moment of its answer"""


class StillThere(Message, frozen=True, kw_only=True):
    """All that the venue has of an order that is being changed has been said before this."""

    client_order_id: str
    asked_at_ms: int
    """venue clock, certainly not later than the moment of its answer"""


class BalancesSeen(Message, frozen=True, kw_only=True):
    """The account as the venue has it."""

    balances: dict[str, Decimal]
    ts_event: int


class Reconciled(Message, frozen=True, kw_only=True):
    """All that was missed before ``connection`` has been put into the inbox before this."""

    connection: int


class ReconcileFailed(Message, frozen=True, kw_only=True):
    """It will be tried again."""

    reason: str


Finding = VenueSaid | NoSuchOrder | StillThere | BalancesSeen | Reconciled | ReconcileFailed


class Reconciliation:
    """Asks after every connection, every ``period_secs``, and at once for what is in doubt.

    Args:
        table: read only; the actor folds its log into it.
        may_cancel: False in a dry run: nothing is sent that changes anything.
        found: takes each finding into the actor's inbox.
    """

    def __init__(
        self,
        client: TradingClient,
        table: OrderTable,
        *,
        symbols: tuple[str, ...],
        period_secs: float,
        may_cancel: bool,
        found: Callable[[Finding], None],
    ) -> None:
        self._client = client
        self._table = table
        self._symbols = symbols
        self._period_secs = period_secs
        self._may_cancel = may_cancel
        self._found = found
        self._wake = asyncio.Event()
        # (symbol, the venue's order id) of orders whose fills we do not all have
        self._wanted: dict[tuple[str, str], None] = {}
        # client order id of orders in doubt to when they were asked for (monotonic)
        self._asked_ns: dict[str, int] = {}
        # symbol to the trade id up to which every trade has been read by this process
        self._scanned: dict[str, str] = {}
        # the connection that has been reconciled last, and when (monotonic)
        self._connection = 0
        self._reconciled_ns = 0
        # True: not ``period_secs`` but ``_LOOK_AGAIN_SECS`` after the last time
        self._is_look_due = False
        # the connection that has the user stream
        self._subscribed = 0
        # when the venue's clock was measured (monotonic); 0: it must be
        self._clock_ns = 0
        # since when there is no connection (monotonic); 0: there is one
        self._out_ns = 0
        # UTC ns; trades before it are in the opening balances
        self._opened_at = 0

    def want(self, symbol: str, venue_order_id: str) -> None:
        """Ask for this order and all its trades, now."""
        self._wanted[symbol, venue_order_id] = None
        self.wake()

    def wake(self) -> None:
        """Look again now: there is a connection, or an order whose fate is not known."""
        self._wake.set()

    def look_again(self) -> None:
        """Ask for trades and balances again soon: something was seen that is to be seen twice."""
        self._is_look_due = True
        self.wake()

    def forget_clock(self) -> None:
        """Measure the venue's clock now, because the venue did not agree with ours."""
        self._clock_ns = 0
        self.wake()

    async def run(self) -> None:
        """Ask until cancelled; what the venue cannot answer is asked again with backoff."""
        tries = 0
        while True:
            self._wake.clear()
            connection = self._client.connections
            secs = min(self._due_secs(), _CLOCK_SECS)
            if self._client.connected or self._is_out_long():
                try:
                    await (self._round() if self._client.connected else self._by_rest())
                except VenueError as error:
                    secs = await self._failed(error, tries)
                    tries += 1
                else:
                    if self._in_doubt():
                        secs = min(secs, _backoff_secs(tries))
                        tries += 1
                    else:
                        tries = 0
            if not self._client.connected and self._client.can_ask:
                secs = min(secs, _REST_SECS if self._is_out_long() else _REST_AFTER_SECS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(secs):
                    await self._wake.wait()
            if self._client.connections != connection:
                tries = 0

    def _is_out_long(self) -> bool:
        """Return whether the connection is out for so long that REST is asked instead."""
        if self._client.connected or not self._client.can_ask:
            self._out_ns = 0
            return False
        self._out_ns = self._out_ns or monotonic_ns()
        return monotonic_ns() - self._out_ns >= _REST_AFTER_SECS * NANOS_PER_SEC

    async def _by_rest(self) -> None:
        """Ask for every open order, and cancel what is to be canceled, without a connection.

        Nothing is placed meanwhile, because nobody would hear of its fills: the venue counts as
        not reachable until there is a connection and everything has been reconciled.
        """
        await self._client.measure_clock()
        self._clock_ns = monotonic_ns()
        for order in self._table.open_orders:
            self._resend_cancel(order)
            await self._ask_for(order)

    def _due_secs(self) -> float:
        return _LOOK_AGAIN_SECS if self._is_look_due else self._period_secs

    async def _failed(self, error: VenueError, tries: int) -> float:
        logger.bind(event_type="reconcile_failed", detail=str(error)).warning(
            "the venue could not be asked"
        )
        self._found(ReconcileFailed(reason=str(error)))
        if isinstance(error, VenueUnavailableError) and error.retry_after_secs:
            # Not cut short by a wake, because the venue bans who comes back too early.
            await asyncio.sleep(error.retry_after_secs)
            return 0.0
        return _backoff_secs(tries)

    async def _round(self) -> None:
        now_ns = monotonic_ns()
        connection = self._client.connections
        if connection != self._connection or now_ns - self._clock_ns >= _CLOCK_SECS * NANOS_PER_SEC:
            await self._client.measure_clock()
            self._clock_ns = now_ns
        due = now_ns - self._reconciled_ns >= self._due_secs() * NANOS_PER_SEC
        if connection == self._connection and not due:
            await self._what_is_in_doubt()
            return
        self._is_look_due = False
        for order in self._table.open_orders:
            self._resend_cancel(order)
        if connection != self._subscribed:
            await self._client.subscribe()
            self._subscribed = connection
        await self._everything()
        self._connection, self._reconciled_ns = connection, now_ns
        self._found(Reconciled(connection=connection))

    def _resend_cancel(self, order: Order) -> None:
        if order.cancel_requested and self._may_cancel:
            future = self._client.cancel(
                order.symbol,
                venue_order_id=order.venue_order_id,
                client_order_id=order.client_order_id,
            )
            # Whatever is answered: the order is asked for right after this.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _everything(self) -> None:
        opening: AccountReport | BalancesSeen | None = self._table.opening
        if opening is None:
            opening = await self._ask_balances()
            self._found(opening)
        self._opened_at = opening.ts_event
        own = self._table.open_orders
        # What does not depend on another's answer is asked at once: until all is answered nothing
        # is traded, and a distant venue takes as long for one question as for twenty.
        balances = self._ask_balances()
        orders = self._open_orders(own)
        seen = await _answers(balances, orders, *map(self._scan_trades, self._symbols))
        # Last, because they are weighed against the fills that were found.
        self._found(seen[0])

    async def _open_orders(self, own: tuple[Order, ...]) -> None:
        listed = await _answers(*(self._client.open_orders(symbol) for symbol in self._symbols))
        reports = [report for page in listed for report in page]
        names = {(report.symbol, report.venue_order_id) for report in reports}
        missing = [o for o in own if (o.symbol, o.venue_order_id) not in names]
        await _answers(
            *map(self._complete, reports),
            *(self._ask_for(order) for order in missing if order.status.is_open),
        )

    async def _ask_balances(self) -> BalancesSeen:
        asked_at = self._client.now_ms() * NANOS_PER_MILLI
        return BalancesSeen(balances=await self._client.balances(), ts_event=asked_at)

    def _in_doubt(self) -> bool:
        return bool(self._wanted) or bool(self._doubtful())

    def _doubtful(self) -> list[Order]:
        # A cancel that met no order yet, or was not answered, is as good as not sent.
        return [
            order
            for order in self._table.open_orders
            if order.is_doubtful or (order.cancel_requested and self._may_cancel)
        ]

    async def _what_is_in_doubt(self) -> None:
        doubtful = self._doubtful()
        # Who has waited longest first, so that many do not keep one from being asked for.
        doubtful.sort(key=lambda order: self._asked_ns.get(order.client_order_id, 0))
        self._asked_ns = {
            o.client_order_id: self._asked_ns.get(o.client_order_id, 0) for o in doubtful
        }
        asked = doubtful[:_QUESTIONS]
        for order in asked:
            self._asked_ns[order.client_order_id] = monotonic_ns()
            self._resend_cancel(order)
        await _answers(*map(self._ask_for, asked), *map(self._ask_again, tuple(self._wanted)))

    async def _ask_again(self, wanted: tuple[str, str]) -> None:
        del self._wanted[wanted]
        try:
            await self._ask(*wanted)
        except VenueError:
            self._wanted[wanted] = None
            raise

    async def _ask_for(self, order: Order) -> None:
        if order.symbol not in self._symbols:
            return  # no longer configured: its venue symbol is not ours to ask for
        asked_at_ms = self._client.now_ms() - self._client.clock_error_ms
        found = await self._ask(
            order.symbol, order.venue_order_id, client_order_id=order.client_order_id
        )
        if not found:
            self._found(NoSuchOrder(client_order_id=order.client_order_id, asked_at_ms=asked_at_ms))
        elif order.status is OrderStatus.PENDING_UPDATE:
            self._found(StillThere(client_order_id=order.client_order_id, asked_at_ms=asked_at_ms))

    async def _ask(self, symbol: str, venue_order_id: str, *, client_order_id: str = "") -> bool:
        report = await self._client.order_status(
            symbol, venue_order_id=venue_order_id, client_order_id=client_order_id
        )
        if report is None:
            return False
        await self._complete(report)
        return True

    async def _complete(self, report: OrderReport) -> None:
        if not report.filled:
            self._found(VenueSaid(report=report, whole=True))
            return
        order = self._table.find(report.symbol, report.venue_order_id)
        if order is not None and order.filled >= report.filled:
            self._found(VenueSaid(report=report))
            return
        fills = await self._client.trades(report.symbol, venue_order_id=report.venue_order_id)
        if sum(fill.quantity for fill in fills) < report.filled:
            raise VenueUnavailableError(
                f"order {report.venue_order_id} has traded {report.filled}, "
                f"of which the venue does not list everything yet"
            )
        self._found(VenueSaid(report=report, fills=fills, whole=True))

    async def _scan_trades(self, symbol: str) -> None:
        from_id = self._scanned.get(symbol) or self._table.recent_trade_id(symbol, _LOOKBACK_FILLS)
        while True:
            page = await self._client.trades(symbol, from_id=from_id)
            await self._take_trades(symbol, page)
            if page:
                from_id = self._scanned[symbol] = page[-1].trade_id
            if len(page) < MAX_TRADES:
                return

    async def _take_trades(self, symbol: str, page: tuple[FillReport, ...]) -> None:
        opened_at = self._opened_at or 0
        missed: dict[str, list[FillReport]] = {}
        for fill in page:
            known = self._table.knows_fill(symbol, fill.trade_id, fill.venue_order_id)
            if fill.ts_event >= opened_at and not known:
                missed.setdefault(fill.venue_order_id, []).append(fill)
        for venue_order_id, fills in missed.items():
            if self._table.find(symbol, venue_order_id) is None:
                await self._ask(symbol, venue_order_id)
            else:
                self._found(VenueSaid(report=None, fills=tuple(fills)))


async def _answers(*questions: Awaitable[Any]) -> list[Any]:
    """Ask all at once. Raises the first failure when all are answered or lost, not before."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


def _backoff_secs(tries: int) -> float:
    return min(_DOUBT_MAX_SECS, _DOUBT_INITIAL_SECS * 2.0 ** min(tries, 10))
