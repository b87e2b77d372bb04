"""One process of one child, seen by its supervisor: forked, watched, killed, buried."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection
from multiprocessing.process import BaseProcess
from pathlib import Path

from supervisors.control import Channel, Crash, Slot
from supervisors.launch import Launch, Settings, next_generation
from supervisors.process import (
    DUMP_SIGNAL,
    crash_path,
    describe_process,
    process_state,
    resident_bytes,
    send_signal,
)
from supervisors.reports import Reason, reason_of_end
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.status import NodeStatus

Forker = Callable[[Launch], BaseProcess]

MAX_MISSED_BEATS = 3
SUPERVISOR_BEAT_SECS = 1.0

_CRASH_FILES_KEPT = 20
"""Of each name; older ones are removed, because a crash loop must not fill the disk."""


class Incarnation:
    """A living process of a child. All methods are for the supervisor's one thread."""

    def __init__(
        self,
        spec: ChildSpec | SupervisorSpec,
        settings: Settings,
        private_fds: Collection[int],
        fork: Forker,
        *,
        is_spare: bool = False,
    ) -> None:
        """Fork the process. Raises OSError when that fails; nothing is left then."""
        self.spec = spec
        self.generation = next_generation(settings.state_dir, spec.name)
        self._crash_path = crash_path(settings.crash_dir, spec.name, self.generation)
        self.slot = Slot()
        self.channel, theirs = Channel.pair()
        try:
            self._process = fork(
                Launch(
                    spec=spec,
                    generation=self.generation,
                    channel=theirs,
                    slot=self.slot,
                    settings=settings,
                    private_fds=(*private_fds, self.channel.fd),
                    is_spare=is_spare,
                )
            )
            assert self._process.pid is not None
            self.pid = self._process.pid
            self.pidfd = self._open_pidfd()
        except OSError:
            self.channel.close()
            self.slot.close()
            raise
        finally:
            theirs.close()
        self.is_warm = False
        self.ready_at: float | None = None
        self.told: NodeStatus | None = None
        self.crash: Crash | None = None
        self.said_stopped = False
        self.said_ignored = False
        # Why this supervisor wants it gone; None when it ends by itself.
        self.verdict: Reason | None = None
        self.is_condemned = False
        self._beats_seen = 0
        self._beats_missed = 0

    @property
    def beat_secs(self) -> float:
        """How often to ask ``misses_beats``."""
        return self.spec.beat_secs if isinstance(self.spec, ChildSpec) else SUPERVISOR_BEAT_SECS

    def misses_beats(self) -> bool:
        """True when the counter stood still for three looks in a row.

        Looks are counted and not seconds, because a supervisor that was itself suspended must
        not take the pause for its children's.
        """
        count = self.slot.count
        self._beats_missed = 0 if count != self._beats_seen else self._beats_missed + 1
        self._beats_seen = count
        return self._beats_missed >= MAX_MISSED_BEATS

    def excess_reason(self) -> Reason | None:
        """Return why it has to go when it uses more memory than it may; else None."""
        limit = self.spec.max_rss_bytes if isinstance(self.spec, ChildSpec) else None
        rss_bytes = 0 if limit is None else resident_bytes(self.pid)
        if limit is None or rss_bytes <= limit:
            return None
        return Reason("memory", f"{rss_bytes} bytes resident exceed max_rss_bytes {limit}")

    def hang_reason(self) -> Reason:
        """Return why it has to go, with the message in work when its guardian could still tell."""
        detail = f"no progress for {MAX_MISSED_BEATS} beats of {self.beat_secs} s"
        now = self.slot.statistics
        if now.in_work is not None:
            detail += f", {now.in_work} in work for {now.in_work_secs:.1f} s"
        return Reason("hung", detail)

    def dump(self, verdict: Reason) -> bool:
        """Give the reason for its coming kill, and have its stacks written into the crash file.

        Returns False when the process is stopped and cannot write: then only what /proc says is
        in the file. The stacks need some milliseconds before ``kill``.
        """
        self.verdict = self.verdict or verdict
        self.is_condemned = True
        stopped = process_state(self.pid) in {"T", "t"}
        with contextlib.suppress(OSError), self._crash_path.open("a") as file:
            file.write(f"{verdict}\n{describe_process(self.pid)}\n")
        if not stopped:
            send_signal(self.pidfd, DUMP_SIGNAL)
        return not stopped

    def kill(self) -> None:
        """SIGKILL, through the pidfd."""
        send_signal(self.pidfd, signal.SIGKILL)

    def _open_pidfd(self) -> int:
        # Nobody but this thread reaps the child, so its number cannot be another's yet.
        try:
            return os.pidfd_open(self.pid)
        except OSError:  # no descriptor is left: a child that nobody can watch must not live
            self._process.kill()
            self._process.join()
            raise

    def bury(self) -> tuple[Reason, bool]:
        """Reap the ended process and free what was held for it.

        Returns why it ended, and whether that was clean: said so, and exit status 0.
        """
        exitcode = self._process.exitcode
        # Its pipes, which otherwise stay open until the garbage collector comes by. Not all of it
        # is closed, because Thespian still asks whether the process lives.
        self._process._popen.close()  # type: ignore[attr-defined] # noqa: SLF001 - see above
        reason = reason_of_end(exitcode, crash=self.crash, verdict=self.verdict)
        clean = self.said_stopped and exitcode == 0 and self.verdict is None
        if not clean and not self.said_ignored:
            self._write_obituary(reason)
        os.close(self.pidfd)
        self.channel.close()
        self.slot.close()
        return reason, clean

    def _write_obituary(self, reason: Reason) -> None:
        """Add to its last words what it was doing: a killed process could say nothing itself."""
        now = self.slot.statistics
        uptime_secs = 0.0 if self.ready_at is None else time.monotonic() - self.ready_at
        ended_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = (
            f"{self.spec.name}, generation {self.generation}, pid {self.pid}: {reason}\n"
            f"ended {ended_at}, {uptime_secs:.1f} s after it was ready\n"
            f"when last seen: in work {now.in_work or 'nothing'} for {now.in_work_secs:.1f} s, "
            f"inbox {now.inbox}, handled {now.handled}, stash {now.stash}, "
            f"dropped {now.dropped}, resident {now.rss_bytes} bytes\n"
        )
        with contextlib.suppress(OSError), self._crash_path.open("a") as file:
            file.write(text)
        outdated = self.generation - _CRASH_FILES_KEPT
        crash_path(self._crash_path.parent, self.spec.name, outdated).unlink(missing_ok=True)

    def crash_file(self) -> Path | None:
        """Return where its last words are; an empty file is removed. For after the end."""
        try:
            if self._crash_path.stat().st_size > 0:
                return self._crash_path
            self._crash_path.unlink()
        except OSError:
            return None
        return None
