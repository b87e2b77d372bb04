"""Warm spares: a second process of a child, ready to take its name when the first is dead.

A spare has no name, no socket and no ``on_start`` behind it; it costs memory and saves the fork.
Its own death costs nobody's budget: it is forked again, later and later while that does no good.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from supervisors.control import Crash, Take, Warm
from supervisors.decisions import Mode, Phase
from supervisors.incarnation import Incarnation
from supervisors.policy import State, backoff_delay_secs
from supervisors.process import has_ended, wait_ended
from supervisors.reports import ReportLog
from supervisors.spec import Budget, ChildSpec, SupervisorSpec
from supervisors.timers import Timers
from supervisors.watchdog import Watchdog

_END_SECS = 1.0
_CALM_SECS = 0.25
"""How long a child runs before its next spare is forked, because the fork would take the processor
from a takeover that somebody waits for."""
_DOWN = frozenset({Phase.STOPPED, Phase.QUARANTINED})
_PACE = Budget()
"""Only its backoff counts: a spare is tried for ever."""


class Spares:
    """The spares of one supervisor's children. ``fork`` makes one; it may raise OSError."""

    def __init__(
        self,
        *,
        fork: Callable[[ChildSpec], Incarnation],
        timers: Timers,
        watchdog: Watchdog,
        reports: ReportLog,
    ) -> None:
        self._fork = fork
        self._timers = timers
        self._watchdog = watchdog
        self._reports = reports
        self._by_name: dict[str, Incarnation] = {}
        # By name, how many in a row have ended before they were warm.
        self._failures: dict[str, int] = {}
        # Names whose next spare is a timer away.
        self._waiting: set[str] = set()
        # What is to be settled when a timer comes.
        self._state: State | None = None

    def holds(self, spare: Incarnation) -> bool:
        """True when this is the spare of its name."""
        return self._by_name.get(spare.spec.name) is spare

    def has_process(self, pid: int) -> bool:
        """True when a spare has this process id."""
        return any(spare.pid == pid for spare in self._by_name.values())

    def pid_of(self, name: str) -> int | None:
        """Return the process id of a spare that is warm; None when there is none."""
        spare = self._by_name.get(name)
        return spare.pid if spare is not None and spare.is_warm else None

    def watched(self) -> list[int]:
        """Return the descriptors that must lead to ``hear``."""
        return [fd for each in self._by_name.values() for fd in (each.channel.fd, each.pidfd)]

    def hear(self, readable: set[int]) -> bool:
        """Take what the spares said and note which ended; true when that is news."""
        heard = False
        for name, spare in list(self._by_name.items()):
            if spare.channel.fd in readable:
                for packet in spare.channel.receive() or ():
                    if isinstance(packet, Warm):
                        spare.is_warm = True
                        self._failures.pop(name, None)
                        self._watchdog.expect_beats(spare)
                    elif isinstance(packet, Crash):
                        spare.crash = packet
            if spare.pidfd in readable:
                self._ended(name, spare)
            heard = heard or bool(readable & {spare.channel.fd, spare.pidfd})
        return heard

    def settle(self, state: State) -> None:
        """Have a spare for each running child that wants one, and none for any other."""
        self._state = state
        wanted: dict[str, ChildSpec] = {}
        if state.mode in {Mode.BOOTING, Mode.RUNNING}:
            for child in state.by_name.values():
                spec = child.spec
                if isinstance(spec, ChildSpec) and spec.spare and child.phase not in _DOWN:
                    wanted[child.name] = spec
        for name, spare in list(self._by_name.items()):
            if wanted.get(name) is not spare.spec:
                self._end(name)
        if state.mode is Mode.RUNNING:
            for name in wanted:
                if state.by_name[name].phase is Phase.RUNNING and not self._is_provided(name):
                    self._try_after(_CALM_SECS, name)

    def take(self, spec: ChildSpec | SupervisorSpec) -> Incarnation | None:
        """Give away the spare of a child whose process is dead; None when there is none.

        It need not be warm yet: even so it is nearer to its end than a new fork.
        """
        spare = self._by_name.get(spec.name)
        if spare is None or spare.spec is not spec or has_ended(spare.pidfd):
            return None
        if not spare.channel.send(Take()):
            return None
        return self._by_name.pop(spec.name)

    def end_all(self) -> None:
        """Kill all of them and wait for their ends."""
        for name in list(self._by_name):
            self._end(name)

    def _is_provided(self, name: str) -> bool:
        return name in self._by_name or name in self._waiting

    def _provide(self, name: str) -> None:
        state = self._state
        child = None if state is None or state.mode is not Mode.RUNNING else state.child(name)
        if child is None or child.phase is not Phase.RUNNING or self._is_provided(name):
            return
        spec = child.spec
        if not isinstance(spec, ChildSpec) or not spec.spare:
            return
        try:
            self._by_name[name] = spare = self._fork(spec)
        except OSError:
            self._try_later(name)
            return
        self._watchdog.expect_warm(spare)

    def _ended(self, name: str, spare: Incarnation) -> None:
        del self._by_name[name]
        reason, _ = spare.bury()
        crash_file = spare.crash_file()
        self._reports.write(
            "spare_ended",
            child=name,
            pid=spare.pid,
            generation=spare.generation,
            reason=reason,
            crash_file=None if crash_file is None else str(crash_file),
        )
        self._try_later(name)

    def _try_later(self, name: str) -> None:
        failures = self._failures.get(name, 0)
        self._failures[name] = failures + 1
        delay_secs = backoff_delay_secs(_PACE, failures, random.random())  # noqa: S311 - jitter
        self._try_after(delay_secs, name)

    def _try_after(self, delay_secs: float, name: str) -> None:
        self._waiting.add(name)

        def again() -> None:
            self._waiting.discard(name)
            self._provide(name)

        self._timers.call_after(delay_secs, again)

    def _end(self, name: str) -> None:
        spare = self._by_name.pop(name)
        spare.kill()
        wait_ended(spare.pidfd, _END_SECS)
        spare.bury()
        spare.crash_file()
