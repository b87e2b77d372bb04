"""``krator`` commands, each in a fork of one process that has imported them all.

A test that waits asks the system many times, and a Python that starts takes a second of processor
from the system that is asked. That they also work in a Python of their own is for ``test_edges``
and ``test_wheel`` to see.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent.parent


class ForkedCommands:
    """The process to fork from; it goes with the process that made it, however that ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.forked_commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            # Ctrl-C is for the tests; what they still ask while they clean up is answered.
            start_new_session=True,
        )
        atexit.register(self.close)

    def close(self) -> None:
        """End it."""
        with self._process:
            self._process.kill()

    def run(
        self, arguments: Sequence[str], timeout_secs: float
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, in this process's environment; one at a time."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, err)]
            code = self._ask([list(arguments), files, dict(os.environ)], timeout_secs)
            return subprocess.CompletedProcess(arguments, code, _text(out), _text(err))

    def _ask(self, request: object, timeout_secs: float) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_secs):
                raise TimeoutError(f"krator has not ended within {timeout_secs} s: {request}")
        return int(self._process.stdout.readline())


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve() -> int:
    """Fork for each request; in the forks, return the command's exit code."""
    from krator_actors import (  # noqa: PLC0415 - before the first fork
        admin,  # noqa: F401
        cli,
        commands,  # noqa: F401
        doctor,  # noqa: F401
        emergency_commands,  # noqa: F401
        journal_commands,  # noqa: F401
    )

    gc.freeze()  # because what a fork collects, it would have to copy first
    while request := sys.stdin.buffer.readline():
        pid = os.fork()
        if pid == 0:
            arguments, files, environment = json.loads(request)
            for number, path in enumerate([os.devnull, *files]):
                os.dup2(os.open(path, os.O_RDWR | os.O_APPEND), number)
            os.environ.clear()
            os.environ.update(environment)
            return cli.main(arguments)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_serve())
