"""How journal, publisher and jobs are, asked of them from outside with a short deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from krator_actors.messages.operations import (
    JobsStatus,
    JobsStatusRequest,
    JournalStatus,
    JournalStatusRequest,
    PublisherStatus,
    PublisherStatusRequest,
)
from supervisors.client import Client
from supervisors.messages import ActorError, Message

_ANSWER_SECS = 0.5

StatusT = TypeVar("StatusT", bound=Message)


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Their answers; None is no answer in time."""

    journal: JournalStatus | None
    publisher: PublisherStatus | None
    jobs: JobsStatus | None

    def lines(self) -> Sequence[tuple[str, str, str]]:
        """Return name, ``ok``, ``warn`` or ``-``, and a sentence, for each."""
        return [
            ("journal", *_journal(self.journal)),
            ("publisher", *_publisher(self.publisher)),
            ("jobs", *_jobs(self.jobs)),
        ]


def ask_services(runtime: Path) -> Services:
    """Ask all three at once; takes no longer than the deadline of one."""
    return asyncio.run(_ask_all(runtime))


async def _ask_all(runtime: Path) -> Services:
    try:
        async with Client(runtime, name="services") as client:
            journal, publisher, jobs = await asyncio.gather(
                _ask(client, "journal", JournalStatusRequest(), JournalStatus),
                _ask(client, "publisher", PublisherStatusRequest(), PublisherStatus),
                _ask(client, "jobs", JobsStatusRequest(), JobsStatus),
            )
    except ActorError:  # the folder has gone: the system has just ended
        return Services(journal=None, publisher=None, jobs=None)
    return Services(journal=journal, publisher=publisher, jobs=jobs)


async def _ask(
    client: Client, name: str, request: Message, answer_type: type[StatusT]
) -> StatusT | None:
    try:
        return await client.ask(name, request, answer_type, timeout_secs=_ANSWER_SECS)
    except ActorError:
        return None


def _journal(status: JournalStatus | None) -> tuple[str, str]:
    if status is None:
        return "-", "no answer"
    waiting = f"{status.lag_records} records not committed yet"
    if not status.connected:
        return "warn", f"PostgreSQL does not answer; {waiting}; breaker {status.breaker}"
    return "ok", f"at number {status.seq}, {waiting}"


def _publisher(status: PublisherStatus | None) -> tuple[str, str]:
    if status is None:
        return "-", "no answer"
    counts = f"published {status.published}, waiting {status.waiting}, left out {status.left_out}"
    if not status.connected:
        reason = status.reason or "no reason known"
        return "warn", f"Redis is not reached ({reason}); {counts}; breaker {status.breaker}"
    return "ok", counts


def _jobs(status: JobsStatus | None) -> tuple[str, str]:
    if status is None:
        return "-", "no answer"
    failing = [job for job in status.jobs if job.failures]
    if failing:
        texts = (f"{job.name} failed {job.failures} times: {job.reason}" for job in failing)
        return "warn", "; ".join(texts)
    names = ", ".join(f"{job.name}{' (running)' if job.running else ''}" for job in status.jobs)
    return "ok", names or "none"
