"""What a person decides about a breaker: written down first, then done, and kept over restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from krator_actors.adapters.local_log import LocalLog, LogError, log_path, read_log
from krator_actors.clock import utc_ns
from krator_actors.messages.operations import BreakerForced, ForceBreaker, SystemStarted
from krator_actors.messages.risk import ActRefused
from supervisors.breaker import BreakerState, CircuitBreaker

_LOGGED: Any = BreakerForced | SystemStarted
"""All that the logs of journal and publisher hold."""


def force(
    breaker: CircuitBreaker, act: ForceBreaker, *, data_dir: Path, writer: str, generation: int
) -> BreakerForced | ActRefused:
    """Write into ``writer``'s log who opens or closes the breaker and why, then do it."""
    name, state = breaker.snapshot().name, breaker.state
    now_ns = utc_ns()
    if not act.by.strip() or not act.reason.strip():
        return ActRefused(reason="say who decides this, and why", ts_event=now_ns)
    if state is (BreakerState.FORCED_OPEN if act.opens else BreakerState.CLOSED):
        return ActRefused(reason=f"{name} is {state.value} already", ts_event=now_ns)
    event = BreakerForced(
        breaker=name, opens=act.opens, by=act.by, reason=act.reason, ts_event=now_ns
    )
    path = log_path(data_dir, writer)
    try:
        with LocalLog.open(path, writer=writer, generation=generation, durability="process") as log:
            log.append(event, ts_ns=now_ns)
    except (LogError, OSError) as error:
        return ActRefused(reason=f"it cannot be written down: {error}", ts_event=now_ns)
    _do(breaker, event)
    return event


def restore(breaker: CircuitBreaker, *, data_dir: Path, writer: str) -> None:
    """Open the breaker again when the last act that ``writer``'s log has of it opened it.

    A log that cannot be read opens nothing: what it guards is tried, and found to work or not.
    """
    last: BreakerForced | None = None
    try:
        for record in read_log(log_path(data_dir, writer), after=None, types=_LOGGED):
            if isinstance(record.event, BreakerForced):
                last = record.event
    except (LogError, OSError):
        return
    if last is not None and last.opens:
        _do(breaker, last)


def _do(breaker: CircuitBreaker, event: BreakerForced) -> None:
    if event.opens:
        breaker.force_open(by=event.by, reason=event.reason)
    else:
        breaker.reset(by=event.by, reason=event.reason)
