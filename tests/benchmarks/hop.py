"""One hop, actor to actor, back to back; and how many messages a lane carries."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisors.client import Client
from supervisors.heart import Heart
from supervisors.spec import Budget, ChildSpec, SupervisorSpec
from tests.benchmarks.echo import Burst, Measure, Measured
from tests.benchmarks.measure import Counts, p50_p99, short_folder

_WARM_UP_HOPS = 1_000
_LIMIT_SECS = 120.0


def run(counts: Counts) -> dict[str, Any]:
    hops_ns, rate = _play(counts, cpu=None)
    p50, p99 = p50_p99(hops_ns, 1e3)
    pinned_p50, pinned_p99 = p50_p99(_play(counts, cpu=max(os.sched_getaffinity(0)))[0], 1e3)
    return {
        "hop_p50_us": p50,
        "hop_p99_us": p99,
        "lane_messages_per_second": rate,
        "pinned": {"hop_p50_us": pinned_p50, "hop_p99_us": pinned_p99},
    }


@contextlib.contextmanager
def players(folder: Path, cpu: int | None, **fields: Any) -> Iterator[Heart]:
    """Two players under a heart, each other's partner."""
    children = tuple(
        ChildSpec(name=name, actor="tests.benchmarks.echo:Player", config=other, cpu=cpu, **fields)
        for name, other in (("ping", "pong"), ("pong", "ping"))
    )
    heart = Heart(
        SupervisorSpec(name="root", children=children, intensity=1_000_000),
        runtime=folder / "run",
        state_dir=folder / "state",
        crash_dir=folder / "crash",
        budget=Budget(),
    )
    heart.start()
    try:
        yield heart
    finally:
        heart.stop()


def _play(counts: Counts, cpu: int | None) -> tuple[list[int], float]:
    with short_folder() as folder, players(folder, cpu):
        return asyncio.run(_measure(folder / "run", counts))


async def _measure(runtime: Path, counts: Counts) -> tuple[list[int], float]:
    async with Client(runtime, name="bench") as client:
        await _hops(client, _WARM_UP_HOPS)
        hops_ns = await _hops(client, counts.hops)
        await client.tell("ping", Measure(burst=counts.burst_messages))
        measured = Measured()
        deadline = time.monotonic() + _LIMIT_SECS
        while not measured.messages_per_sec:
            assert time.monotonic() < deadline, "the burst did not arrive"
            await asyncio.sleep(0.2)
            question = Burst(count=counts.burst_messages)
            measured = await client.ask("pong", question, Measured, timeout_secs=60.0)
        return hops_ns, measured.messages_per_sec


async def _hops(client: Client, count: int) -> list[int]:
    """Let them play so many hops; return how long each took, of both directions."""
    await client.tell("ping", Measure(hops=count))
    samples: list[int] = []
    deadline = time.monotonic() + _LIMIT_SECS
    while len(samples) < count:
        assert time.monotonic() < deadline, f"{len(samples)} of {count} hops arrived"
        await asyncio.sleep(0.2)
        for name in ("ping", "pong"):
            answer = await client.ask(name, Measured(), Measured, timeout_secs=10.0)
            samples += answer.hops_ns
    return samples
