"""Equity once a period in a file, so that what is computed from it outlives the gateway."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

_FIELDS = 2


class EquityFile:
    """One line a sample: the period's number and the equity. One process writes it."""

    def __init__(self, path: Path, *, limit: int) -> None:
        self._path = path
        self._limit = limit

    def read(self) -> list[tuple[int, float]]:
        """Return the newest samples, oldest first, and forget the others.

        A line that is torn or no sample is left out; [] when there is no file. Raises OSError.
        """
        try:
            with self._path.open("rb") as file:
                lines = deque(file, maxlen=self._limit)
        except FileNotFoundError:
            return []
        samples = [sample for line in lines if (sample := _sample(line)) is not None]
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.write_text("".join(map(_line, samples)))
        draft.replace(self._path)
        return samples

    def append(self, sample: tuple[int, float]) -> None:
        """Add one. Raises OSError."""
        with self._path.open("a") as file:
            file.write(_line(sample))


def _line(sample: tuple[int, float]) -> str:
    return f"{sample[0]} {sample[1]!r}\n"


def _sample(line: bytes) -> tuple[int, float] | None:
    words = line.split()
    if len(words) != _FIELDS or not line.endswith(b"\n"):
        return None
    try:
        period, equity = int(words[0]), float(words[1])
    except ValueError:
        return None
    return (period, equity) if math.isfinite(equity) else None
