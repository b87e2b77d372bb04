"""When background jobs are due, missed, retried. Pure: the time is an argument, UTC ns.

A job is due at fixed times of day, not so long after its last run; so what was missed while nothing
ran is known exactly. A clock that was set back only makes due times come again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from krator_actors.messages.operations import JobReport
from krator_actors.model import NANOS_PER_SEC

DAY_SECS = 86_400


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Due every ``period_secs``, counted from 1970-01-01T00:00 UTC plus ``offset_secs``."""

    period_secs: int = DAY_SECS
    offset_secs: int = 0

    @property
    def period_ns(self) -> int:
        """From one due time to the next."""
        return self.period_secs * NANOS_PER_SEC

    def last_due(self, now_ns: int) -> int:
        """Return the latest due time that is not after ``now_ns``."""
        offset_ns = self.offset_secs * NANOS_PER_SEC
        return (now_ns - offset_ns) // self.period_ns * self.period_ns + offset_ns


class JobPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    name: str
    schedule: Schedule
    catch_up: int = 1
    """so many missed due times are caught up, the latest ones, oldest first; at least 1"""


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """What must be known of a job after a restart."""

    done_due_ns: int
    """the latest due time that is done with"""
    failures: int = 0
    """in a row, of the due time that follows it"""
    retry_ns: int = 0
    """not to be tried before"""
    left_out: int = 0
    """due times that were too far back to be caught up"""
    reason: str = ""
    """of the last failure; empty after a success"""


class DueJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is to be run now, for one due time."""

    name: str
    due_ns: int


class JobBook:
    """The state of all jobs. A job that it does not know begins with its next due time."""

    def __init__(
        self,
        plans: Sequence[JobPlan],
        states: Mapping[str, JobState],
        *,
        now_ns: int,
        retry_first_secs: float,
        retry_max_secs: float,
    ) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._states = {
            plan.name: states.get(plan.name) or JobState(done_due_ns=plan.schedule.last_due(now_ns))
            for plan in plans
        }
        self._retry_first_ns = int(retry_first_secs * NANOS_PER_SEC)
        self._retry_max_ns = int(retry_max_secs * NANOS_PER_SEC)

    @property
    def states(self) -> dict[str, JobState]:
        """All jobs' states: to be stored after every ``succeeded`` and ``failed``."""
        return dict(self._states)

    def due(self, now_ns: int) -> DueJob | None:
        """Return what is to be run now, None when there is nothing."""
        for name, plan in self._plans.items():
            state = self._caught_up(plan, now_ns)
            due_ns = state.done_due_ns + plan.schedule.period_ns
            if due_ns <= now_ns and self._may_be_tried(state, now_ns):
                return DueJob(name=name, due_ns=due_ns)
        return None

    def succeeded(self, job: DueJob) -> None:
        """Note that a job is done for its due time."""
        state = self._states[job.name]
        self._states[job.name] = JobState(done_due_ns=job.due_ns, left_out=state.left_out)

    def failed(self, job: DueJob, reason: str, now_ns: int) -> JobState:
        """Note a failure; the job is due again after a time that doubles each time."""
        state = self._states[job.name]
        # The exponent is bounded, because a number of a thousand digits helps nobody.
        wait_ns = min(self._retry_max_ns, self._retry_first_ns << min(state.failures, 32))
        state = self._states[job.name] = msgspec.structs.replace(
            state, failures=state.failures + 1, retry_ns=now_ns + wait_ns, reason=reason
        )
        return state

    def reports(self, running: DueJob | None, now_ns: int) -> tuple[JobReport, ...]:
        """Return what a person wants to know of each job."""
        found = []
        for name, plan in self._plans.items():
            state = self._caught_up(plan, now_ns)
            found.append(
                JobReport(
                    name=name,
                    running=running is not None and running.name == name,
                    done_due_ns=state.done_due_ns,
                    next_ns=max(state.done_due_ns + plan.schedule.period_ns, state.retry_ns),
                    failures=state.failures,
                    left_out=state.left_out,
                    reason=state.reason,
                )
            )
        return tuple(found)

    def _caught_up(self, plan: JobPlan, now_ns: int) -> JobState:
        """Leave out what is too far back, or lies ahead because the clock was set back."""
        state = self._states[plan.name]
        last_due = plan.schedule.last_due(now_ns)
        missed = (last_due - state.done_due_ns) // plan.schedule.period_ns
        if missed < 0:
            state = msgspec.structs.replace(state, done_due_ns=last_due)
        elif missed > plan.catch_up:
            # The due time in work is left out too, and with it its failures.
            state = JobState(
                done_due_ns=last_due - plan.catch_up * plan.schedule.period_ns,
                left_out=state.left_out + missed - plan.catch_up,
                reason=state.reason,
                retry_ns=state.retry_ns,
            )
        self._states[plan.name] = state
        return state

    def _may_be_tried(self, state: JobState, now_ns: int) -> bool:
        wait_ns = state.retry_ns - now_ns
        # A longer wait than there is was decided by a clock that has been set back since.
        return wait_ns <= 0 or wait_ns > self._retry_max_ns
