"""``krator cancel-all`` and ``krator flatten``: straight at the venue, with or without a system.

A running system is halted first when its risk actor answers, and is not needed. What flatten sends
is in its own log before it is sent; the order actor learns of it from the venue, as of everything
that others do with the account.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

import msgspec

from krator_actors import place
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
from krator_actors.messages.emergency import (
    FlattenEnded,
    FlattenEvent,
    FlattenOrderEnded,
    FlattenOrderInitialized,
    FlattenStarted,
)
from krator_actors.messages.orders import SubmitOrder
from krator_actors.messages.risk import Halt, TradingStateChanged
from krator_actors.model import Instrument, OrderStatus, TradingState
from krator_actors.venue_desk import Canceled, Outcome, VenueDesk, VenueSilentError
from supervisors.client import Client
from supervisors.messages import ActorError

_HALT_SECS = 3.0
_SETTLE_SECS = 0.5
"""An order that was approved before the halt has reached the venue by then."""
_ROUNDS = 3
"""A market order takes what is offered; what is left of it is offered again so often."""

HaltState = Literal["halted", "latched", "not_running", "no_answer"]
"""``latched``: nothing runs, and the next ``krator run`` begins halted."""


class BusyError(Exception):
    """Another ``krator flatten`` is at work on this data folder."""


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


async def halt(data_dir: Path, runtime: Path, *, by: str, reason: str, latch: bool) -> HaltState:
    """Let nothing new be placed. ``latch``: also when nothing runs, for the next run."""
    if place.DataDirLock(data_dir).is_held():
        try:
            async with Client(runtime, name="cli") as client:
                await client.ask(
                    "risk",
                    Halt(by=by, reason=reason),
                    TradingStateChanged,
                    timeout_secs=_HALT_SECS,
                )
        except (ActorError, OSError):
            return "no_answer"
        return "halted"
    return "latched" if latch and _latch(data_dir, by, reason) else "not_running"


def _latch(data_dir: Path, by: str, reason: str) -> bool:
    """Write a halt into the log of risk, which does not run; False when it never ran, or runs."""
    path = log_path(data_dir, "risk")
    generation = _last_generation(path)
    if generation == 0:
        return False
    event = TradingStateChanged(state=TradingState.HALTED, by=by, reason=reason, ts_event=utc_ns())
    try:
        with LocalLog.open(path, writer="risk", generation=generation, durability="disk") as log:
            log.append(event, ts_ns=utc_ns())
    except LogLockedError:
        return False
    return True


def _last_generation(path: Path) -> int:
    """Return the generation of a log's last record; 0 when there is none."""
    record = last_record(path)
    return record.generation if record else 0


async def cancel_all(config: Config, url: str, *, settles: bool) -> Canceled:
    """Cancel every open order of the configured symbols; see ``VenueDesk.cancel_all``."""
    async with VenueDesk(config, url) as desk:
        return await desk.cancel_all(settle_secs=_SETTLE_SECS if settles else 0.0)


async def plan(config: Config, url: str) -> Plan:
    """Look what ``flatten`` would do now; changes nothing."""
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
            raise BusyError(f"another krator flatten is at work on {data_dir}") from error
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
