"""``python -m tests.side_by_side``: all tests, in parts that run beside one another.

Each part is a pytest of its own: a supervisor forks, so its tests must find one thread, which the
loops of the others do not leave; and the tests of the whole system wait more than they compute.
Fails when a part fails or leaves a process behind. Ctrl-C and SIGTERM end every part as its own
Ctrl-C would, so that each test cleans up after itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence

from supervisors.process import executed_processes

SYSTEM = ("tests/system", "tests/chaos")
SUPERVISORS = ("tests/supervisors",)
PARTS: Mapping[str, Sequence[str]] = {
    "system": SYSTEM,
    "supervisors": SUPERVISORS,
    "others": ("tests", *(f"--ignore={folder}" for folder in SYSTEM + SUPERVISORS)),
}
"""What pytest is told, by the part's name."""
GOES_SECS = 10.0
CLEANS_UP_SECS = 60.0


class Part:
    """One pytest, whose lines are printed behind its name."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        # By it everything that the part has started is found, also what has detached itself.
        self._token = f"KRATOR_TEST_RUN={uuid.uuid4().hex}"
        self._name = name
        self._began = time.monotonic()
        variable, _, value = self._token.partition("=")
        self._process = subprocess.Popen(
            # Without the cache, because the parts would write over one another's.
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, variable: value},
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches it once, through ``interrupt``
        )
        self._printer = threading.Thread(target=self._print, daemon=True)
        self._printer.start()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self, limit_secs: float) -> str:
        """Let it end, and everything with it; returns what is to be said of it, "" when well."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_secs)
        deadline = time.monotonic() + GOES_SECS
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        code = self._process.wait()
        self._printer.join(GOES_SECS)
        self._say(f"ended with {code} after {time.monotonic() - self._began:.0f} s")
        wrong = [f"pytest ended with {code}"] if code else []
        if left:
            wrong.append(f"{len(left)} processes were left behind")
        return ", ".join(wrong)

    def _processes(self) -> list[int]:
        return list(executed_processes(self._token))

    def _print(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._say(line.rstrip())

    def _say(self, line: str) -> None:
        sys.stdout.write(f"{self._name:11} | {line}\n")
        sys.stdout.flush()


def run(parts: Mapping[str, Sequence[str]]) -> int:
    """Run all parts at once, to their ends; returns an exit code."""
    running: dict[str, Part] = {}
    verdicts: dict[str, str] = {}
    try:
        for name, arguments in parts.items():
            running[name] = Part(name, arguments)
        while running:
            for name in [name for name, part in running.items() if part.has_ended()]:
                verdicts[name] = running[name].end(0)
                del running[name]
            time.sleep(0.1)
    except KeyboardInterrupt:
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        for part in running.values():
            part.interrupt()
        for name, part in running.items():
            part.end(CLEANS_UP_SECS)
            verdicts[name] = "interrupted"
    for name, wrong in verdicts.items():
        print(f"{name:11} | {f'FAILED: {wrong}' if wrong else 'passed'}")
    return 1 if any(verdicts.values()) else 0


if __name__ == "__main__":
    # Also SIGINT, because a shell that starts this in the background has it ignored, here and in
    # every pytest.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(run(PARTS))
