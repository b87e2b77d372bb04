"""``python -m tests.benchmarks``: measure, print a table, write JSON to ``KRATOR_BENCH_OUT``.

Each part runs in a process of its own, so that none begins with what another has left, and every
process that a part has started is gone when it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from loguru import logger

from supervisors.process import executed_processes
from tests.benchmarks.measure import COUNTS, ROOT
from tests.benchmarks.results import ordered, table

PARTS = (
    "trading",
    "throughput",
    "recovery",
    "orders",
    "hop",
    "thespian_hop",
    "risk_check",
    "restart",
    "deaths",
    "redaction",
    "journal",
    "indicators",
    "observing",
    "decode",
    "feed",
    "recorded",
)
EXTRA_PARTS = ("tried", "rebuild")
"""measured on request: what docs/adr/0005 and 0019 speak of"""

_PART_LIMIT_SECS = 300.0
_TINY_AT_ONCE = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer counts, wider error")
    parser.add_argument("--counts", choices=sorted(COUNTS), default="full")
    parser.add_argument("--only", choices=PARTS + EXTRA_PARTS, action="append")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    # So that what a part has started is ended in any case.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    counts = "quick" if options.quick else options.counts
    if options.child is not None:
        logger.remove()  # the product's own lines are none of the results
        measured = importlib.import_module(f"tests.benchmarks.{options.only[0]}").run(
            COUNTS[counts]
        )
        Path(options.child).write_bytes(msgspec.json.encode(measured))
        return 0
    measured = measure(options.only or PARTS, counts)
    failed = measured.pop("failed")
    results = ordered(measured)
    print(table(results))
    print(f"\n{msgspec.json.encode(measured.get('details', {})).decode()}")
    if failed:
        print(f"not measured: {failed}", file=sys.stderr)
    path = os.environ.get("KRATOR_BENCH_OUT")
    if path:
        results["notes"] = {
            "failed": failed,
            "details": measured.get("details", {}),
            "counts": counts,
            "machine": f"{os.cpu_count()} x {platform.machine()}, Linux {platform.release()}",
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
        }
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2))
    return 1 if failed else 0


def measure(parts: Sequence[str], counts: str) -> dict[str, Any]:
    """Run the parts one after another; return all they measured, and ``failed``: why not."""
    merged: dict[str, Any] = {"failed": {}}
    for part, outcome in zip(parts, _outcomes(parts, counts), strict=True):
        if isinstance(outcome, str):
            merged["failed"][part] = outcome
        else:
            _merge(merged, outcome)
    return merged


def _outcomes(parts: Sequence[str], counts: str) -> Iterator[dict[str, Any] | str]:
    if counts != "tiny":
        yield from (_outcome(part, counts) for part in parts)
        return
    # Numbers of tiny counts mean nothing, so these parts may disturb one another.
    with ThreadPoolExecutor(max_workers=_TINY_AT_ONCE) as pool:
        yield from pool.map(lambda part: _outcome(part, counts), parts)


def _outcome(part: str, counts: str) -> dict[str, Any] | str:
    began = time.monotonic()
    try:
        return _run(part, counts)
    except (subprocess.SubprocessError, OSError) as error:
        return str(error)
    finally:
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def _run(part: str, counts: str) -> dict[str, Any]:
    # By it everything that the part leaves behind is found, also what has detached itself.
    token = f"KRATOR_BENCH_TOKEN={uuid.uuid4().hex}"
    name, _, value = token.partition("=")
    environment = {**os.environ, name: value, "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, "-m", "tests.benchmarks", "--only", part]
        command += ["--counts", counts, "--child", out.name]
        try:
            subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=_PART_LIMIT_SECS)
            measured: dict[str, Any] = msgspec.json.decode(Path(out.name).read_bytes())
            return measured
        finally:
            for pid in executed_processes(token):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _merge(merged: dict[str, Any], measured: dict[str, Any]) -> None:
    for key, value in measured.items():
        if isinstance(value, dict):
            _merge(merged.setdefault(key, {}), value)
        else:
            merged[key] = value


if __name__ == "__main__":
    raise SystemExit(main())
