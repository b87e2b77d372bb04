"""The runtime folder of one system, and who is left in it: taken, written, swept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import stat
import time
from pathlib import Path

import msgspec

from supervisors.launch import Settings
from supervisors.output import Drain
from supervisors.process import executed_processes, forked_processes, send_signal, wait_ended
from supervisors.status import NotRunningError

_SWEEP_SECS = 5.0
_GRACE_SECS = 2.0
_LOCK_SECS = 0.5
_KEY_BYTES = 32


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running system is reached: ``system.json`` in the runtime folder."""

    heart_pid: int
    admin_port: int
    root_port: int


class GroundTakenError(Exception):
    """Another heart runs on this runtime folder, or the folder is not private."""


class Ground:
    """The runtime folder, held by one heart at a time.

    Raises GroundTakenError when somebody else holds it, or could write into it.
    """

    def __init__(self, runtime: Path, state_dir: Path, crash_dir: Path) -> None:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime = runtime.resolve()
        for directory in (state_dir, crash_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = runtime.stat()
        if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
            raise GroundTakenError(f"{runtime} must belong to this user alone (mode 0700)")
        self._lock_fd = os.open(runtime / "heart.lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _locks_within(self._lock_fd, _LOCK_SECS):
            os.close(self._lock_fd)
            raise GroundTakenError(f"another system runs on {runtime}")
        marker_fd = os.open(runtime / "alive", os.O_RDWR | os.O_CREAT, 0o600)
        self._drain = Drain(crash_dir.absolute() / "stderr.log")
        self.settings = Settings(
            runtime=runtime,
            state_dir=state_dir.absolute(),
            crash_dir=crash_dir.absolute(),
            marker_fd=marker_fd,
            output_fd=self._drain.fd,
        )

    def look(self) -> None:
        """See that the tree's output is still read: call it now and then."""
        self._drain.look()

    def new_key(self) -> bytes:
        """Make a key for one run of the system and leave it for those who may read the folder."""
        key = secrets.token_bytes(_KEY_BYTES)
        _write(self.settings.runtime / "key", key)
        return key

    def publish(self, address: Address) -> None:
        """Say where the system is reached."""
        _write(self.settings.runtime / "system.json", msgspec.json.encode(address))

    def members(self) -> set[int]:
        """Return the live processes of the tree, forked or executed."""
        return {
            *forked_processes(self.settings.marker),
            *executed_processes(self.settings.environment),
        }

    def sweep_forked(self) -> list[int]:
        """Kill every process that the tree forked; return their ids. They hold nothing to save.

        Raises TimeoutError when one does not end within five seconds.
        """
        swept: set[int] = set()
        deadline = time.monotonic() + _SWEEP_SECS
        while left := list(forked_processes(self.settings.marker)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {sorted(left)} do not end")
            swept.update(left)
            _signal_and_wait(left, signal.SIGKILL, _GRACE_SECS)
        return sorted(swept)

    def remove_empty_crash_files(self) -> None:
        """Remove what processes left that were killed together with their supervisor."""
        for path in self.settings.crash_dir.glob("*.txt"):
            if path.stat().st_size == 0:
                path.unlink(missing_ok=True)

    def sweep_executed(self) -> list[int]:
        """End every program that an actor executed and left behind; return their ids.

        They are asked first, because a database server ends better when it may.
        """
        swept: set[int] = set()
        for number in (signal.SIGTERM, signal.SIGKILL):
            left = list(executed_processes(self.settings.environment))
            swept.update(left)
            _signal_and_wait(left, number, _GRACE_SECS)
        return sorted(swept)

    def forget_address(self) -> None:
        """Take back the key and the address of a system that has ended."""
        for name in ("key", "system.json"):
            (self.settings.runtime / name).unlink(missing_ok=True)

    def leave(self) -> None:
        """Write the tree's last words, remove the runtime folder and let go of it."""
        self._drain.close()
        os.close(self.settings.marker_fd)
        shutil.rmtree(self.settings.runtime, ignore_errors=True)
        os.close(self._lock_fd)


def _locks_within(fd: int, limit_secs: float) -> bool:
    # More than one try, because somebody who only looks holds the lock for an instant.
    deadline = time.monotonic() + limit_secs
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def read_address(runtime: Path) -> tuple[Address, bytes]:
    """Return where the system on that folder is reached, and its key.

    Raises NotRunningError when none runs there.
    """
    try:
        if not _is_locked(runtime / "heart.lock"):
            raise NotRunningError(f"no system runs on {runtime}")
        address = msgspec.json.decode((runtime / "system.json").read_bytes(), type=Address)
        return address, (runtime / "key").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotRunningError(f"no system runs on {runtime}") from None


def _is_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _signal_and_wait(pids: list[int], number: signal.Signals, limit_secs: float) -> None:
    pidfds: list[int] = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            pidfds.append(os.pidfd_open(pid))
    for pidfd in pidfds:
        send_signal(pidfd, number)
    ends = time.monotonic() + limit_secs
    for pidfd in pidfds:
        wait_ended(pidfd, max(0.0, ends - time.monotonic()))
        os.close(pidfd)


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    draft.rename(path)
