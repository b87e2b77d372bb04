"""Where a system keeps its things: the data folder, and the runtime folder that belongs to it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from krator_actors.config import Config, ConfigError, load

DEFAULT_CONFIG = Path("conf/krator.toml")
_LAST_RUN = "last-run"


class AlreadyRunningError(Exception):
    """Another ``krator run`` holds this data folder."""


def load_config(path: Path | None) -> Config:
    """Read ``path``, or ``conf/krator.toml`` when it is there, or take the built-in defaults."""
    if path is not None:
        return load(path)
    return load(DEFAULT_CONFIG) if DEFAULT_CONFIG.exists() else Config()


def runtime_dir(data_dir: Path) -> Path:
    """Return the folder for the sockets of the system on ``data_dir``; it may not exist.

    Short, because the path of a Unix socket may have 107 characters; derived from the data
    folder, so that every command finds it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    return Path(base if Path(base).is_dir() and base else "/tmp") / f"krator-{os.getuid()}-{digest}"  # noqa: S108 - created 0700 and checked by Heart


def remember_last_run(configured: Path, data_dir: Path) -> None:
    """Let later commands find the system that was started last, also a replay's."""
    configured.parent.mkdir(parents=True, exist_ok=True)
    pointer = configured.parent / _LAST_RUN
    temporary = pointer.with_name(f"{_LAST_RUN}.{os.getpid()}")
    temporary.write_text(str(data_dir.resolve()))
    temporary.replace(pointer)


def last_run(configured: Path) -> Path:
    """Return the data folder of the system that was started last, else the configured one."""
    try:
        data_dir = Path((configured.parent / _LAST_RUN).read_text())
    except OSError:
        return configured
    return data_dir if data_dir.is_dir() else configured


def prepare(data_dir: Path) -> None:
    """Create the data folder, private to this user.

    Raises ConfigError, with what to do, when it cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("log", "logs", "crash"):
            (data_dir / name).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"cannot write the data folder {data_dir}: {error.strerror}; "
            "choose another with --data-dir or system.data_dir"
        ) from error


class DataDirLock:
    """Held by ``krator run`` for as long as it lives; the kernel releases it with the process."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "krator.lock"
        self._fd = -1

    def acquire(self) -> None:
        """Raise AlreadyRunningError, with the holder's pid, when somebody else holds it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # lockf, not flock, because a lock of the file description would live on in every fork
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise AlreadyRunningError(holder) from error
        os.truncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the folder free; harmless when it is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def is_held(self) -> bool:
        """Return whether some process holds the folder now."""
        try:
            self.acquire()
        except AlreadyRunningError:
            return True
        self.release()
        return False
