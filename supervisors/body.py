"""One build of the system, seen by the heart: the admin, and the root with its whole tree."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from thespian.actors import ActorSystemException

from supervisors import launch, thespian_engine, thespian_frames
from supervisors.control import AnyPacket, Channel, Crash, Hello, Ready, Slot, Stop, Told
from supervisors.ground import Address, Ground
from supervisors.incarnation import MAX_MISSED_BEATS, SUPERVISOR_BEAT_SECS
from supervisors.names import NameRoll
from supervisors.process import (
    DUMP_SIGNAL,
    crash_path,
    describe_process,
    has_ended,
    send_signal,
    wait_ended,
)
from supervisors.reports import Reason, signal_name
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.status import NodeStatus, StartError

_DUMP_SECS = 0.1
_STOP_GRACE_SECS = 1.0
_WAITING_SECS = 0.5


class SystemFailedError(Exception):
    """The system ended or hangs."""

    def __init__(self, process: str, pid: int | None, reason: Reason) -> None:
        super().__init__(f"{process}: {reason}")
        self.process = process
        self.pid = pid
        self.reason = reason


class Body:
    """A running system. Made by ``build``; ``destroy`` must be called, whatever happened."""

    def __init__(self, spec: SupervisorSpec, ground: Ground, waiting: Callable[[], object]) -> None:
        self.spec = spec
        self._waiting = waiting
        self._ground = ground
        self.generation = launch.next_generation(ground.settings.state_dir, spec.name)
        self._slot = Slot()
        self._channel, self._roots_end = Channel.pair()
        self._system: thespian_engine.System | None = None
        self._admin_pidfd = -1
        self._root_pidfd = -1
        self.root_pid: int | None = None
        self._root_port = 0
        self._ready = False
        self._crash: Crash | None = None
        self.node: NodeStatus | None = None
        """What the root told last; None before it first did."""
        self._beats_seen = 0
        self._beats_missed = 0
        self._pings_unanswered = 0
        self._looked_at = -math.inf

    def build(self, port: int) -> None:
        """Fork the admin and the root; return when the whole tree is ready.

        Raises StartError; ``destroy`` is then still to be called.
        """
        thespian_engine.install()
        thespian_frames.use_key(self._ground.new_key())
        settings = self._ground.settings
        NameRoll(settings.runtime, "").enter(self.spec.name)
        launch.load(
            launch.Launch(
                spec=self.spec,
                generation=self.generation,
                channel=self._roots_end,
                slot=self._slot,
                settings=settings,
                private_fds=(),
            )
        )
        try:
            self._system = thespian_engine.System(port)
        except ActorSystemException as error:
            raise StartError("admin", f"{type(error).__name__}: {error}") from error
        finally:
            launch.load(None)
            self._roots_end.close()
        admin = self._system.admin
        if admin is None or admin.pid is None:
            raise StartError("admin", f"another admin listens on port {port}")
        self._admin_pidfd = os.pidfd_open(admin.pid)
        self._system.request_root()
        self._wait_ready()
        self._ground.publish(
            Address(heart_pid=os.getpid(), admin_port=port, root_port=self._root_port)
        )

    def probe(self) -> None:
        """Read what the root told, and look after admin and root. Raises SystemFailedError."""
        self.read_channel()
        self._check_alive()
        now = time.monotonic()
        if now - self._looked_at < SUPERVISOR_BEAT_SECS:
            return
        self._looked_at = now
        count = self._slot.count
        self._beats_missed = 0 if count != self._beats_seen else self._beats_missed + 1
        self._beats_seen = count
        if self._beats_missed >= MAX_MISSED_BEATS:
            raise self._hung_root()
        assert self._system is not None
        self._pings_unanswered = self._system.ping()
        if self._pings_unanswered > MAX_MISSED_BEATS:
            detail = f"{MAX_MISSED_BEATS} pings were not answered"
            raise SystemFailedError("admin", self.admin_pid, Reason("not_progressing", detail))

    @property
    def is_progressing(self) -> bool:
        """At the last look the root's loop had turned, and the admin had answered."""
        return self._ready and self._beats_missed == 0 and self._pings_unanswered <= 1

    def wait_failed(self, secs: float) -> None:
        """Return when the admin or the root has ended, at the latest after ``secs``."""
        self._select([fd for fd in (self._admin_pidfd, self._root_pidfd) if fd >= 0], secs)

    def stop(self) -> None:
        """Stop the tree in reverse order and wait for it, within its own deadlines."""
        self._channel.send(Stop())
        limit = time.monotonic() + _stop_limit_secs(self.spec)
        while time.monotonic() < limit:
            try:
                self.probe()
            except SystemFailedError:
                return  # the end that was wanted, or one that cannot be helped
            self._waiting()
            self._select([self._channel.fd], 0.1)

    def destroy(self) -> None:
        """Kill what still lives of it and give everything back. Idempotent."""
        if self._admin_pidfd >= 0:
            send_signal(self._admin_pidfd, signal.SIGKILL)
        if self._system is not None:
            if self._system.admin is not None:
                self._system.admin.join()
            self._system.close()
            self._system = None
        for pidfd in (self._admin_pidfd, self._root_pidfd):
            if pidfd >= 0:
                os.close(pidfd)
        self._admin_pidfd = self._root_pidfd = -1
        self._channel.close()
        self._roots_end.close()
        self._slot.close()

    @property
    def admin_pid(self) -> int | None:
        """The admin's process id; None before it was forked."""
        admin = self._system.admin if self._system is not None else None
        return admin.pid if admin is not None else None

    def crash_file(self) -> Path:
        """Where the root's last words are."""
        settings = self._ground.settings
        return crash_path(settings.crash_dir, self.spec.name, self.generation)

    def _wait_ready(self) -> None:
        limit = time.monotonic() + self.spec.start_timeout_secs
        while not self._ready:
            self._waiting()
            left_secs = min(limit - time.monotonic(), _WAITING_SECS)
            self._select([self._channel.fd, self._admin_pidfd], left_secs)
            self.read_channel()
            if self._crash is not None:
                crash = self._crash
                detail = crash.detail if crash.child else f"{crash.exception}: {crash.detail}"
                raise StartError(crash.child or self.spec.name, detail, crash.traceback)
            try:
                self._check_alive()
            except SystemFailedError as failure:
                raise StartError(failure.process, str(failure.reason)) from failure
            if time.monotonic() >= limit:
                starting = self._first_not_running()
                limit_secs = self.spec.start_timeout_secs
                raise StartError(starting, f"the tree was not ready after {limit_secs} s")

    def _first_not_running(self) -> str:
        workers = self.node.workers() if self.node is not None else ()
        waiting = [node.name for node in workers if node.state != "running"]
        return waiting[0] if waiting else self.spec.name

    def read_channel(self) -> None:
        """Take what the root told."""
        for packet in self._channel.receive() or ():
            self._root_said(packet)

    def _root_said(self, packet: AnyPacket) -> None:
        match packet:
            case Hello(pid, port):
                self.root_pid = pid
                self._root_port = port
                self._root_pidfd = os.pidfd_open(pid)
            case Ready():
                self._ready = True
            case Crash():
                self._crash = packet
            case Told(node, _):
                self.node = node
            case _:
                return

    def _check_alive(self) -> None:
        if has_ended(self._admin_pidfd):
            raise SystemFailedError("admin", self.admin_pid, self._admin_reason())
        if self._root_pidfd >= 0 and has_ended(self._root_pidfd):
            self.read_channel()
            raise SystemFailedError(self.spec.name, self.root_pid, self._root_reason())

    def _admin_reason(self) -> Reason:
        assert self._system is not None
        admin = self._system.admin
        assert admin is not None
        admin.join()
        code = admin.exitcode or 0
        if code < 0:
            return Reason("signal", signal_name(-code))
        return Reason("exit", f"exit status {code}")

    def _root_reason(self) -> Reason:
        if self._crash is not None:
            return Reason("exception", self._crash.detail, self._crash.exception)
        # Only its parent, the admin, could know its exit status.
        return Reason("exit", "ended")

    def _hung_root(self) -> SystemFailedError:
        reason = Reason("hung", f"no progress for {MAX_MISSED_BEATS} beats")
        if self.root_pid is not None:
            with self.crash_file().open("a") as file:
                file.write(f"{reason}\n{describe_process(self.root_pid)}\n")
            send_signal(self._root_pidfd, DUMP_SIGNAL)
            wait_ended(self._root_pidfd, _DUMP_SECS)
        return SystemFailedError(self.spec.name, self.root_pid, reason)

    @staticmethod
    def _select(fds: list[int], timeout_secs: float) -> None:
        select.select(fds, [], [], max(0.0, timeout_secs))


def _stop_limit_secs(spec: ChildSpec | SupervisorSpec) -> float:
    if spec.shutdown_secs is not None:
        return spec.shutdown_secs + _STOP_GRACE_SECS
    if isinstance(spec, ChildSpec):
        return math.inf
    return sum(map(_stop_limit_secs, spec.children)) + _STOP_GRACE_SECS
