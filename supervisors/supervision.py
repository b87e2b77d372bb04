"""A supervisor's work: it tells the policy what happened and carries out what the policy orders.

Single-threaded. It never waits: children speak on their control channels, end on their pidfds,
and everything that takes time is a timer.
"""

from __future__ import annotations

import os
import random
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NoReturn, assert_never

from supervisors import decisions as facts
from supervisors.commands import Answer, Commands
from supervisors.control import (
    AlarmTold,
    AnyPacket,
    Command,
    CommandDone,
    Crash,
    Hello,
    Ignored,
    Ready,
    Stop,
    Stopped,
    Take,
    Told,
    Warm,
)
from supervisors.family import Family
from supervisors.guardian import end_crashed
from supervisors.incarnation import Forker, Incarnation
from supervisors.launch import Launch
from supervisors.names import NameRoll
from supervisors.nursery import Nursery
from supervisors.picture import Ended, Picture, child_holding
from supervisors.policy import State, decide, initial_state
from supervisors.process import CrashFile, crash_path, wait_ended
from supervisors.reports import Offender, Reason, ReportLog
from supervisors.spec import SupervisorSpec
from supervisors.spec_check import import_actors
from supervisors.status import NodeStatus
from supervisors.timers import Timers

TELL_SECS = 0.5
"""How often a supervisor tells its parent how it and its children are, beside every change."""

_BEAT_SECS = 0.25
_INSTANT_SECS = 0.005


