"""Recorded frames: a spot session through the feed, unpaced, and what deflate costs and saves.

Reads ``KRATOR_TEST_DATA``; where there is none, a generated session stands in, and ``details`` says
so. The venue is the simulated one's replay, a process of its own; for deflate it is a server in
another thread, because only this thread's processor time counts.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websockets.sync.server

from krator_actors.adapters.session import Session
from krator_actors.config import VenueConfig
from krator_actors.feed import FeedActor, FeedConfig
from krator_actors.market_line import MarketLine
from krator_actors.messages.market import BookTop, QuoteTick, TradeTick
from supervisors.testing import ActorHarness
from tests.benchmarks.measure import ROOT, Counts

_DATA = Path(os.environ.get("KRATOR_TEST_DATA", ROOT.parent / "shared/data"))
_SESSIONS = _DATA / "protocol" / "binance" / "live_20240808"
_UNPACED = "1000000"
_BEGIN_MS = 1_723_161_255_000


def run(counts: Counts) -> dict[str, Any]:
    """Return what is measured on recorded frames."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines, source = _take(folder, counts.replay_lines)
        frames = _frames(folder)[: counts.feed_round_trips]
        rate, told = asyncio.run(_replay(folder))
        plain, deflated = (
            asyncio.run(_Wire(frames, compression=compression).measured())
            for compression in (False, True)
        )
    return {
        "replay_spot_frames_per_second": rate,
        "feed_deflate_bytes_share": deflated["bytes"] / plain["bytes"],
        "feed_deflate_cpu_us": deflated["cpu_us"] - plain["cpu_us"],
        "feed_deflate_latency_us": deflated["latency_us"] - plain["latency_us"],
        "details": {
            "recorded": {"source": source, "lines": lines, "told": told},
            "deflate_off": plain,
            "deflate_on": deflated,
        },
    }


def _take(folder: Path, limit: int) -> tuple[int, str]:
    """Write the beginning of each recorded file there; return how much it is, and of what."""
    files = sorted(_SESSIONS.glob("spot_*.jsonl.gz"))
    if not files:
        _generate(folder / "spot_btcusdt.jsonl.gz", limit)
        return limit, "generated"
    lines = 0
    for path in files:
        with gzip.open(path, "rb") as there, gzip.open(folder / path.name, "wb", 1) as here:
            for line, _ in zip(there, range(limit), strict=False):
                here.write(line)
                lines += 1
    return lines, "recorded"


