"""What a new process of the tree is given: carried by the fork in a variable of this module."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from supervisors.control import Channel, Slot
from supervisors.process import file_name
from supervisors.spec import ChildSpec, SupervisorSpec

RUNTIME_VARIABLE = "KRATOR_RUNTIME"
"""In the environment of what actors execute: to which runtime folder it belongs."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is the same for every process of one system."""

    runtime: Path
    """Private folder (0700) for sockets, the key and the marker."""
    state_dir: Path
    crash_dir: Path
    marker_fd: int
    """An open file of the runtime folder, held by every process of the tree: so a later start
    finds what is left of this one."""
    output_fd: int
    """Where the admin's output goes, and that of all it forks; open in the heart and the admin."""

    @property
    def marker(self) -> Path:
        """The file behind ``marker_fd``."""
        return self.runtime / "alive"

    @property
    def environment(self) -> str:
        """How an executed process of the tree is recognized in /proc/PID/environ."""
        return f"{RUNTIME_VARIABLE}={self.runtime}"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One start of one child."""

    spec: ChildSpec | SupervisorSpec
    generation: int
    channel: Channel
    """The child's end."""
    slot: Slot
    settings: Settings
    private_fds: Collection[int]
    """The parent's own descriptors, which the child closes."""
    is_spare: bool = False
    """True: wait, warm, until ``Take`` says that the name is free."""


_loaded: Launch | None = None


def load(launch: Launch | None) -> None:
    """Put down what the next fork of this process carries."""
    global _loaded  # noqa: PLW0603 - a module variable is what a fork carries
    _loaded = launch


def loaded() -> Launch:
    """Return what this process was given by its parent."""
    if _loaded is None:
        raise RuntimeError("this process was not started by a supervisor")
    return _loaded


def hold_name(settings: Settings, name: str) -> int:
    """Take the name for as long as this process lives; wait until its predecessor is dead.

    A supervisor that was itself replaced has no pidfd of its predecessor's children, which the
    kernel may still be ending. The lock falls with the last thread of a process.
    """
    directory = settings.runtime / "processes"
    directory.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(directory / file_name(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def next_generation(state_dir: Path, name: str) -> int:
    """Return a generation larger than all before for this name, having written it down.

    Raises OSError when it cannot be written: such a child must not start, because nobody could
    tell it from its predecessor.
    """
    path = _generation_file(state_dir, name)
    try:
        generation = int(path.read_text()) + 1
    except FileNotFoundError:
        generation = 1
    except ValueError:
        # A machine that lost power can leave the file empty. Seconds since 1970 are larger than
        # any count of restarts.
        generation = time.time_ns() // 1_000_000_000
    _write_generation(path, generation)
    return generation


def raise_generation(state_dir: Path, name: str, generation: int) -> None:
    """Let the next generation of ``name`` be larger than ``generation``; it never gets smaller.

    For a state folder that was lost, while nothing runs on it. Raises OSError.
    """
    path = _generation_file(state_dir, name)
    try:
        known = int(path.read_text())
    except FileNotFoundError:
        known = 0
    except ValueError:
        return  # ``next_generation`` then gives one that is larger than any
    if known < generation:
        _write_generation(path, generation)


def _generation_file(state_dir: Path, name: str) -> Path:
    directory = state_dir / "generations"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / file_name(name)


def _write_generation(path: Path, generation: int) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(str(generation))
    os.replace(draft, path)  # noqa: PTH105 - the one atomic call matters here
