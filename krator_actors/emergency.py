"""``krator kill``: halt, cancel everything, sell everything; with or without a system.

The halt is on disk before anybody is asked; the rest is done straight at the venue. What is sold
is in its own log before it is sent; the order actor learns of it from the venue, as of everything
that others do with the account.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

import msgspec

from krator_actors import halt_file, place
from krator_actors.adapters.local_log import (
    LocalLog,
    LogLockedError,
    last_record,
    log_path,
    read_log,
)
from krator_actors.clock import utc_ns
from krator_actors.config import Config, ConfigError
from krator_actors.core.flatten import WRITER, sell_orders
from krator_actors.halt_file import FiledHalt
from krator_actors.messages.emergency import (
    FlattenEnded,
    FlattenEvent,
    FlattenOrderEnded,
    FlattenOrderInitialized,
    FlattenStarted,
)
from krator_actors.messages.orders import SubmitOrder
from krator_actors.messages.risk import Halt, TradingStateChanged
from krator_actors.model import Instrument, OrderStatus
from krator_actors.venue_desk import Canceled, Outcome, VenueDesk, VenueSilentError
from krator_actors.venue_errors import VenueError
from krator_actors.venue_login import KeyRefusedError, check_key
from supervisors.client import Client
from supervisors.messages import ActorError

_HALT_SECS = 3.0
_SETTLE_SECS = 0.5
"""An order that was approved before the halt has reached the venue by then."""
_ROUNDS = 3
"""A market order takes what is offered; what is left of it is offered again so often."""

HaltState = Literal["halted", "latched", "no_answer"]
"""``halted``: risk said so. ``latched``: risk does not run or answer, and begins halted when it
does. ``no_answer``: neither, the disk does not take it."""


class Halted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a halt."""

    state: HaltState
    error: str = ""
    """why it could not be put on disk; empty when it was, or need not be"""


class BusyError(Exception):
    """Another ``krator kill --flatten`` is at work on this data folder."""


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """One order of an act, and what became of it."""

    client_order_id: str
    symbol: str
    quantity: Decimal
    outcome: Outcome


class Flattened(msgspec.Struct, frozen=True, kw_only=True):
    """What an act did."""

    canceled: Canceled
    sold: tuple[Sold, ...]
    left: dict[str, Decimal]
    """base asset to what the venue still has of it; dust below a lot included"""
    is_flat: bool
    """nothing is left that the venue would take an order for"""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an act would do now."""

    open_orders: int
    sells: tuple[SubmitOrder, ...]


def venue_address(config: Config, data_dir: Path, *, live: bool) -> str:
    """Return the venue's base URL (empty for Binance's own).

    Raises ConfigError unless a real venue is meant twice, VenueSilentError when there is no
    simulated one.
    """
    if config.venue.kind == "sim":
        url = place.venue_url(config, data_dir)
        if not url:
            raise VenueSilentError(
                f"no simulated venue runs on {data_dir / 'exchange'}; it ended with krator run, "
                "and has its orders again with the next one"
            )
        return url
    if config.system.dry_run or not live:
        raise ConfigError(
            f"{config.venue.name} is a real venue: this needs system.dry_run = false in the "
            "configuration, and --live"
        )
    return config.venue.url


async def halt(data_dir: Path, runtime: Path, *, by: str, reason: str) -> Halted:
    """Let nothing new be placed, now and in the next run, and cancel what is open.

    First on disk, where risk reads it at its start before anything else; then risk is asked.
    """
    ts_event = utc_ns()
    error = ""
    try:
        place.prepare(data_dir)
        halt_file.write(data_dir, FiledHalt(by=by, reason=reason, ts_event=ts_event))
    except (OSError, ConfigError) as failure:
        error = str(failure)
    if not _is_running(data_dir):
        return Halted(state="no_answer" if error else "latched", error=error)
    try:
        async with Client(runtime, name="cli") as client:
            await client.ask(
                "risk",
                Halt(by=by, reason=reason, cancels=True),
                TradingStateChanged,
                timeout_secs=_HALT_SECS,
            )
    except (ActorError, OSError):
        return Halted(state="no_answer" if error else "latched", error=error)
    return Halted(state="halted")


def _is_running(data_dir: Path) -> bool:
    try:
        return place.DataDirLock(data_dir).is_held()
    except OSError:
        return False  # nobody can run on a folder that cannot be looked into


def _last_generation(path: Path) -> int:
    """Return the generation of a log's last record; 0 when there is none."""
    record = last_record(path)
    return record.generation if record else 0


async def key_warning(config: Config, url: str) -> str:
    """Return what is wrong with the API key, empty for nothing.

    Asked last and only told, because a dangerous key is no reason to leave orders at work.
    """
    try:
        await check_key(config.venue, url)
    except KeyRefusedError as error:
        return str(error)
    except VenueError as error:
        return f"nobody knows whether the API key may withdraw: {error}"
    return ""


async def cancel_all(config: Config, url: str) -> Canceled:
    """Cancel every open order of the configured symbols; see ``VenueDesk.cancel_all``."""
    async with VenueDesk(config, url) as desk:
        return await desk.cancel_all(settle_secs=_SETTLE_SECS)


