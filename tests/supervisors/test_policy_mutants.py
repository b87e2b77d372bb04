"""The tests of the pure core notice when one of its rules is changed."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import paper_supervisor
import pytest
from otp_runs import PATH, differences, recorded_runs

import supervisors.policy
from supervisors.policy import Counts, Presence

SOURCES = Path(supervisors.policy.__file__).parent
MODULES = (
    "supervisors.policy.backoff",
    "supervisors.policy.state",
    "supervisors.policy.turn",
    "supervisors.policy.queries",
    "supervisors.policy.plans",
    "supervisors.policy.requests",
    "supervisors.policy.restarts",
    "supervisors.policy.decide",
)
"""In the order of their imports."""
TESTS = Path(__file__).parent / "conformance" / "core"
SLOW = {
    "test_child_specs_map",
    "test_scale_start_stop_many_children",
    "test_simple_one_for_one_scale_many_temporary_children",
}

MUTANTS = {
    "edge_of_the_period_is_exclusive": ("backoff", "time >= edge", "time > edge"),
    "one_restart_more_is_allowed": (
        "restarts",
        "<= turn.rules.intensity",
        "< turn.rules.intensity",
    ),
    "one_restart_less_is_allowed": (
        "restarts",
        "<= turn.rules.intensity",
        "<= turn.rules.intensity + 1",
    ),
    "failed_try_is_not_counted": (
        "restarts",
        "child.budget is not None or _is_within_intensity(turn)",
        "child.budget is None or _is_within_intensity(turn)",
    ),
    "transient_comes_back_after_a_clean_end": ("restarts", "and not clean)", "and clean)"),
    "permanent_does_not_come_back": (
        "restarts",
        "child.restart is Restart.PERMANENT or (",
        "child.restart is Restart.TEMPORARY or (",
    ),
    "rest_for_one_restarts_all": (
        "restarts",
        "names = names[names.index(child.name) :]",
        "names = names[:]",
    ),
    "rest_for_one_leaves_the_next_out": (
        "restarts",
        "stops = tuple(name for name in reversed(names) if name != child.name)",
        "stops = tuple(name for name in reversed(names[1:]) if name != child.name)[:-1]",
    ),
    "group_is_stopped_in_start_order": ("restarts", "in reversed(names)", "in names"),
    "temporary_child_comes_back_with_its_group": (
        "restarts",
        "child.restart is not Restart.TEMPORARY and child",
        "child",
    ),
    "stopped_sibling_is_left_out_of_a_group_restart": (
        "restarts",
        "and child.phase is not Phase.QUARANTINED",
        "and child.phase not in {Phase.QUARANTINED, Phase.STOPPED}",
    ),
    "any_significant_waits_for_all": (
        "restarts",
        "turn.rules.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT",
        "turn.rules.auto_shutdown is AutoShutdown.NEVER",
    ),
    "all_significant_counts_the_restarting_as_gone": (
        "restarts",
        "presence(child) is not Presence.UNDEFINED",
        "presence(child) is Presence.UNDEFINED",
    ),
    "insignificant_child_ends_its_supervisor": ("restarts", "child.spec.significant and _", "_"),
    "end_stops_in_start_order": (
        "plans",
        "names = tuple(reversed(turn.children))",
        "names = tuple(turn.children)",
    ),
    "dynamic_children_are_stopped_one_by_one": ("plans", "if turn.is_simple:", "if False:"),
    "brutal_kill_is_an_error": (
        "plans",
        "if not clean and not was_killed:",
        "if not clean:",
    ),
    "temporary_spec_is_kept": (
        "turn",
        "child.restart is Restart.TEMPORARY or self.is_simple",
        "self.is_simple",
    ),
    "dynamic_child_is_kept": (
        "turn",
        "child.restart is Restart.TEMPORARY or self.is_simple",
        "child.restart is Restart.TEMPORARY",
    ),
    "restarting_child_may_be_deleted": (
        "requests",
        "            return RequestError.RESTARTING",
        "            return None",
    ),
    "restarting_child_is_already_started": (
        "requests",
        "RequestError.ALREADY_STARTED if present.phase in PRESENT",
        "RequestError.ALREADY_STARTED if present.phase",
    ),
    "failed_start_child_keeps_the_spec": ("restarts", "if child.is_new:", "if False:"),
    "invalid_spec_is_started": ("requests", "    if mistakes:\n", "    if False:\n"),
    "no_limit_of_children": ("requests", ">= turn.rules.max_children", "> turn.rules.max_children"),
    "terminated_child_is_tried_again": (
        "requests",
        "turn.rest(turn.answer(child))",
        "turn.answer(child)",
    ),
    "configuration_of_temporary_children_is_kept": (
        "restarts",
        "msgspec.structs.replace(spec, config=None)",
        "spec",
    ),
    "which_children_in_start_order": ("queries", "reversed(state.children)", "state.children"),
    "restarting_child_counts_as_active": (
        "queries",
        "presence(child) is Presence.UP",
        "presence(child) is not Presence.UNDEFINED",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_changed_rule_is_noticed(name: str) -> None:
    module, old, new = MUTANTS[name]

    with core(module, old, new) as mutant:
        assert is_noticed(mutant)


def test_unchanged_core_passes_what_the_mutants_fail() -> None:
    with core("backoff", "time >= edge", "time >= edge") as same:
        assert not is_noticed(same)


@contextmanager
def core(changed: str, old: str, new: str) -> Iterator[Any]:
    """A second core with one piece of its source replaced; the real one is left alone."""
    copies: dict[str, ModuleType] = {}
    with patch.dict(sys.modules), patch.dict(vars(supervisors.policy)):
        for full_name in MODULES:
            name = full_name.rpartition(".")[2]
            source = (SOURCES / f"{name}.py").read_text()
            if name == changed:
                assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {name}"
                source = source.replace(old, new)
            spec = importlib.util.spec_from_loader(full_name, loader=None)
            assert spec is not None
            copies[name] = sys.modules[full_name] = importlib.util.module_from_spec(spec)
            setattr(supervisors.policy, name, copies[name])
            exec(compile(source, f"{name} changed", "exec"), copies[name].__dict__)
            if name == "queries":  # what a test compares with must stay the same class
                vars(copies[name]).update(Presence=Presence, Counts=Counts)
    yield SimpleNamespace(
        decide=copies["decide"].decide,
        initial_state=copies["state"].initial_state,
        which_children=copies["queries"].which_children,
        which_child=copies["queries"].which_child,
        count_children=copies["queries"].count_children,
        get_childspec=copies["queries"].get_childspec,
    )


def is_noticed(mutant: Any) -> bool:
    """True when a conformance test of the core fails on it, or a recorded run differs."""
    return fails_conformance(mutant) or (
        PATH.exists() and any(differences(run, mutant) for run in recorded_runs()[:300])
    )


def fails_conformance(mutant: Any) -> bool:
    modules = conformance_modules()
    with ExitStack() as stack:
        for place in (paper_supervisor, *modules):
            for name, function in vars(mutant).items():
                if hasattr(place, name):
                    stack.enter_context(patch.object(place, name, function))
        return any(not passes(test) for module in modules for test in cases_in(module))


@functools.cache
def conformance_modules() -> tuple[ModuleType, ...]:
    """The conformance tests of the core, as modules of this file's own."""
    modules = []
    for path in sorted(TESTS.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"of_mutants_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        modules.append(importlib.util.module_from_spec(spec))
        spec.loader.exec_module(modules[-1])
    return tuple(modules)


def cases_in(module: ModuleType) -> Iterator[Callable[[], None]]:
    for name, function in list(vars(module).items()):
        if name.startswith("test_") and name not in SLOW:
            for arguments in parameters(function):
                yield functools.partial(function, **arguments)


def parameters(function: Any) -> Iterator[dict[str, Any]]:
    """What pytest would call the function with; ids and indirect ones are not used there."""
    choices = []
    for mark in getattr(function, "pytestmark", []):
        names = (
            [name.strip() for name in mark.args[0].split(",")]
            if isinstance(mark.args[0], str)
            else list(mark.args[0])
        )
        choices.append(
            [
                dict(zip(names, values if len(names) > 1 else [values], strict=True))
                for values in mark.args[1]
            ]
        )
    for combination in itertools.product(*choices):
        yield {name: value for each in combination for name, value in each.items()}


def passes(test: Callable[[], None]) -> bool:
    try:
        test()
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - whatever a changed core raises
        return False
    return True
