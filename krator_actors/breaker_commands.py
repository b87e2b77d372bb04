"""``krator admin breakers``, ``open-breaker``, ``close-breaker``: PostgreSQL and Redis."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any, Final

from krator_actors.messages.operations import (
    BreakerForced,
    ForceBreaker,
    JournalStatus,
    JournalStatusRequest,
    PublisherStatus,
    PublisherStatusRequest,
)
from krator_actors.messages.risk import ActRefused
from krator_actors.terminal import EXIT_OK, EXIT_USAGE, fail, print_json, print_table, say
from supervisors.client import Client
from supervisors.messages import ActorError
from supervisors.system import NotRunningError

_ASK_TIMEOUT_SECS = 5.0
_OWNERS: Final = {"postgresql": "journal", "redis": "publisher"}
_UNKNOWN = "not known: it does not answer"


def main(runtime: Path, options: argparse.Namespace) -> int:
    """Do one of the words; returns the exit code. Raises NotRunningError, ActorError."""
    if not runtime.is_dir():
        raise NotRunningError(f"no {runtime}")
    if options.word == "breakers":
        return _list(runtime, options)
    if options.name not in _OWNERS:
        return fail(
            f"there is no breaker {options.name}; there are {', '.join(_OWNERS)}", EXIT_USAGE
        )
    act = ForceBreaker(opens=options.word == "open-breaker", by=options.by, reason=options.reason)
    done = asyncio.run(_force(runtime, _OWNERS[options.name], act))
    if isinstance(done, ActRefused):
        return fail(done.reason, EXIT_USAGE)
    if options.json:
        print_json(done)
    else:
        what = "left alone until krator admin close-breaker" if done.opens else "tried again"
        say(f"{done.breaker} is {what}, by {done.by}: {done.reason}")
    return EXIT_OK


def _list(runtime: Path, options: argparse.Namespace) -> int:
    states = asyncio.run(_states(runtime))
    if options.json:
        print_json({"breakers": states})
    else:
        rows = [(name, state or _UNKNOWN, _OWNERS[name]) for name, state in states.items()]
        print_table(("BREAKER", "STATE", "OF"), rows)
    return EXIT_OK


async def _force(runtime: Path, owner: str, act: ForceBreaker) -> BreakerForced | ActRefused:
    union: Any = BreakerForced | ActRefused
    async with Client(runtime, name="cli") as client:
        done: BreakerForced | ActRefused = await client.ask(
            owner, act, union, timeout_secs=_ASK_TIMEOUT_SECS
        )
        return done


async def _states(runtime: Path) -> dict[str, str | None]:
    """Return each breaker's state; None when its owner does not answer."""
    union: Any = JournalStatus | PublisherStatus
    questions = {"postgresql": JournalStatusRequest(), "redis": PublisherStatusRequest()}
    states: dict[str, str | None] = {}
    async with Client(runtime, name="cli") as client:
        for name, question in questions.items():
            try:
                answer = await client.ask(
                    _OWNERS[name], question, union, timeout_secs=_ASK_TIMEOUT_SECS
                )
            except ActorError:
                states[name] = None
            else:
                states[name] = answer.breaker
    return states
