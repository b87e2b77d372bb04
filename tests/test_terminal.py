"""What a command prints when nobody reads it any more."""

from __future__ import annotations

import subprocess
import sys

TALKS = """
from krator_actors.terminal import say
for n in range(100_000):
    say(f"line {n}")
"""


def test_reader_that_ends_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TALKS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"line 0\n"
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()

    assert errors == b""
    assert process.returncode == 0
