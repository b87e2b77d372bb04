"""Which names are there, and death watch: a file for each name, in the runtime folder.

A name is there from before its first start until nothing will start it again by itself: it was
stopped, it used up its budget, its spec was forgotten, or this came to a supervisor above it. A
restart changes nothing. The files are written by the supervisors and outlive each of them, so who
watches need not be told by anybody that may be dead.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from supervisors.decisions import Mode, Phase
from supervisors.policy import State
from supervisors.process import file_name

WATCH_SECS = 0.05
"""How often a watcher looks."""

_GONE = frozenset({Phase.STOPPED, Phase.QUARANTINED})


class Entry(msgspec.Struct, frozen=True):
    """What the file of a name holds."""

    name: str
    supervisor: str
    token: str
    """Another one each time that the name is there again."""


class NameRoll:
    """The names of one supervisor's children; written by that supervisor alone."""

    def __init__(self, runtime: Path, supervisor: str) -> None:
        self._folder = _folder(runtime)
        self._supervisor = supervisor
        # Also those of the supervisor's predecessor: what it had added is not there any more.
        self._there = {entry.name for entry in self._entries() if entry.supervisor == supervisor}

    def settle(self, state: State) -> None:
        """Enter the children that are there, and strike those that are gone for good."""
        if state.mode not in {Mode.BOOTING, Mode.RUNNING}:
            return  # this supervisor may be started again, and they with it
        there = {child.name for child in state.by_name.values() if child.phase not in _GONE}
        for name in there - self._there:
            self.enter(name)
        for name in self._there - there:
            self._strike(name)
        self._there = there

    def enter(self, name: str) -> None:
        """Note that the name is there. Raises OSError when it cannot be written."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / file_name(name)
        draft = path.with_name(f".{path.name}")
        draft.write_bytes(msgspec.json.encode(Entry(name, self._supervisor, secrets.token_hex(8))))
        draft.rename(path)

    def _strike(self, name: str) -> None:
        (self._folder / file_name(name)).unlink(missing_ok=True)
        for entry in list(self._entries()):
            if entry.supervisor == name:
                self._strike(entry.name)

    def _entries(self) -> Iterator[Entry]:
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                entry = None if path.name.startswith(".") else _read(path)
                if entry is not None:
                    yield entry


def look_up(runtime: Path, name: str) -> Entry | None:
    """Return the entry of a name that is there; None when it is not."""
    return _read(_folder(runtime) / file_name(name))


async def gone(runtime: Path, name: str) -> None:
    """Return when the name, as it is there now, is gone for good; at once when it is not there."""
    first = look_up(runtime, name)
    while first is not None and look_up(runtime, name) == first:  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(WATCH_SECS)


def _folder(runtime: Path) -> Path:
    return runtime / "names"


def _read(path: Path) -> Entry | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(os.read(fd, 4096), type=Entry)
    finally:
        os.close(fd)
