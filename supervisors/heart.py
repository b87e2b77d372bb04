"""The outer watchdog: it builds the system, and builds it again when the admin or the root fails.

The process that runs it is the ancestor of all others: when it ends, however it ends, the kernel
ends the whole tree. It forks, so it must have one thread only.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path

from supervisors.body import Body, SystemFailedError
from supervisors.ground import Ground
from supervisors.orphans import Orphans
from supervisors.picture import stopped_tree
from supervisors.policy import backoff_delay_secs
from supervisors.process import (
    adopt_orphans,
    children_of_this_process,
    is_single_threaded,
    process_group,
)
from supervisors.reports import Reason, ReportLog
from supervisors.spec import Budget, SupervisorSpec
from supervisors.spec_check import check_spec, import_actors
from supervisors.status import Alarm, HeartGaveUpError, NodeStatus, StartError
from supervisors.thespian_engine import free_port, port_is_free

__all__ = ["Heart", "HeartGaveUpError", "StartError"]


class Heart:
    """Owns one system on one runtime folder. Not thread-safe; one thread in the whole process.

    Args:
        spec: The root supervisor.
        runtime: Folder for sockets, made and removed by the heart; short and private (0700).
        state_dir: Where generations are kept; outlives the system.
        crash_dir: Where crash files, ``reports.jsonl`` and ``stderr.log`` go.
        budget: How often the whole system may be built again.
        admin_port: Thespian's port on 127.0.0.1; 0 takes a free one.
        waiting: Called about twice a second while a start or a stop goes on.
    """

    def __init__(
        self,
        spec: SupervisorSpec,
        *,
        runtime: Path,
        state_dir: Path,
        crash_dir: Path,
        budget: Budget,
        admin_port: int = 0,
        waiting: Callable[[], object] = lambda: None,
    ) -> None:
        self._spec = spec
        self._runtime = runtime
        self._state_dir = state_dir
        self._crash_dir = crash_dir
        self._budget = budget
        self._admin_port = admin_port
        self._waiting = waiting
        self._reports = ReportLog(crash_dir, "heart")
        self._ground: Ground | None = None
        # What a system that failed has left behind: its processes, adopted by this one.
        self._left: set[int] = set()
        # The process group of that system; None when all of it has been reaped.
        self._left_group: int | None = None
        self._orphans: Orphans | None = None
        # None between a failure and the next build.
        self._body: Body | None = None
        self._spent: list[float] = []
        self._backoffs = 0
        self._built_at = -math.inf
        self._build_at = math.inf

    def start(self) -> None:
        """Build the system; return when the whole tree is ready.

        Raises SpecError for a spec that cannot be carried out, GroundTakenError when another
        system runs on the runtime folder, StartError when a child fails; everything that had
        been started is gone then.
        """
        check_spec(self._spec)
        if not is_single_threaded():
            raise RuntimeError("the heart's process has more than one thread: forks are not safe")
        import_actors(self._spec)
        self._ground = Ground(self._runtime, self._state_dir, self._crash_dir)
        self._orphans = Orphans(self._is_own, self._ground.settings.marker, self._reports)
        adopt_orphans()
        try:
            orphans = self._ground.sweep_forked() + self._ground.sweep_executed()
            if orphans:
                self._report_orphans(orphans)
            self._build(self._ground)
        except BaseException:
            self._leave()
            raise

    def poll(self) -> list[str]:
        """Look after the system, every 0.2 s (``wait``). Returns what happened, in words.

        Builds the system again when it failed, which may take as long as a start. Raises
        HeartGaveUpError when that happened too often; nothing is left running then.
        """
        if self._ground is None:
            return []
        self._ground.look()
        self._look_after_orphans()
        if self._body is not None:
            try:
                self._body.probe()
            except SystemFailedError as failure:
                return [self._failed(self._body, failure)]
            return []
        if time.monotonic() < self._build_at:
            return []
        return [self._build_again(self._ground)]

    def wait(self, secs: float) -> None:
        """Return after ``secs``, or as soon as there is something for ``poll`` to do."""
        if self._body is not None:
            self._body.wait_failed(secs)
        else:
            time.sleep(max(0.0, min(secs, self._build_at - time.monotonic())))

    def stop(self) -> None:
        """Stop the tree in reverse order, then sweep. Afterwards nothing is left. Idempotent."""
        if self._ground is None:
            return
        if self._body is not None:
            self._body.stop()
        self._leave()

    @property
    def is_progressing(self) -> bool:
        """True when the system is up, and admin and root were seen to work at the last look.

        For whoever watches the heart: False while the system is being built again.
        """
        return self._body is not None and self._body.is_progressing

    def status(self) -> NodeStatus:
        """Return the tree as the root described it last, at most about half a second ago."""
        if self._body is None:
            return stopped_tree(self._spec)
        self._body.read_channel()
        return self._body.node or stopped_tree(self._spec)

    def _build(self, ground: Ground) -> None:
        port = self._admin_port or free_port()
        if not port_is_free(port):
            raise StartError("admin", f"port {port} is taken by another program")
        body = Body(self._spec, ground, self._waiting)
        try:
            body.build(port)
        except BaseException:
            self._clear(body, ground)
            raise
        self._body = body
        self._built_at = time.monotonic()

    def _build_again(self, ground: Ground) -> str:
        began = time.monotonic()
        try:
            self._build(ground)
        except (StartError, OSError) as error:
            # An OSError, too: a full disk or no more processes may have passed in a while.
            reason = Reason("exception", str(error), type(error).__name__)
            delay_secs = self._count_failure(str(error))
            child = error.child if isinstance(error, StartError) else "admin"
            self._report("start_error", child, reason, delay_secs)
            return f"{error}; again in {delay_secs:.1f} s"
        self._report("system_restarted", self._spec.name, None, None)
        return f"the system is up again after {time.monotonic() - began:.2f} s"

    def _failed(self, body: Body, failure: SystemFailedError) -> str:
        assert self._ground is not None
        self._body = None
        self._clear(body, self._ground)
        delay_secs = self._count_failure(str(failure))
        self._report(
            "child_terminated",
            failure.process,
            failure.reason,
            delay_secs,
            pid=failure.pid,
            generation=body.generation,
        )
        return f"{failure}; building the system again in {delay_secs:.1f} s"

    def _count_failure(self, text: str) -> float:
        """Return after how many seconds to build again. Raises HeartGaveUpError."""
        now = time.monotonic()
        budget = self._budget
        edge = now - budget.period_secs
        self._spent = [*(spent for spent in self._spent if spent >= edge), now]
        if len(self._spent) > budget.max_restarts:
            self._leave()
            raise HeartGaveUpError(
                f"{text}; the system failed {len(self._spent)} times in {budget.period_secs} s"
            )
        if now - self._built_at >= budget.backoff.reset_secs:
            self._backoffs = 0
        delay_secs = backoff_delay_secs(budget, self._backoffs, random.random())  # noqa: S311 - jitter
        self._backoffs += 1
        self._build_at = now + delay_secs
        return delay_secs

    def _clear(self, body: Body, ground: Ground) -> None:
        # Asked before, because a dead process shows no more to whom it belonged, but for its group.
        self._left.update(ground.members())
        self._left_group = body.admin_pid
        body.destroy()
        ground.sweep_forked()
        self._look_after_orphans()
        ground.remove_empty_crash_files()
        ground.forget_address()

    def _report_orphans(self, pids: list[int]) -> None:
        """An earlier run left processes. The alarm is over at once: they are dead by now."""
        alarm = Alarm("orphan", f"processes {pids} of an earlier run", time.time_ns())
        for report in ("alarm_raised", "alarm_cleared"):
            self._reports.write(report, child="heart", pid=None, generation=0, alarm=alarm)

    def _leave(self) -> None:
        assert self._ground is not None
        if self._body is not None:
            self._clear(self._body, self._ground)
            self._body = None
        self._left.update(self._ground.members())
        self._ground.sweep_forked()
        self._ground.sweep_executed()
        self._look_after_orphans()
        self._left.clear()
        self._left_group = None
        adopt_orphans(wanted=False)
        self._ground.leave()
        self._ground = None

    def _look_after_orphans(self) -> None:
        if (self._left or self._left_group is not None) and self._orphans is not None:
            self._orphans.look()
            # Once the next system runs, nothing more of the last one comes.
            if self._body is not None and not self._has_children_of_left_group():
                self._left_group = None

    def _has_children_of_left_group(self) -> bool:
        groups = {process_group(pid) for pid in children_of_this_process()}
        return self._left_group in groups

    def _is_own(self, pid: int) -> bool:
        """True for a child that is none of the processes that a failed system has left behind."""
        if pid in self._left:
            return False
        return self._left_group is None or process_group(pid) != self._left_group

    def _report(
        self,
        report: str,
        child: str,
        reason: Reason | None,
        restart_in_secs: float | None,
        *,
        pid: int | None = None,
        generation: int = 0,
    ) -> None:
        self._reports.write(
            report,
            child=child,
            pid=pid,
            generation=generation,
            reason=reason,
            restart_in_secs=restart_in_secs,
        )
