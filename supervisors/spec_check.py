"""What a supervision tree must be before its first process is started."""

from __future__ import annotations

import contextlib
import importlib
import math
import traceback
from collections.abc import Callable
from typing import Any, assert_never

import msgspec

from supervisors.spec import (
    AutoShutdown,
    Budget,
    ChildSpec,
    Directive,
    Restart,
    SpecError,
    Strategy,
    SupervisorSpec,
)
from supervisors.status import StartError


class Mistake(msgspec.Struct, frozen=True):
    """One thing that is wrong with a specification."""

    name: str
    """Of the child or supervisor."""
    error: str
    """Erlang's word, e.g. ``invalid_shutdown``, or one like it for a field of ours."""
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text} ({self.error})"


def check_spec(spec: SupervisorSpec) -> None:
    """Raise SpecError, with all mistakes of the whole tree in its text."""
    mistakes: list[Mistake] = []
    _check_fields(spec, _OF_ALL, mistakes)
    _check_supervisor(spec, {spec.name}, mistakes)
    if mistakes:
        raise SpecError("; ".join(map(str, mistakes)))


def mistakes_of_child(
    spec: ChildSpec | SupervisorSpec, auto_shutdown: AutoShutdown
) -> list[Mistake]:
    """Return all mistakes of one child, and of what is below it, under such a supervisor."""
    mistakes: list[Mistake] = []
    _check_child(spec, auto_shutdown, set(), mistakes)
    return mistakes


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
        _learn_messages(import_actor(child.actor))
    except Exception as error:
        reason = f"cannot import {child.actor}: {type(error).__name__}: {error}"
        raise StartError(child.name, reason, traceback.format_exc()) from error


def _learn_messages(actor: type[Any]) -> None:
    """Have msgspec look at the fields of all that this actor is sent.

    The first decoder of a class takes 10 ms for a strategy, every later one 20 us: so it is made
    here, and what was learned is carried by the fork.
    """
    for types in (getattr(actor, "inbox", None), getattr(actor, "answers", None)):
        if types is not None:
            # What cannot be decoded fails where it is reported, at the child's start.
            with contextlib.suppress(TypeError):
                msgspec.msgpack.Decoder(types)


def _check_supervisor(spec: SupervisorSpec, names: set[str], mistakes: list[Mistake]) -> None:
    _check_fields(spec, _FLAGS, mistakes)
    children: object = spec.children  # whatever it was annotated as
    if not isinstance(children, tuple):
        mistakes.append(Mistake(spec.name, "invalid_children", "children must be a tuple"))
        return
    if spec.strategy is Strategy.SIMPLE_ONE_FOR_ONE:
        _check_template(spec, mistakes)
    elif spec.max_children is not None:
        text = "max_children needs strategy simple_one_for_one"
        mistakes.append(Mistake(spec.name, "bad_combination", text))
    for child in spec.children:
        _check_child(child, spec.auto_shutdown, names, mistakes)


def _check_template(spec: SupervisorSpec, mistakes: list[Mistake]) -> None:
    if len(spec.children) != 1:
        text = f"simple_one_for_one needs exactly one child spec, there were {len(spec.children)}"
        mistakes.append(Mistake(spec.name, "bad_start_spec", text))
    for template in spec.children:
        if (
            isinstance(template, SupervisorSpec)
            and template.children
            and template.strategy is not Strategy.SIMPLE_ONE_FOR_ONE
        ):
            text = "children of a template would all have the same names"
            mistakes.append(Mistake(template.name, "bad_start_spec", text))