class Supervision:
    """One supervisor process. ``fork`` makes a child; ``wake_after`` leads to ``on_wake``."""

    def __init__(
        self, own: Launch, *, port: int, fork: Forker, wake_after: Callable[[float], None]
    ) -> None:
        assert isinstance(own.spec, SupervisorSpec)
        self._own = own
        self._spec = own.spec
        self._port = port
        self._state = initial_state(own.spec)
        self._ended: dict[str, Ended] = {}
        self._timers = Timers(time.monotonic, wake_after)
        self._reports = ReportLog(own.settings.crash_dir, own.spec.name)
        self._nursery = Nursery(
            own,
            fork=fork,
            timers=self._timers,
            reports=self._reports,
            phase_of=self.phase_of,
            # So that an alarm stands while it is still there.
            on_verdict=lambda: self._tell_parent(news=True),
        )
        self._alive = self._nursery.alive
        self._names = NameRoll(own.settings.runtime, own.spec.name)
        self._commands = Commands(self)
        self._family = Family(self)
        self._picture = Picture(own, self._reports)
        # Events of this turn that the policy has not seen yet.
        self._events: deque[facts.Event] = deque()
        self._deciding = False
        # By request, who is told what came of it.
        self._askers: dict[str, Callable[[facts.Answer], object]] = {}
        # Something changed since the parent was last told.
        self._news = False
        path = crash_path(own.settings.crash_dir, own.spec.name, own.generation)
        self.crash_file = CrashFile(path)

    # -- what Thespian's loop calls --

    def begin(self) -> None:
        """Start the children, in order. Returns at once; readiness is told on the channel."""
        self.crash_file.arm()
        self._own.channel.send(Hello(os.getpid(), self._port))
        import_actors(self._spec)
        self._beat()
        self._tell()
        self._decide(facts.Boot())

    def watched(self) -> list[int]:
        """Return the descriptors that must lead to ``on_readable``."""
        return [fd for fd in (self._own.channel.fd, *self._nursery.watched()) if fd >= 0]

    def on_readable(self) -> None:
        """Take everything that is readable, then decide once: no death waits behind a fork."""
        readable = self._readable()
        events: list[facts.Event] = []
        for child in list(self._alive.values()):
            has_ended = child.pidfd in readable
            if child.channel.fd in readable or has_ended:
                events += self._hear(child)
                # A process that ends closes its channel an instant before its pidfd tells.
                is_lost = child.channel.fd < 0
                has_ended = has_ended or (is_lost and wait_ended(child.pidfd, _INSTANT_SECS))
            if has_ended:
                events.append(self._child_died(child))
        self._news |= self._nursery.spares.hear(readable)
        if self._own.channel.fd in readable:
            self._parent_said(self._own.channel.receive())
        self._decide(*events)
        # After the decision, because a replacement need not wait for it.
        self._look_for_orphans()

    def on_wake(self) -> None:
        """Do what is due."""
        self._timers.fire()

    def crash(self, error: BaseException) -> NoReturn:
        """End this process because of its own error; the kernel ends the subtree with it."""
        end_crashed(self._own.channel, self.crash_file, error)

    # -- what people ask for --

    @property
    def commands(self) -> Commands:
        """Where a person's requests go."""
        return self._commands

    @property
    def name(self) -> str:
        """This supervisor's own name."""
        return self._spec.name

    @property
    def state(self) -> State:
        """What the policy knows, for those who only look."""
        return self._state

    def serve(self, command: Command, answer: Answer) -> None:
        """Do what Erlang's supervisors are asked."""
        self._family.handle(command, answer)

    def request(self, event: facts.Request, asker: Callable[[facts.Answer], object]) -> None:
        """Have the policy decide about a request; ``asker`` is called once."""
        self._askers[event.request] = asker
        self._decide(event)

    def status(self) -> NodeStatus:
        """Return this supervisor and all that is below it, as far as it is known now."""
        self._picture.orphans_counted(self._nursery.orphans.count)
        return self._picture.draw(
            self._state, self._alive, self._ended, self._nursery.spares.pid_of
        )

    def phase_of(self, name: str) -> facts.Phase | None:
        """Return where that child is; None when it is not, or no longer, a child."""
        child = self._state.child(name)
        return None if child is None else child.phase

    def is_running(self) -> bool:
        """True between readiness and the end."""
        return self._state.mode is facts.Mode.RUNNING

    def order(self, event: facts.RestartRequested | facts.BudgetReset) -> None:
        """Have the policy decide about what a person wants."""
        self._decide(event)

    def kill(self, name: str) -> bool:
        """SIGKILL the child's process, as an accident would; False when there is none."""
        child = self._alive.get(name)
        if child is not None:
            child.kill()
        return child is not None

    def child_with(self, name: str) -> str | None:
        """Return which child is, or contains, the actor of that name."""
        return child_holding(name, spec=self._spec, state=self._state, alive=self._alive)

    def forward(self, child: str, command: Command) -> bool:
        """Send the command to a supervisor below; False when it does not run."""
        below = self._alive.get(child)
        return below is not None and below.channel.send(command)

    # -- facts --

    def _readable(self) -> set[int]:
        poller = select.poll()
        for fd in self.watched():
            poller.register(fd, select.POLLIN)
        return {fd for fd, _ in poller.poll(0)}

    def _hear(self, child: Incarnation) -> Iterator[facts.Event]:
        packets = child.channel.receive()
        if packets is None:
            child.channel.close()
            self._nursery.watchdog.expect_end(child)
        for packet in packets or ():
            yield from self._child_said(child, packet)

    def _child_said(self, child: Incarnation, packet: AnyPacket) -> Iterator[facts.Event]:
        match packet:
            case Ready(info):
                child.ready_at = time.monotonic()
                self._reports.write(
                    "child_started",
                    child=child.spec.name,
                    pid=child.pid,
                    generation=child.generation,
                )
                self._nursery.watchdog.expect_beats(child)
                yield facts.ChildReady(child.spec.name, info)
            case Crash():
                child.crash = packet
            case Warm():
                child.is_warm = True
            case Ignored():
                child.said_ignored = True
            case Stopped():
                child.said_stopped = True
            case Told(node, news):
                child.told = node
                self._news = self._news or news
            case AlarmTold():
                self._picture.alarm_told(child.spec.name, packet)
                self._news = True
            case CommandDone(id=command_id, error=error, result=result):
                self._commands.answered(command_id, error, result)
            case Hello() | Stop() | Take() | Command():
                return
            case _:
                assert_never(packet)

    def _child_died(self, child: Incarnation) -> facts.Event:
        self._own.slot.beat()  # as in ``_start``
        name = child.spec.name
        reason, clean = child.bury()
        self._nursery.bury(child)
        self._ended[name] = Ended(
            reason=reason,
            pid=child.pid,
            generation=child.generation,
            crash_file=child.crash_file(),
            crash=child.crash,
            offender=Offender.of(child.spec),
        )
        self._commands.child_died(name)
        self._picture.child_died(name)
        if child.said_ignored:
            return facts.ChildIgnored(name)
        crash = child.crash
        # What it said last does not count when it had to be killed.
        is_crash = crash is not None and child.verdict is None
        exceptions = (crash.exception, *crash.bases) if crash is not None and is_crash else ()
        return facts.ChildEnded(name, clean, str(reason), exceptions)

    def _parent_said(self, packets: list[AnyPacket] | None) -> None:
        if packets is None:
            os._exit(0)  # the parent is gone, and the kernel is about to end this process too
        for packet in packets:
            match packet:
                case Stop():
                    self._decide(facts.StopRequested())
                case Command():
                    self._commands.handle(packet, self._answer_parent(packet.id))
                case _:
                    continue

    def _answer_parent(self, command_id: str) -> Answer:
        return lambda error, result=None: self._own.channel.send(
            CommandDone(command_id, error, result)
        )

    # -- decisions and actions --

    def _decide(self, *events: facts.Event) -> None:
        """Tell the policy, do what it orders, and tell it what came of that, until it is quiet."""
        self._events.extend(events)
        if self._deciding:
            return
        self._deciding = True
        self._news = self._news or bool(self._events)
        while self._events:
            event = self._events.popleft()
            dice = random.random()  # noqa: S311 - jitter, not a secret
            self._state, actions = decide(self._state, event, time.monotonic(), dice)
            for action in actions:
                self._carry_out(action)
        self._deciding = False
        self._names.settle(self._state)
        self._nursery.settle(self._state)
        if self._news:
            self._tell_parent(news=True)

    def _carry_out(self, action: facts.Action) -> None:
        match action:
            case facts.StartChild(name):
                self._start(name)
            case facts.StopChild(name, shutdown_secs):
                self._nursery.stop(name, shutdown_secs)
            case facts.SetTimer(name, token, delay_secs):
                event = facts.TimerFired(name, token)
                self._timers.call_after(delay_secs, lambda: self._decide(event))
            case facts.Report():
                self._report(action)
            case facts.AllReady():
                self._tell_parent(news=True)
                self._own.channel.send(Ready())
            case facts.Answer():
                self._askers.pop(action.request)(action)
            case facts.Finish(outcome, culprit):
                self._finish(outcome, culprit)
            case _:
                assert_never(action)

    def _start(self, name: str) -> None:
        # Fifty forks in one turn may take longer than a parent waits for a beat; each is progress.
        self._own.slot.beat()
        spec = self._state.by_name[name].spec
        try:
            self._nursery.start(spec)
        except OSError as error:
            reason = Reason("exit", f"not forked: {error}", type(error).__name__)
            self._ended[spec.name] = Ended(reason=reason, offender=Offender.of(spec))
            self._events.append(facts.ChildEnded(spec.name, clean=False, detail=str(reason)))

    def _finish(self, outcome: facts.Outcome, culprit: str | None) -> NoReturn:
        self._nursery.spares.end_all()
        self._tell_parent(news=True)
        if outcome is facts.Outcome.ESCALATED:
            assert culprit is not None
            crash = self._ended[culprit].crash
            assert crash is not None
            self._own.channel.send(crash)
            os._exit(os.EX_SOFTWARE)
        if outcome is facts.Outcome.START_FAILED:
            assert culprit is not None
            self._own.channel.send(self._ended[culprit].as_start_failure(culprit))
            os._exit(os.EX_SOFTWARE)
        self._own.channel.send(Stopped())
        os._exit(0)

    def _report(self, report: facts.Report) -> None:
        ended = self._ended[report.name]
        self._reports.write(
            report.kind.value,
            child=report.name,
            pid=ended.pid,
            generation=ended.generation,
            reason=ended.reason,
            crash_file=None if ended.crash_file is None else str(ended.crash_file),
            restart_in_secs=report.restart_in_secs,
            offender=ended.offender,
        )

    # -- timers --

    def _beat(self) -> None:
        self._own.slot.beat()
        self._look_for_orphans()
        self._timers.call_after(_BEAT_SECS, self._beat)

    def _look_for_orphans(self) -> None:
        before = self._nursery.orphans.count
        self._nursery.orphans.look()
        if self._nursery.orphans.count != before:
            self._tell_parent(news=True)

    def _tell(self) -> None:
        self._tell_parent(news=False)
        self._timers.call_after(TELL_SECS, self._tell)

    def _tell_parent(self, *, news: bool) -> None:
        self._news = False
        self._own.channel.send(Told(self.status(), news))
