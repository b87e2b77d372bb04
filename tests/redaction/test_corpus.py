"""Recall and harm on the labelled corpus, which shares nothing with the redactor."""

from __future__ import annotations

from collections import Counter

import pytest

from krator_actors.core.redaction import Redactor
from tests.redaction import corpus, formats, positions

COUNT = 3_600
SEEDS = (1, 2, 3)
MIN_RECALL = 0.995
MIN_KEPT = 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_secrets_go_and_what_a_person_needs_stays(seed: int) -> None:
    redactor = Redactor(names=corpus.NAMES)
    planted: Counter[str] = Counter()
    leaked: Counter[str] = Counter()
    kept = asked = 0

    for line in corpus.lines(seed, COUNT):
        redacted = redactor.text(line.text)
        for kind, value in line.secrets:
            planted[kind] += 1
            leaked[kind] += corpus.is_leaked(value, redacted)
        kept += sum(token in redacted for token in line.kept)
        asked += len(line.kept)

    recall = 1 - leaked.total() / planted.total()
    for kind, count in sorted(planted.items()):
        print(f"{kind:24} {1 - leaked[kind] / count:8.2%} of {count}")
    print(f"seed {seed}: recall {recall:.3%} of {planted.total()}, kept {kept / asked:.3%}")
    assert recall >= MIN_RECALL, leaked
    assert kept / asked >= MIN_KEPT


def test_more_formats_in_more_shapes_are_found() -> None:
    redactor = Redactor()
    count = 0
    leaked: Counter[str] = Counter()

    for kind, value, line in formats.planted(seed=4, rounds=3):
        count += 1
        if corpus.is_leaked(value, redactor.text(line)):
            leaked[kind] += 1

    print(f"recall {1 - leaked.total() / count:.3%} of {count}; leaked: {leaked}")
    assert 1 - leaked.total() / count >= MIN_RECALL


def test_secrets_are_found_in_commands_statements_languages_and_encodings() -> None:
    redactor = Redactor()
    planted: Counter[str] = Counter()
    leaked: Counter[str] = Counter()

    for kind, value, line in positions.planted(seed=5, rounds=12):
        planted[kind] += 1
        leaked[kind] += corpus.is_leaked(value, redactor.text(line))

    recall = 1 - leaked.total() / planted.total()
    print(f"recall {recall:.3%} of {planted.total()}; leaked: {leaked}")
    assert recall >= MIN_RECALL, leaked


def test_tokens_that_look_like_secrets_are_kept() -> None:
    redactor = Redactor()
    asked: Counter[str] = Counter()
    lost: Counter[str] = Counter()

    for kind, token, line in positions.kept(seed=6, rounds=20):
        asked[kind] += 1
        lost[kind] += token not in redactor.text(line)

    print(f"kept {1 - lost.total() / asked.total():.3%} of {asked.total()}; lost: {lost}")
    assert 1 - lost.total() / asked.total() >= MIN_KEPT, lost
