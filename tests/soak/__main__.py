"""``python -m tests.soak --secs 600 --seed 1``: random kills and stops under load, then judgment.

Prints one JSON object; exit code 1 when a promise was broken, and then the folder is kept. The seed
fixes the faults, not the run: what each of them meets depends on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from supervisors import children
from supervisors.children import ChildRefusedError
from supervisors.client import Client
from supervisors.heart import Heart
from supervisors.messages import ActorError
from supervisors.process import (
    children_of_this_process,
    executed_processes,
    forked_processes,
    holds_open,
    open_descriptors,
)
from supervisors.spec import Backoff, Budget, ChildSpec, Instance, Strategy, SupervisorSpec
from supervisors.status import NotRunningError
from tests.soak.actors import AreYouThere, Heard
from tests.soak.faults import Fault, faults
from tests.soak.history import breaches, outcomes, read_history

PEERS = {
    "a": ("b", "c"),
    "b": ("a",),
    "c": ("d",),
    "d": ("e", "f"),
    "e": ("c",),
    "f": ("g",),
    "g": ("h", "a"),
    "h": ("f",),
}
CROWD = ("f", "g", "h")
SUPERVISORS = ("pairs", "chain", "crowd")
TARGETS = (*PEERS, *SUPERVISORS, "root", "admin")
_OFTEN = 1_000_000
_QUIET_LIMIT_SECS = 90.0
_POLL_SECS = 0.02
_MAX_TOLD = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--secs", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # So that what was started is ended in any case.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="krs", dir="/tmp"))
    result = Soak(folder, options.seed).run(options.secs)
    result = {"seed": options.seed, "secs": options.secs, **result}
    print(msgspec.json.encode(result).decode())
    if result["breaches"] or result["left"] or result["silent"]:
        print(f"broken; its history and reports are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


class Soak:
    """One system, struck for a while and then left in peace."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._history = folder / "history"
        self._history.mkdir()
        self._runtime = folder / "run"
        self._heart = Heart(
            self._tree(),
            runtime=self._runtime,
            state_dir=folder / "state",
            crash_dir=folder / "crash",
            budget=Budget(max_restarts=_OFTEN, backoff=Backoff(max_secs=0.5)),
        )
        self._struck: Counter[str] = Counter()

    def run(self, secs: float) -> dict[str, Any]:
        """Return what happened, and what should not have."""
        descriptors = len(open_descriptors())
        self._heart.start()
        try:
            began = time.monotonic()
            for fault in faults(self._seed, secs, TARGETS):
                self._look_after_until(lambda: time.monotonic() - began >= fault.at_secs)  # noqa: B023 - called at once
                self._strike(fault)
            silent = self._silent_in_peace()
        finally:
            self._heart.stop()
        history = read_history(self._history)
        found = breaches(history)
        return {
            "struck": dict(sorted(self._struck.items())),
            "messages": dict(sorted(outcomes(history).items())),
            "breaches": found[:_MAX_TOLD],
            "silent": silent,
            "left": list(self._left(descriptors)),
        }

    def _tree(self) -> SupervisorSpec:
        pairs = SupervisorSpec(
            name="pairs", children=(self._talker("a"), self._talker("b")), intensity=_OFTEN
        )
        chain = SupervisorSpec(
            name="chain",
            children=tuple(map(self._talker, "cde")),
            strategy=Strategy.REST_FOR_ONE,
            intensity=_OFTEN,
        )
        crowd = SupervisorSpec(
            name="crowd",
            children=(self._talker("one"),),
            strategy=Strategy.SIMPLE_ONE_FOR_ONE,
            intensity=_OFTEN,
        )
        return SupervisorSpec(name="root", children=(pairs, chain, crowd), intensity=_OFTEN)

    def _talker(self, name: str) -> ChildSpec:
        return ChildSpec(
            name=name,
            actor="tests.soak.actors:Talker",
            config=self._config(name),
            beat_secs=0.1,
            stall_timeout_secs=10.0,
        )

    def _config(self, name: str) -> dict[str, Any]:
        return {"folder": str(self._history), "peers": PEERS.get(name, ())}

    def _look_after_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._heart.poll()
            self._complete_the_crowd()
            time.sleep(_POLL_SECS)

    def _complete_the_crowd(self) -> None:
        """Bring back the children of a dynamic supervisor that was restarted: it has none then."""
        status = self._heart.status()
        crowd = status.find("crowd")
        if crowd is None or crowd.state != "running":
            return
        for name in CROWD:
            if crowd.find(name) is None:
                # It may be struck at this very moment, or be there already.
                with contextlib.suppress(NotRunningError, ChildRefusedError):
                    instance = Instance(name=name, config=self._config(name))
                    children.start_child(self._runtime, "crowd", instance, timeout_secs=1.0)

    def _strike(self, fault: Fault) -> None:
        pid = self._pid(fault.target)
        word = "stopped" if fault.is_stop else "killed"
        if pid is None or not self._signal(
            pid, signal.SIGSTOP if fault.is_stop else signal.SIGKILL
        ):
            word = "missed"
        self._struck[f"{word} {fault.target}"] += 1

    def _pid(self, target: str) -> int | None:
        if target == "admin":
            body = self._heart._body
            return body.admin_pid if body is not None else None
        node = self._heart.status().find(target)
        return node.pid if node is not None else None

    def _signal(self, pid: int, number: signal.Signals) -> bool:
        """Signal it if it is still one of the tree: the number may be another's by now."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if not holds_open(pid, self._runtime / "alive"):
                return False
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)
        return True

    def _silent_in_peace(self) -> list[str]:
        """Return who does not answer, or is not answered, although nobody is struck any more."""
        limit = time.monotonic() + _QUIET_LIMIT_SECS
        seen = {path.name: path.stat().st_size for path in self._history.glob("*.jsonl")}
        silent: set[str] = {"everybody"}

        def answered() -> bool:
            silent.clear()
            silent.update(self._unanswered_since(seen))
            return not silent or time.monotonic() > limit

        self._look_after_until(answered)
        return sorted(silent | asyncio.run(self._deaf()))

    def _unanswered_since(self, seen: dict[str, int]) -> Iterator[str]:
        """Yield each pair that has exchanged nothing behind that place of the sender's file."""
        for sender, peers in PEERS.items():
            path = self._history / f"{sender}.jsonl"
            text = path.read_bytes()[seen.get(path.name, 0) :] if path.exists() else b""
            for peer in peers:
                if f'["answered","{peer}",'.encode() not in text:
                    yield f"{sender} to {peer}"

    async def _deaf(self) -> set[str]:
        """Return who does not answer somebody from outside."""
        deaf: set[str] = set()
        async with Client(self._runtime, name="judge") as client:
            for name in PEERS:
                try:
                    await client.ask(name, AreYouThere(), Heard, timeout_secs=10.0)
                except ActorError:
                    deaf.add(name)
        return deaf

    def _left(self, descriptors: int) -> Iterator[str]:
        for pid in forked_processes(self._runtime / "alive"):
            yield f"process {pid}"
        for pid in executed_processes(f"KRATOR_RUNTIME={self._runtime}"):
            yield f"program {pid}"
        for pid in children_of_this_process():
            yield f"zombie {pid}"
        if self._runtime.exists():
            yield f"folder {self._runtime}"
        if (now := len(open_descriptors())) > descriptors:
            yield f"{now - descriptors} descriptors"


if __name__ == "__main__":
    raise SystemExit(main())
