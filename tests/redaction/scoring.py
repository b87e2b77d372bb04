"""What the redactor finds and what it leaves, counted on labelled lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from krator_actors.core.redaction import Redactor
from tests.redaction import corpus

MIN_RECALL = 0.995
MIN_KEPT = 0.98

Labelled = Iterable[tuple[str, str, str]]
"""kind, value, and a line that holds it"""


def expect_found(planted: Labelled) -> None:
    """Fail when too many planted values leak; print the share that does not."""
    redactor = Redactor()
    asked: Counter[str] = Counter()
    leaked: Counter[str] = Counter()
    for kind, value, line in planted:
        asked[kind] += 1
        leaked[kind] += corpus.is_leaked(value, redactor.text(line))
    recall = 1 - leaked.total() / asked.total()
    print(f"recall {recall:.3%} of {asked.total()}; leaked: {leaked}")
    assert recall >= MIN_RECALL, leaked


def expect_kept(tokens: Labelled) -> None:
    """Fail when too many tokens that are no secrets are lost; print the share that is kept."""
    redactor = Redactor()
    asked: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for kind, token, line in tokens:
        asked[kind] += 1
        lost[kind] += token not in redactor.text(line)
    kept = 1 - lost.total() / asked.total()
    print(f"kept {kept:.3%} of {asked.total()}; lost: {lost}")
    assert kept >= MIN_KEPT, lost
