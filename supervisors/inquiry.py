"""What a person asks of one running worker: its state, suspend, resume, trace.

The commands arrive on the control channel and not in the inbox, so that a full inbox, a suspended
or a hung actor can be looked into all the same. Everything here runs in the guardian's thread but
what says otherwise; the brain is asked through its loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from supervisors.brain import Brain
from supervisors.control import Channel, Command, CommandDone
from supervisors.observation import (
    MAX_TRACE_MESSAGES,
    MAX_TRACE_SECS,
    Handled,
    Insight,
    limited,
)

BRAIN_SECS = 2.0
"""How long the brain's loop may take to answer before the guardian answers without it."""


class Inquiries:
    """Answers commands for one worker; each is answered once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        # By command id: when the brain is waited for no longer, and what is answered then.
        self._waiting: dict[str, tuple[float, Callable[[], CommandDone]]] = {}

    def handle(self, command: Command, brain: Brain | None) -> None:
        """Carry it out. ``brain`` is None while the process is starting."""
        if brain is None:
            self._channel.send(CommandDone(command.id, f"{command.name} is starting"))
            return
        match command.verb:
            case "state":
                self._ask_state(command.id, brain)
            case "times":
                # Without a turn of the loop: whoever asks often must not cost it anything.
                times = msgspec.to_builtins(brain.observer.times())
                self._channel.send(CommandDone(command.id, None, times))
            case "suspend" | "resume":
                is_suspended = command.verb == "suspend"
                self._wait_for(command, brain, BRAIN_SECS)
                brain.post(lambda: self._set_suspended(command.id, brain, is_suspended))
            case "trace":
                self._trace(command, brain)
            case unknown:
                self._channel.send(CommandDone(command.id, f"unknown command {unknown}"))

    def expire(self) -> None:
        """Answer what the brain did not answer in time. To be called about every half second."""
        now = time.monotonic()
        late = [key for key, (until, _) in list(self._waiting.items()) if until <= now]
        for command_id in late:
            waiting = self._waiting.pop(command_id, None)
            if waiting is not None:
                self._channel.send(waiting[1]())

    def _ask_state(self, command_id: str, brain: Brain) -> None:
        def without_brain() -> CommandDone:
            return CommandDone(command_id, None, _insight(brain, error=_no_turn(brain)))

        def in_brain() -> None:
            self._answer(command_id, _insight_with_state(brain))

        self._waiting[command_id] = (time.monotonic() + BRAIN_SECS, without_brain)
        brain.post(in_brain)

    def _set_suspended(self, command_id: str, brain: Brain, is_suspended: bool) -> None:  # noqa: FBT001 - a state, not an option
        was = brain.set_suspended(is_suspended)
        self._answer(command_id, {"was": "suspended" if was else "running"})

    def _trace(self, command: Command, brain: Brain) -> None:
        limits = command.argument or {}
        limit = max(1, min(int(limits.get("messages", 10)), MAX_TRACE_MESSAGES))
        secs = max(0.0, min(float(limits.get("secs", 10.0)), MAX_TRACE_SECS))

        def done(seen: tuple[Handled, ...]) -> None:
            self._answer(command.id, msgspec.to_builtins(seen))

        self._wait_for(command, brain, secs + BRAIN_SECS)
        brain.post(lambda: _begin_trace(brain, limit, secs, done))

    def _wait_for(self, command: Command, brain: Brain, secs: float) -> None:
        self._waiting[command.id] = (
            time.monotonic() + secs,
            lambda: CommandDone(command.id, f"{command.name}: {_no_turn(brain)}"),
        )

    def _answer(self, command_id: str, result: Any) -> None:
        """In the brain's thread; whoever takes the entry out answers, so there is one answer."""
        if self._waiting.pop(command_id, None) is not None:
            self._channel.send(CommandDone(command_id, None, result))


def _begin_trace(
    brain: Brain, limit: int, secs: float, done: Callable[[tuple[Handled, ...]], object]
) -> None:
    trace = brain.observer.start_trace(limit, done)
    asyncio.get_running_loop().call_later(secs, trace.end)


def _insight_with_state(brain: Brain) -> Any:
    try:
        state = None if brain.actor is None else limited(brain.actor.describe_state())
    except Exception as failure:  # noqa: BLE001 - a look must not end what it looks at
        return _insight(brain, error=f"describe_state raised {type(failure).__name__}")
    return _insight(brain, state=state)


def _insight(brain: Brain, *, state: Any = None, error: str | None = None) -> Any:
    return msgspec.to_builtins(
        Insight(
            actor=brain.actor_path,
            statistics=brain.statistics(),
            recent=brain.observer.recent(),
            classes=brain.observer.classes(),
            state=state,
            state_error=error,
        )
    )


def _no_turn(brain: Brain) -> str:
    now = brain.statistics()
    text = f"its loop had no turn within {BRAIN_SECS:g} s"
    if now.in_work is not None:
        text += f", {now.in_work} in work for {now.in_work_secs:.1f} s"
    return text
