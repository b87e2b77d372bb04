"""How long to wait before a restart, and what is still within a sliding window."""

from __future__ import annotations

from collections.abc import Sequence

from supervisors.spec import Budget


def backoff_delay_secs(budget: Budget, backoffs: int, dice: float) -> float:
    """Return how long to wait before restart number ``backoffs`` (from 0) in a row.

    The first is at once; then ``initial``, doubling up to ``max``, each stretched by up to
    ``jitter`` (Akka's BackoffSupervisor).
    """
    if backoffs == 0:
        return 0.0
    backoff = budget.backoff
    doublings = min(backoffs - 1, 64)
    plain_secs = min(backoff.max_secs, backoff.initial_secs * 2.0**doublings)
    return plain_secs * (1.0 + dice * backoff.jitter)


def since(times: Sequence[float], edge: float) -> tuple[float, ...]:
    """Return the times from the edge on. A time on the edge still counts, as in Erlang."""
    return tuple(time for time in times if time >= edge)
