"""The jobs actor: background work by the clock, one job at a time (docs/adr/0006).

A job that fails is told of, and tried again later; one that takes too long is canceled. What was
missed while nothing ran is caught up. Jobs only read the record: nothing that trades waits for one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.embedded_postgres import embedded_dsn
from krator_actors.config import Config
from krator_actors.core.daily_report import day_before, day_of
from krator_actors.core.schedule import DueJob, JobBook, JobPlan, JobState, Schedule
from krator_actors.daily_close import close_day
from krator_actors.messages.operations import JobsStatus, JobsStatusRequest
from krator_actors.messages.risk import PortfolioReport, PortfolioRequest
from krator_actors.model import NANOS_PER_SEC
from krator_actors.retention import RetentionLimits, delete_old
from supervisors.actor import Actor
from supervisors.messages import Message

_CHECK_SECS = 0.5
_ASK_RISK_SECS = 5.0

Work = Callable[[DueJob], Awaitable[dict[str, Any]]]
"""Does a job for its due time and returns what is to be logged of it."""


class JobsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """When what is done, and how patiently."""

    config: Config
    """which account is compared at the daily close"""
    venue_url: str
    """the venue's HTTP base; empty for a real one's own"""
    data_dir: Path
    dsn: str | None = None
    """of the journal; None: the embedded server in this system's runtime folder"""
    daily_close_secs: int
    """after 00:00 UTC; the day that has ended then is closed"""
    retention_secs: int
    """after 00:00 UTC"""
    catch_up_days: int
    """so many days that were missed are closed later"""
    deadline_secs: float
    """a job that takes longer has failed"""
    retry_first_secs: float
    retry_max_secs: float
    limits: RetentionLimits


class JobsActor(Actor):
    """Ready at once."""

    inbox: ClassVar[Any] = JobsStatusRequest
    answers: ClassVar[Any] = PortfolioReport
    config: JobsConfig

    async def on_start(self) -> None:
        """Read what was done last, and begin."""
        config = self.config
        self._logger = logger.bind(component=self.name)
        self._dsn = config.dsn or embedded_dsn(self.runtime)
        self._state_file = config.data_dir / "jobs.json"
        self._work: dict[str, Work] = {"daily_close": self._close, "retention": self._retain}
        daily = Schedule(offset_secs=config.daily_close_secs)
        self._book = JobBook(
            (
                JobPlan(name="daily_close", schedule=daily, catch_up=config.catch_up_days),
                JobPlan(name="retention", schedule=Schedule(offset_secs=config.retention_secs)),
            ),
            self._load(),
            now_ns=clock.utc_ns(),
            retry_first_secs=config.retry_first_secs,
            retry_max_secs=config.retry_max_secs,
        )
        self._save()
        # None between jobs.
        self._running: DueJob | None = None
        self.start_task(self._run(), name="jobs")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Answer how the jobs are."""
        match message:
            case JobsStatusRequest():
                return JobsStatus(jobs=self._book.reports(self._running, clock.utc_ns()))
            case _:
                raise TypeError(f"jobs has no use for {type(message).__name__} of {sender}")

    def describe_state(self) -> Mapping[str, Any]:
        """Return each job's last end, next time and failures."""
        reports = self._book.reports(self._running, clock.utc_ns())
        return {report.name: msgspec.to_builtins(report) for report in reports}

    async def _run(self) -> None:
        while True:
            job = self._book.due(clock.utc_ns())
            if job is None:
                # Short, because the clock may be set.
                await asyncio.sleep(_CHECK_SECS)
                continue
            self._running = job
            await self._do(job)
            self._running = None
            self._save()

    async def _do(self, job: DueJob) -> None:
        began_ns = clock.monotonic_ns()
        log = self._logger.bind(job=job.name, due=str(day_of(job.due_ns)))
        try:
            async with asyncio.timeout(self.config.deadline_secs):
                result = await self._work[job.name](job)
        except TimeoutError:
            self._failed(job, f"not done within {self.config.deadline_secs:g} s")
        except Exception as error:  # noqa: BLE001 - the outermost loop of a job: its fault is not the others'
            self._failed(job, f"{type(error).__name__}: {error}")
        else:
            self._book.succeeded(job)
            took_secs = round((clock.monotonic_ns() - began_ns) / NANOS_PER_SEC, 3)
            log.bind(event_type="job_done", took_secs=took_secs, **result).info("job done")

    def _failed(self, job: DueJob, reason: str) -> None:
        now_ns = clock.utc_ns()
        state = self._book.failed(job, reason, now_ns)
        self._logger.bind(
            event_type="job_failed",
            job=job.name,
            due=str(day_of(job.due_ns)),
            reason=reason,
            failures=state.failures,
            retry_in_secs=round((state.retry_ns - now_ns) / NANOS_PER_SEC, 1),
        ).error("a job failed and will be tried again")

    async def _close(self, job: DueJob) -> dict[str, Any]:
        day = day_before(job.due_ns)
        report, path = await close_day(
            self.config.config,
            self.config.data_dir,
            self._dsn,
            day,
            venue_url=self.config.venue_url,
            ask_risk=self._ask_risk,
        )
        for whom, look in (("venue", report.venue), ("risk", report.risk)):
            if look.silent:
                self._logger.bind(
                    event_type="day_not_compared", day=str(day), whom=whom, reason=look.silent
                ).warning("venue or risk could not be asked; the day's report says so")
        if report.differences:
            self._logger.bind(
                event_type="day_differs", day=str(day), differences=len(report.differences)
            ).error("journal, venue and positions do not agree; see the day's report")
        return {"report": str(path), "differences": len(report.differences)}

    async def _ask_risk(self) -> PortfolioReport:
        answer = await self.ask("risk", PortfolioRequest(), timeout_secs=_ASK_RISK_SECS)
        assert isinstance(answer, PortfolioReport)
        return answer

    async def _retain(self, _job: DueJob) -> dict[str, Any]:
        stopped = threading.Event()
        try:
            deleted = await asyncio.to_thread(
                delete_old,
                self.config.data_dir,
                self.config.limits,
                now_secs=clock.utc_ns() / NANOS_PER_SEC,
                stop=stopped.is_set,
            )
        finally:
            # A thread cannot be canceled; it looks here.
            stopped.set()
        return msgspec.structs.asdict(deleted)

    def _load(self) -> dict[str, JobState]:
        try:
            content = self._state_file.read_bytes()
            return msgspec.json.decode(content, type=dict[str, JobState])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._logger.bind(event_type="jobs_state_unreadable", reason=str(error)).error(
                "what was missed is not known; jobs begin with their next due times"
            )
            return {}

    def _save(self) -> None:
        draft = self._state_file.with_name(f"{self._state_file.name}.new")
        try:
            draft.write_bytes(msgspec.json.encode(self._book.states))
            draft.replace(self._state_file)
        except OSError as error:
            # Harmless until a restart, which runs the last job again.
            self._logger.bind(event_type="jobs_state_not_saved", reason=str(error)).warning(
                "the jobs' state was not saved"
            )
