"""What every process of the tree does right after its fork, and what is asked of /proc."""

from __future__ import annotations

import ctypes
import faulthandler
import hashlib
import mmap
import os
import resource
import select
import signal
import stat
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from supervisors.redaction import redacted

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

_MAX_NAME_CHARS = 60
_MAX_COMMAND_CHARS = 200

DUMP_SIGNAL = signal.SIGUSR1
"""Makes a process of the tree write the stacks of all its threads into its crash file."""


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGKILL when the parent's main thread ends; exit when it already has.

    Undone by every fork, so each process of the tree asks for itself.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        os._exit(0)


def adopt_orphans(*, wanted: bool = True) -> None:
    """Become the parent of every descendant whose own parent ends, instead of init; or not."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def children_of_this_process() -> list[int]:
    """Return the ids of all children, also of adopted and of dead ones that nobody has reaped."""
    tasks = _list(Path("/proc/self/task"))
    return [int(pid) for task in tasks for pid in _read(task / "children").split()]


def name_process(name: str) -> None:
    """Set the name that ``ps -o comm`` and ``top`` show; the kernel keeps 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def open_descriptors() -> list[int]:
    """Return the numbers of all open descriptors of this process."""
    listed = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    return [fd for fd in listed if _is_open(fd)]


def open_pipes() -> set[int]:
    """Return the descriptors of this process that are ends of pipes."""
    return {fd for fd in open_descriptors() if stat.S_ISFIFO(os.fstat(fd).st_mode)}


def drop_descriptors(keep: Collection[int], *, close: Collection[int] = ()) -> None:
    """Let go of every inherited descriptor but 0, 1, 2 and ``keep``.

    Those in ``close`` are closed. All others are replaced by /dev/null, because an object of the
    parent still holds the number: it would close, or shut down, whatever got the number next.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in open_descriptors():
        if fd <= 2 or fd == null or fd in keep:  # noqa: PLR2004 - the standard descriptors
            continue
        if fd in close:
            os.close(fd)
        else:
            os.dup2(null, fd, inheritable=False)
    os.close(null)


def default_signals() -> None:
    """Give all signals back to the kernel, but SIGPIPE and SIGXFSZ, which are ignored.

    Of these two the system call's error tells as much, and whoever wrote can go on.

    A Python handler for SIGSEGV would spin for ever.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def forbid_core_files() -> None:
    """A crash is told by its stacks; gigabytes of memory with secrets in them help nobody."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class CrashFile:
    """Where one incarnation's last words go: tracebacks, stacks, native crashes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", buffering=1)

    def arm(self) -> None:
        """Write stacks on a native crash, and on ``DUMP_SIGNAL`` even when Python is stuck."""
        # A fork inherits "enabled" but not the handlers, which default_signals has taken away.
        faulthandler.disable()
        faulthandler.unregister(DUMP_SIGNAL)
        faulthandler.enable(self._file, all_threads=True)
        faulthandler.register(DUMP_SIGNAL, self._file, all_threads=True, chain=False)

    def write(self, text: str) -> None:
        """Append the text, redacted. Raises OSError when the disk is full."""
        text = redacted(text)
        self._file.write(text if text.endswith("\n") else text + "\n")
        self._file.flush()

    @property
    def fd(self) -> int:
        """The descriptor, to be kept over ``drop_descriptors``."""
        return self._file.fileno()


def crash_path(crash_dir: Path, name: str, generation: int) -> Path:
    """Return where that incarnation's crash file is."""
    return crash_dir / f"{file_name(name)}-{generation}.txt"


def file_name(name: str) -> str:
    """Return a child's name as a file name: one that no other name maps to."""
    plain = "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
    if plain == name and not plain.startswith(".") and len(plain) <= _MAX_NAME_CHARS:
        return name
    readable = plain[:_MAX_NAME_CHARS].lstrip(".")
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """Signal the process behind the pidfd; nothing happens when it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return


def has_ended(pidfd: int) -> bool:
    """True when the process behind the pidfd is dead, reaped or not."""
    return bool(select.select([pidfd], [], [], 0)[0])


def wait_ended(pidfd: int, timeout_secs: float | None) -> bool:
    """Wait until the process behind the pidfd is dead; False when it is not by then."""
    return bool(select.select([pidfd], [], [], timeout_secs)[0])


def describe_process(pid: int) -> str:
    """Return what /proc says of the process and its threads, for a report on a hung one."""
    lines = [f"process {pid} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"]
    for task in sorted(_list(Path(f"/proc/{pid}/task"))):
        wchan = _read(task / "wchan")
        syscall = _read(task / "syscall").split(" ")[0]
        lines.append(
            f"thread {task.name} {_read(task / 'comm')}: state {_state(task)}, "
            f"waits in {wchan or '?'}, system call {syscall or '?'}"
        )
    return "\n".join(lines)


def process_state(pid: int) -> str:
    """Return the kernel's letter for the process: R, S, D, T, Z; "" when it is gone."""
    return _state(Path(f"/proc/{pid}"))


def process_group(pid: int) -> int | None:
    """Return the group of the process, also of a dead one that nobody has reaped; else None."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[2]) if fields else None


def resident_bytes(pid: int) -> int:
    """Return how much memory of the process is resident; 0 when it is gone."""
    pages = _read(Path(f"/proc/{pid}/statm")).split(" ")[1:2]
    return int(pages[0]) * mmap.PAGESIZE if pages else 0


def forked_processes(marker: Path) -> Iterator[int]:
    """Yield other live processes that hold the marker file open: all that the tree forked."""
    return (pid for pid in _live_processes() if holds_open(pid, marker))


def holds_open(pid: int, path: Path) -> bool:
    """True when the process has the file open, also after its removal."""
    return _holds(Path(f"/proc/{pid}"), str(path))


def command_line(pid: int) -> str:
    """Return with what the process was started, for people; its name when that is empty."""
    words = _read_bytes(Path(f"/proc/{pid}/cmdline")).split(b"\0")
    text = b" ".join(words).decode(errors="replace").strip()
    return text[:_MAX_COMMAND_CHARS] or _read(Path(f"/proc/{pid}/comm"))


def executed_processes(variable: str) -> Iterator[int]:
    """Yield other live processes with this NAME=value in their environment.

    Only what was executed shows its environment; a forked process shows its ancestor's.
    """
    wanted = variable.encode()
    for pid in _live_processes():
        if wanted in _read_bytes(Path(f"/proc/{pid}/environ")).split(b"\0"):
            yield pid


def is_single_threaded() -> bool:
    """True when no other Python thread runs: only then is a fork safe."""
    return threading.active_count() == 1


def _live_processes() -> Iterator[int]:
    for entry in _list(Path("/proc")):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        if process_state(int(entry.name)) not in {"", "Z", "X"}:
            yield int(entry.name)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _holds(entry: Path, target: str) -> bool:
    for link in _list(entry / "fd"):
        try:
            if str(link.readlink()).removesuffix(" (deleted)") == target:
                return True
        except OSError:
            continue
    return False


def _state(entry: Path) -> str:
    # The command name stands in parentheses and may itself contain blanks and parentheses.
    return _read(entry / "stat").rpartition(")")[2].strip()[:1]


def _list(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    return _read_bytes(path).decode(errors="replace").strip()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
