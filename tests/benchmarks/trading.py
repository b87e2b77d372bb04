"""From the venue's tick to our order at the venue, and every stage on the way."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import psutil
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.core.risk import RiskEvent
from krator_actors.messages.orders import OrderEvent, OrderFilled, OrderInitialized
from krator_actors.messages.risk import OrderApproved
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import venue_symbol_of
from supervisors.heart import Heart
from tests.benchmarks import forgetting, system
from tests.benchmarks.measure import (
    Counts,
    VenueProcess,
    p50_p99,
    percentile,
    short_folder,
    venue,
)
from tests.benchmarks.timed_actors import read_notes
from tests.benchmarks.venue import Options, Record

_FIRE_EVERY = 60
"""About eight orders a second of all strategies together: Binance takes ten, and so do we."""
_MEGABYTE = 2**20


class Way(msgspec.Struct, kw_only=True):
    """One order: when (UTC ns) it passed each point, in order."""

    sent: int
    """the tick was handed to the venue's socket"""
    fed: int
    """the feed's callback has it"""
    seen: int
    """the strategy's handler has it"""
    decided: int
    """the order is made and sized; it is logged and told to risk next"""
    checking: int
    """risk has decoded and judged it; it is logged and reserved next"""
    initialized: int
    """the order actor has made its record"""
    logged: int
    """the record is in the order actor's log"""
    received: int
    """the venue has read it"""
    filled: int
    """the fill is in the order actor's log"""


STAGES = {
    "venue_to_feed": ("sent", "fed"),
    "feed_to_strategy": ("fed", "seen"),
    "strategy": ("seen", "decided"),
    "strategy_to_risk": ("decided", "checking"),
    "risk_to_order": ("checking", "initialized"),
    "order_log": ("initialized", "logged"),
    "order_to_venue": ("logged", "received"),
}
"""name to the points between which it is"""


def run(counts: Counts) -> dict[str, Any]:
    with short_folder() as folder:
        ways, rest = _trade(folder, counts, pinned=False)
        pinned_ways, _ = _trade(folder / "pinned", counts, pinned=True)
    measured = _latencies(ways)
    pinned = _latencies(pinned_ways)
    pinned["stage_us"] = _stages(pinned_ways)
    return {**measured, **rest, "stage_us": _stages(ways), "pinned": pinned}


def _latencies(ways: list[Way]) -> dict[str, Any]:
    order_p50, order_p99 = p50_p99([way.received - way.sent for way in ways], 1e3)
    inside_p50, inside_p99 = p50_p99([way.logged - way.fed for way in ways], 1e3)
    return {
        "tick_to_order_p50_us": order_p50,
        "tick_to_order_p99_us": order_p99,
        "inside_p50_us": inside_p50,
        "inside_p99_us": inside_p99,
        "order_to_fill_p50_ms": percentile([way.filled - way.decided for way in ways], 0.5) / 1e6,
    }


def _stages(ways: list[Way]) -> dict[str, dict[str, float]]:
    stages = {}
    for name, (begin, end) in STAGES.items():
        took = [getattr(way, end) - getattr(way, begin) for way in ways]
        p50, p99 = p50_p99(took, 1e3)
        stages[name] = {"p50": p50, "p99": p99}
    return stages


def _trade(folder: Path, counts: Counts, *, pinned: bool) -> tuple[list[Way], dict[str, Any]]:
    """Run the system once; return its orders and what else was seen."""
    settings = system.config(folder / "data", pinned=pinned)
    cpus = _beside_the_hot_path() if pinned else ()
    with venue(Options(symbols=system.VENUE_SYMBOLS, cpus=cpus)) as there:
        rest: dict[str, Any] = {}
        if not pinned:
            rest["bare_websocket_p50_us"] = _bare_round_trip(there, counts)
            rest["details"] = {"same_work": forgetting.after_pauses()}
        root = system.spec(settings, there.url, fire_every=_FIRE_EVERY)
        with system.running(settings, root) as heart:
            seen = Record()
            system.wait_until(lambda: bool(collect(there, seen).orders), "the first order")
            system.watch(heart, counts.warm_up_secs)
            begin_ns = collect(there, seen).now_ns
            system.watch(heart, counts.trading_secs)
            end_ns = collect(there, seen).now_ns
            if not pinned:
                memory, details = _memory(heart)
                rest["rss_mb_per_strategy"] = memory
                rest["details"] |= details
            system.watch(heart, 0.5)
            collect(there, seen)
    if not pinned:
        commits = [took_ns for took_ns, _ in read_notes(settings.system.data_dir, "journal")]
        rest["postgres_commit_p99_ms"] = percentile(commits, 0.99) / 1e6
        publishes = read_notes(settings.system.data_dir, "publisher")
        rest["redis_publish_p99_ms"] = percentile(publishes, 0.99) / 1e6
    ways = [way for way in _ways(settings.system.data_dir, seen) if begin_ns <= way.sent <= end_ns]
    return ways, rest


