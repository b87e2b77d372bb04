"""What words announce goes, what words protect stays, and a sentence stays a sentence."""

from __future__ import annotations

import pytest

from krator_actors.core.redaction import Redactor
from krator_actors.core.redaction.checks import is_digest, is_ticket
from krator_actors.core.redaction.prose import in_prose
from krator_actors.core.redaction.sentences import goes_on
from tests.redaction import sentences
from tests.redaction.scoring import expect_found, expect_kept


def test_secrets_that_words_announce_go() -> None:
    expect_found(sentences.planted(seed=9, rounds=20))


def test_tokens_that_words_protect_stay() -> None:
    expect_kept(sentences.kept(seed=10, rounds=20))


@pytest.mark.parametrize(
    "line",
    [
        "the password is required",
        "with password authentication",
        "token bucket empty",
        "password policy v2",
        "250-AUTH PLAIN LOGIN",
    ],
)
def test_sentence_about_a_secret_is_unchanged(line: str) -> None:
    assert Redactor().text(line) == line


def test_words_go_on_and_passwords_do_not() -> None:
    assert goes_on(b"Required.")
    assert not goes_on(b"tulip")
    assert in_prose(b"with password tulip") == b"with password <password>"


def test_digest_and_ticket_say_what_they_are() -> None:
    assert is_digest(b"sha256:" + b"0a" * 32)
    assert is_ticket(b"msg_01AbCdEfGhIjKl")
    assert not is_ticket(b"aB3dE5gH7jK9mN1pQ3sT")
