"""The running system as chaos sees it: its processes by name, who is dead, and who is back."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

from krator_actors import place
from supervisors.messages import ActorError
from supervisors.status import NodeStatus
from supervisors.system import NotRunningError, status
from tests.chaos.probe import stat_of
from tests.system.harness import Krator

_CENSUS_SECS = 0.2
_KEEP_SECS = 0.05
_RESTART_SECS = 0.5
"""systemd's RestartSec, near enough"""
_TMPFS = "48m"
HEAL_SECS = 60.0


class Disk:
    """The folder of the logs as a small file system of its own, which can be filled and freed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filler = folder / "filler"
        folder.mkdir(parents=True, mode=0o700)
        mount = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={_TMPFS},mode=700",
            "krator-chaos",
            str(folder),
        ]
        can = shutil.which("mount") is not None and os.geteuid() == 0
        self.is_mounted = (
            can and not subprocess.run(mount, capture_output=True, check=False).returncode
        )

    def fill(self) -> None:
        # Unbuffered: what a buffer could not write, it would try again, and raise, when it closes.
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", self._folder], check=False)
            self.is_mounted = False


class Machine:
    """Watches in threads; starts ``krator run`` again when it has gone, as systemd would."""

    def __init__(self, krator: Krator) -> None:
        self.krator = krator
        self.run = krator.start()
        # Who was killed, and how long (ms) it took to run again, as a new process.
        self.recoveries: list[tuple[str, float]] = []
        self.not_healed: list[str] = []
        # Name to pid and moment of who was killed and has not been seen again.
        self._dead: dict[str, tuple[int, float]] = {}
        self.runtime = place.runtime_dir(krator.data_dir)
        # Name to (pid, running) as of the last census.
        self._nodes: dict[str, tuple[int, bool]] = {}
        # Whether this ``krator run`` has had a whole system: only then it can be asked.
        self._has_started = False
        self._is_over = threading.Event()
        # Two, because a census may wait some seconds for a system that is dying.
        self._threads = [
            threading.Thread(target=self._keep, name="keeper"),
            threading.Thread(target=self._count, name="census"),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def what_run_does(self) -> str:
        """What ``krator run`` does while its system is not up; empty while it is."""
        if self.run.poll() is not None:
            return "krator run is away"
        if not self._has_started:
            return "krator run starts"
        return "" if (self.runtime / "system.json").exists() else "the system is built again"

    def mourn(self, target: str, pid: int) -> None:
        """Note that ``pid`` has been killed now."""
        self._dead[target] = (pid, time.monotonic())

    @property
    def is_healed(self) -> bool:
        """Whether everything runs, and everybody who was killed has been seen again."""
        return self.is_whole and not self._dead

    def pid_of(self, target: str) -> int | None:
        """Return the id of a living process of ours; None while there is none of that name."""
        pid = None if target in self._dead else self._find(target)
        return pid if pid and self._is_ours(pid) else None

    def _is_ours(self, pid: int) -> bool:
        # Looked at anew each time, because a number may belong to somebody else by now.
        marks = (str(self.krator.data_dir).encode(), str(self.runtime).encode())
        try:
            proc = Path(f"/proc/{pid}")
            text = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
        except OSError:
            return False
        return any(mark in text for mark in marks)

    def _find(self, target: str) -> int | None:
        if target == "krator run":
            return self.run.pid if self.run.poll() is None else None
        if target == "admin":
            return _parent(self._nodes.get("root", (0, False))[0])
        if target == "postgres":
            return self._first_line("postgres/postmaster.pid")
        if target == "redis server":
            return self._child_of("redis")
        return self._nodes.get(target, (0, False))[0]

    def _is_running(self, target: str, *, instead_of: int) -> bool:
        """Whether ``target`` runs, in another process than ``instead_of``."""
        pid = self._find(target)
        if not pid or pid == instead_of:
            return False
        if target == "krator run":
            return self._has_started
        name = {"postgres": "storage", "redis server": "redis", "admin": "root"}.get(target, target)
        return self._nodes.get(name, (0, False))[1]

    @property
    def is_whole(self) -> bool:
        """Whether everything ran at the last census."""
        return bool(self._nodes) and all(running for _, running in self._nodes.values())

    def _keep(self) -> None:
        while not self._is_over.wait(_KEEP_SECS):
            if self.run.poll() is not None and not self._is_over.wait(_RESTART_SECS):
                self._has_started = False
                self.run = self.krator.start()

    def _count(self) -> None:
        while not self._is_over.wait(_CENSUS_SECS):
            counted = self.run
            try:
                self._nodes = dict(_named(status(self.runtime)))
                self._has_started = counted is self.run and counted.poll() is None
            except (NotRunningError, OSError, ActorError):
                self._nodes = {}
            self._see_who_is_back()

    def _see_who_is_back(self) -> None:
        now = time.monotonic()
        for name, (pid, since) in tuple(self._dead.items()):
            if self._is_running(name, instead_of=pid):
                self.recoveries.append((name, (now - since) * 1_000))
                del self._dead[name]
            elif now - since > HEAL_SECS:
                self.not_healed.append(f"{name} did not run again within {HEAL_SECS:g} s")
                del self._dead[name]

    def _first_line(self, name: str) -> int | None:
        try:
            pid = int((self.krator.data_dir / name).read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if Path(f"/proc/{pid}").exists() else None

    def _child_of(self, name: str) -> int | None:
        # Of whichever of its threads: the brain starts servers, and it is not the first.
        pid, _ = self._nodes.get(name, (0, False))
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                if children := listed.read_text().split():
                    return int(children[0])
        return None


def _named(node: NodeStatus) -> list[tuple[str, tuple[int, bool]]]:
    found = [(node.name, (node.pid or 0, node.state == "running"))]
    for child in node.children:
        found += _named(child)
    return found


def _parent(pid: int) -> int | None:
    stat = stat_of(pid) if pid else []
    return int(stat[1]) if stat else None
