"""Processes of the tree whose own parent ended: found, ended, reaped.

A supervisor, and the heart, are what the kernel calls a subreaper: whatever is left below them
becomes their child, also what changed its session and forked twice to get away. So nothing of a
dead child lives on beside its replacement.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from supervisors.process import (
    children_of_this_process,
    command_line,
    has_ended,
    holds_open,
    send_signal,
)
from supervisors.reports import Reason, ReportLog

GRACE_SECS = 2.0
"""How long an executed program may take to end, because a database server ends better then."""


class Orphans:
    """The adopted children of this process, which has one thread.

    ``is_own`` is true for a child that this process forked itself, or that is none of its business.
    """

    def __init__(self, is_own: Callable[[int], bool], marker: Path, reports: ReportLog) -> None:
        self._is_own = is_own
        self._marker = marker
        self._reports = reports
        # By process id: its pidfd, and when it is killed (monotonic seconds).
        self._known: dict[int, tuple[int, float]] = {}

    def look(self) -> None:
        """Find new ones, end them, reap the dead. Costs some microseconds while there are none."""
        for pid, (pidfd, deadline) in list(self._known.items()):
            if has_ended(pidfd):
                del self._known[pid]
                _bury(pid, pidfd)
            elif time.monotonic() >= deadline:
                send_signal(pidfd, signal.SIGKILL)
        # Last, so that each is known from one look to the next, and its alarm is seen.
        for pid in children_of_this_process():
            if pid not in self._known and not self._is_own(pid):
                self._adopt(pid)

    @property
    def count(self) -> int:
        """How many are known and have not ended yet."""
        return len(self._known)

    def _adopt(self, pid: int) -> None:
        # Nobody but this process reaps it, so its number cannot be another's.
        pidfd = os.pidfd_open(pid)
        if has_ended(pidfd):
            _bury(pid, pidfd)
            return
        self._reports.write(
            "orphan_found",
            child=command_line(pid),
            pid=pid,
            generation=0,
            reason=Reason("orphan", "its own parent ended"),
        )
        # What was only forked holds nothing to save.
        is_forked = holds_open(pid, self._marker)
        self._known[pid] = (pidfd, time.monotonic() + GRACE_SECS)
        send_signal(pidfd, signal.SIGKILL if is_forked else signal.SIGTERM)


def _bury(pid: int, pidfd: int) -> None:
    os.close(pidfd)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
