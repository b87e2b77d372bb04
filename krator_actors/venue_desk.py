"""A person's hand at the venue, with no actor in between: look, cancel, sell.

Reads are repeated until the venue answers; an order is sent once, and its outcome is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from krator_actors.adapters.binance_errors import CANCEL_REJECTED, INVALID_TIMESTAMP
from krator_actors.adapters.binance_rest import BinanceRest
from krator_actors.adapters.rest import RestClient
from krator_actors.config import Config
from krator_actors.core.venue_reports import OrderReport
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import Instrument, OrderStatus
from krator_actors.ports import MalformedFrameError
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueRefusedError,
    VenueUnavailableError,
)
from krator_actors.venue_login import rest_url, trading_client

_CONNECT_SECS = 10.0
_PATIENCE_SECS = 30.0
"""For so long everything but an order is asked again."""
_AGAIN_SECS = 0.2

_Result = TypeVar("_Result")


_DUST = "NOTIONAL"
"""What Binance names when it refuses an order that is worth too little."""


class VenueSilentError(Exception):
    """The venue did not answer in time; the text says what is not known now."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order that was sent."""

    status: OrderStatus
    """DENIED when it was not sent, REJECTED when the venue refused it or never received it, else
    as the venue has it"""
    filled: Decimal = Decimal(0)
    average_price: Decimal | None = None
    """of the fills that came with the answer; None when they are not known"""
    reason: str = ""

    @property
    def is_dust(self) -> bool:
        """True when the venue refused it because it is worth too little."""
        return self.status is OrderStatus.REJECTED and _DUST in self.reason


class Canceled(msgspec.Struct, kw_only=True):
    """What became of orders that were asked to end."""

    canceled: int = 0
    ended_before: int = 0
    """filled, or taken off by somebody else, before the cancel arrived"""


