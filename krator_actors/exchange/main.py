"""``krator exchange``: the simulated venue as a program."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from krator_actors.exchange import options
from krator_actors.exchange.errors import ExchangeStartError
from krator_actors.exchange.run import serve


def main(argv: list[str]) -> int:
    """Run the exchange with these arguments; return its exit code.

    0: ended as told; 1: the ledger could not be written; 2: it could not start, and one line on
    stderr says why. ``--help`` and wrong arguments raise SystemExit, as argparse does.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(options.parse(argv)))
    except ExchangeStartError as error:
        print(f"krator exchange: {error}", file=sys.stderr)  # noqa: T201 - a program's error line
        return 2