def _generate(path: Path, count: int) -> None:
    """A quote and a trade in turn, and a book that is only its snapshot."""
    with gzip.open(path, "wt") as file:

        def write(number: int, data: object, **line: object) -> None:
            ts_ns = (_BEGIN_MS + number * 10) * 1_000_000
            file.write(json.dumps({"ts_ns": ts_ns, **line, "data": json.dumps(data)}) + "\n")

        book = {"lastUpdateId": 1, "bids": [["90.00", "50"]], "asks": [["110.00", "50"]]}
        write(0, book, dir="http", url="https://x/api/v3/depth?symbol=BTCUSDT")
        for number in range(1, count):
            price = 100 + math.sin(number / 500)
            bid, ask = f"{price - 0.01:.2f}", f"{price + 0.01:.2f}"
            data: dict[str, Any] = {"u": number, "b": bid, "B": "9", "a": ask, "A": "9"}
            if number % 2:
                made_ms = _BEGIN_MS + number * 10
                data = {"t": number // 2, "p": f"{price:.2f}", "q": "1", "T": made_ms, "m": False}
            kind = "trade" if number % 2 else "bookTicker"
            frame = {"stream": f"btcusdt@{kind}", "data": {"s": "BTCUSDT", **data}}
            write(number, frame, dir="recv")


def _frames(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.gz")):
        records = map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
        found += [record["data"] for record in records if record["dir"] == "recv"]
    return found


# -- the feed --------------------------------------------------------------------------------------


async def _replay(folder: Path) -> tuple[float, dict[str, int]]:
    """From the first frame that the feed has handled to the last, of all that are sent to it."""
    symbols = [path.name.removeprefix("spot_").partition(".")[0] for path in folder.glob("*.gz")]
    ours = tuple(f"{s.removesuffix('usdt').upper()}-USDT.SIM" for s in sorted(symbols))
    times: list[float] = []
    take = MarketLine._on_frame

    def timed(line: MarketLine, frame: bytes) -> None:
        take(line, frame)
        times.append(time.perf_counter())

    MarketLine._on_frame = timed  # type: ignore[assignment, method-assign] # only for the clock
    config = VenueConfig(books=True, quote_stale_secs=600.0, trade_stale_secs=600.0)
    try:
        with _exchange(folder) as url:
            feed = FeedConfig(
                venue=config, url=url, symbols=ours, routes={s: (f"strategy:{s}/x",) for s in ours}
            )
            async with ActorHarness(FeedActor, name="feed:SIM", config=feed) as harness:
                await harness.eventually(lambda: bool(times), timeout_secs=60)
                seen = -1
                while seen != len(times):
                    seen = len(times)
                    await asyncio.sleep(0.5)
                told = [message for _, message in harness.told]
                kinds = (TradeTick, QuoteTick, BookTop)
                counts = {k.__name__: sum(isinstance(m, k) for m in told) for k in kinds}
    finally:
        MarketLine._on_frame = take  # type: ignore[method-assign]
    return (len(times) - 1) / (times[-1] - times[0]), {"frames": len(times), **counts}


@contextmanager
def _exchange(folder: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as data_dir:
        command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", data_dir]
        command += ["--replay", str(folder), "--speed", _UNPACED]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


# -- deflate ---------------------------------------------------------------------------------------


class _Wire:
    """One frame after the other from a server in another thread to a session in this one."""

    def __init__(self, frames: Sequence[str], *, compression: bool) -> None:
        self._frames = frames
        self._compression = compression
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._sent_at = 0.0
        self._bytes = 0

    async def measured(self) -> dict[str, float]:
        """Bytes, this thread's processor time, and the way to the callback: each of one frame."""
        ready, received = asyncio.Event(), asyncio.Event()
        took: list[float] = []

        async def connected() -> None:
            ready.set()

        def receive(_frame: bytes) -> None:
            took.append(time.perf_counter() - self._sent_at)
            received.set()

        compression = "deflate" if self._compression else None
        with websockets.sync.server.serve(
            self._speak, "127.0.0.1", 0, compression=compression
        ) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            session = Session(
                f"ws://127.0.0.1:{server.socket.getsockname()[1]}/",
                on_connected=connected,
                on_text=receive,
                on_disconnected=lambda _reason: None,
                compression=self._compression,
            )
            task = asyncio.create_task(session.run())
            await ready.wait()
            self._count_bytes(session)
            began = time.thread_time()
            for _ in self._frames:
                received.clear()
                self._turns.put(True)
                await received.wait()
            cpu = time.thread_time() - began
            self._turns.put(False)
            await session.close()
            await task
            server.shutdown()
            thread.join()
        count = len(self._frames)
        return {
            "bytes": self._bytes / count,
            "cpu_us": cpu / count * 1e6,
            "latency_us": statistics.median(took) * 1e6,
        }

    def _speak(self, connection: websockets.sync.server.ServerConnection) -> None:
        for frame in self._frames:
            if not self._turns.get():
                return
            self._sent_at = time.perf_counter()
            connection.send(frame)
        self._turns.get()

    def _count_bytes(self, session: Session) -> None:
        connection: Any = session._connection
        for name in ("_cut", "_parse"):
            connection.__dict__[name] = self._counted(getattr(connection, name))

    def _counted(self, read: Any) -> Any:
        def counted(data: bytes) -> None:
            self._bytes += len(data)
            read(data)

        return counted
