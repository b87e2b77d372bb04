"""Where a system keeps its things: the data folder, and the runtime folder that belongs to it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

from krator_actors import telemetry
from krator_actors.config import Config, ConfigError, load

DEFAULT_CONFIG = Path("conf/krator.toml")
DATA_VERSION = 1
"""Of what is in a data folder; a folder without a ``version`` file is of version 0, the first."""

REBUILD_FOLDER = Path("log/rebuild")
"""Where ``krator journal rebuild`` writes logs before it puts them in their place."""

_OWED = "owed"
_LAST_RUN = "last-run"
_VERSION_FILE = "version"
_ENDPOINT_FILE = Path("exchange/endpoint.json")
_MAX_RUNTIME_BYTES = 64
"""Leaves 43 of the 107 bytes of a socket's path for the names in the runtime folder."""
_FLOCK = "hhlli"
"""``struct flock`` as Linux has it: type, whence, start, length, process id."""


class AlreadyRunningError(Exception):
    """Another ``krator run`` holds this data folder; the text is its process id."""


def load_config(path: Path | None) -> Config:
    """Read ``path``, or ``conf/krator.toml`` when it is there, or take the built-in defaults.

    From then on no text that leaves this process shows what the configuration wants hidden.
    """
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    config = Config() if path is None else load(path)
    telemetry.protect(config)
    return config


def config_fact(path: Path | None) -> str:
    """Say what ``load_config`` takes for ``path``: a file, or the built-in defaults."""
    if path is not None or DEFAULT_CONFIG.exists():
        return str(path or DEFAULT_CONFIG)
    return f"the built-in defaults; there is no {DEFAULT_CONFIG} here"


def runtime_dir(data_dir: Path) -> Path:
    """Return the folder for the sockets of the system on ``data_dir``; it may not exist.

    Short, because the path of a Unix socket may have 107 characters; derived from the data
    folder, so that every command finds it.
    """
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    name = f"krator-{os.getuid()}-{digest}"
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and Path(base).is_dir() and len(os.fsencode(f"{base}/{name}")) <= _MAX_RUNTIME_BYTES:
        return Path(base) / name
    return Path("/tmp") / name  # noqa: S108 - created 0700 and checked by Heart


def venue_url(config: Config, data_dir: Path) -> str:
    """Return the venue's HTTP base: the configured one, or that of the companion on ``data_dir``.

    Empty for Binance's own, and when no simulated venue has been started there.
    """
    if config.venue.url or config.venue.kind != "sim":
        return config.venue.url
    try:
        return str(json.loads((data_dir / _ENDPOINT_FILE).read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def remember_last_run(configured: Path, data_dir: Path) -> None:
    """Let later commands find the system that was started last, also a replay's.

    Failing is harmless when the folder of the data folders cannot be written: the commands then
    look at the configured data folder.
    """
    pointer = configured.parent / _LAST_RUN
    temporary = pointer.with_name(f"{_LAST_RUN}.{os.getpid()}")
    with contextlib.suppress(OSError):
        configured.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(str(data_dir.resolve()))
        temporary.replace(pointer)


def last_run(configured: Path) -> Path:
    """Return the data folder of the system that was started last, else the configured one."""
    try:
        data_dir = Path((configured.parent / _LAST_RUN).read_text())
        return data_dir if data_dir.is_dir() else configured
    except (OSError, ValueError):
        return configured


def prepare(data_dir: Path) -> None:
    """Create the data folder, private to this user, or take one of an older version over.

    Raises ConfigError, with what to do, when it cannot be written or is of a newer version.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        version = data_version(data_dir)
        if version > DATA_VERSION:
            raise ConfigError(
                f"the data folder {data_dir} is of version {version}, and this krator knows "
                f"versions up to {DATA_VERSION}: run the krator that wrote it, or choose another "
                "with --data-dir"
            )
        for name in ("log", "logs", "crash"):
            (data_dir / name).mkdir(exist_ok=True, mode=0o700)
        if version < DATA_VERSION:
            # Version 0 differs in nothing but this file.
            _replace(data_dir / _VERSION_FILE, f"{DATA_VERSION}\n")
    except OSError as error:
        raise _not_writable(data_dir, error) from error


def owe_rebuild(data_dir: Path) -> None:
    """Note, on the disk, that not all logs are in their place yet. Raises OSError."""
    mark = data_dir / REBUILD_FOLDER / _OWED
    mark.parent.mkdir(exist_ok=True, mode=0o700)
    with mark.open("wb") as file:
        os.fsync(file.fileno())


def end_rebuild(data_dir: Path) -> None:
    """Note that all of them are there; harmless when none was owed. Raises OSError."""
    (data_dir / REBUILD_FOLDER / _OWED).unlink(missing_ok=True)


def clear_rebuild(data_dir: Path) -> None:
    """Remove what a rebuild has written apart, but not the mark of one that was interrupted."""
    folder = data_dir / REBUILD_FOLDER
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
        folder.rmdir()


def require_rebuilt(data_dir: Path) -> None:
    """Raise ConfigError when the logs that the journal has records of are not, or not all, there.

    A start without them would know no order that was ever sent.
    """
    if (data_dir / REBUILD_FOLDER / _OWED).exists():
        raise ConfigError(
            f"the journal in {data_dir} was restored, or its krator journal rebuild interrupted, "
            "and its logs are not all there: run krator journal rebuild, to its end"
        )


def data_version(data_dir: Path) -> int:
    """Return of which version a data folder is; 0 without a ``version`` file.

    Raises ConfigError when the file holds no version, OSError when it cannot be read.
    """
    try:
        text = (data_dir / _VERSION_FILE).read_text(errors="replace").strip()
    except FileNotFoundError:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(
            f"{data_dir / _VERSION_FILE} holds {text[:20]!r} and no version: it is damaged, or "
            "this is no data folder; choose another with --data-dir"
        )
    return int(text)


class DataDirLock:
    """Held by ``krator run`` for as long as it lives; the kernel releases it with the process."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._path = data_dir / "krator.lock"
        self._fd = -1

    def acquire(self) -> None:
        """Take the folder.

        Raises AlreadyRunningError when somebody else holds it, ConfigError when this user may not
        write it.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_writable(self._data_dir, error) from error
        try:
            # lockf, not flock, because a lock of the file description would live on in every fork
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            holder = _holder(fd)
            os.close(fd)
            raise AlreadyRunningError(holder or "unknown") from error
        self._fd = fd

    def release(self) -> None:
        """Give the folder free; harmless when it is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def is_held(self) -> bool:
        """Return whether another process holds the folder now.

        It only looks, so it never stands in the way of a ``krator run`` that starts now.
        """
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return _holder(fd) is not None
        finally:
            os.close(fd)


def _holder(fd: int) -> str | None:
    """Return the process id of the lock's holder, None when nobody holds it."""
    question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, question))
    return None if answer[0] == fcntl.F_UNLCK else str(answer[-1])


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _not_writable(data_dir: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot write the data folder {data_dir}: {error.strerror}; "
        "free space or change its rights, or choose another with --data-dir or system.data_dir"
    )
