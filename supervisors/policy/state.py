"""What the next decision depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from supervisors.decisions import Event, Mode, Outcome, Phase
from supervisors.spec import (
    AutoShutdown,
    Budget,
    ChildSpec,
    Restart,
    Strategy,
    SupervisorSpec,
)
from supervisors.spec_check import check_spec

PRESENT = frozenset({Phase.STARTING, Phase.RUNNING, Phase.STOPPING})
"""There is a process."""


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One child as the policy sees it: its spec, and where it is."""

    spec: ChildSpec | SupervisorSpec
    phase: Phase = Phase.WAITING
    starts: int = 0
    """How often a start was ordered."""
    spent: tuple[float, ...] = ()
    """When it used its budget, oldest first; never longer than the budget is large."""
    backoffs: int = 0
    """Restarts since it last ran for ``reset_secs``."""
    ready_at: float = -math.inf
    """When it last became ready."""
    starts_at: float | None = None
    """When the backoff under way is over; None while there is none."""
    timer: int = 0
    """The token of the backoff timer under way; another token is outdated."""
    waiters: tuple[str, ...] = ()
    """The requests that are answered when its start or stop is over."""
    is_new: bool = False
    """Asked for by ``start_child`` and not ready yet: forgotten when that fails."""
    is_startable: bool = True
    """False when its configuration is not kept any more, because it is temporary and was added."""
    start_again: bool = False
    """A person asked for a restart: it is started when it has stopped."""

    @property
    def name(self) -> str:
        """Its name, unique among the children."""
        return self.spec.name

    @property
    def restart(self) -> Restart:
        """When it is started again."""
        return self.spec.restart

    @property
    def budget(self) -> Budget | None:
        """Its own allowance of restarts; None: it counts towards the intensity."""
        return self.spec.budget


class Plan(msgspec.Struct, frozen=True):
    """An ordered sequence: the first stop, or with no stop left the first start, is under way."""

    stops: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the next decision depends on."""

    strategy: Strategy
    intensity: int
    period_secs: float
    auto_shutdown: AutoShutdown
    template: ChildSpec | SupervisorSpec | None
    """What all children of a simple_one_for_one supervisor are made of; else None."""
    max_children: int | None
    by_name: Mapping[str, Child]
    """In start order."""
    mode: Mode = Mode.BOOTING
    plan: Plan | None = None
    """None when nothing is under way that has an order."""
    deferred: tuple[Event, ...] = ()
    """What happened meanwhile and is decided when the plan is carried out, oldest first."""
    attempts: tuple[float, ...] = ()
    """When children without a budget were restarted, in whole seconds, as Erlang counts."""
    tokens: int = 0
    outcome: Outcome = Outcome.STOPPED
    culprit: str | None = None
    """The child because of which the supervisor ends."""

    def child(self, name: str) -> Child | None:
        """Return the child of that name, or None when its spec is unknown or forgotten."""
        return self.by_name.get(name)

    @property
    def children(self) -> tuple[Child, ...]:
        """The children, in start order."""
        return tuple(self.by_name.values())


def initial_state(spec: SupervisorSpec) -> State:
    """Return the state before ``Boot``. Raises SpecError when the spec cannot be carried out."""
    check_spec(spec)
    is_simple = spec.strategy is Strategy.SIMPLE_ONE_FOR_ONE
    return State(
        strategy=spec.strategy,
        intensity=spec.intensity,
        period_secs=spec.period_secs,
        auto_shutdown=spec.auto_shutdown,
        template=spec.children[0] if is_simple else None,
        max_children=spec.max_children,
        by_name={} if is_simple else {child.name: Child(spec=child) for child in spec.children},
    )
