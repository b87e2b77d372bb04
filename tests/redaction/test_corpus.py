"""Recall and harm on the labelled corpus, which shares nothing with the redactor."""

from __future__ import annotations

from collections import Counter

import pytest

from krator_actors.core.redaction import Redactor
from tests.redaction import corpus, formats, positions
from tests.redaction.scoring import MIN_KEPT, MIN_RECALL, expect_found, expect_kept

COUNT = 3_600
SEEDS = (1, 2, 3)


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
    expect_found(formats.planted(seed=4, rounds=3))


def test_secrets_are_found_in_commands_statements_languages_and_encodings() -> None:
    expect_found(positions.planted(seed=5, rounds=12))


def test_tokens_that_look_like_secrets_are_kept() -> None:
    expect_kept(positions.kept(seed=6, rounds=20))
