"""The whole system as its user has it: ``krator`` commands, processes, exit codes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from krator_actors import place
from tests.system.forked_commands import ForkedCommands

ROOT = Path(__file__).parent.parent.parent
KRATOR = [sys.executable, "-m", "krator_actors.cli"]
REPLAY = Path("protocol/binance/live_20240808")


class Krator:
    """One data folder and the commands on it. Everything started here is ended by ``close``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.config = folder / "krator.toml"
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``krator run`` on this folder; its output is appended to ``run.out``."""
        return self._start("run", *self._place(), *arguments, log="run.out")

    def start_exchange(self, *arguments: str) -> str:
        """Start a venue of its own, outside of any ``krator run``; returns its URL."""
        folder = self.folder / "venue"
        self._start("exchange", "--data-dir", str(folder), *arguments, log="exchange.out")
        endpoint = folder / "endpoint.json"
        eventually(endpoint.exists, 30, "the venue is ready")
        return str(json.loads(endpoint.read_text())["url"])

    def command(
        self, word: str, *arguments: str, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run one command, of one word or two, on this folder to its end.

        In a fork of one process that has imported all of it; ``run`` in a Python of its own, and
        any word with ``options`` for that Python's process.
        """
        words = [*word.split(), *self._place(), *arguments]
        if word != "run" and not options:
            return forked_commands().run(words, timeout_secs=120)
        return subprocess.run(
            [*KRATOR, *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=ROOT,
            **options,
        )

    def json(self, word: str, *arguments: str) -> Any:
        """Run a command with ``--json``; fails the test when it fails."""
        done = self.command(word, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait_ready(self, process: subprocess.Popen[bytes], secs: float = 90) -> None:
        """Wait until ``krator status`` answers with a tree in which everything runs.

        It is not asked before the system says so itself, because each answer takes from its start.
        """

        def introduced() -> bool:
            assert process.poll() is None, self.output()
            return f"Krator is running (pid {process.pid}," in self.output()

        def ready() -> bool:
            assert process.poll() is None, self.output()
            done = self.command("status", "--json")
            return done.returncode == 0 and all_running(json.loads(done.stdout))

        eventually(introduced, secs, "the system says that it runs")
        eventually(ready, secs, "the system runs")

    def output(self) -> str:
        """Return what ``krator run`` has printed so far."""
        path = self.folder / "run.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self) -> list[int]:
        """Return the pids of all processes that belong to this folder, also the orphaned."""
        marks = (str(self.data_dir).encode(), str(place.runtime_dir(self.data_dir)).encode())
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if any(mark in text for mark in marks):
                found.append(int(entry.name))
        return found

    def leftovers(self) -> list[str]:
        """Return what a system that has ended should not have left: processes, sockets."""
        runtime = place.runtime_dir(self.data_dir)
        names = [describe(pid) for pid in self.processes()]
        return names + ([str(runtime)] if runtime.exists() else [])

    def close(self) -> None:
        """End by pid everything that this folder has."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _start(self, word: str, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as out:
            process = subprocess.Popen(
                [*KRATOR, word, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                # make sets it, and what is tested is what does not come from make.
                env={k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"},
            )
        self._started.append(process)
        return process

    def _place(self) -> list[str]:
        config = ["--config", str(self.config)] if self.config.exists() else []
        return [*config, "--data-dir", str(self.data_dir)]


@functools.cache
def forked_commands() -> ForkedCommands:
    """Return the one process of this run that commands are forked from."""
    return ForkedCommands()


def all_running(node: dict[str, Any]) -> bool:
    return node["state"] == "running" and all(all_running(child) for child in node["children"])


def describe(pid: int) -> str:
    try:
        return f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
    except OSError:
        return str(pid)


def eventually(condition: Callable[[], Any], secs: float, what: str) -> Any:
    """Return the condition's first true value; fail after ``secs``."""
    deadline = time.monotonic() + secs
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {secs} s: {what}")
        time.sleep(0.05)
