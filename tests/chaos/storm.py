"""Carries the faults out, and counts: who was hit, with what in flight, and how long it took."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from typing import Any

from tests.chaos.machine import Disk, Machine
from tests.chaos.plan import PERSONS, Fault
from tests.system.harness import KRATOR, ROOT, Krator
from tests.system.order_watch import OrderWatch

_FLIGHT_WAIT_SECS = 2.5
_HEALED_SECS = 60.0
_LIFT_AFTER_SECS = 3.0


class Storm:
    """Hits one after the other; what lasts, lasts beside it."""

    def __init__(self, krator: Krator, machine: Machine, disk: Disk, url: str) -> None:
        self.faults: Counter[str] = Counter()
        # Of each SIGKILL: whom, and when (UTC ns).
        self.kills: list[tuple[str, int]] = []
        self._krator = krator
        self._machine = machine
        self._disk = disk
        self._url = url
        self._watch = OrderWatch(krator.data_dir)
        self._commands: list[subprocess.Popen[bytes]] = []
        self._lasting: list[threading.Timer] = []
        self._lifted = time.monotonic()

    def hit(self, fault: Fault) -> None:
        """Let one fault happen; returns when it has begun."""
        self._lift()
        if fault.kind == "SIGKILL":
            self._kill(fault.target)
        elif fault.kind == "SIGSTOP":
            self._stop(fault)
        elif fault.kind == "disk full":
            if self._disk.is_mounted:
                self._begin(fault, self._disk.fill, self._disk.free)
        elif fault.words:
            self._command(*fault.words)
            self.faults[fault.kind] += 1
        else:
            ends = {"delay_answers", "delay_requests"}
            end = (
                {"action": fault.venue["action"], "ms": 0} if fault.venue["action"] in ends else {}
            )
            self._begin(fault, lambda: self._tell_venue(fault.venue), lambda: self._tell_venue(end))

    def calm(self) -> None:
        """End all that lasts."""
        for timer in self._lasting:
            timer.join()
        self._tell_venue({"action": "clear"})
        self._disk.free()
        for command in self._commands:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.wait(60)
        deadline = time.monotonic() + _HEALED_SECS
        while not self._machine.is_healed and time.monotonic() < deadline:
            time.sleep(0.1)

    def close(self) -> None:
        """End what this has started, also when it was interrupted."""
        for timer in self._lasting:
            timer.cancel()
        for command in self._commands:
            if command.poll() is None:
                command.kill()
                command.wait()

    def _kill(self, target: str) -> None:
        deadline = time.monotonic() + _FLIGHT_WAIT_SECS
        before = self._watch.poll()
        while not self._watch.poll() - before and time.monotonic() < deadline:
            time.sleep(0.0005)
        pid = self._machine.pid_of(target)
        if pid is not None and _signal(pid, signal.SIGKILL):
            self.kills.append((target, time.time_ns()))
            self.faults[f"SIGKILL {_group(target)}"] += 1
            self._machine.mourn(target, pid)

    def _stop(self, fault: Fault) -> None:
        pid = self._machine.pid_of(fault.target)
        if pid is not None:
            self._begin(
                Fault(f"SIGSTOP {_group(fault.target)}", secs=fault.secs),
                lambda: _signal(pid, signal.SIGSTOP),
                lambda: _signal(pid, signal.SIGCONT),
            )

    def _begin(self, fault: Fault, begin: Any, end: Any) -> None:
        begin()
        self.faults[fault.kind] += 1
        if fault.secs:
            timer = threading.Timer(fault.secs, end)
            self._lasting = [t for t in self._lasting if t.is_alive()] + [timer]
            timer.start()

    def _tell_venue(self, action: dict[str, Any]) -> None:
        if not action:
            return
        request = urllib.request.Request(
            f"{self._url}/sim/faults",
            json.dumps(action).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def _command(self, *words: str) -> None:
        word, *arguments = words
        place = ("--config", str(self._krator.config), "--data-dir", str(self._krator.data_dir))
        self._commands = [c for c in self._commands if c.poll() is None]
        self._commands.append(
            subprocess.Popen(
                [*KRATOR, word, *place, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
            )
        )

    def _lift(self) -> None:
        """Let a person lift what has been halted for some seconds."""
        said, now = self._machine.portfolio, time.monotonic()
        if said is None or now - self._lifted < _LIFT_AFTER_SECS:
            return
        self._lifted = now
        for state in said.states:
            if time.time_ns() - state.ts_event > _LIFT_AFTER_SECS * 1e9:
                option = {"SYMBOL": "--symbol", "STRATEGY": "--strategy", "VENUE": "--venue"}
                which = option.get(state.scope.value)
                of = (which, state.target) if which else ()
                self._command("resume", *of, "--by", PERSONS[0], "--reason", "seen")


def _group(target: str) -> str:
    return "strategy" if target.startswith("strategy:") else target


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
