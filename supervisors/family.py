"""What Erlang's supervisors are asked, served by one supervisor: start_child and the like."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from supervisors import decisions as facts
from supervisors.commands import Answer
from supervisors.control import Command
from supervisors.policy import State, count_children, get_childspec, which_children
from supervisors.spec import ChildSpec, Instance, SupervisorSpec
from supervisors.spec_check import import_actors
from supervisors.status import StartError


class Asked(Protocol):
    """What the requests need of their supervisor."""

    @property
    def state(self) -> State:
        """What the policy knows."""

    def request(self, event: facts.Request, asker: Callable[[facts.Answer], object]) -> None:
        """Have the policy decide about a request; ``asker`` is called once."""


class Family:
    """Turns commands into requests to the policy, and its answers into texts and builtins."""

    def __init__(self, supervision: Asked) -> None:
        self._supervision = supervision
        self._serial = itertools.count()

    def handle(self, command: Command, answer: Answer) -> None:
        """Carry out a command for this supervisor; ``answer`` is called once, now or later."""
        state = self._supervision.state
        match command.verb:
            case "which_children":
                answer(None, [[name, found.value] for name, found in which_children(state)])
            case "count_children":
                answer(None, msgspec.structs.asdict(count_children(state)))
            case "get_childspec":
                found = get_childspec(state, command.child)
                if isinstance(found, facts.RequestError):
                    answer(found.value)
                else:
                    answer(None, msgspec.to_builtins(_without_configs(found)))
            case "start_child":
                self._start_child(command, answer)
            case _:
                self._request(_request_of(command, self._next_id()), answer)

    def _start_child(self, command: Command, answer: Answer) -> None:
        # From a client that holds the key of this run, over channels that nobody else can write.
        child: ChildSpec | SupervisorSpec | Instance = pickle.loads(command.argument)  # noqa: S301
        if not isinstance(child, Instance):
            try:
                import_actors(SupervisorSpec(name="", children=(child,)))
            except StartError as error:
                answer(f"{facts.RequestError.START_FAILED.value}: {error.reason}")
                return
        self._request(facts.StartChildRequested(self._next_id(), child), answer)

    def _request(self, event: facts.Request, answer: Answer) -> None:
        def tell(given: facts.Answer) -> None:
            if given.error is None:
                answer(None, {"ignored": given.ignored, "info": given.info})
            else:
                answer(f"{given.error.value}: {given.detail}".removesuffix(": "))

        self._supervision.request(event, tell)

    def _next_id(self) -> str:
        return str(next(self._serial))


def _request_of(command: Command, request: str) -> facts.Request:
    match command.verb:
        case "terminate_child":
            return facts.TerminateChildRequested(request, command.child)
        case "restart_child":
            return facts.RestartChildRequested(request, command.child)
        case "delete_child":
            return facts.DeleteChildRequested(request, command.child)
        case unknown:
            raise ValueError(f"unknown verb {unknown}")


def _without_configs(spec: ChildSpec | SupervisorSpec) -> ChildSpec | SupervisorSpec:
    """A configuration is any object: it need not be known where the answer is read."""
    changes: dict[str, Any] = {"config": None}
    if isinstance(spec, SupervisorSpec):
        changes = {"children": tuple(map(_without_configs, spec.children))}
    return msgspec.structs.replace(spec, **changes)
