"""Ticks through feed and strategies, as many as go, against a bare receive-decode-send loop.

The venue never has more than ``IN_FLIGHT_LIMIT`` ticks under way that nobody has counted, so
nothing is left out: what is counted is sustained.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from supervisors.heart import Heart
from tests.benchmarks import system
from tests.benchmarks.measure import Counts, child, short_folder, venue
from tests.benchmarks.venue import Options

_COUNTING = {
    "krator_actors.strategy:StrategyActor": "tests.benchmarks.timed_actors:CountingStrategyActor"
}
_MEGABYTE = 2**20


def run(counts: Counts) -> dict[str, Any]:
    with short_folder() as folder:
        bare = _bare(folder, counts)
        sustained, growth_mb = _system(folder, counts)
    return {
        "ticks_per_second_sustained": sustained,
        "ticks_per_second_bare": bare,
        "details": {"sustained_rss_growth_mb": growth_mb, "sustained_secs": counts.flood_secs},
    }


def _system(folder: Path, counts: Counts) -> tuple[float, float]:
    settings = system.config(folder)
    counter = _counter(folder, len(system.SYMBOLS))
    for place, symbol in enumerate(system.SYMBOLS):
        os.environ[f"KRATOR_BENCH_{symbol}"] = str(place)
    options = Options(symbols=system.VENUE_SYMBOLS, ticks_per_sec=0, counter=str(counter))
    with venue(options) as there:
        root = system.spec(settings, there.url, actors=_COUNTING, fire_every=None)
        with system.running(settings, root) as heart:
            system.wait_until(lambda: _read(counter) > 0, "the first tick")
            system.watch(heart, counts.warm_up_secs)
            rss = _rss_mb(heart)
            begin, began = _read(counter), time.monotonic()
            system.watch(heart, counts.flood_secs)
            rate = (_read(counter) - begin) / (time.monotonic() - began)
            return rate, _rss_mb(heart) - rss


def _bare(folder: Path, counts: Counts) -> float:
    counter = _counter(folder, 1)
    options = Options(symbols=system.VENUE_SYMBOLS, ticks_per_sec=0, counter=str(counter))
    with venue(options) as there:
        command = [sys.executable, "-m", "tests.benchmarks.bare_loop", there.url, str(counter)]
        with child(command) as process:
            system.wait_until(lambda: _moves(process, counter), "the first tick")
            time.sleep(counts.warm_up_secs)
            begin, began = _read(counter), time.monotonic()
            time.sleep(counts.bare_flood_secs)
            return (_read(counter) - begin) / (time.monotonic() - began)


def _moves(process: subprocess.Popen[bytes], counter: Path) -> bool:
    assert process.poll() is None, "the bare loop ended"
    return _read(counter) > 0


def _counter(folder: Path, places: int) -> Path:
    path = folder / "counter"
    path.write_bytes(bytes(8 * places))
    return path


def _read(counter: Path) -> int:
    data = counter.read_bytes()
    return sum(struct.unpack(f"<{len(data) // 8}Q", data))


def _rss_mb(heart: Heart) -> float:
    names = ("feed:SIM", *map(system.strategy_of, system.SYMBOLS))
    pids = [system.node(heart, name).pid for name in names]
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / _MEGABYTE
