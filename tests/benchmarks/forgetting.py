"""How much slower the same work is when the processor has done something else for a while.

An order is rare, so each actor on its way runs what the caches have forgotten meanwhile, also when
nothing else of ours runs: other machines share them. This tells how much of a latency that is.
"""

from __future__ import annotations

import json
import statistics
import time
from decimal import Decimal

PAUSES_MS = (1, 4, 30)
_ROUNDS = 60
_WARM_ROUNDS = 500


def after_pauses() -> dict[str, float]:
    """Return p50 of the work's time after a pause, in units of its time back to back; by pause.

    In the pauses this process spins and touches nothing, so that the core neither sleeps nor runs
    anything else.
    """
    for _ in range(_WARM_ROUNDS):
        _took_ns()
    warm_ns = statistics.median(_took_ns() for _ in range(_WARM_ROUNDS))
    return {
        f"after_{pause_ms}_ms": statistics.median(_after_ns(pause_ms) for _ in range(_ROUNDS))
        / warm_ns
        for pause_ms in PAUSES_MS
    }


def _after_ns(pause_ms: int) -> int:
    until_ns = time.perf_counter_ns() + pause_ms * 1_000_000
    while time.perf_counter_ns() < until_ns:
        pass
    return _took_ns()


def _took_ns() -> int:
    began_ns = time.perf_counter_ns()
    _work()
    return time.perf_counter_ns() - began_ns


def _work() -> str:
    """Run about as much interpreted code as an actor does for an order."""
    price = Decimal("1.25")
    for factor in range(6):
        price = (price * 3 + factor) / 2
    levels = [{f"level{number}": number * 1.5, "id": "x" * number} for number in range(12)]
    # With an indent json encodes in Python, not in C.
    return json.dumps({"price": str(price), "levels": levels}, indent=1)
