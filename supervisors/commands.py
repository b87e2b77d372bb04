"""What a person may ask of a running tree, and its way to the supervisor that can do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from supervisors.control import Command
from supervisors.decisions import Phase
from supervisors.status import NodeStatus

Answer = Callable[[str | None], None]

Verb = Literal["status", "restart", "reset-quarantine"]


class AdminRequest(msgspec.Struct, frozen=True):
    """From outside to the root supervisor, over Thespian."""

    id: str
    """Comes back in the answer: an answer that came too late must not be taken for another."""
    verb: Verb
    name: str = ""


class AdminAnswer(msgspec.Struct, frozen=True):
    """The root's answer."""

    id: str
    error: str | None = None
    node: NodeStatus | None = None


class Supervising(Protocol):
    """What a command needs of its supervisor."""

    def phase_of(self, name: str) -> Phase | None:
        """Return where that child is, or None."""

    def is_running(self) -> bool:
        """True between readiness and the end."""

    def order_restart(self, name: str) -> None:
        """Stop the child, if it runs, and start it."""

    def child_with(self, name: str) -> str | None:
        """Return which child is, or contains, the actor of that name."""

    def forward(self, child: str, command: Command) -> bool:
        """Send the command to a supervisor below; False when it does not run."""


class Commands:
    """Carries out commands for own children and passes on those for descendants."""

    def __init__(self, supervision: Supervising) -> None:
        self._supervision = supervision
        # By command id: to which child it was passed on, and who waits for the answer.
        self._passed_on: dict[str, tuple[str, Answer]] = {}

    def handle(self, command: Command, answer: Answer) -> None:
        """Carry it out or pass it on; ``answer`` is called with None, or with why not."""
        child = self._supervision.child_with(command.name)
        if child is None:
            answer(f"there is no actor named {command.name}")
        elif child == command.name:
            answer(self._carry_out(command))
        else:
            self._passed_on[command.id] = (child, answer)
            if not self._supervision.forward(child, command):
                self.answered(
                    command.id, f"{child}, which supervises {command.name}, is not running"
                )

    def answered(self, command_id: str, error: str | None) -> None:
        """Take the answer from below; an unknown one came too late."""
        _, answer = self._passed_on.pop(command_id, ("", None))
        if answer is not None:
            answer(error)

    def child_died(self, name: str) -> None:
        """Answer what was passed on to that child: nobody else will."""
        lost = [key for key, (child, _) in self._passed_on.items() if child == name]
        for command_id in lost:
            self.answered(command_id, f"{name} ended before it answered")

    def _carry_out(self, command: Command) -> str | None:
        phase = self._supervision.phase_of(command.name)
        if phase is None:
            return f"{command.name} was temporary, and has ended"
        if not self._supervision.is_running():
            return f"the supervisor of {command.name} is starting or stopping"
        match command.verb:
            case "restart":
                self._supervision.order_restart(command.name)
                return None
            case "reset-quarantine" if phase is Phase.QUARANTINED:
                self._supervision.order_restart(command.name)
                return None
            case "reset-quarantine":
                return f"{command.name} is not quarantined but {phase.value}"
            case _:
                return f"unknown command {command.verb}"
