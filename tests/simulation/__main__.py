"""Simulate many days: ``python -m tests.simulation --seeds 2000``. Exit 1 when one is lost."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.day import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="so many days")
    parser.add_argument("--seed", type=int, default=0, help="the first; alone with --seeds 1")
    options = parser.parse_args()
    began, used, total, lost = time.monotonic(), time.process_time(), Counter[str](), 0
    for seed in range(options.seed, options.seed + options.seeds):
        verdict = simulate(seed)
        total += verdict.counts
        if verdict.violations:
            lost += 1
            print(f"seed {seed} (make simulate SEEDS=1 SEED={seed}):")
            for violation in verdict.violations:
                print(f"  {violation}")
    secs, ms = time.monotonic() - began, 1_000 * (time.process_time() - used) / options.seeds
    rate = options.seeds / secs
    print(
        f"{options.seeds} days in {secs:.1f} s: {rate:.0f} a second, {ms:.0f} ms of processor each"
    )
    print(f"{lost} lost")
    print(", ".join(f"{name} {count}" for name, count in sorted(total.items())))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