async def plan(config: Config, url: str) -> Plan:
    """Look what ``kill`` would do now; changes nothing."""
    async with VenueDesk(config, url) as desk:
        return Plan(
            open_orders=len(await desk.open_orders()),
            sells=sell_orders(
                await desk.balances(),
                await desk.instruments(),
                act_ns=0,
                first_leg=0,
                ts_ns=0,
            ),
        )


async def flatten(config: Config, url: str, data_dir: Path, *, by: str, reason: str) -> Flattened:
    """Cancel everything, then sell what is held of the configured base assets.

    Raises BusyError, LogError or OSError when it cannot be written down (nothing is sent then),
    VenueSilentError when the outcome of something is not known.
    """
    with _FlattenLog.open(data_dir) as log:
        async with VenueDesk(config, url) as desk:
            await _end_earlier(desk, log)
            act = _Act(desk, log, await desk.instruments())
            return await act.carry_out(by=by, reason=reason)


class _FlattenLog:
    """What was sent is in here first, and what became of it after."""

    def __init__(self, log: LocalLog) -> None:
        self._log = log
        # By client order id: what was sent and has no end in the log.
        self.unended: dict[str, FlattenOrderInitialized] = {}
        for record in read_log(log.path, types=FlattenEvent):
            self._take(record.event)

    @classmethod
    def open(cls, data_dir: Path) -> Self:
        path = log_path(data_dir, WRITER)
        generation = _last_generation(path) + 1
        try:
            log = LocalLog.open(path, writer=WRITER, generation=generation, durability="disk")
        except LogLockedError as error:
            raise BusyError(f"another krator kill --flatten is at work on {data_dir}") from error
        return cls(log)

    def append(self, event: FlattenEvent) -> None:
        self._log.append(event, ts_ns=utc_ns())
        self._take(event)

    def _take(self, event: FlattenEvent) -> None:
        match event:
            case FlattenOrderInitialized():
                self.unended[event.order.client_order_id] = event
            case FlattenOrderEnded():
                self.unended.pop(event.client_order_id, None)
            case FlattenStarted() | FlattenEnded():
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()


async def _end_earlier(desk: VenueDesk, log: _FlattenLog) -> None:
    """Find out what became of the orders of an act that was killed, before more is sold."""
    for sent in tuple(log.unended.values()):
        outcome = await desk.outcome(
            sent.order.symbol,
            sent.order.client_order_id,
            valid_until_ms=sent.request_valid_until_ms,
        )
        log.append(_ended(sent.order, outcome))


def _ended(order: SubmitOrder, outcome: Outcome) -> FlattenOrderEnded:
    return FlattenOrderEnded(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        status=outcome.status,
        filled=outcome.filled,
        reason=outcome.reason,
        ts_event=utc_ns(),
    )


class _Act:
    def __init__(
        self, desk: VenueDesk, log: _FlattenLog, instruments: tuple[Instrument, ...]
    ) -> None:
        self._desk = desk
        self._log = log
        self._instruments = instruments
        self._sold: list[Sold] = []
        # Symbols of which the venue refused an order: it would refuse the next one too.
        self._refused: set[str] = set()

    async def carry_out(self, *, by: str, reason: str) -> Flattened:
        act_ns = utc_ns()
        self._log.append(FlattenStarted(by=by, reason=reason, ts_event=act_ns))
        canceled = await self._desk.cancel_all(settle_secs=_SETTLE_SECS)
        orders = await self._orders(act_ns)
        for _ in range(_ROUNDS):
            for order in orders:
                await self._sell(order)
            orders = await self._orders(act_ns)
            if not orders:
                break
        left = await self._left()
        self._log.append(FlattenEnded(left=left, ts_event=utc_ns()))
        is_flat = not orders and all(
            sold.outcome.is_dust for sold in self._sold if sold.symbol in self._refused
        )
        return Flattened(canceled=canceled, sold=tuple(self._sold), left=left, is_flat=is_flat)

    async def _orders(self, act_ns: int) -> tuple[SubmitOrder, ...]:
        wanted = [i for i in self._instruments if i.symbol not in self._refused]
        return sell_orders(
            await self._desk.balances(),
            wanted,
            act_ns=act_ns,
            first_leg=len(self._sold),
            ts_ns=utc_ns(),
        )

    async def _sell(self, order: SubmitOrder) -> None:
        valid_until_ms = self._desk.valid_until_ms()
        self._log.append(
            FlattenOrderInitialized(
                order=order, request_valid_until_ms=valid_until_ms, ts_event=utc_ns()
            )
        )
        outcome = await self._desk.send(order, valid_until_ms=valid_until_ms)
        self._log.append(_ended(order, outcome))
        if outcome.status is OrderStatus.REJECTED:
            self._refused.add(order.symbol)
        self._sold.append(
            Sold(
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                quantity=order.quantity,
                outcome=outcome,
            )
        )

    async def _left(self) -> dict[str, Decimal]:
        balances = await self._desk.balances()
        bases = dict.fromkeys(i.base for i in self._instruments)
        return {base: balances[base] for base in bases if balances.get(base)}
