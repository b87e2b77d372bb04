"""Many days, in two processes, and the sum of what came of their orders."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tests.oracle.day import Day
from tests.oracle.pair import Tally

ORDERS_PER_DAY = 500
PROCESSES = 2
WRONG_DENIALS_PER_VALID = 1 / 10_000


def live(day: tuple[int, int]) -> Tally:
    """Live one day: its seed and how many orders it has."""
    tally = Tally()
    Day(day[0], tally).run(day[1])
    return tally


def tally_of(orders: int, seed: int, processes: int = PROCESSES) -> Tally:
    """Return what came of so many orders; the first seed of the days is ``seed * 1,000,000``."""
    days = [
        (seed * 1_000_000 + index, min(ORDERS_PER_DAY, orders - first))
        for index, first in enumerate(range(0, orders, ORDERS_PER_DAY))
    ]
    total = Tally()
    if processes == 1:
        for day in days:
            total.add(live(day))
        return total
    # Not a Pool, because that waits forever for a worker that cannot start.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for tally in pool.map(live, days, chunksize=8):
            total.add(tally)
    return total


def is_passed(tally: Tally) -> bool:
    few = sum(tally.wrong_denials.values()) < tally.valid * WRONG_DENIALS_PER_VALID
    wrong = (tally.wrong_passes, tally.wrong_reasons, tally.wrong_numbers, tally.wrong_acts)
    return few and not any(wrong)


def result_of(tally: Tally) -> dict[str, Any]:
    return {
        "orders": tally.orders,
        "valid": tally.valid,
        "denied": sum(tally.denied.values()),
        "denied_by_reason": dict(tally.denied.most_common()),
        "wrong_denials": sum(tally.wrong_denials.values()),
        "wrong_denials_by_reason": dict(tally.wrong_denials.most_common()),
        "wrong_passes": sum(tally.wrong_passes.values()),
        "wrong_passes_by_reason": dict(tally.wrong_passes.most_common()),
        "wrong_reasons": sum(tally.wrong_reasons.values()),
        "wrong_reasons_by_reason": dict(tally.wrong_reasons.most_common()),
        "wrong_numbers": sum(tally.wrong_numbers.values()),
        "wrong_numbers_by_reason": dict(tally.wrong_numbers.most_common()),
        "wrong_acts": sum(tally.wrong_acts.values()),
    }