def _beside_the_hot_path() -> tuple[int, ...]:
    """Return where the venue runs: it is another computer, which no real-time thread of ours stops.

    Empty where there is no other processor.
    """
    return tuple(sorted(os.sched_getaffinity(0))[:-1])


def collect(there: VenueProcess, seen: Record) -> Record:
    """Add what the venue has noted since."""
    new = there.record()
    seen.trades |= new.trades
    seen.orders |= new.orders
    seen.now_ns = new.now_ns
    return seen


def _ways(data_dir: Path, seen: Record) -> Iterator[Way]:
    """Join what the venue, the logs and the order actor know of each order that was filled."""
    logged = read_notes(data_dir, "order")
    initialized: dict[str, int] = {}
    filled: dict[str, int] = {}
    approved: dict[str, int] = {}
    for record in read_log(log_path(data_dir, "order:SIM"), types=OrderEvent):
        if isinstance(record.event, OrderInitialized):
            initialized[record.event.order.client_order_id] = record.event.ts_event
        elif isinstance(record.event, OrderFilled):
            filled.setdefault(record.event.client_order_id, record.ts_ns)
    for record in read_log(log_path(data_dir, "risk"), types=RiskEvent):
        if isinstance(record.event, OrderApproved):
            approved[record.event.order.client_order_id] = record.ts_ns
    for symbol in system.SYMBOLS:
        for record in read_log(log_path(data_dir, system.strategy_of(symbol)), types=SignalRaised):
            signal = record.event
            key = signal.client_order_id
            sent = seen.trades.get(f"{venue_symbol_of(symbol)}:{signal.cause.partition(':')[2]}")
            if sent is None or key not in seen.orders or key not in filled or key not in logged:
                continue
            after = {reading.name: int(reading.value) for reading in signal.readings}
            yield Way(
                sent=sent,
                fed=signal.ts_event + after["feed_ns"],
                seen=signal.ts_event + after["strategy_ns"],
                decided=signal.ts_init,
                checking=approved[key],
                initialized=initialized[key],
                logged=logged[key],
                received=seen.orders[key],
                filled=filled[key],
            )


def _memory(heart: Heart) -> tuple[float, dict[str, float]]:
    names = [system.strategy_of(symbol) for symbol in system.SYMBOLS]
    pids = [system.node(heart, name).pid for name in names]
    infos = [psutil.Process(pid).memory_full_info() for pid in pids]
    rss_bytes = sum(info.rss for info in infos) / len(infos)
    pss_bytes = sum(info.pss for info in infos) / len(infos)
    return rss_bytes / _MEGABYTE, {"pss_mb_per_strategy": pss_bytes / _MEGABYTE}


def _bare_round_trip(there: VenueProcess, counts: Counts) -> float:
    there.record()
    url = "ws" + there.url.removeprefix("http") + "/bare"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer_ticks(url, counts.bare_websocket_secs))
    return percentile(there.record().round_trips, 0.5) / 1e3


async def _answer_ticks(url: str, secs: float) -> None:
    loop = asyncio.get_running_loop()
    uri = parse_uri(url)
    client = _BareClient(ClientProtocol(uri))
    transport, _ = await loop.create_connection(lambda: client, uri.host, uri.port)
    await asyncio.sleep(secs)
    transport.close()
    await asyncio.sleep(0.05)


class _BareClient(asyncio.Protocol):
    """Sends each tick's text back as if it were an order, and does nothing else."""

    def __init__(self, websocket: ClientProtocol) -> None:
        self._websocket = websocket
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._websocket.send_request(self._websocket.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._websocket.send_text(bytes(event.data))
        self._flush()

    def _flush(self) -> None:
        for out in self._websocket.data_to_send():
            if out:
                self._transport.write(out)
