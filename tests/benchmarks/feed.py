"""The feed: frames a second, recovery of a cut connection, 1,000 connections.

In one process with the venue, so each number is of both; the venue only sends prepared frames.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil
from websockets.asyncio.server import ServerConnection, serve

from krator_actors.adapters.session import ReconnectPolicy, Session
from krator_actors.messages.market import MarketStatus, QuoteTick
from supervisors.messages import Message
from tests.actors.faulty_venue import FaultyVenue
from tests.actors.feed_scene import SMA, feed_of, told
from tests.benchmarks.measure import Counts

_CONNECTIONS = 1_000
_BURST = 100
_LIMIT_SECS = 20.0
"""what takes longer has gone wrong"""


def run(counts: Counts) -> dict[str, Any]:
    """Return all keys of the feed."""
    return asyncio.run(_run(counts))


async def _run(counts: Counts) -> dict[str, Any]:
    connections = min(_CONNECTIONS, counts.feed_connections)
    rss_mb, latency_ms = await _many_connections(connections)
    return {
        "feed_frames_per_second": await _frames_per_second(counts.feed_frames),
        "feed_recovery_p50_ms": await _recovery_ms(counts.feed_recoveries),
        "connections_1000_rss_mb": rss_mb,
        "connections_1000_latency_p50_ms": latency_ms,
        "details": {"connections": connections},
    }


async def _frames_per_second(count: int) -> float:
    """Quotes from the socket to the tells for two receivers."""
    venue = FaultyVenue()
    async with venue.serve(), feed_of(venue.url) as feed:
        await feed.eventually(lambda: bool(venue.connections))
        began = time.perf_counter()
        for _ in range(count // _BURST):
            for _ in range(_BURST):
                await venue.quote()
            await asyncio.sleep(0)
        sent = count // _BURST * _BURST
        await feed.eventually(
            lambda: len(feed.actor._teller.queue) == 0 and _quotes(feed) >= sent, timeout_secs=60
        )
        return sent / (time.perf_counter() - began)


def _quotes(feed: Any) -> int:
    return len(told(feed, SMA, QuoteTick))


async def _recovery_ms(count: int) -> float:
    """From the cut to the first quote that is told as fresh; the first retry is at once."""
    venue = FaultyVenue()
    samples = []
    async with venue.serve(), venue.trading(period_secs=0.001), feed_of(venue.url) as feed:
        # A healthy connection is tried again at once, and these do not live long enough for that.
        feed.actor._lines._lines[0]._session._reconnect = ReconnectPolicy(
            healthy_secs=0.0, storm_attempts=1_000
        )
        watch = next(iter(feed.actor._watches.values()))
        fresh = asyncio.Event()
        known = 0
        put = watch._put

        def note(receivers: Sequence[str], message: Message) -> None:
            # What came over the old connection is still told for a while.
            is_new = len(venue.connections) > known
            if is_new and isinstance(message, MarketStatus) and message.fresh:
                fresh.set()
            put(receivers, message)

        watch._put = note
        await feed.eventually(lambda: watch.told == "LIVE", timeout_secs=20)
        for cut in range(1, count + 1):
            fresh.clear()
            known = len(venue.connections)
            cut_at = time.perf_counter()
            venue.connections[-1].transport.abort()
            async with _in_time(f"the feed has a fresh quote again after cut {cut}"):
                await fresh.wait()
            samples.append(time.perf_counter() - cut_at)
    return statistics.median(samples) * 1_000


@asynccontextmanager
async def _in_time(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_LIMIT_SECS):
            yield
    except TimeoutError:
        raise AssertionError(f"not within {_LIMIT_SECS:g} s: {what}") from None


async def _many_connections(count: int) -> tuple[float, float]:
    """What so many sessions add to this process (the venue's half included), and their latency."""
    frame = json.dumps({"stream": "btcusdt@bookTicker", "data": {"u": 1, "b": "1", "a": "2"}})
    hosts: list[ServerConnection] = []
    latencies: list[float] = []
    sent_at = 0.0

    async def hold(connection: ServerConnection) -> None:
        hosts.append(connection)
        await connection.wait_closed()

    async def nothing() -> None:
        pass

    def receive(_frame: bytes) -> None:
        latencies.append(time.perf_counter() - sent_at)

    process = psutil.Process()
    async with serve(
        hold, "127.0.0.1", 0, ping_interval=None, compression=None, backlog=count
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        before = process.memory_info().rss
        sessions = [
            Session(
                f"ws://127.0.0.1:{port}/",
                on_connected=nothing,
                on_text=receive,
                on_disconnected=lambda _reason: None,
            )
            for _ in range(count)
        ]
        tasks = [asyncio.create_task(session.run()) for session in sessions]
        async with _in_time(f"all {count} sessions are connected"):
            while len(hosts) < count:
                await asyncio.sleep(0.01)
        rss_mb = (process.memory_info().rss - before) / 1e6
        for host in hosts:
            heard = len(latencies)
            sent_at = time.perf_counter()
            async with _in_time("a session has its frame"):
                await host.send(frame)
                while len(latencies) == heard:
                    await asyncio.sleep(0)
        for session in sessions:
            await session.close()
        await asyncio.gather(*tasks)
    return rss_mb, statistics.median(latencies) * 1_000
