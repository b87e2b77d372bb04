"""The processes of one supervisor: its children's, their spares, and what they left behind."""

from __future__ import annotations

from collections.abc import Callable

from supervisors.decisions import Phase
from supervisors.incarnation import Forker, Incarnation
from supervisors.launch import Launch
from supervisors.orphans import Orphans
from supervisors.policy import State
from supervisors.reports import ReportLog
from supervisors.spares import Spares
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.timers import Timers
from supervisors.watchdog import Watchdog


class Nursery:
    """Makes and ends the processes that the policy orders. For the supervisor's one thread."""

    def __init__(
        self,
        own: Launch,
        *,
        fork: Forker,
        timers: Timers,
        reports: ReportLog,
        phase_of: Callable[[str], Phase | None],
        on_verdict: Callable[[], None],
    ) -> None:
        self._own = own
        self._fork = fork
        self._phase_of = phase_of
        # By name, until the end of the process is known.
        self.alive: dict[str, Incarnation] = {}
        self.watchdog = Watchdog(
            timers,
            is_current=self._is_current,
            must_beat=self._must_beat,
            on_verdict=on_verdict,
        )
        self.spares = Spares(
            fork=lambda spec: self._incarnation(spec, is_spare=True),
            timers=timers,
            watchdog=self.watchdog,
            reports=reports,
        )
        self.orphans = Orphans(self._is_child, own.settings.marker, reports)

    def watched(self) -> list[int]:
        """Return the descriptors of all processes that are to be looked at when readable."""
        fds = self.spares.watched()
        for child in self.alive.values():
            fds += (child.channel.fd, child.pidfd)
        return [fd for fd in fds if fd >= 0]

    def start(self, spec: ChildSpec | SupervisorSpec) -> None:
        """Give the name to the spare, or fork. Raises OSError when that fails."""
        child = self.spares.take(spec) or self._incarnation(spec)
        self.alive[spec.name] = child
        self.watchdog.expect_ready(child)

    def stop(self, name: str, shutdown_secs: float | None) -> None:
        """Stop the child, by force after so long; 0 kills at once, None waits."""
        child = self.alive.get(name)
        # None when it has just died, and the policy is about to hear of it.
        if child is not None:
            self.watchdog.stop(child, shutdown_secs)

    def bury(self, child: Incarnation) -> None:
        """Forget a child whose process has ended; ``orphans`` has to look what it has left."""
        del self.alive[child.spec.name]

    def settle(self, state: State) -> None:
        """Have the spares that the state asks for."""
        self.spares.settle(state)

    def _incarnation(
        self, spec: ChildSpec | SupervisorSpec, *, is_spare: bool = False
    ) -> Incarnation:
        return Incarnation(spec, self._own.settings, self.watched(), self._fork, is_spare=is_spare)

    def _is_current(self, child: Incarnation) -> bool:
        return self.alive.get(child.spec.name) is child or self.spares.holds(child)

    def _must_beat(self, child: Incarnation) -> bool:
        # A supervisor that stops for as long as its children need goes on beating meanwhile.
        running = self._phase_of(child.spec.name) is Phase.RUNNING
        return running or isinstance(child.spec, SupervisorSpec) or self.spares.holds(child)

    def _is_child(self, pid: int) -> bool:
        return self.spares.has_process(pid) or any(
            child.pid == pid for child in self.alive.values()
        )