class VenueDesk:
    """One connection to the venue of ``config`` at ``url``; an async context manager.

    Entering raises VenueSilentError, or ConfigError when there are no keys or no address.
    """

    def __init__(self, config: Config, url: str) -> None:
        self._symbols = config.symbols
        self._recv_window_ms = config.venue.recv_window_ms
        self._reason = "no connection was made"
        self._changed = asyncio.Event()
        # False after the venue has refused a timestamp.
        self._is_clock_known = True
        self._client = trading_client(
            config.venue,
            url,
            config.symbols,
            on_execution=lambda _: None,
            on_connection=self._on_connection,
        )
        self._codec = BinanceRest(config.symbols)
        self._rest = RestClient(
            rest_url(config.venue, url), timeout_secs=config.venue.request_timeout_secs
        )
        self._session: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._session = asyncio.create_task(self._client.run(), name="venue session")
        try:
            async with asyncio.timeout(_CONNECT_SECS):
                while not self._client.connected:
                    self._changed.clear()
                    await self._changed.wait()
            await self._patiently("its clock", self._client.measure_clock)
        except TimeoutError:
            await self._go_on_by_rest()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _go_on_by_rest(self) -> None:
        """Take a venue whose connection is out but that answers: all but selling works there."""
        try:
            await self._client.measure_clock()
        except (VenueUnavailableError, OutcomeUnknownError, VenueRefusedError):
            await self._close()
            raise VenueSilentError(
                f"not connected within {_CONNECT_SECS:g} s: {self._reason}"
            ) from None

    async def open_orders(self) -> tuple[OrderReport, ...]:
        """Return every open order of the configured symbols, ours or not."""
        found: list[OrderReport] = []
        for symbol in self._symbols:
            found += await self._patiently(
                f"the open orders of {symbol}", partial(self._client.open_orders, symbol)
            )
        return tuple(found)

    async def balances(self) -> dict[str, Decimal]:
        """Return asset to total (free and locked)."""
        return await self._patiently("the balances", self._client.balances)

    async def instruments(self) -> tuple[Instrument, ...]:
        """Return the trading rules of the configured symbols."""

        async def read() -> tuple[Instrument, ...]:
            try:
                body = await self._rest.get(self._codec.instruments_path(self._symbols))
                return self._codec.read_instruments(body)
            except MalformedFrameError as error:
                raise VenueUnavailableError(str(error)) from error

        return await self._patiently("the trading rules", read)

    async def cancel_all(self, *, settle_secs: float) -> Canceled:
        """Cancel every open order of the configured symbols, until the venue lists none.

        ``settle_secs`` after that it looks once more, because an order may have been on its way.
        Raises VenueSilentError, VenueRefusedError.
        """
        count = Canceled()
        ended: set[tuple[str, str]] = set()
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECS
        has_settled = settle_secs <= 0
        while True:
            listed = await self.open_orders()
            if not listed:
                if has_settled:
                    return count
                has_settled = True
                await asyncio.sleep(settle_secs)
                continue
            if asyncio.get_running_loop().time() > deadline:
                raise VenueSilentError(f"{len(listed)} orders are still open after 30 s")
            statuses = await asyncio.gather(*map(self._cancel, listed))
            for order, status in zip(listed, statuses, strict=True):
                if status is not None and (order.symbol, order.venue_order_id) not in ended:
                    ended.add((order.symbol, order.venue_order_id))
                    count.canceled += status is OrderStatus.CANCELED
                    count.ended_before += status is not OrderStatus.CANCELED

    def valid_until_ms(self) -> int:
        """Return until when the venue, by its own clock, takes what ``sell`` sends now."""
        return self._client.now_ms() + self._recv_window_ms

    async def send(self, order: SubmitOrder, *, valid_until_ms: int) -> Outcome:
        """Send an order once and return what became of it.

        The caller has written it down. Raises VenueSilentError when that cannot be found out.
        """
        try:
            report, fills = await self._client.place(
                order, timestamp_ms=valid_until_ms - self._recv_window_ms
            )
        except OutcomeUnknownError:
            return await self.outcome(
                order.symbol, order.client_order_id, valid_until_ms=valid_until_ms
            )
        except VenueUnavailableError as error:
            await asyncio.sleep(max(_AGAIN_SECS, error.retry_after_secs or 0.0))
            return Outcome(status=OrderStatus.DENIED, reason=str(error))
        except VenueRefusedError as error:
            self._is_clock_known = error.code != INVALID_TIMESTAMP
            return Outcome(status=OrderStatus.REJECTED, reason=str(error))
        worth = sum((fill.price * fill.quantity for fill in fills), Decimal(0))
        filled = sum((fill.quantity for fill in fills), Decimal(0))
        return Outcome(
            status=report.status,
            filled=report.filled,
            average_price=worth / filled if filled else None,
            reason=report.reason,
        )

    async def outcome(self, symbol: str, client_order_id: str, *, valid_until_ms: int) -> Outcome:
        """Ask what became of an order whose answer was lost. Raises VenueSilentError.

        "No such order" is believed only when the venue's clock has passed its validity, because
        until then the bytes may still arrive.
        """

        async def ask() -> Outcome:
            asked_ms = self._client.now_ms() - self._client.clock_error_ms
            report = await self._client.order_status(
                symbol, venue_order_id="", client_order_id=client_order_id
            )
            if report is not None:
                return Outcome(status=report.status, filled=report.filled, reason=report.reason)
            if asked_ms <= valid_until_ms:
                raise VenueUnavailableError("it may still arrive")
            return Outcome(status=OrderStatus.REJECTED, reason="NEVER_ARRIVED")

        secs = max(0, valid_until_ms - self._client.now_ms()) / 1_000 + _PATIENCE_SECS
        return await self._patiently(f"order {client_order_id}", ask, secs=secs)

    async def _cancel(self, order: OrderReport) -> OrderStatus | None:
        """Return how it ended, None when it has not."""
        try:
            report, _ = await self._client.cancel(
                order.symbol,
                venue_order_id=order.venue_order_id,
                client_order_id=order.client_order_id,
            )
        except VenueRefusedError as error:
            if error.code == INVALID_TIMESTAMP:
                self._is_clock_known = False
                return None
            if error.code != CANCEL_REJECTED:
                raise
        except (OutcomeUnknownError, VenueUnavailableError):
            await asyncio.sleep(_AGAIN_SECS)
        else:
            return report.status
        found = await self._patiently(
            f"order {order.venue_order_id}",
            lambda: self._client.order_status(
                order.symbol,
                venue_order_id=order.venue_order_id,
                client_order_id=order.client_order_id,
            ),
        )
        return found.status if found is not None and not found.status.is_open else None

    async def _patiently(
        self, what: str, call: Callable[[], Awaitable[_Result]], *, secs: float = _PATIENCE_SECS
    ) -> _Result:
        """Repeat a question until it is answered; VenueRefusedError comes through."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + secs
        while True:
            pause = _AGAIN_SECS
            try:
                if not self._is_clock_known:
                    await self._client.measure_clock()
                    self._is_clock_known = True
                return await call()
            except VenueUnavailableError as error:
                pause = max(pause, error.retry_after_secs or 0.0)
                reason = str(error)
            except OutcomeUnknownError as error:
                reason = str(error)
            except VenueRefusedError as error:
                if error.code != INVALID_TIMESTAMP:
                    raise
                reason = str(error)
                self._is_clock_known = False
            if loop.time() + pause > deadline:
                raise VenueSilentError(f"asked for {what} for {secs:.0f} s: {reason}")
            await asyncio.sleep(pause)

    async def _close(self) -> None:
        await self._client.close()
        if self._session is not None:
            await asyncio.wait({self._session})
        await self._rest.close()

    def _on_connection(self, connected: bool, reason: str) -> None:  # noqa: FBT001 - a callback
        if not connected:
            self._reason = reason
        self._changed.set()
