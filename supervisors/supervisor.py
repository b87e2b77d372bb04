"""Thespian's face of a supervisor: its loop, its timers, its forks, its messages from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any

from thespian.actors import Actor, ActorExitRequest, ThespianWatch, WakeupMessage, WatchMessage

from supervisors import launch, thespian_engine
from supervisors.commands import AdminAnswer, AdminRequest
from supervisors.control import Command
from supervisors.guardian import end_crashed
from supervisors.process import adopt_orphans, default_signals
from supervisors.spec import ChildSpec
from supervisors.supervision import Supervision

_GUARDIAN = "supervisors.guardian.GuardianActor"
_SUPERVISOR = "supervisors.supervisor.SupervisorActor"


class SupervisorActor(Actor):  # type: ignore[misc] # Thespian has no types
    """A process that has no brain: plain, single-threaded, so that its forks are safe."""

    def begin(self, on_child_died: Callable[..., None]) -> list[int]:
        """Start the supervision; return the descriptors to watch. Called before any message."""
        own = launch.loaded()
        try:
            default_signals()
            launch.hold_name(own.settings, own.spec.name)
            adopt_orphans()
            signal.signal(signal.SIGCHLD, on_child_died)
            self._supervision = Supervision(
                own,
                port=thespian_engine.listening_port(self),
                fork=self._fork,
                wake_after=self._wake_after,
            )
            self._supervision.begin()
        except BaseException as error:  # noqa: BLE001 - whatever it was, it ends the process
            end_crashed(own.channel, None, error)
        return self._supervision.watched()

    def receiveMessage(self, message: Any, sender: Any) -> Any:  # noqa: N802 - Thespian's name
        """Pass on what happened. An own error ends the process: Thespian would try again."""
        try:
            match message:
                case WatchMessage():
                    self._supervision.on_readable()
                case WakeupMessage():
                    self._supervision.on_wake()
                case AdminRequest():
                    self._answer(message, sender)
                case ActorExitRequest():
                    os._exit(0)
                case _:
                    pass  # Thespian's own notices of exits: the pidfds have told it already
        except BaseException as error:  # noqa: BLE001 - see above
            self._supervision.crash(error)
        return ThespianWatch(self._supervision.watched())

    def _answer(self, request: AdminRequest, sender: Any) -> None:
        if request.verb == "status":
            self.send(sender, AdminAnswer(request.id, node=self._supervision.status()))
            return
        self._supervision.commands.handle(
            Command(request.id, request.verb, request.name, request.child, request.argument),
            lambda error, result=None: self.send(
                sender, AdminAnswer(request.id, error, result=result)
            ),
        )

    def _fork(self, cargo: launch.Launch) -> BaseProcess:
        path = _GUARDIAN if isinstance(cargo.spec, ChildSpec) else _SUPERVISOR
        return thespian_engine.fork_actor(self, path, cargo)

    def _wake_after(self, delay_secs: float) -> None:
        self.wakeupAfter(timedelta(seconds=delay_secs))
