"""The keys, their limits (ARCHITECTURE.md section 8), and the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from tests.benchmarks.trading import STAGES

KEYS = (
    "hop_p50_us",
    "hop_p99_us",
    "thespian_hop_p50_us",
    "lane_messages_per_second",
    "tick_to_order_p50_us",
    "tick_to_order_p99_us",
    "bare_websocket_p50_us",
    "order_to_fill_p50_ms",
    "inside_p50_us",
    "inside_p99_us",
    "stage_us",
    "pinned",
    "risk_check_p50_us",
    "risk_check_p99_us",
    "ticks_per_second_sustained",
    "ticks_per_second_bare",
    "restart_p50_ms",
    "restart_p99_ms",
    "spare_p50_ms",
    "spare_p99_ms",
    "subtree_dead_p99_ms",
    "hung_found_p50_ms",
    "leaked_fds",
    "zombies",
    "supervisor_growth_mb",
    "breaker_call_us",
    "observe_message_ns",
    "observe_age_ns",
    "trading_again_p50_ms",
    "order_ack_p50_ms",
    "reconcile_1000_orders_ms",
    "bare_fork_p50_ms",
    "bare_death_p50_ms",
    "redact_mb_per_second",
    "log_call_us",
    "redis_publish_p99_ms",
    "postgres_commit_p99_ms",
    "journal_events_per_second",
    "journal_ack_p50_ms",
    "journal_ack_p99_ms",
    "journal_lag_p99_ms",
    "replay_events_per_second",
    "tick_bulk_rows_per_second",
    "tick_executemany_rows_per_second",
    "rss_mb_per_strategy",
    "indicator_values_per_second",
    "pandas_values_per_second",
    "feed_decode_us",
    "feed_frames_per_second",
    "feed_recovery_p50_ms",
    "connections_1000_rss_mb",
    "connections_1000_latency_p50_ms",
)
PINNED_KEYS = (
    "hop_p50_us",
    "hop_p99_us",
    "tick_to_order_p50_us",
    "tick_to_order_p99_us",
    "order_to_fill_p50_ms",
    "inside_p50_us",
    "inside_p99_us",
    "risk_check_p50_us",
    "risk_check_p99_us",
    "stage_us",
)

Numbers = Mapping[str, Any]


class Limit(msgspec.Struct, frozen=True):
    """What a key must not exceed, or reach; a fixed number, or one of the same run."""

    bound: Callable[[Numbers], float]
    text: str
    at_least: bool = False

    def holds(self, value: float, numbers: Numbers) -> bool:
        """True when ``value`` is within."""
        bound = self.bound(numbers)
        return value >= bound if self.at_least else value <= bound


def _most(number: float) -> Limit:
    return Limit(lambda _numbers: number, f"<= {number:g}")


def _most_of(key: str, factor: float) -> Limit:
    return Limit(lambda numbers: factor * numbers[key], f"<= {factor:g} x {key}")


LIMITS: dict[str, tuple[Limit, ...]] = {
    "hop_p50_us": (_most(40), _most_of("thespian_hop_p50_us", 0.1)),
    "hop_p99_us": (_most(200),),
    "tick_to_order_p50_us": (_most(500), _most_of("bare_websocket_p50_us", 3)),
    "tick_to_order_p99_us": (_most(3_000),),
    "risk_check_p50_us": (_most(30),),
    "risk_check_p99_us": (_most(100),),
    "ticks_per_second_sustained": (
        Limit(
            lambda numbers: 0.5 * numbers["ticks_per_second_bare"],
            ">= 0.5 x ticks_per_second_bare",
            at_least=True,
        ),
    ),
    "tick_bulk_rows_per_second": (
        Limit(
            lambda numbers: numbers["tick_executemany_rows_per_second"],
            ">= 1 x tick_executemany_rows_per_second",
            at_least=True,
        ),
    ),
    "restart_p50_ms": (_most(20),),
    "restart_p99_ms": (_most(60),),
    "spare_p50_ms": (_most(2),),
    "subtree_dead_p99_ms": (_most(50),),
    "hung_found_p50_ms": (_most(500),),
    "leaked_fds": (_most(0),),
    "zombies": (_most(0),),
    "supervisor_growth_mb": (_most(5),),
    "trading_again_p50_ms": (_most(250),),
    "redact_mb_per_second": (Limit(lambda _numbers: 1.0, ">= 1", at_least=True),),
    "indicator_values_per_second": (
        Limit(
            lambda numbers: 10 * numbers["pandas_values_per_second"],
            ">= 10 x pandas_values_per_second",
            at_least=True,
        ),
    ),
    "observe_age_ns": (_most(300),),
    "pinned.hop_p50_us": (_most(40),),
    "pinned.hop_p99_us": (_most(200),),
    "pinned.tick_to_order_p50_us": (_most(400),),
    "pinned.tick_to_order_p99_us": (_most(1_000),),
    "pinned.inside_p50_us": (_most(250),),
    "pinned.inside_p99_us": (_most(400),),
    "pinned.risk_check_p50_us": (_most(30),),
    "pinned.risk_check_p99_us": (_most(100),),
}


def flat(numbers: Numbers, prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Yield every number of the keys with its dotted name; None for one that is missing."""
    for key, value in numbers.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def ordered(measured: Numbers) -> dict[str, Any]:
    """Return the keys in their order; what was not measured is None."""
    numbers: dict[str, Any] = {key: measured.get(key) for key in KEYS}
    pinned = measured.get("pinned", {})
    numbers["pinned"] = {key: pinned.get(key) for key in PINNED_KEYS}
    numbers["stage_us"] = measured.get("stage_us", dict.fromkeys(STAGES))
    return numbers


def table(numbers: Numbers) -> str:
    """Return one line a number: key, value, limit, held or not."""
    lines = [f"{'key':<42} {'value':>12}  {'limit':<34} held"]
    lines.append("-" * len(lines[0]))
    for key, value in flat(numbers):
        digits = 1 if value is None or value >= 1 else 4
        text = "not measured" if value is None else f"{value:12,.{digits}f}"
        limits = LIMITS.get(key, ())
        first, *more = limits or (None,)
        lines.append(_line(key, text, first, value, numbers))
        lines += [_line("", "", limit, value, numbers) for limit in more]
    return "\n".join(lines)


def _line(key: str, text: str, limit: Limit | None, value: float | None, numbers: Numbers) -> str:
    if limit is None:
        return f"{key:<42} {text:>12}"
    try:
        held = "-" if value is None else "yes" if limit.holds(value, numbers) else "NOT HELD"
    except TypeError:
        held = "-"  # what it is compared with was not measured
    return f"{key:<42} {text:>12}  {limit.text:<34} {held}"
