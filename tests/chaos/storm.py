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
from dataclasses import dataclass
from typing import Any

from tests.chaos.machine import Disk, Machine
from tests.chaos.plan import PERSONS, Fault, labels
from tests.chaos.probe import Probe
from tests.system.harness import KRATOR, ROOT, Krator
from tests.system.order_watch import OrderWatch

_FLIGHT_WAIT_SECS = 2.5
_HEALED_SECS = 60.0
_LIFT_AFTER_SECS = 3.0
_FLIGHT_POLL_SECS = 0.001
_AFTERMATH_SECS = 1.0
"""So long after its end a fault of the venue is still named as what may have kept orders off."""


@dataclass(frozen=True)
class Hit:
    """A fault that has begun."""

    label: str
    monotonic: float
    while_available: bool
    """whether an order could be placed at the last look, which was after the hit before"""


class Storm:
    """Hits one after the other; what lasts, lasts beside it."""

    def __init__(self, krator: Krator, machine: Machine, disk: Disk, url: str) -> None:
        # By label, what has hit.
        self.faults: Counter[str] = Counter()
        # Of each hit: its label, when (monotonic), and whether an order could be placed just then.
        self.hits: list[Hit] = []
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
        # What is being done to the venue, and until when (monotonic).
        self._disturbances: dict[str, float] = {}
        self.probe = Probe(machine.runtime, run=lambda: machine.what_run_does, disturbed=self._told)
        # Whose turn it was while there was no such process: they are hit as soon as there is.
        self._owed: list[Fault] = []

    def hit(self, fault: Fault) -> None:
        """Let one fault happen, and what could not before; returns when it has begun."""
        if not self._hit(fault) and fault.target:
            self._owed.append(fault)
        there = [owed for owed in self._owed if self._machine.pid_of(owed.target) is not None]
        for owed in there:
            if self._hit(owed):
                self._owed.remove(owed)

    def never_hit(self) -> list[str]:
        """Return the labels of the plan's faults that have not hit."""
        return sorted(labels() - self.faults.keys())

    def _hit(self, fault: Fault) -> bool:
        self._lift()
        if fault.kind == "SIGKILL":
            return self._kill(fault)
        if fault.kind == "SIGSTOP":
            return self._stop(fault)
        if fault.kind == "disk full":
            if self._disk.is_mounted:
                self._begin(fault, self._disk.fill, self._disk.free)
            return self._disk.is_mounted
        if fault.words:
            self._command(*fault.words)
            self._count(fault)
        else:
            self._disturbances[fault.kind] = time.monotonic() + fault.secs + _AFTERMATH_SECS
            ends = {"delay_answers", "delay_requests"}
            end = (
                {"action": fault.venue["action"], "ms": 0} if fault.venue["action"] in ends else {}
            )
            self._begin(fault, lambda: self._tell_venue(fault.venue), lambda: self._tell_venue(end))
        return True

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
        self.probe.close()
        self._watch.close()
        for timer in self._lasting:
            timer.cancel()
        for command in self._commands:
            if command.poll() is None:
                command.kill()
                command.wait()

    def _kill(self, fault: Fault) -> bool:
        deadline = time.monotonic() + _FLIGHT_WAIT_SECS
        before = self._watch.poll()
        while not self._watch.poll() - before and time.monotonic() < deadline:
            time.sleep(_FLIGHT_POLL_SECS)
        pid = self._machine.pid_of(fault.target)
        if pid is None or not _signal(pid, signal.SIGKILL):
            return False
        self.kills.append((fault.target, time.time_ns()))
        self._machine.mourn(fault.target, pid)
        self._count(fault)
        return True

    def _stop(self, fault: Fault) -> bool:
        pid = self._machine.pid_of(fault.target)
        if pid is None:
            return False
        self._begin(
            fault, lambda: _signal(pid, signal.SIGSTOP), lambda: _signal(pid, signal.SIGCONT)
        )
        return True

    def _begin(self, fault: Fault, begin: Any, end: Any) -> None:
        begin()
        self._count(fault)
        if fault.secs:
            timer = threading.Timer(fault.secs, end)
            self._lasting = [t for t in self._lasting if t.is_alive()] + [timer]
            timer.start()

    def _count(self, fault: Fault) -> None:
        self.faults[fault.label] += 1
        last = self.hits[-1].monotonic if self.hits else 0.0
        self.hits.append(Hit(fault.label, time.monotonic(), self.probe.was_available_after(last)))

    def _told(self) -> str:
        now = time.monotonic()
        return ", ".join(sorted(kind for kind, end in self._disturbances.items() if now < end))

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
        said, now = self.probe.portfolio, time.monotonic()
        if said is None or now - self._lifted < _LIFT_AFTER_SECS:
            return
        self._lifted = now
        for state in said.states:
            if time.time_ns() - state.ts_event > _LIFT_AFTER_SECS * 1e9:
                option = {"SYMBOL": "--symbol", "STRATEGY": "--strategy", "VENUE": "--venue"}
                which = option.get(state.scope.value)
                of = (which, state.target) if which else ()
                self._command("resume", *of, "--by", PERSONS[0], "--reason", "seen")


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
