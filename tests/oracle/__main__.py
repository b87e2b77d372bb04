"""``make oracle``: so many generated orders, each put to the risk engine and to the oracle.

Prints the tally, writes it as JSON to ``KRATOR_ORACLE_OUT``, and fails when one in 10,000 valid
orders was denied, when an invalid one passed, or when a reason, a number or an act was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from tests.oracle.days import is_passed, result_of, tally_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.monotonic()
    tally = tally_of(args.orders, args.seed)
    result = {"seed": args.seed, **result_of(tally)}
    result["seconds"] = round(time.monotonic() - started, 1)
    for example in tally.examples:
        print(example, end="\n\n")
    for key, value in result.items():
        print(f"{key}: {value}")
    if out := os.environ.get("KRATOR_ORACLE_OUT"):
        Path(out).write_text(json.dumps(result, indent=2) + "\n")
    return 0 if is_passed(tally) else 1


if __name__ == "__main__":
    sys.exit(main())
