"""SIGKILL of feed, strategy, risk and order in turn, until the next order is at the venue.

What counts is the first order whose tick was sent after the kill: what was on its way before says
nothing. The killed strategy's own next order counts, for the others anybody's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from krator_actors import place
from krator_actors.adapters.local_log import LocalLog, log_path, read_log
from krator_actors.messages.operations import JournalStatus, JournalStatusRequest
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderFilled,
    OrderInitialized,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import NANOS_PER_SEC, OrderSide, OrderType, venue_symbol_of
from supervisors.client import Client
from supervisors.heart import Heart
from supervisors.messages import Message
from tests.benchmarks import system
from tests.benchmarks.measure import Counts, VenueProcess, percentile, short_folder, venue
from tests.benchmarks.trading import collect
from tests.benchmarks.venue import Options, Record

TARGETS = ("feed:SIM", system.strategy_of(system.SYMBOLS[0]), "risk", "order:SIM")
_EVENTS_PER_ORDER = 4
_QUIET_SECS = 0.7
_JOURNAL_SECS = 120.0
_COLD_SECS = 120.0
"""Nobody has a snapshot at first: order reads its whole log, and risk is told all of it."""


class Kill(msgspec.Struct):
    """One SIGKILL."""

    target: str
    at_ns: int


def run(counts: Counts) -> dict[str, Any]:
    with short_folder() as folder:
        settings = system.config(folder)
        write_history(folder, counts.recovery_events)
        with venue(Options(symbols=system.VENUE_SYMBOLS)) as there:
            root = system.spec(settings, there.url, actors={}, endless=True)
            with system.running(settings, root) as heart:
                seen = Record()
                system.wait_until(
                    lambda: bool(collect(there, seen).orders), "the first order", _COLD_SECS
                )
                _wait_until_journaled(place.runtime_dir(folder), counts.recovery_events // 8 * 8)
                signals: dict[str, str] = {}
                kills = _kill_in_turn(heart, there, seen, counts.recovery_rounds, folder, signals)
        took_ns = _until_next_order(kills, seen, signals)
    medians_ms = {
        target: percentile([ns for kill, ns in took_ns if kill.target == target], 0.5) / 1e6
        for target in TARGETS
    }
    return {
        # The worst of them, because "any worker" is as good as that one.
        "trading_again_p50_ms": max(medians_ms.values()),
        "details": {
            "trading_again_p50_ms": medians_ms,
            "trading_again_events": counts.recovery_events,
        },
    }


def _kill_in_turn(
    heart: Heart,
    there: VenueProcess,
    seen: Record,
    rounds: int,
    folder: Path,
    signals: dict[str, str],
) -> list[Kill]:
    """Kill and wait for orders; notes each order's ``STRATEGY BTCUSDT:17``, its trade."""
    kills = []
    for number in range(rounds * len(TARGETS)):
        system.watch(heart, _QUIET_SECS)
        target = TARGETS[number % len(TARGETS)]
        before = system.node(heart, target)
        assert before.pid is not None
        kill = Kill(target, time.time_ns())
        os.kill(before.pid, signal.SIGKILL)
        kills.append(kill)

        def again(kill: Kill = kill, generation: int = before.generation) -> bool:
            assert not heart.poll(), "the system was built again"
            now = system.node(heart, kill.target)
            running = now.state == "running" and now.generation > generation
            newest_ns = max(collect(there, seen).orders.values())
            return running and newest_ns > kill.at_ns + _QUIET_SECS * NANOS_PER_SEC

        system.wait_until(again, f"orders after SIGKILL of {target}")
        _note_signals(folder, signals)
    system.watch(heart, _QUIET_SECS)
    collect(there, seen)
    _note_signals(folder, signals)
    return kills


def _note_signals(folder: Path, signals: dict[str, str]) -> None:
    """Read what the strategies' logs still have: what the journal has is removed in time."""
    for symbol in system.SYMBOLS:
        name = system.strategy_of(symbol)
        for record in read_log(log_path(folder, name), after=None, types=SignalRaised):
            number = record.event.cause.partition(":")[2]
            signals[record.event.client_order_id] = f"{name} {venue_symbol_of(symbol)}:{number}"


def _until_next_order(
    kills: list[Kill], seen: Record, signals: dict[str, str]
) -> list[tuple[Kill, int]]:
    """Return each kill with the nanoseconds to the first order on a tick from after it."""
    ways: list[tuple[int, int, str]] = []
    for client_order_id, way in signals.items():
        name, _, trade = way.partition(" ")
        received_ns = seen.orders.get(client_order_id)
        if received_ns is not None and trade in seen.trades:
            ways.append((received_ns, seen.trades[trade], name))
    ways.sort()
    took = []
    for kill in kills:
        own = kill.target.startswith("strategy:")
        after = (
            received_ns - kill.at_ns
            for received_ns, sent_ns, name in ways
            if sent_ns > kill.at_ns and (not own or name == kill.target)
        )
        took.append((kill, next(after)))
    return took


def _wait_until_journaled(runtime: Path, count: int) -> None:
    async def sequence() -> int:
        async with Client(runtime, name="bench") as client:
            request = JournalStatusRequest()
            status = await client.ask("journal", request, JournalStatus, timeout_secs=10.0)
            return status.seq

    system.wait_until(
        lambda: asyncio.run(sequence()) >= count, f"{count} events in the journal", _JOURNAL_SECS
    )


def write_history(folder: Path, count: int) -> None:
    """Write a log of the order actor with about so many events: orders long done, no position."""
    name = "order:SIM"
    with LocalLog.open(
        log_path(folder, name), writer=name, generation=0, durability="process"
    ) as log:
        opening = AccountReport(balances={"USDT": Decimal(100_000)}, ts_event=time.time_ns())
        log.append(opening, ts_ns=opening.ts_event)
        # In pairs, so that what one buys the next one sells.
        for number in range(count // _EVENTS_PER_ORDER // 2 * 2):
            for event in _order(number, time.time_ns()):
                log.append(event, ts_ns=time.time_ns())


def _order(number: int, now_ns: int) -> tuple[Message, ...]:
    symbol = system.SYMBOLS[number // 2 % len(system.SYMBOLS)]
    key = f"history{number}"
    order = SubmitOrder(
        client_order_id=key,
        strategy=system.strategy_of(symbol),
        symbol=symbol,
        side=OrderSide.SELL if number % 2 else OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(5),
        cause=f"trade:{number}",
        ts_event=now_ns,
        ts_init=now_ns,
    )
    return (
        OrderInitialized(order=order, risk_generation=0, request_valid_until_ms=0, ts_event=now_ns),
        OrderSubmitted(client_order_id=key, symbol=symbol, ts_event=now_ns),
        OrderAccepted(
            client_order_id=key, venue_order_id=f"9{number:09}", symbol=symbol, ts_event=now_ns
        ),
        OrderFilled(
            client_order_id=key,
            venue_order_id=f"9{number:09}",
            trade_id=f"9{number:09}",
            symbol=symbol,
            strategy=order.strategy,
            side=order.side,
            last_quantity=order.quantity,
            last_price=Decimal(100),
            fee=Decimal(0),
            fee_currency="USDT",
            ts_event=now_ns,
            ts_init=now_ns,
        ),
    )
