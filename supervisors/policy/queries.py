"""What people ask about the children: Erlang's which_children and count_children."""

from __future__ import annotations

import enum

import msgspec

from supervisors.decisions import Phase, RequestError
from supervisors.policy.state import Child, State
from supervisors.spec import ChildSpec, SupervisorSpec


class Presence(enum.Enum):
    """What Erlang's ``which_children`` says in the place of a pid."""

    UP = "up"
    """A pid: there is a process that was ready."""
    RESTARTING = "restarting"
    """It is being started, or waits for its next start."""
    UNDEFINED = "undefined"
    """There is no process, and nothing is being done about it."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Erlang's ``count_children``."""

    specs: int
    active: int
    """Children of which there is a process that was ready."""
    supervisors: int
    workers: int


def presence(child: Child) -> Presence:
    """Return how Erlang would show a child in this phase."""
    match child.phase:
        case Phase.RUNNING | Phase.STOPPING:
            return Presence.UP
        case Phase.STARTING | Phase.BACKOFF | Phase.ENDED:
            return Presence.RESTARTING
        case Phase.WAITING | Phase.STOPPED | Phase.QUARANTINED:
            return Presence.UNDEFINED


def which_children(state: State) -> tuple[tuple[str, Presence], ...]:
    """Return the children, the one started last first."""
    return tuple((child.name, presence(child)) for child in reversed(state.children))


def which_child(state: State, name: str) -> Presence | RequestError:
    """Return that child's presence, or why there is none to tell."""
    child = state.child(name)
    if child is not None:
        return presence(child)
    return unknown(state, name)


def get_childspec(state: State, name: str) -> ChildSpec | SupervisorSpec | RequestError:
    """Return the spec with all its defaults, or why there is none to tell."""
    child = state.child(name)
    return unknown(state, name) if child is None else child.spec


def count_children(state: State) -> Counts:
    """Return how many children there are, by kind."""
    children = state.by_name.values()
    supervisors = sum(isinstance(child.spec, SupervisorSpec) for child in children)
    return Counts(
        specs=len(children) if state.template is None else 1,
        active=sum(presence(child) is Presence.UP for child in children),
        supervisors=supervisors,
        workers=len(children) - supervisors,
    )


def unknown(state: State, name: str) -> RequestError:
    """Return why there is no child of that name."""
    if state.template is not None and state.template.name == name:
        return RequestError.SIMPLE_ONE_FOR_ONE
    return RequestError.NOT_FOUND
