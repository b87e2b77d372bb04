"""How much processor and memory the calling process uses."""

from __future__ import annotations

import os
import time

import msgspec

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Usage(msgspec.Struct, frozen=True):
    """Of one process, at one moment."""

    cpu_percent: float = 0.0
    """100 is one whole processor, since the reading before."""
    rss_bytes: int = 0


class Meter:
    """Reads this process's usage; for one thread, made in the process that it measures."""

    def __init__(self) -> None:
        self._cpu_secs = time.process_time()
        self._read_at = time.monotonic()

    def read(self) -> Usage:
        """Return the usage since the last reading."""
        now, cpu_secs = time.monotonic(), time.process_time()
        passed = max(now - self._read_at, 1e-6)
        percent = 100 * (cpu_secs - self._cpu_secs) / passed
        self._read_at, self._cpu_secs = now, cpu_secs
        return Usage(round(percent, 1), _rss_bytes())


def _rss_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - twice a second, in each process
        return int(file.read().split()[1]) * _PAGE_BYTES
