"""A strategy that is not Krator's: found by its name, and tried in a process of its own.

Only that process and the strategy's actor ever run its code, because it may raise, hang, start
threads or end the process: ``krator run`` forks, and ``krator kill`` must work all the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call

from krator_actors.core.strategies import Strategy

MAX_WARM_UP_BARS = 10_000
_TRIAL_SECS = 30.0
"""Importing pandas takes one or two of them on a busy machine."""
_REFUSED = 2


class OwnStrategyError(ValueError):
    """The class is none that can be run; the parameters are at fault when ``key`` names one."""

    def __init__(self, text: str, *, key: str = "kind") -> None:
        super().__init__(text)
        self.key = key


def make(kind: str, parameters: Mapping[str, Any]) -> Strategy:
    """Return a new, cold strategy of the class that ``kind``, ``module:Class``, names.

    ``parameters`` are the constructor's arguments, checked against its annotations. Raises
    OwnStrategyError, ImportError, and whatever the class raises.
    """
    module_name, _, name = kind.partition(":")
    made: Any = getattr(import_module(module_name), name, None)
    if not isinstance(made, type) or Strategy not in made.__mro__:
        raise OwnStrategyError(f"{kind} is no subclass of krator_actors.core.strategies.Strategy")
    if parameters and not _has_constructor(made):
        raise OwnStrategyError(f"{kind} has no constructor, so it takes none", key="parameters")
    try:
        strategy = _made(made, parameters)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise OwnStrategyError(first["msg"], key=f"parameters.{key}") from error
    bars: Any = strategy.warm_up_bars  # the word of foreign code
    if not isinstance(bars, int) or not 1 <= bars <= MAX_WARM_UP_BARS:
        raise OwnStrategyError(
            f"{kind}: warm_up_bars was {bars!r}; a number from 1 to {MAX_WARM_UP_BARS} is allowed"
        )
    return strategy


def trial(kind: str, parameters: Mapping[str, Any]) -> str:
    """Make the strategy in a process of its own; return key and mistake, or "" when it can be."""
    question = json.dumps({"kind": kind, "parameters": dict(parameters)}, default=str)
    try:
        tried = subprocess.run(
            [sys.executable, "-m", "krator_actors.own_strategy"],
            input=question,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_SECS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"kind: {kind} was not made within {_TRIAL_SECS:.0f} s"
    lines = tried.stderr.rstrip().splitlines()
    if tried.returncode == _REFUSED and lines:
        return lines[-1]
    if tried.returncode or _MADE not in tried.stdout:
        fact = lines[-1] if lines else f"its process ended with {tried.returncode}"
        place = next((line.strip() for line in reversed(lines) if line.startswith("  File ")), "")
        return f"kind: {kind} cannot be made: {fact}{f' ({place})' if place else ''}"
    return ""


_MADE = "krator: made"


def _has_constructor(made: Any) -> bool:
    inherited: Any = Strategy
    return made.__init__ is not inherited.__init__


def _made(made: Any, parameters: Mapping[str, Any]) -> Strategy:
    if not _has_constructor(made):
        strategy: Strategy = made()
        return strategy
    strategy = made.__new__(made)
    # Not the class itself, because pydantic checks the arguments of functions only.
    checking = validate_call(config=ConfigDict(arbitrary_types_allowed=True))
    checking(made.__init__)(strategy, **parameters)
    return strategy


def _main() -> int:
    question = json.load(sys.stdin)
    try:
        make(question["kind"], question["parameters"])
    except OwnStrategyError as error:
        sys.stderr.write(f"{error.key}: {error}\n")
        return _REFUSED
    sys.stdout.write(f"{_MADE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
