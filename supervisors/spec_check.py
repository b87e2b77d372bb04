"""What a supervision tree must be before its first process is started."""

from __future__ import annotations

import importlib
import traceback
from typing import Any, assert_never

from supervisors.spec import AutoShutdown, ChildSpec, SpecError, Strategy, SupervisorSpec
from supervisors.status import StartError


def check_spec(spec: SupervisorSpec) -> None:
    """Raise SpecError, with all mistakes of the whole tree in its text."""
    mistakes: list[str] = []
    _collect_mistakes(spec, {spec.name}, mistakes)
    if mistakes:
        raise SpecError("; ".join(mistakes))


def import_actor(path: str) -> type[Any]:
    """Return the class at ``package.module:Class``. Raises what the import raises, or SpecError."""
    module_name, _, class_name = path.partition(":")
    if not class_name:
        raise SpecError(f"actor was {path!r}, must be package.module:Class")
    found = getattr(importlib.import_module(module_name), class_name, None)
    if not isinstance(found, type):
        raise SpecError(f"{module_name} has no class {class_name}")
    return found


def import_actors(spec: SupervisorSpec) -> None:
    """Import the actor classes of the whole tree, so that every later start is a fork only.

    Raises StartError, with the traceback, for the first child whose class cannot be imported.
    """
    for child in spec.children:
        match child:
            case SupervisorSpec():
                import_actors(child)
            case ChildSpec():
                _import_actor_of(child)
            case _:
                assert_never(child)


def _import_actor_of(child: ChildSpec) -> None:
    try:
        import_actor(child.actor)
    except Exception as error:
        reason = f"cannot import {child.actor}: {type(error).__name__}: {error}"
        raise StartError(child.name, reason, traceback.format_exc()) from error


def _collect_mistakes(spec: SupervisorSpec, names: set[str], mistakes: list[str]) -> None:
    def mistake(name: str, text: str) -> None:
        mistakes.append(f"{name}: {text}")

    if spec.strategy is not Strategy.ONE_FOR_ONE:
        mistake(spec.name, f"strategy {spec.strategy.value} is not supported yet")
    if spec.auto_shutdown is not AutoShutdown.NEVER:
        mistake(spec.name, f"auto_shutdown {spec.auto_shutdown.value} is not supported yet")
    if spec.intensity < 0:
        mistake(spec.name, f"intensity was {spec.intensity}, must not be negative")
    if spec.period_secs <= 0:
        mistake(spec.name, f"period_secs was {spec.period_secs}, must be more than 0")
    for child in spec.children:
        if not child.name or "\0" in child.name:
            mistake(spec.name, f"a child's name was {child.name!r}")
        if child.name in names:
            mistake(child.name, "the name is used twice in the tree")
        names.add(child.name)
        if child.significant:
            mistake(
                child.name, f"significant was true under auto_shutdown {spec.auto_shutdown.value}"
            )
        if child.shutdown_secs is not None and child.shutdown_secs < 0:
            mistake(child.name, f"shutdown_secs was {child.shutdown_secs}, must not be negative")
        if child.start_timeout_secs <= 0:
            mistake(
                child.name, f"start_timeout_secs was {child.start_timeout_secs}, must be above 0"
            )
        match child:
            case SupervisorSpec():
                _collect_mistakes(child, names, mistakes)
            case ChildSpec():
                if child.beat_secs <= 0:
                    mistake(child.name, f"beat_secs was {child.beat_secs}, must be more than 0")
                if child.stall_timeout_secs <= 0:
                    mistake(child.name, f"stall_timeout_secs was {child.stall_timeout_secs}")
            case _:
                assert_never(child)
