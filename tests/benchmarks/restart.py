"""SIGKILL of a stateless worker, until its replacement answers somebody outside."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from supervisors.breaker import BreakerSettings, CircuitBreaker
from supervisors.client import Client
from supervisors.heart import Heart
from supervisors.messages import ActorError
from supervisors.process import process_state, resident_bytes
from tests.benchmarks.echo import Me, WhoAreYou
from tests.benchmarks.hop import players
from tests.benchmarks.measure import Counts, p50_p99, percentile, short_folder

_QUIET_SECS = 0.05
_LIMIT_SECS = 10.0
_SETTLE_SECS = 1.0


def run(counts: Counts) -> dict[str, Any]:
    forks = [_fork() for _ in range(counts.forks)]
    # No budget, so that each restart is at once: a backoff is not what is measured.
    with short_folder() as folder, players(folder, None) as heart:
        # What is made once, e.g. imported, is there after some of them.
        asyncio.run(_kill_again_and_again(folder / "run", max(10, counts.restarts // 10)))
        before = Held.now(heart)
        restarts_ns = asyncio.run(_kill_again_and_again(folder / "run", counts.restarts))
        after = Held.now(heart)
    p50, p99 = p50_p99(restarts_ns, 1e6)
    with short_folder() as folder, players(folder, None, spare=True) as heart:
        spares_ns = asyncio.run(
            _kill_again_and_again(folder / "run", counts.spares, lambda pid: _has_spare(heart, pid))
        )
    spare_p50, spare_p99 = p50_p99(spares_ns, 1e6)
    return {
        "spare_p50_ms": spare_p50,
        "spare_p99_ms": spare_p99,
        "breaker_call_us": asyncio.run(_breaker_call_us(counts.breaker_calls)),
        "restart_p50_ms": p50,
        "restart_p99_ms": p99,
        "leaked_fds": after.descriptors - before.descriptors,
        "zombies": after.zombies,
        "supervisor_growth_mb": (after.resident - before.resident) / 2**20,
        "bare_fork_p50_ms": percentile([fork.answered_ns for fork in forks], 0.5) / 1e6,
        "bare_death_p50_ms": percentile([fork.dead_ns for fork in forks], 0.5) / 1e6,
    }


class Held(NamedTuple):
    """What the supervisor of the killed holds."""

    descriptors: int
    zombies: int
    resident: int
    """bytes"""

    @classmethod
    def now(cls, heart: Heart) -> Held:
        """Look, once the last death has been digested."""
        time.sleep(_SETTLE_SECS)
        heart.poll()
        root = heart.status().pid
        assert root is not None
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
        return cls(
            descriptors=len(list(Path(f"/proc/{root}/fd").iterdir())),
            zombies=sum(process_state(int(pid)) == "Z" for pid in children),
            resident=resident_bytes(root),
        )


async def _kill_again_and_again(
    runtime: Path, count: int, may_die: Callable[[int], bool] = lambda _pid: True
) -> list[int]:
    took_ns = []
    async with Client(runtime, name="bench") as client:
        me = await client.ask("pong", WhoAreYou(), Me, timeout_secs=5.0)
        for _ in range(count):
            await asyncio.sleep(_QUIET_SECS)
            while not may_die(me.pid):
                await asyncio.sleep(_QUIET_SECS)
            killed_ns = time.monotonic_ns()
            os.kill(me.pid, signal.SIGKILL)
            me = await _next(client, me)
            took_ns.append(time.monotonic_ns() - killed_ns)
    return took_ns


def _has_spare(heart: Heart, pid: int) -> bool:
    """Whether the actor that runs as this process has a warm spare by now."""
    heart.poll()
    return any(node.pid == pid and node.spare_pid is not None for node in heart.status().workers())


async def _next(client: Client, before: Me) -> Me:
    """Return what the next incarnation answers."""
    deadline = time.monotonic() + _LIMIT_SECS
    while True:
        assert time.monotonic() < deadline, "nobody took its place"
        try:
            me = await client.ask("pong", WhoAreYou(), Me, timeout_secs=5.0)
        except ActorError:
            continue  # it died with the question
        if me.generation > before.generation:
            return me


async def _breaker_call_us(count: int) -> float:
    """What a closed breaker costs a call that does nothing, over the same call without it."""
    breaker = CircuitBreaker("bench", BreakerSettings())

    async def nothing() -> None:
        return

    async def each_ns(call: Callable[[], Awaitable[None]]) -> float:
        began_ns = time.perf_counter_ns()
        for _ in range(count):
            await call()
        return (time.perf_counter_ns() - began_ns) / count

    bare_ns = await each_ns(nothing)
    return (await each_ns(lambda: breaker.call(nothing)) - bare_ns) / 1e3


class Fork(NamedTuple):
    """Nanoseconds from SIGKILL."""

    dead_ns: int
    """until the kernel says that the process has ended, which no warm spare can beat"""
    answered_ns: int
    """until its replacement has answered, which no supervisor can beat"""


def _fork() -> Fork:
    """Kill a forked process as large as this one, fork another, and have it answer."""
    ours, theirs = socket.socketpair()
    victim = os.fork()
    if not victim:
        signal.pause()
    pidfd = os.pidfd_open(victim)
    began_ns = time.monotonic_ns()
    os.kill(victim, signal.SIGKILL)
    select.select([pidfd], [], [])
    dead_ns = time.monotonic_ns() - began_ns
    os.waitpid(victim, 0)
    successor = os.fork()
    if not successor:
        theirs.send(b"!")
        os._exit(0)
    ours.recv(1)
    answered_ns = time.monotonic_ns() - began_ns
    os.waitpid(successor, 0)
    for each in (ours, theirs):
        each.close()
    os.close(pidfd)
    return Fork(dead_ns, answered_ns)
