"""What it costs to keep a message's handling time and age: on every message of every actor."""

from __future__ import annotations

import time
from typing import Any

from krator_actors.messages.market import TradeTick
from krator_actors.messages.orders import OrderSubmitted
from krator_actors.model import OrderSide
from supervisors.observation import Observer
from tests.benchmarks.measure import Counts

_CALLS = 20_000
_REPEATS = 25


def run(_counts: Counts) -> dict[str, Any]:
    aged = TradeTick(
        symbol="BTC-USDT.SIM",
        price=1,  # type: ignore[arg-type] # nobody looks at it
        size=1,  # type: ignore[arg-type] # as the price
        aggressor=OrderSide.BUY,
        trade_id=1,
        ts_event=1,
        ts_init=time.time_ns(),
    )
    plain = OrderSubmitted(client_order_id="a", symbol="BTC-USDT.SIM", ts_event=1)
    with_age, without = _nanoseconds(aged), _nanoseconds(plain)
    return {"observe_message_ns": without, "observe_age_ns": with_age - without}


def _nanoseconds(message: object) -> float:
    """Return the cheapest repeat, of processor time: the others were disturbed."""
    observer = Observer()
    began, took = time.monotonic(), []
    for _ in range(_REPEATS):
        start = time.thread_time_ns()
        for _ in range(_CALLS):
            observer.note(message, "sender", began)
        took.append((time.thread_time_ns() - start) / _CALLS)
    return min(took)
