"""Which process is struck when, and how: by the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MIN_PAUSE_SECS = 0.5
MAX_PAUSE_SECS = 2.0
_STOP_SHARE = 0.3


class Fault(NamedTuple):
    """One blow."""

    at_secs: float
    """After the beginning."""
    target: str
    is_stop: bool
    """SIGSTOP, else SIGKILL."""


def faults(seed: int, secs: float, targets: Sequence[str]) -> Iterator[Fault]:
    """Yield the blows of so many seconds, in their order."""
    dice = random.Random(seed)
    at_secs = dice.uniform(MIN_PAUSE_SECS, MAX_PAUSE_SECS)
    while at_secs < secs:
        yield Fault(at_secs, dice.choice(targets), dice.random() < _STOP_SHARE)
        at_secs += dice.uniform(MIN_PAUSE_SECS, MAX_PAUSE_SECS)
