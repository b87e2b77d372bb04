"""What a person may ask of a running tree, and its way to the supervisor that can do it."""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args

import msgspec

from supervisors.control import Command
from supervisors.decisions import BudgetReset, Phase, RestartRequested
from supervisors.status import NodeStatus

FamilyVerb = Literal[
    "start_child",
    "terminate_child",
    "restart_child",
    "delete_child",
    "which_children",
    "count_children",
    "get_childspec",
]
"""What Erlang's supervisors are asked: the name is the supervisor's."""

ActorVerb = Literal["state", "times", "suspend", "resume", "trace"]
"""What a running worker answers itself, beside its inbox: see ``inquiry.Inquiries``."""

Verb = Literal["status", "restart", "kill", "reset-budget"] | ActorVerb | FamilyVerb


class Answer(Protocol):
    """Takes None or why not, and the result if there is one."""

    def __call__(self, error: str | None, result: Any = None, /) -> object:
        """Tell whoever asked. Called once."""


class AdminRequest(msgspec.Struct, frozen=True):
    """From outside to the root supervisor, over Thespian."""

    id: str
    """Comes back in the answer: an answer that came too late must not be taken for another."""
    verb: Verb
    name: str = ""
    child: str = ""
    argument: Any = None


class AdminAnswer(msgspec.Struct, frozen=True):
    """The root's answer."""

    id: str
    error: str | None = None
    node: NodeStatus | None = None
    result: Any = None


class Supervising(Protocol):
    """What a command needs of its supervisor."""

    @property
    def name(self) -> str:
        """Its own name."""

    def serve(self, command: Command, answer: Answer) -> None:
        """Do what Erlang's supervisors are asked."""

    def phase_of(self, name: str) -> Phase | None:
        """Return where that child is, or None."""

    def is_running(self) -> bool:
        """True between readiness and the end."""

    def order(self, event: RestartRequested | BudgetReset) -> None:
        """Have the policy decide about what a person wants."""

    def kill(self, name: str) -> bool:
        """SIGKILL the child's process; False when there is none."""

    def child_with(self, name: str) -> str | None:
        """Return which child is, or contains, the actor of that name."""

    def forward(self, child: str, command: Command) -> bool:
        """Send the command to that child; False when it does not run."""


_ACTOR_VERBS = frozenset(get_args(ActorVerb))
_FAMILY_VERBS = frozenset(get_args(FamilyVerb))


class Commands:
    """Carries out commands for own children and passes on those for descendants."""

    def __init__(self, supervision: Supervising) -> None:
        self._supervision = supervision
        # By command id: to which child it was passed on, and who waits for the answer.
        self._passed_on: dict[str, tuple[str, Answer]] = {}

    def handle(self, command: Command, answer: Answer) -> None:
        """Carry it out or pass it on; ``answer`` is called with None, or with why not."""
        is_own = command.verb not in _FAMILY_VERBS | _ACTOR_VERBS
        if command.name == self._supervision.name and not is_own:
            self._serve(command, answer)
            return
        child = self._supervision.child_with(command.name)
        if child is None:
            answer(f"there is no actor named {command.name}")
        elif child == command.name and is_own:
            answer(self._carry_out(command))
        else:
            self._passed_on[command.id] = (child, answer)
            if not self._supervision.forward(child, command):
                self.answered(command.id, _not_running(child, command))

    def answered(self, command_id: str, error: str | None, result: Any = None) -> None:
        """Take the answer from below; an unknown one came too late."""
        _, answer = self._passed_on.pop(command_id, ("", None))
        if answer is not None:
            answer(error, result)

    def child_died(self, name: str) -> None:
        """Answer what was passed on to that child: nobody else will."""
        lost = [key for key, (child, _) in self._passed_on.items() if child == name]
        for command_id in lost:
            self.answered(command_id, f"{name} ended before it answered")

    def _serve(self, command: Command, answer: Answer) -> None:
        if command.verb in _FAMILY_VERBS:
            self._supervision.serve(command, answer)
        else:
            answer(f"{command.name} is a supervisor: it handles no messages")

    def _carry_out(self, command: Command) -> str | None:
        phase = self._supervision.phase_of(command.name)
        if phase is None:
            return f"{command.name} was temporary, and has ended"
        if not self._supervision.is_running():
            return f"the supervisor of {command.name} is starting or stopping"
        match command.verb:
            case "restart":
                self._supervision.order(RestartRequested(command.name))
                return None
            case "reset-budget":
                self._supervision.order(BudgetReset(command.name))
                return None
            case "kill" if self._supervision.kill(command.name):
                return None
            case "kill":
                return f"{command.name} is not running"
            case _:
                return f"unknown command {command.verb}"


def _not_running(child: str, command: Command) -> str:
    if child == command.name:
        return f"{child} is not running"
    return f"{child}, which supervises {command.name}, is not running"
