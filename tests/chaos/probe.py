"""Five times a second: could an order be placed now, and if not, what was missing?"""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from krator_actors.messages.risk import PortfolioReport, PortfolioRequest
from krator_actors.model import NANOS_PER_SEC, TradingState
from supervisors.client import Client
from supervisors.messages import ActorError, AskTimeoutError
from supervisors.process import file_name

_LOOK_SECS = 0.2
_TIMEOUT_SECS = 0.25
_STALE_NS = 5 * NANOS_PER_SEC


class State(enum.Enum):
    """What the kernel says of a process."""

    AWAY = "is away"
    STOPPED = "is stopped"
    AT_WORK = "is at work"


@dataclass(frozen=True)
class Sample:
    """One look."""

    monotonic: float
    cause: str
    """what was missing; empty: an order of a healthy symbol could be placed"""
    is_held: bool
    """a person has halted the system: not counted"""


@dataclass(frozen=True)
class Seen:
    """All that one look has seen."""

    report: PortfolioReport | None
    """None: risk did not answer"""
    timed_out: bool
    """risk was asked, and did not answer in time"""
    run: str
    """of ``krator run``: empty while its system is up, else what it does"""
    risk: State
    order: State
    feed: State
    disturbed: str
    """what is being done to the venue now; empty: nothing"""


def why_not(seen: Seen, *, now_ns: int) -> str:
    """Return why no order could be placed; empty when one could."""
    report = seen.report
    if report is None:
        if seen.run and seen.risk is State.AWAY:
            return seen.run
        if seen.risk is State.AT_WORK:
            return "risk did not answer in 250 ms" if seen.timed_out else "risk starts"
        return f"risk {seen.risk.value}"
    if seen.order is not State.AT_WORK:
        return f"order actor {seen.order.value}"
    if not report.recovered:
        return "risk waits for what the order actor knows"
    venue = f" ({seen.disturbed})" if seen.disturbed else ""
    if not report.venue_reachable:
        return f"venue session is not reconciled{venue}"
    quotes = (p.quote_ts_init for p in report.positions)
    if not any(at_ns is not None and now_ns - at_ns < _STALE_NS for at_ns in quotes):
        return f"quotes are stale: feed {seen.feed.value}{venue}"
    return ""


class Processes:
    """The actors' processes by name, from the kernel: also while no supervisor can be asked."""

    def __init__(self, runtime: Path) -> None:
        self._folder = runtime / "processes"

    def state_of(self, name: str) -> State:
        """Return the state of whoever holds ``name``."""
        pid = self._holder(name)
        state = stat_of(pid)[:1] if pid else []
        if not state or state[0] in "ZX":
            return State.AWAY
        return State.STOPPED if state[0] in "tT" else State.AT_WORK

    def _holder(self, name: str) -> int | None:
        # The file is locked for as long as the process lives (``supervisors.launch.hold_name``).
        try:
            inode = (self._folder / file_name(name)).stat().st_ino
        except OSError:
            return None
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and int(fields[5].rpartition(":")[2]) == inode:
                return int(fields[4])
        return None


class Probe:
    """Looks in a thread of its own until ``close``.

    Args:
        run: what ``krator run`` does while its system is not up, else empty.
        disturbed: what is being done to the venue now.
    """

    def __init__(
        self, runtime: Path, *, run: Callable[[], str], disturbed: Callable[[], str]
    ) -> None:
        self.samples: list[Sample] = []
        # What risk said last; None before the first time.
        self.portfolio: PortfolioReport | None = None
        self._runtime = runtime
        self._processes = Processes(runtime)
        self._run = run
        self._disturbed = disturbed
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), name="probe")
        self._thread.start()

    def was_available_after(self, moment: float) -> bool:
        """Return whether an order could be placed at the last look, and that is since ``moment``.

        ``moment`` is of the monotonic clock.
        """
        last = self.samples[-1] if self.samples else None
        return last is not None and last.monotonic > moment and not last.cause

    def close(self) -> None:
        self._is_over.set()
        self._thread.join(30)

    async def _watch(self) -> None:
        while not self._is_over.is_set():
            began = time.monotonic()
            self.samples.append(await self._look(began))
            await asyncio.sleep(max(0.0, began + _LOOK_SECS - time.monotonic()))

    async def _look(self, began: float) -> Sample:
        report, timed_out = None, False
        try:
            async with Client(self._runtime, "chaos") as client:
                report = await client.ask(
                    "risk", PortfolioRequest(), PortfolioReport, timeout_secs=_TIMEOUT_SECS
                )
        except AskTimeoutError:
            timed_out = True
        except (ActorError, OSError):
            pass
        self.portfolio = report or self.portfolio
        seen = Seen(
            report,
            timed_out,
            self._run(),
            self._processes.state_of("risk"),
            self._processes.state_of("order:SIM"),
            self._processes.state_of("feed:SIM"),
            self._disturbed(),
        )
        said = self.portfolio
        is_held = said is not None and said.state is not TradingState.ACTIVE
        return Sample(began, why_not(seen, now_ns=time.time_ns()), is_held)


def stat_of(pid: int) -> list[str]:
    """Return what /proc/PID/stat has behind the name: state, parent, ...; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
