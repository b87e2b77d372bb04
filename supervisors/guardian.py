"""The worker's main thread: it starts the brain, reports, and ends the process.

``GuardianActor`` runs in a process of its own, in Thespian's loop. The brain is a second thread
with the actor's asyncio loop. A brain that fails ends the process: there is no half-dead actor.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

import uvloop
from loguru import logger
from thespian.actors import Actor, ActorExitRequest, ThespianWatch, WakeupMessage, WatchMessage

from supervisors import launch, thespian_engine
from supervisors.actor import Brain, NotNeededError
from supervisors.control import (
    AlarmTold,
    Channel,
    Command,
    Crash,
    Hello,
    Ignored,
    Ready,
    Statistics,
    Stop,
    Stopped,
    Take,
    Warm,
)
from supervisors.inquiry import Inquiries
from supervisors.process import CrashFile, crash_path, default_signals
from supervisors.redaction import redacted
from supervisors.spec import ChildSpec
from supervisors.spec_check import import_actor
from supervisors.stacks import describe_tasks
from supervisors.usage import Meter

_EXIT_CRASHED = 1
_STATISTICS_SECS = 0.5


class Guardian:
    """One worker process: the brain in its thread, the control channel to the supervisor."""

    def __init__(self, own: launch.Launch) -> None:
        assert isinstance(own.spec, ChildSpec)
        self._own = own
        self._spec = own.spec
        self._channel = own.channel
        self.crash_file = CrashFile(
            crash_path(own.settings.crash_dir, own.spec.name, own.generation)
        )
        self._brain: Brain | None = None
        # The brain's, once it turns.
        self._loop: asyncio.AbstractEventLoop | None = None
        # What the tasks waited for was written down: once is enough.
        self._has_told_stall = False
        # False while this process is a spare.
        self._has_name = not own.is_spare
        # How the brain's thread is told that it has the name; None while it does not wait for it.
        self._on_name: Callable[[], object] | None = None
        self._inquiries = Inquiries(own.channel)
        self._meter = Meter()

    def start(self, port: int) -> None:
        """Say hello and start the brain's thread. Called once, in the main thread."""
        self.crash_file.arm()
        self._channel.send(Hello(os.getpid(), port))
        if self._spec.cpu is not None:
            # Before the brain's thread is made, because a thread inherits it.
            os.sched_setaffinity(0, {self._spec.cpu})
        threading.Thread(target=self._run_brain, name="brain", daemon=True).start()

    def read_channel(self) -> None:
        """Do what the supervisor says. Called in the main thread when the channel is readable."""
        packets = self._channel.receive()
        if packets is None:
            os._exit(0)  # the supervisor is gone; nobody would stop or restart this process
        if any(isinstance(packet, Take) for packet in packets):
            self._take_name()
        if any(isinstance(packet, Stop) for packet in packets):
            brain = self._brain
            if brain is None:
                self._end_cleanly()
            else:
                brain.request_stop()
        for packet in packets:
            if isinstance(packet, Command):
                self._inquiries.handle(packet, self._brain)

    def write_statistics(self) -> float:
        """Write what the brain does for all to see; return after how many seconds again.

        In the main thread, because a brain that hangs would not say in what.
        """
        self._inquiries.expire()
        if self._brain is not None:
            now = self._brain.statistics()
            if now.in_work_secs >= self._spec.stall_timeout_secs:
                self._tell_stall()
            usage = self._meter.read()
            self._own.slot.write(
                Statistics(
                    inbox=now.inbox,
                    handled=now.handled,
                    stash=now.stash,
                    dropped=now.dropped,
                    conflated=now.conflated,
                    undelivered=now.undelivered,
                    is_suspended=now.is_suspended,
                    rss_bytes=usage.rss_bytes,
                    cpu_percent=usage.cpu_percent,
                    in_work_secs=now.in_work_secs,
                    in_work=now.in_work,
                )
            )
        return min(_STATISTICS_SECS, self._spec.beat_secs)

    def _tell_stall(self) -> None:
        """Before the supervisor ends this process: what its tasks wait for is on no thread."""
        if not self._has_told_stall and self._loop is not None:
            self._has_told_stall = True
            with contextlib.suppress(OSError):
                self.crash_file.write(describe_tasks(self._loop))

    def _run_brain(self) -> None:
        try:
            self._brain = self._make_brain()
            if self._spec.realtime is not None:
                go_before_others(self._spec.realtime)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._live(self._brain))
        except BaseException as error:  # noqa: BLE001 - whatever it was, it ends the process
            end_crashed(self._channel, self.crash_file, error)

    def _take_name(self) -> None:
        launch.hold_name(self._own.settings, self._spec.name)
        self._has_name = True
        if self._on_name is not None:
            self._on_name()

    async def _stand_by(self, brain: Brain) -> None:
        """Wait in the brain's thread, beating, until the name is free."""
        brain.prepare()
        loop, named = asyncio.get_running_loop(), asyncio.Event()
        self._on_name = lambda: loop.call_soon_threadsafe(named.set)
        # Beside the main thread, because there the news goes through Thespian's loop first: some
        # milliseconds. Whoever reads a packet, it is read once.
        loop.add_reader(self._channel.fd, self.read_channel)
        self._channel.send(Warm())
        while not self._has_name:
            self._own.slot.beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._spec.beat_secs / 3):
                    await named.wait()
        loop.remove_reader(self._channel.fd)

    async def _live(self, brain: Brain) -> NoReturn:
        # The process ends in here, because closing the loop would wait for its worker threads,
        # of which one may never return.
        self._loop = asyncio.get_running_loop()
        try:
            if self._own.is_spare:
                await self._stand_by(brain)
            await brain.run(self._on_ready)
        except NotNeededError:
            self._channel.send(Ignored())
            _flush_output()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - as above
            end_crashed(self._channel, self.crash_file, error)
        self._end_cleanly()

    def _make_brain(self) -> Brain:
        spec = self._spec
        logger.configure(extra={"component": spec.name})  # of this process, and of no other
        return Brain(
            import_actor(spec.actor),
            name=spec.name,
            generation=self._own.generation,
            config=spec.config,
            runtime=self._own.settings.runtime,
            inbox_limit=spec.inbox_limit,
            stall_timeout_secs=spec.stall_timeout_secs,
            beat_secs=spec.beat_secs,
            progress=self._own.slot.beat,
            tell_alarm=lambda kind, detail: self._channel.send(AlarmTold(kind, detail)),
        )

    def _on_ready(self) -> None:
        # What the actor holds from its start on is not looked through while it works.
        gc.freeze()
        self._own.slot.beat()
        self._channel.send(Ready(None if self._brain is None else self._brain.ready_info))

    def _end_cleanly(self) -> NoReturn:
        self._channel.send(Stopped())
        _flush_output()
        os._exit(0)