def _check_child(
    child: object, auto_shutdown: AutoShutdown, names: set[str], mistakes: list[Mistake]
) -> None:
    if not isinstance(child, ChildSpec | SupervisorSpec):
        text = f"was {child!r}, must be a ChildSpec or a SupervisorSpec"
        mistakes.append(Mistake("a child", "invalid_child_type", text))
        return
    _check_fields(child, _OF_ALL, mistakes)
    if str(child.name) in names:
        text = "the name is used twice in the tree"
        mistakes.append(Mistake(child.name, "duplicate_child_name", text))
    names.add(str(child.name))
    if child.significant is True and (
        child.restart is Restart.PERMANENT or auto_shutdown is AutoShutdown.NEVER
    ):
        text = f"significant was true, with {child.restart} under auto_shutdown {auto_shutdown}"
        mistakes.append(Mistake(child.name, "bad_combination", text))
    if isinstance(child, SupervisorSpec):
        _check_supervisor(child, names, mistakes)
        return
    _check_fields(child, _OF_WORKERS, mistakes)
    if child.spare is True and (child.fenced is True or child.restart is Restart.TEMPORARY):
        text = f"spare was true, with fenced {child.fenced} and {child.restart}"
        mistakes.append(Mistake(child.name, "bad_combination", text))


def _check_fields(spec: object, rules: tuple[_Rule, ...], mistakes: list[Mistake]) -> None:
    for rule in rules:
        value = getattr(spec, rule.field)
        if not rule.holds(value):
            text = f"{rule.field} was {value!r}, must be {rule.requirement}"
            mistakes.append(Mistake(str(getattr(spec, "name", "")), rule.error, text))


class _Rule(msgspec.Struct, frozen=True):
    field: str
    error: str
    requirement: str
    holds: Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_realtime(value: Any) -> bool:
    return _is_count(value) and 1 <= value <= _MAX_REALTIME


def _is_time(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )


def _is_positive(value: Any) -> bool:
    return _is_time(value) and value > 0


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _is_import_path(value: Any) -> bool:
    return isinstance(value, str) and all(value.partition(":"))


def _are_directives(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and name.isidentifier() and isinstance(directive, Directive)
        for name, directive in value.items()
    )


def _is_one_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _or_none(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


_MAX_REALTIME = 99
_FLAGS = (
    _Rule("strategy", "invalid_strategy", "a Strategy", _is_one_of(Strategy)),
    _Rule("intensity", "invalid_intensity", "an integer from 0", _is_count),
    _Rule("period_secs", "invalid_period", "more than 0", _is_positive),
    _Rule("auto_shutdown", "invalid_auto_shutdown", "an AutoShutdown", _is_one_of(AutoShutdown)),
    _Rule("max_children", "invalid_max_children", "an integer from 0", _or_none(_is_count)),
)
_OF_ALL = (
    _Rule("name", "invalid_name", "a text that is not empty, without NUL", _is_name),
    _Rule("restart", "invalid_restart_type", "a Restart", _is_one_of(Restart)),
    _Rule("shutdown_secs", "invalid_shutdown", "0 or more, or None", _or_none(_is_time)),
    _Rule("significant", "invalid_significant", "true or false", _is_one_of(bool)),
    _Rule("start_timeout_secs", "invalid_start_timeout", "more than 0", _is_positive),
    _Rule("budget", "invalid_budget", "a Budget or None", _or_none(_is_one_of(Budget))),
    _Rule("directives", "invalid_directives", "class names and Directives", _are_directives),
)
_OF_WORKERS = (
    _Rule("actor", "invalid_actor", "package.module:Class", _is_import_path),
    _Rule("beat_secs", "invalid_beat", "more than 0", _is_positive),
    _Rule("stall_timeout_secs", "invalid_stall_timeout", "more than 0", _is_positive),
    _Rule("cpu", "invalid_cpu", "an integer from 0, or None", _or_none(_is_count)),
    _Rule("realtime", "invalid_realtime", "1 to 99, or None", _or_none(_is_realtime)),
    _Rule("max_rss_bytes", "invalid_max_rss", "more than 0, or None", _or_none(_is_positive)),
    _Rule("fenced", "invalid_fenced", "true or false", _is_one_of(bool)),
    _Rule("spare", "invalid_spare", "true or false", _is_one_of(bool)),
    _Rule("inbox_limit", "invalid_inbox_limit", "an integer from 0", _is_count),
)
