"""What a person sees while ``krator run`` works: one live line, and warnings above it.

A process of its own, so that a terminal that hangs can hang nothing else. It ends when the pipe on
its standard input closes, that is with ``krator run``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from krator_actors.messages.risk import PortfolioReport, PortfolioRequest
from krator_actors.report_text import plain, shortened
from supervisors.client import Client
from supervisors.messages import ActorError
from supervisors.status import NodeStatus
from supervisors.system import NotRunningError, status

_PERIOD_SECS = 1.0
_PLAIN_EVERY = 5
"""Without a terminal, one line in so many periods."""
_ASK_TIMEOUT_SECS = 2.0
_SHOWN = ("WARNING", "ERROR", "CRITICAL")
_MAX_LINES_A_PERIOD = 10
_SCHEMA = ("timestamp", "level", "component", "event_type", "message", "traceback")


class LogTail:
    """The new lines of the JSON log that a person should see."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def poll(self) -> Iterator[str]:
        """Yield what was logged since the last call at WARNING or above, readable."""
        try:
            if self._path.stat().st_size < self._offset:
                self._offset = 0  # rotated
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and record.get("level") in _SHOWN:
                yield readable(record)


def readable(record: dict[str, Any]) -> str:
    """Return a log record as one line for a person."""
    time = str(record.get("timestamp", ""))[11:19]
    fields = " ".join(f"{k}={v}" for k, v in record.items() if k not in _SCHEMA)
    text = f"{time} {record.get('level')} {record.get('component')}: {record.get('message')}"
    return f"{text} {fields}".rstrip()


def restarts(node: NodeStatus) -> int:
    """Return how often anything in this tree was restarted."""
    return node.restarts + sum(restarts(child) for child in node.children)


def live_line(portfolio: PortfolioReport | None, tree: NodeStatus | None) -> str:
    """Return prices, orders, fills, profit and loss and restarts in one line."""
    restarted = "?" if tree is None else str(restarts(tree))
    if portfolio is None:
        return f"risk does not answer · restarts {restarted}"
    prices = " ".join(
        f"{position.symbol.partition('.')[0]} {plain(position.mark_price)}"
        for position in portfolio.positions
        if position.mark_price is not None
    )
    profit = sum(p.realized_pnl + p.unrealized_pnl - p.fees for p in portfolio.positions)
    return (
        f"{portfolio.state.value} {prices or 'no prices yet'} · "
        f"orders {portfolio.orders_approved} denied {portfolio.orders_denied} "
        f"open {len(portfolio.open_orders)} fills {portfolio.fills} · "
        f"equity {portfolio.equity:,.2f} P&L {profit:+,.2f} · restarts {restarted}"
    )


class Console:
    """Prints to standard output until told to stop."""

    def __init__(self, runtime: Path, log: Path) -> None:
        self._runtime = runtime
        self._tail = LogTail(log)
        self._is_terminal = sys.stdout.isatty()

    async def run(self) -> None:
        """Print every second; returns when standard input is closed."""
        closed = asyncio.create_task(_closed(sys.stdin.fileno()))
        period = 0
        while not closed.done():
            await asyncio.wait({closed}, timeout=_PERIOD_SECS)
            self._print_warnings()
            period += 1
            if not closed.done() and (self._is_terminal or period % _PLAIN_EVERY == 0):
                self._print_line(live_line(await self._portfolio(), self._tree()))

    def _print_warnings(self) -> None:
        lines = list(self._tail.poll())
        for line in lines[:_MAX_LINES_A_PERIOD]:
            sys.stdout.write(f"\r\x1b[K{line}\n" if self._is_terminal else f"{line}\n")
        if len(lines) > _MAX_LINES_A_PERIOD:
            sys.stdout.write(f"... and {len(lines) - _MAX_LINES_A_PERIOD} more in the log\n")
        sys.stdout.flush()

    def _print_line(self, line: str) -> None:
        if self._is_terminal:
            # One column less, because a line that wraps cannot be written over.
            line = shortened(line, shutil.get_terminal_size().columns - 1)
        sys.stdout.write(f"\r\x1b[K{line}" if self._is_terminal else f"{line}\n")
        sys.stdout.flush()

    async def _portfolio(self) -> PortfolioReport | None:
        try:
            async with Client(self._runtime, name="console") as client:
                report: PortfolioReport = await client.ask(
                    "risk", PortfolioRequest(), PortfolioReport, timeout_secs=_ASK_TIMEOUT_SECS
                )
                return report
        except (ActorError, OSError):
            return None

    def _tree(self) -> NodeStatus | None:
        try:
            return status(self._runtime)
        except (NotRunningError, OSError):
            return None


async def _closed(fd: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with open(fd, "rb", closefd=False) as pipe:  # noqa: ASYNC230 - a descriptor, not read
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        await reader.read()


def main() -> int:
    """Run the console on the runtime folder and log file named as arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # krator run decides when this ends
    runtime, log = (Path(argument) for argument in sys.argv[1:3])
    try:
        asyncio.run(Console(runtime, log).run())
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