class GuardianActor(Actor):  # type: ignore[misc] # Thespian has no types
    """Thespian's face of a guardian; carries nothing and is sent nothing by Thespian."""

    def begin(self, _on_child_died: Callable[..., None]) -> list[int]:
        """Start the guardian; return the descriptors to watch. Called before any message."""
        own = launch.loaded()
        self._channel = own.channel
        try:
            default_signals()
            if not own.is_spare:
                launch.hold_name(own.settings, own.spec.name)
            self._guardian = Guardian(own)
            self._guardian.start(thespian_engine.listening_port(self))
            self._write_statistics()
        except BaseException as error:  # noqa: BLE001 - whatever it was, it ends the process
            end_crashed(own.channel, None, error)
        return [own.channel.fd]

    def receiveMessage(self, message: Any, _sender: Any) -> Any:  # noqa: N802 - Thespian's name
        """Serve the control channel; Thespian's own messages change nothing."""
        if isinstance(message, ActorExitRequest):
            os._exit(0)
        try:
            match message:
                case WatchMessage():
                    self._guardian.read_channel()
                case WakeupMessage():
                    self._write_statistics()
                case _:
                    pass
        except BaseException as error:  # noqa: BLE001 - Thespian would run this handler twice
            end_crashed(self._channel, self._guardian.crash_file, error)
        return ThespianWatch([self._channel.fd])

    def _write_statistics(self) -> None:
        self.wakeupAfter(timedelta(seconds=self._guardian.write_statistics()))


def go_before_others(priority: int) -> None:
    """Give the calling thread alone a real-time priority: threads that it starts are ordinary."""
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except PermissionError as error:
        log = logger.bind(event_type="no_realtime", reason=str(error))
        log.warning("real-time priority was refused")


def end_crashed(
    channel: Channel, crash_file: CrashFile | None, error: BaseException, child: str | None = None
) -> NoReturn:
    """Write the traceback down, tell the supervisor, and end the process, whatever happens."""
    try:
        text = redacted("".join(traceback.format_exception(error)))
        channel.send(Crash.by(error, text, child))
        print(text, file=sys.stderr)  # noqa: T201 - goes to stderr.log
        if crash_file is not None:
            crash_file.write(text)
        _flush_output()
    finally:
        os._exit(_EXIT_CRASHED)


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
