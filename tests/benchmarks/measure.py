"""Counts, percentiles, and the processes that a benchmark starts beside the system."""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.benchmarks.venue import Options, Record

ROOT = Path(__file__).parent.parent.parent


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured: for a p99 in ``FULL``, to see that it works in ``TINY``."""

    hops: int = 20_000
    burst_messages: int = 300_000
    thespian_hops: int = 1_000
    warm_up_secs: float = 2.0
    bare_websocket_secs: float = 5.0
    trading_secs: float = 25.0
    risk_symbols: int = 200
    risk_open_orders: int = 1_000
    risk_checks: int = 3_000
    flood_secs: float = 60.0
    bare_flood_secs: float = 10.0
    indicator_values: int = 1_000
    """bars, as many as a strategy has to warm up with"""
    forks: int = 100
    restarts: int = 1_000
    spares: int = 200
    subtrees: int = 100
    """SIGKILLs of a supervisor with another one and four workers below it"""
    hangs: int = 20
    log_calls: int = 20_000
    redact_bytes: int = 4_000_000
    breaker_calls: int = 100_000
    recovery_rounds: int = 6
    """SIGKILLs of each of feed, strategy, risk and order"""
    recovery_events: int = 1_000_000
    """records in the order actor's log, and in the journal, before the first kill"""
    journal_events: int = 100_000
    """records that wait in a log when the journal starts"""
    journal_secs: float = 10.0
    journal_bulk_rows: int = 100_000
    rebuild_events: int = 200_000
    """in the journal, of an order log that is gone"""
    open_orders: int = 1_000
    """placed one after the other, then all of them reconciled"""
    reconciliations: int = 5
    decodes: int = 20_000
    """of each kind of frame of each venue"""
    feed_frames: int = 30_000
    feed_recoveries: int = 30
    feed_connections: int = 1_000
    feed_round_trips: int = 2_000


FULL = Counts()
QUICK = Counts(
    hops=5_000,
    burst_messages=100_000,
    thespian_hops=300,
    bare_websocket_secs=2.0,
    trading_secs=8.0,
    risk_checks=1_000,
    flood_secs=10.0,
    bare_flood_secs=4.0,
    forks=30,
    restarts=100,
    spares=30,
    subtrees=20,
    hangs=5,
    log_calls=5_000,
    redact_bytes=1_000_000,
    breaker_calls=30_000,
    recovery_rounds=2,
    recovery_events=10_000,
    journal_events=30_000,
    journal_secs=4.0,
    journal_bulk_rows=50_000,
    reconciliations=3,
    decodes=5_000,
    feed_frames=3_000,
    feed_recoveries=5,
    feed_round_trips=300,
    feed_connections=1_000,
)
TINY = Counts(
    hops=50,
    warm_up_secs=0.2,
    burst_messages=500,
    thespian_hops=10,
    bare_websocket_secs=0.3,
    trading_secs=2.0,
    risk_symbols=5,
    risk_open_orders=10,
    risk_checks=20,
    flood_secs=1.0,
    bare_flood_secs=0.5,
    forks=3,
    log_calls=100,
    redact_bytes=20_000,
    restarts=3,
    spares=3,
    subtrees=2,
    hangs=1,
    breaker_calls=100,
    recovery_rounds=1,
    recovery_events=100,
    journal_events=200,
    journal_secs=0.3,
    journal_bulk_rows=50,
    open_orders=10,
    reconciliations=1,
    decodes=50,
    feed_frames=3_000,
    feed_recoveries=5,
    feed_round_trips=300,
    feed_connections=1_000,
)
COUNTS = {"full": FULL, "quick": QUICK, "tiny": TINY}


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; ``share`` 0.99 is p99. ValueError without samples."""
    if not samples:
        raise ValueError("nothing was measured")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def p50_p99(samples: Sequence[float], unit: float) -> tuple[float, float]:
    """Return both percentiles, divided by ``unit``."""
    return percentile(samples, 0.5) / unit, percentile(samples, 0.99) / unit


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="krb", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class VenueProcess:
    """The venue's process, seen from the benchmark."""

    def __init__(self, url: str) -> None:
        self.url = url

    def record(self) -> Record:
        """Return what it has noted since the last call."""
        with urllib.request.urlopen(f"{self.url}/bench/record", timeout=10) as answer:
            return msgspec.json.decode(answer.read(), type=Record)


@contextlib.contextmanager
def venue(options: Options) -> Iterator[VenueProcess]:
    """Run a venue as long as the context."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.venue",
        msgspec.json.encode(options).decode(),
    ]
    with child(command) as process:
        assert process.stdout is not None
        yield VenueProcess(process.stdout.readline().decode().strip())


@contextlib.contextmanager
def child(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process as long as the context; its standard output is a pipe."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
