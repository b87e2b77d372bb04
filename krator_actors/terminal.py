"""What a command says to a person or a program: exit codes, lines, tables, JSON.

What each exit code means stands in the command's own help and in docs/OPERATIONS.md.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from supervisors.redaction import redacted

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3
EXIT_ALREADY_RUNNING = 4
EXIT_FAILED = 5
EXIT_NO_ANSWER = 6
EXIT_GAVE_UP = 7


def say(text: str) -> None:
    """Write one text, with a line end, to standard output.

    To nowhere when nobody reads it any more: a reader that ends, as ``head`` does, is no error, and
    must not end ``krator run``.
    """
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The descriptor itself, because what is still in the buffer is written there at the exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def warn(text: str) -> None:
    """Write one text, redacted, to standard error, as the command's own words."""
    sys.stderr.write(f"krator: {redacted(text)}\n")
    sys.stderr.flush()


def fail(text: str, code: int) -> int:
    """Say on standard error what went wrong; return ``code``, to be the exit code."""
    warn(text)
    return code


def print_json(value: Any) -> None:
    """Print one JSON object on one line; money stays exact, as text."""
    say(json.dumps(msgspec.to_builtins(value, enc_hook=str)))


def print_table(
    header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: str = ""
) -> None:
    """Print columns as wide as their widest cell; those whose titles are in ``right`` to the right.

    ``right`` is a list of titles, separated by spaces.
    """
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    numeric = [title in right.split() for title in header]
    for row in [header, *rows]:
        cells = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numeric, strict=True)
        ]
        say("  ".join(cells).rstrip())
